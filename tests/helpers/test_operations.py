import json

import pytest

from helpers import operations

NAME = "vision-models"


@pytest.fixture
def registered(connection):
    operations.scale(connection, NAME, least=1, most=4, calls_per_minute=600)
    operations.put_alarms(connection, NAME)
    yield connection
    operations.delete(connection, NAME)


def test_a_target_and_its_policy_are_registered_with_application_auto_scaling(registered):
    assert operations.describe_scaling(registered, NAME) == {
        "least": 1,
        "most": 4,
        "metric": "SageMakerVariantInvocationsPerInstance",
        "target": 600.0,
    }


def test_registering_again_changes_the_limits(registered):
    operations.scale(registered, NAME, least=2, most=8, calls_per_minute=300)
    described = operations.describe_scaling(registered, NAME)
    assert (described["least"], described["most"], described["target"]) == (2, 8, 300.0)


def test_each_alarm_watches_a_metric_of_the_endpoint(registered):
    assert operations.list_alarms(registered, NAME) == sorted(f"{NAME}-{kind}" for kind in operations.ALARMS)
    alarms = registered.boto.client("cloudwatch").describe_alarms(AlarmNamePrefix=NAME)["MetricAlarms"]
    assert {alarm["MetricName"] for alarm in alarms} == {values[0] for values in operations.ALARMS.values()}
    dimensions = {"EndpointName": NAME, "VariantName": "AllTraffic"}
    assert all({item["Name"]: item["Value"] for item in alarm["Dimensions"]} == dimensions for alarm in alarms)


@pytest.mark.parametrize(("least", "most", "calls"), [(5, 4, 600), (0, 4, 600), (1, 4, 0)])
def test_limits_that_contradict_each_other_are_refused_before_anything_is_registered(connection, least, most, calls):
    with pytest.raises(ValueError, match="Scaling needs"):
        operations.scale(connection, NAME, least=least, most=most, calls_per_minute=calls)
    assert operations.describe_scaling(connection, NAME) == {}


def test_deleting_leaves_the_alarms_of_an_endpoint_whose_name_begins_alike(registered):
    told = operations.put_alarms(registered, f"{NAME}-b")
    operations.delete(registered, NAME)
    assert operations.list_alarms(registered, f"{NAME}-b") == sorted(told)
    operations.delete(registered, f"{NAME}-b")


def test_deleting_leaves_nothing_and_twice_is_no_error(registered):
    for _ in range(2):
        operations.delete(registered, NAME)
        assert operations.describe_scaling(registered, NAME) == {}
        assert operations.list_alarms(registered, NAME) == []


ARN = "arn:aws:sagemaker:us-east-1:111122223333:endpoint/many"


def test_a_caller_may_call_the_named_models_of_one_endpoint_only(connection):
    policy = operations.caller_policy(ARN, ["team-a/*", "shared.tar.gz"])
    [statement] = policy["Statement"]
    assert (statement["Effect"], statement["Action"]) == ("Allow", "sagemaker:InvokeEndpoint")
    assert statement["Resource"] == ARN
    assert statement["Condition"] == {"StringLike": {"sagemaker:TargetModel": ["team-a/*", "shared.tar.gz"]}}
    client = connection.boto.client("iam")  # which refuses what is no policy
    created = client.create_policy(PolicyName="series-call", PolicyDocument=json.dumps(policy))
    client.delete_policy(PolicyArn=created["Policy"]["Arn"])


@pytest.mark.parametrize("names", [[], [""]])
def test_a_policy_that_names_no_model_is_refused(names):
    with pytest.raises(ValueError, match="Name at least one target model"):
        operations.caller_policy(ARN, names)
