import pytest

from helpers import scaling

NAME = "many-models"


@pytest.fixture
def registered(connection):
    scaling.register(connection, NAME, least=1, most=4, calls_per_minute=600)
    scaling.put_alarms(connection, NAME)
    yield connection
    scaling.delete(connection, NAME)


def test_a_target_and_its_policy_are_registered_with_application_auto_scaling(registered):
    assert scaling.describe(registered, NAME) == {
        "least": 1,
        "most": 4,
        "metric": "SageMakerVariantInvocationsPerInstance",
        "target": 600.0,
    }


def test_registering_again_changes_the_limits(registered):
    scaling.register(registered, NAME, least=2, most=8, calls_per_minute=300)
    described = scaling.describe(registered, NAME)
    assert (described["least"], described["most"], described["target"]) == (2, 8, 300.0)


def test_each_alarm_watches_a_metric_of_the_endpoint(registered):
    assert scaling.list_alarms(registered, NAME) == sorted(f"{NAME}-{kind}" for kind in scaling.ALARMS)
    alarms = registered.boto.client("cloudwatch").describe_alarms(AlarmNamePrefix=NAME)["MetricAlarms"]
    assert {alarm["MetricName"] for alarm in alarms} == {values[0] for values in scaling.ALARMS.values()}
    dimensions = {"EndpointName": NAME, "VariantName": "AllTraffic"}
    assert all({item["Name"]: item["Value"] for item in alarm["Dimensions"]} == dimensions for alarm in alarms)


@pytest.mark.parametrize(("least", "most", "calls"), [(5, 4, 600), (0, 4, 600), (1, 4, 0)])
def test_limits_that_contradict_each_other_are_refused_before_anything_is_registered(connection, least, most, calls):
    with pytest.raises(ValueError, match="Scaling needs"):
        scaling.register(connection, NAME, least=least, most=most, calls_per_minute=calls)
    assert scaling.describe(connection, NAME) == {}


def test_deleting_leaves_nothing_and_twice_is_no_error(registered):
    for _ in range(2):
        scaling.delete(registered, NAME)
        assert scaling.describe(registered, NAME) == {}
        assert scaling.list_alarms(registered, NAME) == []
