"""What is made of CloudWatch's data points; those of a real endpoint are read in test_endpoint.py."""

from datetime import UTC, datetime, timedelta
from types import SimpleNamespace

import pytest

from helpers.aws import endpoint_metrics
from helpers.aws.endpoint_metrics import EndpointMetrics
from helpers.aws.invocation import EndpointError

SINCE = datetime(2026, 1, 1, tzinfo=UTC)


def point(second, count, total, least=0.0, most=0.0):
    moment = SINCE + timedelta(seconds=second)
    return {"Timestamp": moment, "SampleCount": count, "Sum": total, "Minimum": least, "Maximum": most}


@pytest.fixture
def metrics(monkeypatch):
    """A function that returns the metrics of an endpoint for which CloudWatch has these answers, in turn."""

    def make(*answers):
        left = list(answers)
        client = SimpleNamespace(get_metric_statistics=lambda **_: {"Datapoints": left.pop(0) if left else []})
        boto = SimpleNamespace(client=lambda name: {"cloudwatch": client}[name])
        monkeypatch.setattr(endpoint_metrics.time, "sleep", lambda _: None)
        return EndpointMetrics(SimpleNamespace(boto=boto, poll_seconds=0.0), "vision-models")

    return make


def test_periods_are_added_up_and_weighted_by_their_samples(metrics):
    found = metrics([point(0, 1.0, 4.0, 4.0, 4.0), point(60, 3.0, 6.0, 1.0, 3.0)]).total("ModelLatency", minutes=60)
    assert found == {"SampleCount": 4.0, "Average": 2.5, "Minimum": 1.0, "Maximum": 4.0, "Sum": 10.0}
    assert metrics([]).total("ModelLatency", minutes=60) == {}


def test_the_number_of_loaded_models_is_waited_for(metrics):
    late = metrics([], [], [point(0, 1.0, 7.0, 7.0, 7.0), point(1, 1.0, 5.0, 5.0, 5.0)])
    assert late.loaded_models(since=SINCE) == 7


def test_samples_that_never_come_are_given_up(metrics, monkeypatch):
    monkeypatch.setattr(endpoint_metrics, "_LATE", -1)
    with pytest.raises(EndpointError, match=r"CloudWatch has 0 of 1 samples of LoadedModelCount\. Try again"):
        metrics().loaded_models(since=SINCE)


def test_a_table_has_units_that_people_use_and_an_empty_row_for_what_is_late(metrics):
    found = metrics([point(0, 2.0, 3000.0, 1000.0, 2000.0)], []).table("ModelLoadingTime", "ModelCacheHit")
    row = {"samples": 2, "average": 1.5, "least": 1.0, "most": 2.0, "unit": "ms"}
    assert found == {"ModelLoadingTime": row, "ModelCacheHit": {}}
