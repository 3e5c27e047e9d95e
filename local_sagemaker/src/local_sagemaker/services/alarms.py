"""States of CloudWatch alarms, as "Alarm evaluation" in the CloudWatch user guide describes them."""

import json
import operator
from collections.abc import Callable
from datetime import datetime, timedelta
from typing import Any

from local_sagemaker.settings import MAX_ALARM_SECONDS

_EXTRA = 2  # periods that are looked at beyond those that count, as in the guide's example
_COMPARISONS: dict[str, tuple[Callable[[float, float], bool], str]] = {
    "GreaterThanThreshold": (operator.gt, "greater than"),
    "GreaterThanOrEqualToThreshold": (operator.ge, "greater than or equal to"),
    "LessThanThreshold": (operator.lt, "less than"),
    "LessThanOrEqualToThreshold": (operator.le, "less than or equal to"),
}
_ACCEPTED = (
    "AlarmName AlarmDescription ActionsEnabled OKActions AlarmActions InsufficientDataActions MetricName Namespace "
    "Statistic ExtendedStatistic Dimensions Period Unit EvaluationPeriods DatapointsToAlarm Threshold "
    "ComparisonOperator TreatMissingData EvaluateLowSampleCountPercentile Metrics Tags"
)


def queries(request: dict[str, Any]) -> list[dict[str, Any]]:
    """Return the queries whose result an alarm watches; the request is that of ``PutMetricAlarm``."""
    if request.get("Metrics"):
        return list(request["Metrics"])
    metric = {name: request[name] for name in ("Namespace", "MetricName", "Dimensions") if request.get(name)}
    stat = {name: request[name] for name in ("Period", "Unit") if request.get(name)} | {"Metric": metric}
    stat["Stat"] = request.get("Statistic") or request.get("ExtendedStatistic") or ""
    return [{"Id": "m1", "MetricStat": stat}]


def check(request: dict[str, Any]) -> str:
    """Return why an alarm cannot be evaluated here; empty if it can."""
    ignored = sorted(name for name, value in request.items() if value and name not in _ACCEPTED.split())
    if request.get("EvaluateLowSampleCountPercentile") == "ignore":
        ignored.append("EvaluateLowSampleCountPercentile")
    if ignored:
        return f"local_sagemaker would ignore {', '.join(ignored)} of PutMetricAlarm. Leave it out."
    if request.get("ComparisonOperator") not in _COMPARISONS:
        return f"The ComparisonOperator must be one of {', '.join(_COMPARISONS)}."
    needed = ["Threshold"] if request.get("Metrics") else ["Threshold", "Namespace", "MetricName", "Period"]
    if missing := [name for name in needed if request.get(name) is None]:
        return f"An alarm needs {' and '.join(missing)}."
    periods = request.get("EvaluationPeriods", 0)
    if not 1 <= (request.get("DatapointsToAlarm") or 1) <= periods:
        return "EvaluationPeriods must be at least 1, and DatapointsToAlarm from 1 to EvaluationPeriods."
    if periods * seconds(queries(request)) > MAX_ALARM_SECONDS:
        return f"EvaluationPeriods times Period must be at most {MAX_ALARM_SECONDS} seconds."
    return ""


def is_due(alarm: Any, now: datetime) -> bool:
    """Return whether an alarm's state may change: once a minute, so that one set by hand stays that long."""
    this_minute: datetime = now.replace(second=0, microsecond=0)
    return bool(alarm.state_reason.startswith("Unchecked") or alarm.state_updated_timestamp < this_minute)


def time_range(alarm: Any, now: datetime) -> tuple[datetime, datetime]:
    """Return the start of the first period that an alarm looks at, and the end of the last, which is over."""
    end = now.replace(second=0, microsecond=0)
    return end - timedelta(seconds=seconds(alarm.queries) * (alarm.evaluation_periods + _EXTRA)), end


def seconds(queries: list[dict[str, Any]]) -> int:
    """Return the period of an alarm."""
    return next((int(query["MetricStat"]["Period"]) for query in queries if "MetricStat" in query), 60)


def evaluate(alarm: Any, values: dict[datetime, float], period: int, start: datetime, end: datetime) -> None:
    """Give one of moto's alarms the state of values in a range of time, each by the start of its period in seconds."""
    compare, words = _COMPARISONS[alarm.comparison_operator]
    needed, missing = alarm.datapoints_to_alarm or alarm.evaluation_periods, alarm.treat_missing_data or "missing"
    points = [(at, value, compare(value, alarm.threshold)) for at, value in sorted(values.items())]
    points = points[-alarm.evaluation_periods :]
    absent = alarm.evaluation_periods - len(points)
    breaching = sum(bad for _, _, bad in points)
    state = "ALARM" if breaching + absent * (missing == "breaching") >= needed else "OK"
    if state == "OK" and absent and breaching == len(points) and missing in ("missing", "ignore"):
        # Nothing speaks against an alarm, but there are too few points.
        old = bool(points) and (end - points[0][0]) // timedelta(seconds=period) >= needed
        if missing == "ignore":
            return
        state = "ALARM" if old else "INSUFFICIENT_DATA"
    if state == alarm.state_value and not alarm.state_reason.startswith("Unchecked"):
        return
    if state == "INSUFFICIENT_DATA":
        reason = f"Insufficient Data: {_plural(absent, 'datapoint was', 'datapoints were')} unknown."
    elif not points:
        treated = "Breaching" if missing == "breaching" else "NonBreaching"
        reason = (
            f"Threshold Crossed: no datapoints were received for {_plural(absent, 'period', 'periods')} and "
            f"{_plural(absent, 'missing datapoint was', 'missing datapoints were')} treated as [{treated}]."
        )
    else:
        told = [(at, value) for at, value, bad in reversed(points) if bad == (state == "ALARM")] or points
        listed = ", ".join(f"{value} ({at:%d/%m/%y %H:%M:%S})" for at, value, *_ in told)
        negation = "" if state == "ALARM" else "not "
        verb = "was" if len(told) == 1 else "were"
        reason = (
            f"Threshold Crossed: {len(told)} out of the last {alarm.evaluation_periods} datapoints [{listed}] {verb} "
            f"{negation}{words} the threshold ({float(alarm.threshold)})."
        )
    data = {
        "version": "1.0",
        "startDate": f"{start:%Y-%m-%dT%H:%M:%S}.000+0000",
        "statistic": alarm.statistic or alarm.extended_statistic,
        "period": period,
        "recentDatapoints": [value for _, value, _ in points],
        "threshold": alarm.threshold,
    }
    alarm.update_state(reason, json.dumps(data), state)


def _plural(count: int, one: str, more: str) -> str:
    return f"{count} {one if count == 1 else more}"
