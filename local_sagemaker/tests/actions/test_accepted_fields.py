"""Every field that botocore's model allows has an effect here or is refused by its name."""

import re
from pathlib import Path

import pytest
from botocore.exceptions import ClientError
from botocore.session import get_session

import local_sagemaker
from local_sagemaker.actions import accepted_fields, supported_actions
from local_sagemaker.errors import ServiceError

SERVICES = {"InvokeEndpoint": "sagemaker-runtime"}


# What one machine cannot have, and what SDK v2 always says: recorded and described alone.
RECORDED = (
    "ExecutionRoleArn RoleArn KmsKeyId VolumeKmsKeyId SecurityGroupIds Subnets EnableNetworkIsolation VolumeSizeInGB "
    "EnableInterContainerTrafficEncryption DisableProfiler EnableSageMakerMetricsTimeSeries"
)


def paths(action):
    """The paths of a request's members that are values, down to a depth."""

    def below(shape, path, depth):
        if shape.type_name == "structure" and depth:
            for name, member in shape.members.items():
                yield from below(member, f"{path}.{name}" if path else name, depth - 1)
        elif shape.type_name == "list":
            yield from below(shape.member, path, depth)
        else:
            yield path

    model = get_session().get_service_model(SERVICES.get(action, "sagemaker"))
    return set(below(model.operation_model(action).input_shape, "", 4))


def nested(path):
    """A request that gives one field."""
    first, _, rest = path.partition(".")
    return {first: nested(rest)} if rest else {first: "x"}


@pytest.mark.parametrize("action", accepted_fields.ACCEPTED)
def test_the_table_names_fields_that_there_are(action):
    assert set(accepted_fields.ACCEPTED[action].split()) <= paths(action)


@pytest.mark.parametrize("action", [*supported_actions(), "InvokeEndpoint"])
def test_every_field_outside_the_table_is_refused_by_name(action):
    accepted = set(accepted_fields.ACCEPTED.get(action, " ".join(paths(action))).split())
    for path in paths(action):
        if path in accepted:
            accepted_fields.check(action, nested(path))
        else:
            with pytest.raises(ServiceError) as refusal:
                accepted_fields.check(action, nested(path))
            named = refusal.value.message.removeprefix("local_sagemaker would ignore ").partition(" of ")[0]
            assert f"{path}.".startswith(f"{named}.")


@pytest.mark.parametrize("action", [action for action in accepted_fields.ACCEPTED if action.startswith("Create")])
def test_code_reads_every_accepted_field_of_a_resource(action):
    package = Path(local_sagemaker.__file__).parent
    folders = (package / name for name in ("actions", "hosting", "training"))
    modules = [path for folder in folders for path in folder.glob("*.py") if path.stem != "accepted_fields"]
    names = set(re.findall(r"\w+", "".join(path.read_text() for path in modules)))
    fields = {path.rpartition(".")[2] for path in accepted_fields.ACCEPTED[action].split()}
    assert fields - names <= set(RECORDED.split())


def test_actions_outside_the_table_take_a_name_alone():
    for action in set(supported_actions()) - set(accepted_fields.ACCEPTED):
        assert len(paths(action)) == 1


def test_a_setting_that_is_off_is_none():
    accepted_fields.check("CreateEndpoint", {"DeploymentConfig": {}, "Tags": []})


@pytest.mark.parametrize("setting", ["TargetContainerHostname", "InferenceComponentName", "InferenceId"])
def test_a_call_is_told_which_setting_is_ignored(service, endpoint, setting):
    with pytest.raises(ClientError, match=f"would ignore {setting} of InvokeEndpoint"):
        service.runtime.invoke_endpoint(
            EndpointName=endpoint, TargetModel="linear.tar.gz", Body=b'{"inputs": [[1, 2]]}', **{setting: "name"}
        )
