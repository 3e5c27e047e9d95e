import threading
import uuid
from datetime import UTC, datetime, timedelta
from unittest.mock import Mock

import pytest
from botocore.exceptions import ClientError

from local_sagemaker.services import cloudwatch, metric_statistics
from local_sagemaker.services import metrics as metrics_module
from local_sagemaker.services.metrics import INSTANCES, INVOCATIONS, Metrics, VariantMetrics

UNITS = {
    INVOCATIONS: {
        "Invocations": "None",
        "InvocationsPerInstance": "None",
        "Invocation4XXErrors": "None",
        "Invocation5XXErrors": "None",
        "InvocationModelErrors": "None",
        "ModelLatency": "Microseconds",
        "OverheadLatency": "Microseconds",
        "ModelLoadingWaitTime": "Microseconds",
        "ModelDownloadingTime": "Microseconds",
        "ModelLoadingTime": "Microseconds",
        "ModelUnloadingTime": "Microseconds",
        "ModelCacheHit": "None",
    },
    INSTANCES: {
        "LoadedModelCount": "None",
        "CPUUtilization": "Percent",
        "MemoryUtilization": "Percent",
        "DiskUtilization": "Percent",
    },
}


def test_who_asks_while_values_are_handed_over_waits_for_them(monkeypatch):
    entered, go_on, done = threading.Event(), threading.Event(), []

    def put(*_, **__):
        entered.set()
        assert go_on.wait(30)
        done.append("put")

    monkeypatch.setattr(cloudwatch, "put", put)
    metrics = Metrics()
    VariantMetrics(metrics, "e", "AllTraffic", region="eu-west-1").record("Invocations", 1)
    first = threading.Thread(target=metrics.flush)
    second = threading.Thread(target=lambda: (metrics.flush(), done.append("answered")))
    first.start()
    assert entered.wait(30)
    second.start()
    second.join(0.2)
    go_on.set()
    first.join(30)
    second.join(30)
    assert done == ["put", "answered"]


def test_values_of_one_second_are_one_item_which_tells_all_their_statistics(monkeypatch):
    sent, seconds = [], iter([1.2, 1.9, 1.999, 2.0])
    monkeypatch.setattr(cloudwatch, "put", lambda namespace, data, *, region: sent.extend((region, *data)))
    monkeypatch.setattr(metrics_module, "time", Mock(time=lambda: next(seconds)))
    metrics = Metrics()
    recorders = [VariantMetrics(metrics, endpoint, "AllTraffic", region="eu-west-1") for endpoint in ("e", "other")]
    for number, value in ((0, 5), (0, 1), (1, 7), (0, 3)):
        recorders[number].record("ModelCacheHit", value)
    metrics.flush()
    found = [
        (datum["Dimensions"][0]["Value"], datum["Timestamp"].second, *datum["StatisticValues"].values())
        for datum in sent[1:]
    ]
    assert sent[0] == "eu-west-1"
    assert found == [("e", 1, 2, 6, 1, 5), ("other", 1, 1, 7, 7, 7), ("e", 2, 1, 3, 3, 3)]


@pytest.fixture(scope="module")
def measured(service, models_bucket):
    """An endpoint that does not keep models, after two calls that are answered and one that is not."""
    name = f"measured-{uuid.uuid4().hex[:8]}"
    url = f"s3://{models_bucket}/models/"
    service.endpoints.create(name, url, MultiModelConfig={"ModelCacheSetting": "Disabled"})
    for _ in range(2):
        service.endpoints.invoke(name, {"instances": [[1, 2]]}, target="linear.tar.gz")
    with pytest.raises(ClientError):
        service.endpoints.invoke(name, {"instances": [["a"]]}, target="linear.tar.gz")
    yield name
    service.endpoints.delete(name)


def points(service, endpoint, namespace, metric):
    """The count and average of a metric by both ways to ask, and its unit."""
    end = datetime.now(UTC) + timedelta(minutes=1)
    dimensions = [{"Name": "EndpointName", "Value": endpoint}, {"Name": "VariantName", "Value": "AllTraffic"}]
    span = {"StartTime": end - timedelta(hours=1), "EndTime": end}
    named = {"Namespace": namespace, "MetricName": metric, "Dimensions": dimensions}
    kinds = ["SampleCount", "Average", "Sum"]
    [*found] = service.cloudwatch.get_metric_statistics(**named, **span, Period=3600, Statistics=kinds)["Datapoints"]
    queries = [{"Id": kind.lower(), "MetricStat": {"Metric": named, "Period": 3600, "Stat": kind}} for kind in kinds]
    series = service.cloudwatch.get_metric_data(**span, MetricDataQueries=queries)["MetricDataResults"]
    return found, {kind: result["Values"] for kind, result in zip(kinds, series, strict=True)}


@pytest.mark.parametrize(
    ("namespace", "metric", "unit"),
    [(namespace, metric, unit) for namespace, metrics in UNITS.items() for metric, unit in metrics.items()],
)
def test_every_metric_has_its_name_unit_and_dimensions(service, measured, namespace, metric, unit):
    found, _ = points(service, measured, namespace, metric)
    assert found
    assert {point["Unit"] for point in found} == {unit}
    assert all(point["SampleCount"] >= 1 for point in found)
    if unit == "Microseconds":
        assert all(0 < point["Average"] < 60e6 for point in found)


@pytest.mark.parametrize(
    ("metric", "total"),
    [
        ("Invocations", 3),
        ("InvocationsPerInstance", 3),
        ("InvocationModelErrors", 1),
        ("Invocation4XXErrors", 1),
        ("Invocation5XXErrors", 0),
        ("ModelCacheHit", 0),
    ],
)
def test_counts_and_averages_are_right_by_both_ways_to_ask(service, measured, metric, total):
    found, series = points(service, measured, INVOCATIONS, metric)
    assert sum(point["SampleCount"] for point in found) == sum(series["SampleCount"]) == 3
    assert sum(point["Sum"] for point in found) == sum(series["Sum"]) == total
    if len(found) == 1:  # unless the calls lie on both sides of a full hour
        assert found[0]["Average"] == series["Average"][0] == pytest.approx(total / 3)


def test_the_percentiles_of_latency_lie_between_its_extremes(service, measured):
    dimensions = [{"Name": "EndpointName", "Value": measured}, {"Name": "VariantName", "Value": "AllTraffic"}]
    end = datetime.now(UTC) + timedelta(minutes=1)
    request = {"Namespace": INVOCATIONS, "MetricName": "ModelLatency", "Dimensions": dimensions, "Period": 3600}
    request |= {"StartTime": end - timedelta(hours=1), "EndTime": end}
    [plain] = service.cloudwatch.get_metric_statistics(**request, Statistics=["Minimum", "Maximum"])["Datapoints"]
    [point] = service.cloudwatch.get_metric_statistics(**request, ExtendedStatistics=["p0", "p50", "p100"])[
        "Datapoints"
    ]
    least, median, most = point["ExtendedStatistics"].values()
    assert plain["Minimum"] <= least <= median <= most <= plain["Maximum"]
    assert (least, most) == (pytest.approx(plain["Minimum"], rel=0.01), pytest.approx(plain["Maximum"], rel=0.01))


@pytest.mark.slow
def test_a_single_model_endpoint_has_no_metrics_of_multi_model_endpoints(service, models_bucket):
    name = f"single-{uuid.uuid4().hex[:8]}"
    service.endpoints.create(name, f"s3://{models_bucket}/models/linear.tar.gz", mode="SingleModel")
    service.endpoints.invoke(name, {"instances": [[1, 2]]})
    dimensions = [{"Name": "EndpointName", "Value": name}]
    listed = service.cloudwatch.list_metrics(Dimensions=dimensions)["Metrics"]
    names = {metric["MetricName"] for metric in listed}
    assert {"Invocations", "ModelLatency", "OverheadLatency", "CPUUtilization", "DiskUtilization"} <= names
    assert not {name for name in names if name.startswith(("ModelL", "ModelD", "ModelU", "ModelC", "Loaded"))} - {
        "ModelLatency"
    }
    service.endpoints.delete(name)


def test_values_that_are_old_are_one_item_a_minute_and_very_old_ones_go():
    region, start = "eu-central-1", datetime(2026, 1, 1, 12, 0, 0)
    dimensions = [{"Name": "EndpointName", "Value": "e"}]

    def datum(seconds, value):
        statistics = {"SampleCount": 1, "Sum": value, "Minimum": value, "Maximum": value}
        moment = start + timedelta(seconds=seconds)
        return {"MetricName": "M", "Dimensions": dimensions, "Timestamp": moment, "StatisticValues": statistics}

    data = [datum(-60, 100), *(datum(seconds, seconds) for seconds in range(180))]
    cloudwatch.put(INVOCATIONS, data, region=region)
    cloudwatch.put("Own", data[:1], region=region)
    limits = {"before": start + timedelta(seconds=120), "forget_before": start}
    for _ in range(2):  # the second time changes nothing
        cloudwatch.age({INVOCATIONS, INSTANCES}, region=region, **limits)
        found = cloudwatch.get_backend("cloudwatch")[cloudwatch.ACCOUNT_ID][region].metric_data
        own = [item for item in found if item.namespace == INVOCATIONS]
        assert len(own) == 2 + 60
        sums = [(item.timestamp, item.sample_count, item.sum, item.min, item.max) for item in own[:2]]
        assert sums[0] == (start, 60, sum(range(60)), 0, 59)
        assert sums[1] == (start + timedelta(seconds=60), 60, sum(range(60, 120)), 60, 119)
        assert [metric_statistics.find("p50")([item]) for item in own[:2]] == [29, 89]
        assert sum(item.namespace == "Own" for item in found) == 1
