"""CloudWatch metrics of endpoints: names, units and dimensions as SageMaker publishes them.

See "Monitor Amazon SageMaker AI with Amazon CloudWatch" in the SageMaker developer guide.
"""

import threading
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

from local_sagemaker.services import aws_services

INVOCATIONS = "AWS/SageMaker"
INSTANCES = "/aws/sagemaker/Endpoints"

# What PutMetricData is told of each metric in each second, by name, time and dimensions.
Items = dict[tuple[Any, ...], dict[str, Any]]
_UNITS = {
    "ModelLatency": "Microseconds",
    "OverheadLatency": "Microseconds",
    "ModelLoadingWaitTime": "Microseconds",
    "ModelDownloadingTime": "Microseconds",
    "ModelLoadingTime": "Microseconds",
    "ModelUnloadingTime": "Microseconds",
    "CPUUtilization": "Percent",
    "MemoryUtilization": "Percent",
    "DiskUtilization": "Percent",
}


class Metrics:
    """Collects values and hands them to CloudWatch when someone is about to look.

    moto keeps every item for good, and looks through all of them for each answer. So the values of a metric within a
    second, the finest that CloudWatch tells apart, are one item: however many calls there are, memory grows no faster.
    """

    def __init__(self) -> None:
        """Start with nothing collected."""
        self._pending: dict[tuple[str, str], Items] = {}  # by region and namespace
        self._lock = threading.Lock()
        self.before_flush: Callable[[], None] = lambda: None

    def add(self, region: str, namespace: str, datum: dict[str, Any], value: float) -> None:
        """Collect one value.

        Args:
            region: AWS Region.
            namespace: CloudWatch namespace.
            datum: What ``PutMetricData`` is told of the value, with its time in whole seconds.
            value: The value.
        """
        key = (datum["MetricName"], datum["Timestamp"], *(each["Value"] for each in datum["Dimensions"]))
        with self._lock:
            items = self._pending.setdefault((region, namespace), {})
            if key not in items:
                items[key] = datum | {"StatisticValues": _statistics(value)}
                return
            statistics = items[key]["StatisticValues"]
            statistics["SampleCount"] += 1
            statistics["Sum"] += value
            statistics["Minimum"] = min(value, statistics["Minimum"])
            statistics["Maximum"] = max(value, statistics["Maximum"])

    def flush(self) -> None:
        """Hand everything collected to CloudWatch, what is measured only now included."""
        self.before_flush()
        with self._lock:
            pending, self._pending = self._pending, {}
        for (region, namespace), items in pending.items():
            aws_services.put_metrics(namespace, list(items.values()), region=region)


class VariantMetrics:
    """Records the metrics of one production variant."""

    def __init__(self, metrics: Metrics, endpoint: str, variant: str, *, region: str) -> None:
        """Create the recorder for ``EndpointName`` and ``VariantName``."""
        self._metrics = metrics
        self._region = region
        self._dimensions = [
            {"Name": "EndpointName", "Value": endpoint},
            {"Name": "VariantName", "Value": variant},
        ]

    def record(self, name: str, value: float, *, namespace: str = INVOCATIONS) -> None:
        """Record one value.

        Args:
            name: Metric name.
            value: Microseconds for times, a percentage for utilisation, else a count.
            namespace: CloudWatch namespace.
        """
        datum = {
            "MetricName": name,
            "Dimensions": self._dimensions,
            "Timestamp": datetime.now(UTC).replace(tzinfo=None, microsecond=0),
            "Unit": _UNITS.get(name, "None"),
        }
        self._metrics.add(self._region, namespace, datum, value)

    def record_seconds(self, name: str, seconds: float) -> None:
        """Record a time, in microseconds as SageMaker does."""
        self.record(name, seconds * 1e6)


def _statistics(value: float) -> dict[str, float]:
    return {"SampleCount": 1, "Sum": value, "Minimum": value, "Maximum": value}
