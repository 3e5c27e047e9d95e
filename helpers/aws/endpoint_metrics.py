"""What CloudWatch knows of an endpoint. On AWS metrics arrive a minute or two after the calls."""

import time
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

from helpers.aws.connection import Connection
from helpers.aws.invocation import EndpointError

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
VARIANT = "AllTraffic"
_LATE = 600  # seconds to wait for what has been called already


def address(name: str, endpoint_name: str) -> dict[str, Any]:
    """Return where CloudWatch keeps one of `METRICS`, as its operations take it."""
    dimensions = {"EndpointName": endpoint_name, "VariantName": VARIANT}
    pairs = [{"Name": key, "Value": value} for key, value in dimensions.items()]
    return {"Namespace": METRICS[name], "MetricName": name, "Dimensions": pairs}


@dataclass(frozen=True)
class EndpointMetrics:
    """The metrics of one endpoint."""

    connection: Connection
    endpoint_name: str

    def total(
        self, name: str, *, since: datetime | None = None, minutes: int = 60, samples: int = 0
    ) -> dict[str, float]:
        """Return SampleCount, Average, Minimum, Maximum and Sum of one of `METRICS`; times are in microseconds.

        The answer is empty if there is no data. It is about what came after `since`, or in the last minutes.

        Raises:
            EndpointError: If so many samples do not arrive within ten minutes.
        """
        since, deadline = since or datetime.now(UTC) - timedelta(minutes=minutes), time.monotonic() + _LATE
        while (count := _sum(points := self._data_points(name, since), "SampleCount")) < samples:
            if time.monotonic() > deadline:
                raise EndpointError(f"CloudWatch has {count:.0f} of {samples} samples of {name}. Try again in minutes.")
            time.sleep(self.connection.poll_seconds)
        if not points:
            return {}
        return {
            "SampleCount": count,
            "Average": _sum(points, "Sum") / count,
            "Minimum": min(point["Minimum"] for point in points),
            "Maximum": max(point["Maximum"] for point in points),
            "Sum": _sum(points, "Sum"),
        }

    def table(self, *names: str, minutes: int = 60) -> dict[str, dict[str, float | str]]:
        """Return metrics as `results.Table` takes them, times in milliseconds; a metric without data yet is empty."""
        rows: dict[str, dict[str, float | str]] = {}
        for name in names:
            total = self.total(name, minutes=minutes)
            divisor, unit = (1000.0, "ms") if name.endswith(("Time", "Latency")) else (1.0, "")
            columns = {"average": "Average", "least": "Minimum", "most": "Maximum"}
            values = {column: total[key] / divisor for column, key in columns.items() if total}
            rows[name] = {"samples": int(total["SampleCount"]), **values, "unit": unit} if total else {}
        return rows

    def loaded_models(self, *, since: datetime) -> int:
        """Return the most models that one instance had loaded since a moment, once CloudWatch has that number.

        Raises:
            EndpointError: If it does not arrive within ten minutes.
        """
        return int(self.total("LoadedModelCount", since=since, samples=1)["Maximum"])

    def _data_points(self, name: str, since: datetime) -> list[dict[str, Any]]:
        answer = self.connection.boto.client("cloudwatch").get_metric_statistics(
            **address(name, self.endpoint_name),
            StartTime=since,
            EndTime=datetime.now(UTC) + timedelta(minutes=1),
            Period=60,
            Statistics=["SampleCount", "Minimum", "Maximum", "Sum"],
        )
        return list(answer["Datapoints"])


def _sum(points: list[dict[str, Any]], statistic: str) -> float:
    return float(sum(point[statistic] for point in points))
