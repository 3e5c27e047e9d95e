"""Percentiles, metric math and alarms as a client of CloudWatch sees them."""

import uuid
from datetime import UTC, datetime, timedelta

import pytest
from botocore.exceptions import ClientError

MINUTE = timedelta(minutes=1)


@pytest.fixture(scope="module")
def start():
    """A whole minute, five minutes ago."""
    return datetime.now(UTC).replace(second=0, microsecond=0) - 5 * MINUTE


@pytest.fixture(scope="module")
def namespace(service, start):
    """Calls and errors of three minutes, without errors in the second, and a hundred latencies in the first."""
    name = f"Own/{uuid.uuid4().hex[:8]}"
    data = [{"MetricName": "Calls", "Timestamp": start + index * MINUTE, "Value": 10.0 * index} for index in range(3)]
    data += [{"MetricName": "Errors", "Timestamp": start + index * MINUTE, "Value": 2.0} for index in (0, 2)]
    latencies = {"MetricName": "Latency", "Timestamp": start, "Values": [1.0, 200.0, 5000.0], "Counts": [50, 49, 1]}
    service.cloudwatch.put_metric_data(Namespace=name, MetricData=[*data, latencies])
    return name


@pytest.fixture
def compute(service, namespace, start):
    """A function that returns what an expression over calls (c) and errors (e) makes, by minute."""

    def run(*expressions, **more):
        metrics = {"c": "Calls", "e": "Errors"}
        queries = [
            {
                "Id": id_,
                "MetricStat": {"Metric": {"Namespace": namespace, "MetricName": name}, "Period": 60, "Stat": "Sum"},
                "ReturnData": False,
            }
            for id_, name in metrics.items()
        ]
        queries += [{"Id": f"x{index}", "Expression": text, **more} for index, text in enumerate(expressions)]
        span = {"StartTime": start, "EndTime": start + 3 * MINUTE, "ScanBy": "TimestampAscending"}
        results = service.cloudwatch.get_metric_data(MetricDataQueries=queries, **span)["MetricDataResults"]
        return [
            {(at - start) // MINUTE: value for at, value in zip(result["Timestamps"], result["Values"], strict=True)}
            for result in results
        ]

    return run


def test_percentiles_by_both_ways_to_ask(service, namespace, start):
    wanted = {"p50": 1.0, "p99": 200.0, "p100": 5000.0, "tm90": (50 + 40 * 200) / 90, "PR(:200)": 99.0}
    metric, span = {"Namespace": namespace, "MetricName": "Latency"}, {"StartTime": start, "EndTime": start + MINUTE}
    queries = [
        {"Id": f"q{index}", "MetricStat": {"Metric": metric, "Period": 60, "Stat": name}}
        for index, name in enumerate(wanted)
    ]
    results = service.cloudwatch.get_metric_data(MetricDataQueries=queries, **span)["MetricDataResults"]
    assert [result["Values"] for result in results] == [[pytest.approx(value)] for value in wanted.values()]
    [point] = service.cloudwatch.get_metric_statistics(**metric, **span, Period=60, ExtendedStatistics=list(wanted))[
        "Datapoints"
    ]
    assert point["ExtendedStatistics"] == pytest.approx(wanted)


def test_each_metric_is_listed_once(service, namespace):
    pages = service.cloudwatch.get_paginator("list_metrics").paginate(Namespace=namespace)
    listed = [metric["MetricName"] for page in pages for metric in page["Metrics"]]
    assert sorted(listed) == ["Calls", "Errors", "Latency"]
    data = [
        {"MetricName": f"m{number}", "Dimensions": [{"Name": "Number", "Value": str(number)}], "Value": 1.0}
        for number in range(501)
    ]
    service.cloudwatch.put_metric_data(Namespace=f"{namespace}/Many", MetricData=data)
    pages = [
        page["Metrics"]
        for page in service.cloudwatch.get_paginator("list_metrics").paginate(
            Namespace=f"{namespace}/Many", Dimensions=[{"Name": "Number"}]
        )
    ]
    assert [len(page) for page in pages] == [500, 1]
    assert len({metric["MetricName"] for page in pages for metric in page}) == 501


@pytest.mark.parametrize(
    ("expression", "expected"),
    [
        ("e/c*100", {1: 0.0, 2: 10.0}),  # the first would divide by zero
        ("c + e", {0: 2.0, 1: 10.0, 2: 22.0}),
        ("-c^2 + 1", {0: 1.0, 1: -99.0, 2: -399.0}),
        ("SUM([c, e])", {0: 2.0, 1: 10.0, 2: 22.0}),
        ("AVG(METRICS())", {0: 1.0, 1: 5.0, 2: 11.0}),
        ('MAX(METRICS("c"))', {0: 0.0, 1: 10.0, 2: 20.0}),
        ("c - AVG(c)", {0: -10.0, 1: 0.0, 2: 10.0}),
        ("FILL(e, 0)", {0: 2.0, 1: 0.0, 2: 2.0}),
        ("FILL(e, REPEAT)", {0: 2.0, 1: 2.0, 2: 2.0}),
        ("IF(c > 5 AND e > 1, c, 0)", {0: 0.0, 1: 0.0, 2: 20.0}),
        ("IF(c >= 10, c)", {1: 10.0, 2: 20.0}),
        ("c / PERIOD(c)", {0: 0.0, 1: 10 / 60, 2: 20 / 60}),
        ("ABS(e - c)", {0: 2.0, 1: 10.0, 2: 18.0}),
    ],
)
def test_metric_math(compute, expression, expected):
    assert compute(expression) == [pytest.approx(expected)]


def test_expressions_use_each_other_and_some_make_several_series(compute):
    assert compute("x1 * 2", "c + 1") == [{0: 2.0, 1: 22.0, 2: 42.0}, {0: 1.0, 1: 11.0, 2: 21.0}]
    assert compute("METRICS() * 2") == [{0: 0.0, 1: 20.0, 2: 40.0}, {0: 4.0, 2: 4.0}]


@pytest.mark.parametrize(
    ("expression", "words"),
    [
        ("SEARCH('{A}', 'Sum', 60)", "no metric math SEARCH"),
        ("ANOMALY_DETECTION_BAND(c)", "no metric math ANOMALY_DETECTION_BAND"),
        ("SELECT AVG(c) FROM SCHEMA(A)", "cannot be read"),
        ("c +", "cannot be read"),
        ("1 + 1", "not a number"),
        ("AVG(c)", "not a number"),
        ("nowhere * 2", "no query with the Id 'nowhere'"),
        ("x0 + 1", "needs its own result"),
        ("c.values", "no metric math for 'c.values'"),
        ("(lambda: c)()", "no metric math"),
        ("9^9^9^9^9 * c", "cannot be read"),
        ("(" * 300 + "c" + ")" * 300, "cannot be read"),
        ("IF(c)", "IF of these arguments"),
    ],
)
def test_what_is_no_metric_math_here_is_refused_by_name(compute, expression, words):
    with pytest.raises(ClientError, match=words) as refusal:
        compute(expression)
    assert refusal.value.response["Error"]["Code"] == "ValidationError"


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"AccountId": "123456789012"}, "would ignore AccountId"),
        ({"Label": "${AVG}"}, "no dynamic labels"),
    ],
)
def test_a_field_of_a_query_without_effect_is_refused_by_name(compute, change, words):
    with pytest.raises(ClientError, match=words):
        compute("c", **change)


@pytest.mark.parametrize("name", ["Median", "p101"])
def test_an_unknown_statistic_is_refused_by_name(service, namespace, start, name):
    with pytest.raises(ClientError, match=f"no statistic {name}"):
        service.cloudwatch.get_metric_statistics(
            Namespace=namespace,
            MetricName="Calls",
            StartTime=start,
            EndTime=start + MINUTE,
            Period=60,
            ExtendedStatistics=[name],
        )


@pytest.fixture
def watch(service, namespace):
    """A function that creates an alarm and returns its description."""
    names = []

    def create(**request):
        names.append(f"alarm-{uuid.uuid4().hex[:8]}")
        request = {"EvaluationPeriods": 1, "ComparisonOperator": "GreaterThanThreshold", **request}
        service.cloudwatch.put_metric_alarm(AlarmName=names[-1], **request)
        return service.cloudwatch.describe_alarms(AlarmNames=names[-1:])["MetricAlarms"][0]

    yield create
    service.cloudwatch.delete_alarms(AlarmNames=names)


@pytest.mark.parametrize(
    ("statistic", "threshold", "state"),
    [
        ({"MetricName": "Calls", "Statistic": "Sum"}, 15.0, "ALARM"),
        ({"MetricName": "Calls", "Statistic": "Sum"}, 25.0, "OK"),
        ({"MetricName": "Nothing", "Statistic": "Sum"}, 25.0, "INSUFFICIENT_DATA"),
        ({"MetricName": "Latency", "ExtendedStatistic": "p99", "EvaluationPeriods": 6}, 150.0, "OK"),
        (
            {"MetricName": "Latency", "ExtendedStatistic": "p99", "EvaluationPeriods": 6, "DatapointsToAlarm": 1},
            150.0,
            "ALARM",
        ),
    ],
)
def test_an_alarm_has_the_state_that_its_metric_gives(watch, service, namespace, statistic, threshold, state):
    if "EvaluationPeriods" in statistic:
        statistic = {"TreatMissingData": "notBreaching", **statistic}
    else:
        statistic = {"EvaluationPeriods": 3, "DatapointsToAlarm": 1, **statistic}
    alarm = watch(Namespace=namespace, Period=60, Threshold=threshold, **statistic)
    assert alarm["StateValue"] == state
    assert alarm["StateReason"].startswith(("Threshold Crossed", "Insufficient Data"))
    by_state = service.cloudwatch.describe_alarms(StateValue=state)["MetricAlarms"]
    assert alarm["AlarmName"] in {each["AlarmName"] for each in by_state}


def test_an_alarm_may_watch_an_expression(watch, namespace):
    metric = {"Metric": {"Namespace": namespace, "MetricName": "Calls"}, "Period": 60, "Stat": "Sum"}
    queries = [{"Id": "c", "MetricStat": metric, "ReturnData": False}, {"Id": "x", "Expression": "c * 10"}]
    assert watch(Metrics=queries, Threshold=150.0, EvaluationPeriods=3, DatapointsToAlarm=1)["StateValue"] == "ALARM"


def test_an_alarm_that_is_put_again_keeps_its_state_for_the_minute_in_which_it_changed(watch, service, namespace):
    request = {"Namespace": namespace, "MetricName": "Nothing", "Statistic": "Sum", "Period": 60, "Threshold": 1.0}
    name = watch(**request)["AlarmName"]
    service.cloudwatch.set_alarm_state(AlarmName=name, StateValue="ALARM", StateReason="a test")
    again = {"EvaluationPeriods": 1, "ComparisonOperator": "LessThanThreshold"}
    service.cloudwatch.put_metric_alarm(AlarmName=name, **request, **again)
    [alarm] = service.cloudwatch.describe_alarms(AlarmNames=[name])["MetricAlarms"]
    assert alarm["StateReason"] in ("a test", "Insufficient Data: 1 datapoint was unknown.")


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"ThresholdMetricId": "band"}, "would ignore ThresholdMetricId"),
        ({"EvaluateLowSampleCountPercentile": "ignore"}, "would ignore EvaluateLowSampleCountPercentile"),
        ({"ComparisonOperator": "GreaterThanUpperThreshold"}, "ComparisonOperator must be one of"),
        ({"DatapointsToAlarm": 2}, "DatapointsToAlarm from 1 to EvaluationPeriods"),
        ({"EvaluationPeriods": 100_000}, "at most 604800 seconds"),
        ({"Statistic": "Median"}, "Median"),
        *(({missing: None}, f"needs {missing}") for missing in ("Threshold", "Namespace", "MetricName", "Period")),
    ],
)
def test_an_alarm_that_cannot_be_evaluated_is_refused_by_name(watch, namespace, change, words):
    request = {"Namespace": namespace, "MetricName": "Calls", "Statistic": "Sum", "Period": 60, "Threshold": 1.0}
    with pytest.raises(ClientError, match=words):
        watch(**{name: value for name, value in (request | change).items() if value is not None})


def test_a_query_without_the_name_of_its_metric_is_refused(service, start):
    query = {"Id": "q", "MetricStat": {"Metric": {}, "Period": 60, "Stat": "Sum"}}
    with pytest.raises(ClientError, match="needs the Namespace and the MetricName"):
        service.cloudwatch.get_metric_data(MetricDataQueries=[query], StartTime=start, EndTime=start + MINUTE)


def test_each_expression_is_computed_once_however_many_use_it(compute):
    """Without that, this chain would take hours."""
    chain = ["c"] + [f"x{number} + x{number}" for number in range(40)]
    assert compute(*chain)[-1] == {0: 0.0, 1: 10.0 * 2**40, 2: 20.0 * 2**40}
