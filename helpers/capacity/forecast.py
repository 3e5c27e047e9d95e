"""A forecast of a live endpoint's hit ratio and latency, and the measurement that it is held against.

Each round sends two kinds of traffic at the same time. The first kind calibrates: its calls give the service times. The
second has another popularity, so other shares of warm and of loading calls, and is forecast: the simulator tells which
of its calls find their model, and each gets a time that was measured in that state. The times were measured under the
same load, so what calls wait for each other is in them. As both kinds run together, what else the machine does disturbs
both alike: the round compares the model of the endpoint with the endpoint, and not one moment of a busy machine with
another.
"""

import time
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from helpers import replay
from helpers.aws.endpoint_status import EndpointError
from helpers.capacity import popularity, service_times, simulator, traffic
from helpers.capacity.service_times import WARM, ServiceTimes
from helpers.capacity.simulator import Fleet
from helpers.capacity.traffic import Trace
from helpers.endpoint import MultiModelEndpoint

CALIBRATION_EXPONENT, FORECAST_EXPONENT = 0.3, 1.1  # of Zipf's law
_REPETITIONS = 10  # of the draws, so that chance moves the forecast little
_METRIC_SECONDS = 600  # on AWS, metrics arrive minutes after the calls


@dataclass(frozen=True, eq=False)
class Round:
    """One forecast and what was measured.

    Attributes:
        predicted_hit_ratio: Of all calls, by the simulator, for which typical times are enough.
        measured_hit_ratio: Of all calls, by CloudWatch.
        predicted: float64 array, seconds of the second kind of calls as forecast, of all repetitions.
        measured: float64 array (M,), seconds of the same calls as measured.
    """

    predicted_hit_ratio: float
    measured_hit_ratio: float
    predicted: np.ndarray
    measured: np.ndarray

    def ratio(self, percent: float) -> float:
        """Return a percentile as forecast, divided by the same as measured."""
        return float(np.percentile(self.predicted, percent) / np.percentile(self.measured, percent))


@dataclass(frozen=True, eq=False)
class Summary:
    """What several rounds found together.

    Attributes:
        predicted_hit_ratio: Mean of the rounds.
        measured_hit_ratio: Mean of the rounds.
        middle: The round that has the median of the ratios of the 99th percentile as forecast to that as measured: one
            that the machine disturbed is not it.
    """

    predicted_hit_ratio: float
    measured_hit_ratio: float
    middle: Round

    @property
    def p99_ratio(self) -> float:
        """The 99th percentile as forecast, divided by the same as measured: the median of the rounds."""
        return self.middle.ratio(99)


def summary(rounds: Iterable[Round]) -> Summary:
    """Return what rounds, best an odd number of them, found together."""
    ordered = sorted(rounds, key=lambda one: one.ratio(99))
    return Summary(
        predicted_hit_ratio=float(np.mean([one.predicted_hit_ratio for one in ordered])),
        measured_hit_ratio=float(np.mean([one.measured_hit_ratio for one in ordered])),
        middle=ordered[(len(ordered) - 1) // 2],
    )


def mixed_popularity(count: int) -> np.ndarray:
    """Return the popularity of models in both kinds of traffic together, as a float array (count,) that sums to 1."""
    return (popularity.zipf(count, CALIBRATION_EXPONENT) + popularity.zipf(count, FORECAST_EXPONENT)) / 2


def rounds(
    endpoint: MultiModelEndpoint,
    fleet: Fleet,
    *,
    target_models: Sequence[str],
    body: bytes,
    history: Trace,
    calls_per_second: float,
    calls: int,
    count: int,
    seed: int,
) -> Iterator[Round]:
    """Make round after round.

    Args:
        endpoint: An endpoint that nobody else calls.
        fleet: Its instances, as the simulator takes them.
        target_models: Names of the models.
        body: The request.
        history: All calls since the endpoint was deployed: they decide which models are loaded.
        calls_per_second: Of both kinds of traffic together.
        calls: In each round, of both kinds together.
        count: How many rounds, if all are taken.
        seed: Of the calls.
    """
    kinds = [popularity.zipf(len(target_models), exponent) for exponent in (CALIBRATION_EXPONENT, FORECAST_EXPONENT)]
    with replay.calls_made(endpoint, count * calls) as step:
        for number in range(count):
            step.note = f"round {number + 1} of {count}"
            halves = [
                traffic.poisson(kind, calls_per_second=calls_per_second / 2, count=calls // 2, seed=seed + index)
                for index, kind in enumerate(kinds)
            ]
            seed += len(kinds)
            trace, calibrating = traffic.merged(*halves)
            history = traffic.joined(history, trace)
            before = _counted(endpoint, len(history) - len(trace))
            seconds = replay.replay(endpoint, trace, target_models=target_models, body=body, step=step).seconds
            after = _counted(endpoint, len(history))
            measured_hit_ratio = (after["Sum"] - before["Sum"]) / (after["SampleCount"] - before["SampleCount"])
            yield _round(history, fleet, seconds, calibrating, measured_hit_ratio)
        step.note = f"{count} rounds"


def _round(
    history: Trace, fleet: Fleet, seconds: np.ndarray, calibrating: np.ndarray, measured_hit_ratio: float
) -> Round:
    # Which calls find their model hardly depends on how long calls take: typical times will do to find out.
    states = simulator.simulate(history, fleet, _typical(seconds[calibrating]), seed=0).last(len(seconds)).states
    times = service_times.measured(seconds[calibrating], states[calibrating])
    return Round(
        predicted_hit_ratio=float(np.mean(states == WARM)),
        measured_hit_ratio=measured_hit_ratio,
        predicted=times.draw(np.tile(states[~calibrating], _REPETITIONS), seed=0),
        measured=seconds[~calibrating],
    )


def _typical(seconds: np.ndarray) -> ServiceTimes:
    """Return one time for each state, from calls whose state is not known yet: most of the fast ones are warm."""
    return ServiceTimes(*np.percentile(seconds, [[10], [50], [90]]))


def _counted(endpoint: MultiModelEndpoint, calls: int) -> dict[str, float]:
    """Return the hits in CloudWatch once it has counted all calls since the endpoint was deployed."""
    deadline = time.monotonic() + _METRIC_SECONDS
    while (hits := endpoint.metric("ModelCacheHit")).get("SampleCount", 0) < calls:
        if time.monotonic() > deadline:
            counted = hits.get("SampleCount", 0)
            raise EndpointError(f"CloudWatch has counted {counted:.0f} of {calls} calls. Try again in some minutes.")
        time.sleep(endpoint.connection.poll_seconds)
    return hits
