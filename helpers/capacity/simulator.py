"""A simulator of the instances behind a multi-model endpoint, call by call.

Each instance drops its least recently used model when its memory is full, keeps files on its disk, and loads a few
models at a time. A call goes to an instance that holds its model, unless the model is hot, else to the one with the
fewest models, and among equals to the one whose last call is longest ago: the rules of ``local_sagemaker``, which AWS
does not publish for its own.
"""

import heapq
from collections import Counter, OrderedDict, defaultdict
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from helpers.capacity import traffic
from helpers.capacity.service_times import COLD, DISK, WARM, ServiceTimes
from helpers.capacity.traffic import Trace


@dataclass(frozen=True)
class Fleet:
    """The instances of an endpoint.

    Attributes:
        instances: How many there are.
        models_in_memory: Models that fit into the memory of one.
        models_on_disk: Models whose files fit onto the disk of one; None for all.
        loads_at_once: Models that one instance loads at the same time.
        calls_at_once: Warm calls that one instance answers at the same time, others wait; None where the service times
            were measured under the same traffic and hold that wait already.
        hot_model_calls: Calls of one model under way from which it spreads to another instance.
    """

    instances: int
    models_in_memory: int
    models_on_disk: int | None = None
    loads_at_once: int = 4
    calls_at_once: int | None = None
    hot_model_calls: int = 8


@dataclass(frozen=True, eq=False)
class Outcome:
    """What became of the calls of a trace.

    Attributes:
        states: int8 array (M,) of WARM, DISK and COLD. A call that joins a load under way counts as that load.
        seconds: float64 array (M,), from the call to its answer.
        instances: int32 array (M,), which instance answered.
    """

    states: np.ndarray
    seconds: np.ndarray
    instances: np.ndarray

    @property
    def hit_ratio(self) -> float:
        """Share of the calls that found their model loaded, 0 to 1."""
        return float(np.mean(self.states == WARM))

    def percentile(self, percent: float) -> float:
        """Return the seconds within which so many percent of the calls are answered."""
        return float(np.percentile(self.seconds, percent))

    def last(self, count: int) -> "Outcome":
        """Return the outcome of the last calls alone."""
        first = len(self.states) - count
        return Outcome(self.states[first:], self.seconds[first:], self.instances[first:])


class _Instance:
    """Memory, disk, turns for loading and workers of one instance."""

    def __init__(self, fleet: Fleet) -> None:
        self.memory: OrderedDict[int, tuple[float, int]] = OrderedDict()  # when it is loaded, and from where
        self.disk: OrderedDict[int, None] = OrderedDict()
        self.turns = [0.0] * fleet.loads_at_once
        self.workers = [0.0] * (fleet.calls_at_once or 0)

    def answer(self, start: float, seconds: float) -> float:
        """Return when a call of a loaded model ends."""
        if self.workers:
            start = max(start, self.workers[0])
            heapq.heapreplace(self.workers, start + seconds)
        return start + seconds

    def load(self, start: float, seconds: float) -> float:
        """Return when a load that waits for its turn ends."""
        end = max(start, self.turns[0]) + seconds
        heapq.heapreplace(self.turns, end)
        return end


class _Simulation:
    """The instances, and the calls under way."""

    def __init__(self, fleet: Fleet) -> None:
        self.fleet = fleet
        self.instances = [_Instance(fleet) for _ in range(fleet.instances)]
        self.holders: defaultdict[int, list[int]] = defaultdict(list)  # instances by model
        self.loaded = np.zeros(fleet.instances, dtype=np.int64)
        self.under_way = np.zeros(fleet.instances, dtype=np.int64)
        self.last_calls = np.full(fleet.instances, -np.inf)
        self.calls: Counter[tuple[int, int]] = Counter()  # under way, by instance and model
        self.ends: list[tuple[float, int, int]] = []

    def fill(self, recency: np.ndarray) -> None:
        """Put models where they are after a long time, given in the order of their last calls, the latest first."""
        for index, instance in enumerate(self.instances):
            own = recency[index :: self.fleet.instances].tolist()
            for model in reversed(own[: self.fleet.models_on_disk]):
                instance.disk[model] = None
            for model in reversed(own[: self.fleet.models_in_memory]):
                self._hold(index, model, (0.0, WARM))

    def call(self, model: int, now: float, seconds: tuple[float, float, float]) -> tuple[int, float, int]:
        """Answer a call.

        Args:
            model: Which one it names.
            now: When it comes.
            seconds: What it takes if the model is loaded, on the disk, or in S3 only.

        Returns:
            Its state, when it ends, and the index of the instance.
        """
        self._end_calls(now)
        index = self._choose(model)
        instance = self.instances[index]
        if model in instance.memory:
            instance.memory.move_to_end(model)
            ready, origin = instance.memory[model]
            state = WARM if ready <= now else origin
            end = instance.answer(max(now, ready), seconds[WARM])
        else:
            state = DISK if model in instance.disk else COLD
            end = instance.load(now, seconds[state])
            # The call that loads a model is then answered as a warm one.
            self._hold(index, model, (end - seconds[WARM], state))
        self._keep_files(instance, model)
        heapq.heappush(self.ends, (end, index, model))
        self.calls[index, model] += 1
        self.under_way[index] += 1
        self.last_calls[index] = now
        return state, end, index

    def _end_calls(self, now: float) -> None:
        while self.ends and self.ends[0][0] <= now:
            _, index, model = heapq.heappop(self.ends)
            self.calls[index, model] -= 1
            self.under_way[index] -= 1

    def _choose(self, model: int) -> int:
        """Return the instance for a call: one that holds the model, unless it is hot, else the one with most room."""
        holding = self.holders[model]
        if holding:
            best = min(holding, key=lambda index: (self.calls[index, model], self.last_calls[index]))
            if self.calls[best, model] < self.fleet.hot_model_calls or len(holding) == len(self.instances):
                return best
        if len(self.instances) == 1:
            return 0
        # The fewest models first, and among equals the fewest calls under way, then the last call longest ago.
        rank = self.loaded * 1_000_000 + self.under_way
        rank[holding] = np.iinfo(np.int64).max
        equals = np.flatnonzero(rank == rank.min())
        return int(equals[np.argmin(self.last_calls[equals])])

    def _hold(self, index: int, model: int, loading: tuple[float, int]) -> None:
        memory = self.instances[index].memory
        memory[model] = loading
        self.holders[model].append(index)
        if len(memory) > self.fleet.models_in_memory:
            dropped, _ = memory.popitem(last=False)
            self.holders[dropped].remove(index)
        self.loaded[index] = len(memory)

    def _keep_files(self, instance: _Instance, model: int) -> None:
        instance.disk[model] = None
        instance.disk.move_to_end(model)
        if self.fleet.models_on_disk and len(instance.disk) > self.fleet.models_on_disk:
            instance.disk.popitem(last=False)


def hit_ratios(popularity: np.ndarray, capacities: Sequence[int], *, calls: int, seed: int) -> list[float]:
    """Return the hit ratios of one instance for several numbers of models that fit, for calls that never meet.

    Args:
        popularity: float array (N,) that sums to 1.
        capacities: Numbers of models that fit.
        calls: How many calls to simulate for each.
        seed: Of the calls.
    """
    trace = traffic.poisson(popularity, calls_per_second=1.0, count=calls, seed=seed)
    instant = ServiceTimes(*np.zeros((3, 1)))
    fleets = [Fleet(1, capacity) for capacity in capacities]
    return [simulate(trace, fleet, instant, seed=seed, popularity=popularity).hit_ratio for fleet in fleets]


def simulate(
    trace: Trace, fleet: Fleet, times: ServiceTimes, *, seed: int, popularity: np.ndarray | None = None
) -> Outcome:
    """Simulate the calls of a trace.

    Args:
        trace: The calls.
        fleet: The instances.
        times: What to draw the times of calls from.
        seed: Of these draws.
        popularity: float array (N,); with it, the instances start as they are after a long time of such traffic
            instead of empty, so that a short trace is enough. Under independent calls the time since a model's last
            call is exponential, and the most recently called ones are loaded.
    """
    generator = np.random.default_rng(seed)
    simulation = _Simulation(fleet)
    if popularity is not None:
        simulation.fill(np.argsort(generator.exponential(1, len(popularity)) / popularity))
    drawn = (generator.choice(times.of(state), len(trace)).tolist() for state in (WARM, DISK, COLD))
    starts = trace.starts.tolist()
    calls = zip(trace.models.tolist(), starts, zip(*drawn, strict=True), strict=True)
    answers = [simulation.call(model, now, seconds) for model, now, seconds in calls]
    states, ends, instances = zip(*answers, strict=True) if answers else ((), (), ())
    return Outcome(np.array(states, dtype=np.int8), np.array(ends) - trace.starts, np.array(instances, dtype=np.int32))
