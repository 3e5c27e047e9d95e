import dataclasses

import pytest
from botocore.client import BaseClient
from botocore.exceptions import NoCredentialsError
from local_sagemaker import permissions as needed_permissions

from helpers import s3, session, training
from helpers.aws import job_log
from helpers.aws.connection import Connection
from series import orphaned_resources, permissions


@dataclasses.dataclass
class Abandoned:
    """What a run left that ended in the middle, and what somebody else has."""

    connection: Connection
    name: str
    job: str


@pytest.fixture
def place(connection, request):
    """The connection with a prefix of the test's own."""
    return dataclasses.replace(connection, prefix=f"{connection.prefix}-{request.node.name[:20]}")


@pytest.fixture
def abandoned(place, classifiers, monkeypatch):
    """A run that was killed: a training job, an endpoint with scaling and alarm, uploads, objects."""
    name = place.prefix[:40].replace("_", "-").strip("-")
    client, sagemaker = place.boto.client("s3"), place.boto.client("sagemaker")
    s3.upload(place, classifiers["dense"], f"{place.models_uri}dense.tar.gz")
    client.create_multipart_upload(Bucket=place.bucket, Key=f"{place.prefix}/datasets/half.npz")
    _create_endpoint(place, name, place.models_uri)
    place.boto.client("application-autoscaling").register_scalable_target(
        ServiceNamespace="sagemaker",
        ResourceId=f"endpoint/{name}/variant/AllTraffic",
        ScalableDimension="sagemaker:variant:DesiredInstanceCount",
        MinCapacity=1,
        MaxCapacity=2,
    )
    _put_alarm(place, name)
    monkeypatch.setattr(training, "SCRIPTS", training.SCRIPTS.parent / "tests" / "helpers" / "job_scripts")
    monkeypatch.setattr(job_log, "follow", _die)
    with pytest.raises(ConnectionError):
        training.train(
            place, "left", entry_script="wait.py", channels={}, hyperparameters={}, instance_type="ml.c5.xlarge"
        )
    [job] = sagemaker.list_training_jobs(NameContains="left", StatusEquals="InProgress")["TrainingJobSummaries"]
    return Abandoned(place, name, job["TrainingJobName"])


@pytest.fixture
def others(place):
    """What belongs to somebody else: a neighbouring prefix, a model, an alarm."""
    neighbour = dataclasses.replace(place, prefix=f"{place.prefix}-too")
    place.boto.client("s3").put_object(Bucket=place.bucket, Key=f"{neighbour.prefix}/a.txt", Body=b"theirs")
    _create_model(neighbour, f"their-{abs(hash(place.prefix))}", neighbour.models_uri)
    _put_alarm(neighbour, "their-endpoint")
    yield neighbour
    place.boto.client("cloudwatch").delete_alarms(AlarmNames=["their-endpoint-misses"])


def _create_model(connection, name, uri):
    image = connection.image("inference", "ml.c5.xlarge")
    connection.boto.client("sagemaker").create_model(
        ModelName=name,
        ExecutionRoleArn=connection.role_arn,
        PrimaryContainer={"Image": image, "ModelDataUrl": uri, "Mode": "MultiModel"},
    )


def _create_endpoint(connection, name, uri):
    """Create an endpoint and leave it, while it is still being created."""
    client = connection.boto.client("sagemaker")
    _create_model(connection, name, uri)
    variant = {
        "VariantName": "AllTraffic",
        "ModelName": name,
        "InstanceType": "ml.c5.xlarge",
        "InitialInstanceCount": 1,
    }
    client.create_endpoint_config(EndpointConfigName=f"{name}-config", ProductionVariants=[variant])
    client.create_endpoint(EndpointName=name, EndpointConfigName=f"{name}-config")


def _put_alarm(connection, name):
    connection.boto.client("cloudwatch").put_metric_alarm(
        AlarmName=f"{name}-misses",
        Namespace="AWS/SageMaker",
        MetricName="ModelCacheHit",
        Dimensions=[{"Name": "EndpointName", "Value": name}],
        Statistic="Average",
        Period=60,
        EvaluationPeriods=1,
        Threshold=0.5,
        ComparisonOperator="LessThanThreshold",
    )


def _die(*arguments):
    raise ConnectionError("the kernel died")


@pytest.fixture
def needed(monkeypatch):
    """The permissions that everything needs that is asked of AWS from now on."""
    asked = set()
    call = BaseClient._make_api_call

    def listen(self, operation, parameters):
        service, region = self.meta.service_model.service_name, self.meta.region_name
        asked.update(needed_permissions(service, operation, parameters, region=region))
        return call(self, operation, parameters)

    monkeypatch.setattr(BaseClient, "_make_api_call", listen)
    return asked


@pytest.mark.slow
def test_a_killed_run_is_found_asked_about_and_deleted_by_whoever_may_run_the_series(
    abandoned, others, needed, allowed, monkeypatch, capsys
):
    connection = abandoned.connection
    monkeypatch.setattr(session, "connect", lambda target, *, prefix: connection)
    needed.clear()
    arguments = ["--target", "local", "--prefix", connection.prefix]
    assert orphaned_resources.main(["list", *arguments]) == 0
    listed = capsys.readouterr().out
    for kind in orphaned_resources.KINDS:
        assert f"\n{kind}  " in listed
    for name in (abandoned.job, f"{abandoned.name}-config", f"{abandoned.name}-misses", "datasets/half.npz"):
        assert name in listed
    assert "their-" not in listed and others.prefix not in listed

    questions = []
    monkeypatch.setattr("builtins.input", lambda question: questions.append(question) or "n")
    assert orphaned_resources.main(["delete", *arguments]) == 1
    assert questions == ["Delete all of this? [y/N] "]
    assert "Nothing was deleted" in capsys.readouterr().out
    assert len(orphaned_resources.find(connection)) == len(orphaned_resources.KINDS)

    assert orphaned_resources.main(["delete", *arguments, "--yes"]) == 0
    assert capsys.readouterr().out.count("gone: ") == len(orphaned_resources.KINDS)
    assert orphaned_resources.find(connection) == []
    assert orphaned_resources.main(["list", *arguments]) == 0
    assert "Nothing is left below this prefix." in capsys.readouterr().out
    check_policy(abandoned, set(needed), allowed)
    status = connection.boto.client("sagemaker").describe_training_job(TrainingJobName=abandoned.job)
    assert status["TrainingJobStatus"] == "Stopped"
    assert {item.kind for item in orphaned_resources.find(others)} == {"model", "objects"}


def check_policy(abandoned, asked, allowed):
    """Fail unless the policy of the notebooks' user allows what was asked."""
    connection = abandoned.connection
    account, role = connection.role_arn.split(":")[4], connection.role_arn.rpartition("/")[2]
    policy = permissions.fill_in(
        "notebook_user", account=account, region=connection.region, role=role, prefix=connection.prefix
    )
    # Under the names that the notebooks give to what this test called otherwise.
    names = {abandoned.name: "vision-models", f"{abandoned.name}-config": "vision-models", abandoned.job: "cifar-1"}
    renamed = {(action, _renamed(resource, names)) for action, resource in asked}
    assert {action.partition(":")[0] for action, _ in renamed} == {
        "s3", "sagemaker", "cloudwatch", "application-autoscaling"
    }  # fmt: skip
    assert [need for need in sorted(renamed) if not allowed(policy, *need)] == []


def _renamed(resource, names):
    kind, slash, name = resource.rpartition("/")
    alarm = next((resource.replace(old, new) for old, new in names.items() if f"alarm:{old}" in resource), None)
    return alarm or kind + slash + names.get(name, name)


def test_a_missing_answer_deletes_nothing(place, monkeypatch, capsys):
    place.boto.client("s3").put_object(Bucket=place.bucket, Key=f"{place.prefix}/a.txt", Body=b"data")

    def nobody(question):
        raise EOFError

    monkeypatch.setattr("builtins.input", nobody)
    assert orphaned_resources.main(["delete", "--prefix", place.prefix]) == 1
    assert "pass --yes" in capsys.readouterr().out
    assert len(s3.list_names(place, place.base_uri)) == 1


@pytest.mark.parametrize("prefix", ["", "/"])
def test_a_whole_bucket_is_no_series(connection, prefix, capsys):
    assert orphaned_resources.main(["delete", "--yes", "--prefix", prefix]) == 2
    assert "Name the prefix of the series" in capsys.readouterr().err


def test_no_credentials_are_an_error_and_no_traceback(monkeypatch, capsys):
    def connect(target, *, prefix):
        raise NoCredentialsError

    monkeypatch.setattr(session, "connect", connect)
    assert orphaned_resources.main(["list", "--target", "aws"]) == 2
    assert "error: Unable to locate credentials" in capsys.readouterr().err


def test_all_uploads_of_a_key_are_aborted_and_those_of_others_go_on(place):
    client = place.boto.client("s3")
    keys = [f"{place.prefix}/uploads/{name}" for name in ("a", "a", "a.b")]
    for key in keys:
        client.create_multipart_upload(Bucket=place.bucket, Key=key)
    first, second = orphaned_resources.find(place)
    assert (first.name, second.name) == tuple(f"s3://{place.bucket}/{key}" for key in keys[1:])
    orphaned_resources.delete(place, first)
    assert orphaned_resources.find(place) == [second]
    orphaned_resources.delete(place, second)
