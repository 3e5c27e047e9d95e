"""What CloudWatch knows of an endpoint. On AWS metrics arrive a minute or two after the calls."""

import time
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from typing import Any

from helpers.aws.endpoint_status import EndpointError
from helpers.session import Connection

# Each metric, and its namespace.
METRICS = {
    "ModelLatency": "AWS/SageMaker",
    "ModelLoadingWaitTime": "AWS/SageMaker",
    "ModelDownloadingTime": "AWS/SageMaker",
    "ModelLoadingTime": "AWS/SageMaker",
    "ModelUnloadingTime": "AWS/SageMaker",
    "ModelCacheHit": "AWS/SageMaker",
    "Invocations": "AWS/SageMaker",
    "Invocation5XXErrors": "AWS/SageMaker",
    "LoadedModelCount": "/aws/sagemaker/Endpoints",
}


def readable(name: str, total: Mapping[str, float]) -> dict[str, float | str]:
    """Return what ``EndpointMetrics.total`` returned with a unit, and times in milliseconds.

    Args:
        name: One of ``METRICS``.
        total: Its values; may be empty.
    """
    if not total:
        return {}
    divisor, unit = (1000.0, "ms") if name.endswith(("Time", "Latency")) else (1.0, "")
    columns = {"average": "Average", "least": "Minimum", "most": "Maximum"}
    values = {column: total[key] / divisor for column, key in columns.items()}
    return {"samples": int(total["SampleCount"]), **values, "unit": unit}


class EndpointMetrics:
    """The metrics of one endpoint."""

    def __init__(self, connection: Connection, endpoint_name: str) -> None:
        """Read nothing yet.

        Args:
            connection: The session.
            endpoint_name: Name of the endpoint.
        """
        self._connection = connection
        self._endpoint_name = endpoint_name

    def total(self, name: str, *, minutes: int, samples: int = 0) -> dict[str, float]:
        """Return SampleCount, Average, Minimum, Maximum and Sum of a metric; empty if there is no data.

        Args:
            name: One of ``METRICS``; times are in microseconds.
            minutes: How far back to look.
            samples: Wait, at most ten minutes, until CloudWatch has so many: on AWS they arrive minutes late.

        Raises:
            EndpointError: If they do not arrive.
        """
        since, deadline = datetime.now(UTC) - timedelta(minutes=minutes), time.monotonic() + 600
        while (count := _sum(points := self._data_points(name, since=since, period=60), "SampleCount")) < samples:
            if time.monotonic() > deadline:
                raise EndpointError(f"CloudWatch has {count:.0f} of {samples} samples of {name}. Try again in minutes.")
            time.sleep(self._connection.poll_seconds)
        if not points:
            return {}
        return {
            "SampleCount": count,
            "Average": _sum(points, "Sum") / count,
            "Minimum": min(point["Minimum"] for point in points),
            "Maximum": max(point["Maximum"] for point in points),
            "Sum": _sum(points, "Sum"),
        }

    def over_time(self, name: str, *, since: datetime) -> list[tuple[float, float]]:
        """Return a metric's average for each period of ``connection.metric_period``.

        Args:
            name: One of ``METRICS``; times are in microseconds.
            since: Where to begin, with a time zone.

        Returns:
            Seconds since then and the average, in order.
        """
        points = self._data_points(name, since=since, period=self._connection.metric_period)
        averages = {point["Timestamp"]: point["Sum"] / point["SampleCount"] for point in points}
        return [((moment - since).total_seconds(), averages[moment]) for moment in sorted(averages)]

    def loaded_models(self, *, since: datetime, seconds: float) -> int:
        """Return the most models that one instance had loaded, once CloudWatch has that number.

        Args:
            since: From when on, with a time zone.
            seconds: How long to wait for it.

        Raises:
            EndpointError: If it does not arrive.
        """
        deadline = time.monotonic() + seconds
        while not (counted := self._data_points("LoadedModelCount", since=since, period=60)):
            if time.monotonic() > deadline:
                raise EndpointError(
                    f"CloudWatch does not know yet how many models {self._endpoint_name} has loaded. Try again."
                )
            time.sleep(self._connection.poll_seconds)
        return int(max(point["Maximum"] for point in counted))

    def _data_points(self, name: str, *, since: datetime, period: int) -> list[dict[str, Any]]:
        dimensions = {"EndpointName": self._endpoint_name, "VariantName": "AllTraffic"}
        answer = self._connection.boto.client("cloudwatch").get_metric_statistics(
            Namespace=METRICS[name],
            MetricName=name,
            Dimensions=[{"Name": key, "Value": value} for key, value in dimensions.items()],
            StartTime=since,
            EndTime=datetime.now(UTC) + timedelta(minutes=1),
            Period=period,
            Statistics=["SampleCount", "Minimum", "Maximum", "Sum"],
        )
        data_points: list[dict[str, Any]] = answer["Datapoints"]
        return data_points


def _sum(points: list[dict[str, Any]], statistic: str) -> float:
    return float(sum(point[statistic] for point in points))
