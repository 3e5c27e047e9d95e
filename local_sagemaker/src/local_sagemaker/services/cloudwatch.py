"""CloudWatch's statistics, metric math and alarms, over the metric data that moto keeps."""

import math
from collections.abc import Container, Iterable
from datetime import UTC, datetime, timedelta
from typing import Any

from moto.backends import get_backend
from moto.cloudwatch.exceptions import InvalidParameterCombination, ValidationError
from moto.cloudwatch.models import MetricAggregatedDatum
from moto.cloudwatch.responses import CloudWatchResponse
from moto.core.responses import ActionResult, EmptyResult

from local_sagemaker.services import alarms, aws_services, metric_math, metric_statistics
from local_sagemaker.services.metric_math import Series
from local_sagemaker.services.metric_statistics import pack
from local_sagemaker.settings import ACCOUNT_ID

_MOST_STATISTICS, _MOST_DATA = 1_440, 100_800  # data points of an answer
_PAGE = 500  # metrics
_QUERY = frozenset({"Id", "MetricStat", "Expression", "Label", "ReturnData", "Period"})
_NEVER = datetime(2000, 1, 1)
_dimensions: dict[Any, Any] = {}


def put(namespace: str, data: list[dict[str, Any]], *, region: str) -> None:
    """Store items as ``PutMetricData`` has them; beside ``StatisticValues`` they may have their ``Bins``."""
    backend = get_backend("cloudwatch")[ACCOUNT_ID][region]
    data = [_with_bins(datum) for datum in data]
    with aws_services.lock:
        before = len(backend.metric_data)
        backend.put_metric_data(namespace, data)
        added: list[Any] = list(backend.metric_data[before:])
        for item, datum in zip(added, data, strict=True):
            pairs = tuple((each.name, each.value) for each in item.dimensions)
            item.dimensions = _dimensions.setdefault(pairs, item.dimensions)  # many items have the same
            if "Bins" in datum:
                item.bins = datum["Bins"]


def age(namespaces: Container[str], *, region: str, before: datetime, forget_before: datetime) -> None:
    """Make one item a minute of those older than a moment, as CloudWatch does later, and forget the oldest."""
    data: list[Any] = get_backend("cloudwatch")[ACCOUNT_ID][region].metric_data
    kept: list[Any] = []
    minutes: dict[tuple[Any, ...], list[Any]] = {}
    with aws_services.lock:
        count = len(data)
        for item in data[:count]:
            own = item.namespace in namespaces and isinstance(item, MetricAggregatedDatum)
            if not own or item.timestamp >= before:
                kept.append(item)
            elif item.timestamp >= forget_before:
                minute = item.timestamp.replace(second=0, microsecond=0)
                minutes.setdefault((item.namespace, item.name, id(item.dimensions), minute), []).append(item)
        data[:count] = [*(_merged(items) for items in minutes.values()), *kept]  # at once: a client may add meanwhile


def _merged(items: list[Any]) -> Any:
    one, known = items[0], [metric_statistics.pairs(item) for item in items]
    one.timestamp = one.timestamp.replace(second=0, microsecond=0)
    if len(items) > 1:
        if all(pairs is not None for pairs in known):
            one.bins = pack((pair for pairs in known for pair in pairs or ()), exact=False)
        one.sum, one.sample_count = sum(item.sum for item in items), sum(item.sample_count for item in items)
        one.min, one.max = min(item.min for item in items), max(item.max for item in items)
    return one


def _with_bins(datum: dict[str, Any]) -> dict[str, Any]:
    """Return an item with values and counts as one of statistics; moto would repeat a value as often as it counts."""
    values = datum.get("Values") or []
    counts = [float(count) for count in datum.get("Counts") or [1.0] * len(values)]
    if not values or len(counts) != len(values) or "Value" in datum or not all(map(math.isfinite, [*values, *counts])):
        return datum  # moto refuses what is wrong
    statistics = {
        "SampleCount": sum(counts),
        "Sum": sum(value * count for value, count in zip(values, counts, strict=True)),
        "Minimum": min(values),
        "Maximum": max(values),
    }
    rest = {name: value for name, value in datum.items() if name not in ("Values", "Counts")}
    return rest | {"StatisticValues": statistics, "Bins": pack(zip(values, counts, strict=True))}


class _Reader:
    """The series of a request's queries, within its range of time."""

    def __init__(self, items: list[Any], queries: list[dict[str, Any]], start: datetime, end: datetime) -> None:
        self._queries = {query["Id"]: query for query in queries}
        self._start, self._end = start, end
        self._items = [item for item in items if start <= item.timestamp < end]
        self._pending: set[str] = set()
        self._found: dict[str, list[Series]] = {}  # an expression may need one many times
        for query in queries:
            if unknown := sorted(set(query) - _QUERY):
                raise ValidationError(f"local_sagemaker would ignore {', '.join(unknown)} of a query. Leave it out.")
            if "${" in (query.get("Label") or ""):
                raise ValidationError(f"local_sagemaker has no dynamic labels such as {query['Label']!r}.")
            if ("MetricStat" in query) == ("Expression" in query):
                raise ValidationError(f"The query {query['Id']!r} needs either MetricStat or Expression.")
            if "MetricStat" in query and not query["MetricStat"].get("Metric", {}).get("MetricName"):
                raise ValidationError(f"The query {query['Id']!r} needs the Namespace and the MetricName of a metric.")

    def read(self, id_: str) -> list[Series]:
        """Return what a query makes: one series, or several of an expression."""
        if id_ not in self._found:
            self._found[id_] = self._read(id_)
        return self._found[id_]

    def _read(self, id_: str) -> list[Series]:
        query = self._queries.get(id_)
        if query is None:
            raise ValidationError(f"There is no query with the Id {id_!r}.")
        if "MetricStat" in query:
            stat = query["MetricStat"]
            found = self.points(stat["Metric"], stat["Period"], [stat["Stat"]], stat.get("Unit"))
            values = {at: point[stat["Stat"]] for at, point in found.items() if stat["Stat"] in point}
            return [Series(values, int(stat["Period"]), query.get("Label") or stat["Metric"]["MetricName"])]
        if id_ in self._pending:
            raise ValidationError(f"The expression of {id_!r} needs its own result.")
        self._pending.add(id_)
        metrics = {name: self.read(name)[0] for name, each in self._queries.items() if "MetricStat" in each}
        try:
            return metric_math.evaluate(query["Expression"], self._one, metrics, start=self._start, end=self._end)
        except metric_math.ExpressionError as error:
            raise ValidationError(f"Error in expression {id_!r}: {error}") from error
        finally:
            self._pending.discard(id_)

    def _one(self, id_: str) -> Any:
        found = self.read(id_)
        return found[0] if len(found) == 1 else found

    def points(
        self, metric: dict[str, Any], period: int, names: Iterable[str], unit: str | None
    ) -> dict[datetime, dict[str, Any]]:
        """Return the statistics of a metric by the start of their periods; those without a value are left out."""
        if period not in (1, 5, 10, 20, 30) and (period < 60 or period % 60):
            raise ValidationError("The parameter Period must be 1, 5, 10, 20, 30 or a multiple of 60.")
        functions = {name: metric_statistics.find(name) for name in names}
        if unknown := [name for name, function in functions.items() if function is None]:
            raise ValidationError(f"CloudWatch has no statistic {', '.join(unknown)}.")
        wanted = {(each["Name"], each["Value"]) for each in metric.get("Dimensions") or []}
        buckets: dict[int, list[Any]] = {}
        for item in self._items:
            if item.name == metric["MetricName"] and item.namespace == metric["Namespace"]:
                same = {(each.name, each.value) for each in item.dimensions} == wanted
                if same and (not unit or item.unit == unit):
                    buckets.setdefault(int((item.timestamp - self._start).total_seconds() // period), []).append(item)
        found = {}
        for index, items in sorted(buckets.items()):
            point = {name: function(items) for name, function in functions.items() if function}
            known = {name: value for name, value in point.items() if value is not None}
            if known:
                found[self._start + timedelta(seconds=index * period)] = known | {"Unit": items[0].unit or "None"}
        return found


def _get_metric_data(response: CloudWatchResponse) -> ActionResult:
    params = response._get_params()
    queries = params["MetricDataQueries"]
    periods = [int(query["MetricStat"]["Period"]) for query in queries if "MetricStat" in query] or [60]
    items = response.cloudwatch_backend.get_all_metrics()
    reader, results = _Reader(items, queries, *_range(params, min(periods), _MOST_DATA)), []
    for query in queries:
        if not query.get("ReturnData", True):
            continue
        found = reader.read(query["Id"])
        for series in found:
            own = query.get("Label") or ("Expression" in query and query["Id"])
            label = f"{own} {series.label}" if own and len(found) > 1 else own or series.label
            points = sorted(series.values.items(), reverse=params.get("ScanBy") != "TimestampAscending")
            moments, values = [at for at, _ in points], [value for _, value in points]
            results.append(
                {"Id": query["Id"], "Label": label, "Timestamps": moments, "Values": values, "StatusCode": "Complete"}
            )
    most = params.get("MaxDatapoints") or _MOST_DATA
    if sum(len(result["Values"]) for result in results) > most:
        raise ValidationError(f"local_sagemaker returns no pages, and the result has more than {most} data points.")
    return ActionResult({"MetricDataResults": results})


def _get_metric_statistics(response: CloudWatchResponse) -> ActionResult:
    params = response._get_params()
    plain, extended = params.get("Statistics") or [], params.get("ExtendedStatistics") or []
    if bool(plain) == bool(extended):
        raise InvalidParameterCombination("Must specify either Statistics or ExtendedStatistics")
    period = int(params["Period"])
    reader = _Reader(response.cloudwatch_backend.get_all_metrics(), [], *_range(params, period, _MOST_STATISTICS))
    points = []
    for moment, point in reader.points(params, period, [*plain, *extended], params.get("Unit")).items():
        about = {"Timestamp": moment, "Unit": point.pop("Unit")}
        points.append(about | ({"ExtendedStatistics": point} if extended else point))
    return ActionResult({"Label": params["MetricName"], "Datapoints": points})


def _range(params: dict[str, Any], period: int, most: int) -> tuple[datetime, datetime]:
    """Return the range of time of a request; CloudWatch begins it at a whole minute, or at a whole shorter period."""
    start, end = (
        params[name].astimezone(UTC) if params[name].tzinfo else params[name] for name in ("StartTime", "EndTime")
    )
    start, end = start.replace(tzinfo=None), end.replace(tzinfo=None)
    if start >= end:
        raise ValidationError("The parameter StartTime must be less than the parameter EndTime.")
    if (end - start).total_seconds() / max(period, 1) > most:
        raise ValidationError(f"A request may have {most} data points. Shorten the time, or lengthen the Period.")
    return start.replace(second=start.second - start.second % max(1, min(period, 60)), microsecond=0), end


def _list_metrics(response: CloudWatchResponse) -> ActionResult:
    params = response._get_params()
    asked = params.get("Namespace"), params.get("MetricName"), params.get("Dimensions") or []
    items: list[Any] = response.cloudwatch_backend.get_all_metrics()
    found: dict[Any, Any] = {}
    for item in {(item.namespace, item.name, id(item.dimensions)): item for item in items}.values():
        if item.filter(*asked):
            pairs = frozenset((each.name, each.value) for each in item.dimensions)
            found.setdefault((item.namespace, item.name, pairs), item)
    token = str(params.get("NextToken") or 0)
    if not (token.isascii() and token.isdecimal()):
        raise ValidationError("The NextToken is not valid. Use the one of the previous page.")
    start, end = int(token), int(token) + _PAGE
    page = {"Metrics": list(found.values())[start:end]}
    return ActionResult(page | ({"NextToken": str(end)} if end < len(found) else {}))


def _put_metric_data(response: CloudWatchResponse) -> ActionResult:
    params = response._get_params()
    put(params["Namespace"], params.get("MetricData") or [], region=response.region)
    return EmptyResult()


def _put_metric_alarm(response: CloudWatchResponse) -> ActionResult:
    params = response._get_params()
    if reason := alarms.check(params):
        raise ValidationError(reason)
    backend, queries = response.cloudwatch_backend, alarms.queries(params)
    _watched([], queries, _NEVER, _NEVER)  # refuses what could not be evaluated
    with aws_services.lock:
        old = backend.alarms.get(params["AlarmName"])
        result: ActionResult = _MOTO["put_metric_alarm"](response)
        alarm: Any = backend.alarms[params["AlarmName"]]
        alarm.queries, alarm.state_value = queries, "INSUFFICIENT_DATA"
        if old:
            for name in ("state_value", "state_reason", "state_reason_data", "state_updated_timestamp", "history"):
                setattr(alarm, name, getattr(old, name))
    return result


def _watched(items: list[Any], queries: list[dict[str, Any]], start: datetime, end: datetime) -> Series:
    """Return the series that an alarm watches."""
    returned = [query["Id"] for query in queries if query.get("ReturnData", True)]
    found = _Reader(items, queries, start, end).read(returned[0]) if len(returned) == 1 else []
    if len(found) != 1:
        raise ValidationError("An alarm needs exactly one query with ReturnData, which makes one time series.")
    return found[0]


def _evaluate_alarms(backend: Any) -> None:
    now = datetime.now(UTC).replace(tzinfo=None)
    with aws_services.lock:
        due = [alarm for alarm in list(backend.alarms.values()) if alarms.is_due(alarm, now)]  # one may go meanwhile
        items = backend.get_all_metrics() if due else []
        for alarm in due:
            start, end = alarms.time_range(alarm, now)
            series = _watched(items, alarm.queries, start, end)
            alarms.evaluate(alarm, series.values, series.period, start, end)


def _evaluated(name: str) -> Any:
    def describe(response: CloudWatchResponse) -> ActionResult:
        _evaluate_alarms(response.cloudwatch_backend)
        result: ActionResult = _MOTO[name](response)
        return result

    return describe


_OWN = {
    "get_metric_data": _get_metric_data,
    "get_metric_statistics": _get_metric_statistics,
    "list_metrics": _list_metrics,
    "put_metric_data": _put_metric_data,
    "put_metric_alarm": _put_metric_alarm,
    "describe_alarms": _evaluated("describe_alarms"),
    "describe_alarms_for_metric": _evaluated("describe_alarms_for_metric"),
}
_MOTO = {name: getattr(CloudWatchResponse, name) for name in _OWN}


def install() -> None:
    """Let moto answer these actions by the code of this module."""
    for name, action in _OWN.items():
        setattr(CloudWatchResponse, name, action)
