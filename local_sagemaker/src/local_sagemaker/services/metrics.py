"""CloudWatch metrics of endpoints: names, units and dimensions as SageMaker publishes them.

See "Monitor Amazon SageMaker AI with Amazon CloudWatch" in the SageMaker developer guide.
"""

import math
import threading
import time
from datetime import UTC, datetime, timedelta
from typing import Any, NamedTuple

from local_sagemaker.services import cloudwatch
from local_sagemaker.services.metric_statistics import bin_value, pack
from local_sagemaker.settings import Settings

INVOCATIONS = "AWS/SageMaker"
INSTANCES = "/aws/sagemaker/Endpoints"

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


class Series(NamedTuple):
    """One metric of one thing."""

    region: str
    namespace: str
    name: str
    dimensions: tuple[tuple[str, str], ...]  # names and values


class _Statistics:
    """The values of a series within a second."""

    __slots__ = ("bins", "least", "most", "total")

    def __init__(self) -> None:
        self.total, self.least, self.most = 0.0, math.inf, -math.inf
        self.bins: dict[float, int] = {}

    def add(self, value: float) -> None:
        self.total += value
        if value < self.least:
            self.least = value
        if value > self.most:
            self.most = value
        key = bin_value(value)
        self.bins[key] = self.bins.get(key, 0) + 1


class Metrics:
    """Collects values and hands them to CloudWatch when someone is about to look.

    moto keeps every item, and looks through all of them for each answer. So the values of a metric within a second, the
    finest that CloudWatch tells apart, are one item: however many calls there are, memory grows no faster. Later those
    within a minute are one.
    """

    def __init__(self) -> None:
        """Start with nothing collected."""
        self._pending: dict[tuple[Series, int], _Statistics] = {}  # by series and second
        self._regions: set[str] = set()
        self._lock = threading.Lock()
        self._flushing = threading.Lock()  # who asks CloudWatch next waits for what another one is handing over

    def add(self, series: Series, value: float) -> None:
        """Collect one value, measured now; every call of an endpoint has nine."""
        key = (series, int(time.time()))
        with self._lock:
            statistics = self._pending.get(key)
            if statistics is None:
                statistics = self._pending[key] = _Statistics()
            statistics.add(value)

    def flush(self) -> None:
        """Hand everything collected to CloudWatch, which may have to be waited for."""
        with self._flushing:
            with self._lock:
                pending, self._pending = self._pending, {}
            items: dict[tuple[str, str], list[dict[str, Any]]] = {}
            for (series, second), statistics in pending.items():
                self._regions.add(series.region)
                items.setdefault((series.region, series.namespace), []).append(_datum(series, second, statistics))
            for (region, namespace), data in items.items():
                cloudwatch.put(namespace, data, region=region)

    def age(self, settings: Settings) -> None:
        """Take what was measured within a minute together, once it is old enough, and forget it in the end."""
        now = datetime.now(UTC).replace(tzinfo=None)
        before = (now - timedelta(seconds=settings.metric_detail_seconds)).replace(second=0, microsecond=0)
        forget_before = now - timedelta(seconds=settings.metric_max_seconds)
        for region in list(self._regions):
            cloudwatch.age({INVOCATIONS, INSTANCES}, region=region, before=before, forget_before=forget_before)


class VariantMetrics:
    """Records the metrics of one production variant."""

    def __init__(self, metrics: Metrics, endpoint: str, variant: str, *, region: str) -> None:
        """Create the recorder for ``EndpointName`` and ``VariantName``."""
        self._metrics = metrics
        self._region = region
        self._dimensions = (("EndpointName", endpoint), ("VariantName", variant))

    def record(self, name: str, value: float, *, namespace: str = INVOCATIONS) -> None:
        """Record one value: microseconds for times, a percentage for utilization, else a count."""
        self._metrics.add(Series(self._region, namespace, name, self._dimensions), value)

    def record_seconds(self, name: str, seconds: float) -> None:
        """Record a time, in microseconds as SageMaker does."""
        self.record(name, seconds * 1e6)


def _datum(series: Series, second: int, statistics: _Statistics) -> dict[str, Any]:
    """Return an item as ``PutMetricData`` takes it."""
    return {
        "MetricName": series.name,
        "Dimensions": [{"Name": name, "Value": value} for name, value in series.dimensions],
        "Timestamp": datetime.fromtimestamp(second, UTC).replace(tzinfo=None),
        "Unit": _UNITS.get(series.name, "None"),
        "StatisticValues": {
            "SampleCount": sum(statistics.bins.values()),
            "Sum": statistics.total,
            "Minimum": statistics.least,
            "Maximum": statistics.most,
        },
        "Bins": pack(statistics.bins.items(), exact=False),
    }
