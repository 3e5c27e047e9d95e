"""A plan: how many instances of which type hold many models at a wanted hit ratio and latency, and what they cost.

Every miss counts as cold: with several instances, the one that has to load a model seldom has its files already.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from math import ceil

import numpy as np

from helpers.capacity import che, popularity, simulator, traffic
from helpers.capacity.service_times import ServiceTimes
from helpers.capacity.simulator import Fleet, Outcome
from helpers.costs import InstanceType

BUSY = 0.6  # share of its time that a processor or a turn for loading may be taken; above it, calls wait for each other
MEMORY_FOR_MODELS = 0.7  # of an instance's memory; the rest is for the system and the server


@dataclass(frozen=True)
class Demand:
    """What an endpoint has to bear, and how well.

    Attributes:
        popularity: float array (N,) that sums to 1: the share of calls of each model.
        calls_per_second: Of all models together.
        model_bytes: Memory of one loaded model.
        hit_ratio: Wanted share of calls that find their model loaded, 0 to 1.
        p99_seconds: Time within which 99 of 100 calls shall be answered.
    """

    popularity: np.ndarray
    calls_per_second: float
    model_bytes: int
    hit_ratio: float
    p99_seconds: float


@dataclass(frozen=True)
class Plan:
    """Instances of one type for a demand.

    Attributes:
        instance_type: Which one.
        instances: How many; None if no number of them reaches the wanted percentile.
        models_per_instance: Models that fit into the memory of one.
        limit: What asks for that many: "memory" (the hit ratio or the percentile), "processors" or "loading".
        hit_ratio: Predicted by Che's approximation.
        dollars_per_hour: Of all instances.
    """

    instance_type: str
    instances: int | None
    models_per_instance: int
    limit: str
    hit_ratio: float
    dollars_per_hour: float


def plan(demand: Demand, times: ServiceTimes, types: Iterable[InstanceType], *, loads_at_once: int = 4) -> list[Plan]:
    """Return a plan for each instance type, the cheapest first.

    Args:
        demand: What is wanted.
        times: Measured on one such instance with calls that did not wait for each other.
        types: Which instances may be taken.
        loads_at_once: Models that one instance loads at the same time.
    """
    wanted = max(demand.hit_ratio, _hit_ratio_for(demand.p99_seconds, times))
    held = che.capacity_for(demand.popularity, min(wanted, 1.0))
    plans = [_plan(demand, times, kind, held, loads_at_once, reachable=wanted <= 1) for kind in types]
    return sorted(plans, key=lambda plan: (plan.instances is None, plan.dollars_per_hour, plan.instances))


def cost_by_models(
    demand: Demand, times: ServiceTimes, types: Iterable[InstanceType], *, counts: Sequence[int], exponent: float
) -> list[float]:
    """Return what the cheapest plan costs in dollars an hour, for several numbers of models with Zipf popularity.

    Args:
        demand: What is wanted besides; its popularity is not used.
        times: As for ``plan``.
        types: As for ``plan``.
        counts: Numbers of models.
        exponent: Of Zipf's law.
    """
    types = list(types)
    demands = [replace(demand, popularity=popularity.zipf(count, exponent)) for count in counts]
    return [plan(one, times, types)[0].dollars_per_hour for one in demands]


def rehearse(
    demand: Demand, times: ServiceTimes, chosen: Plan, kind: InstanceType, *, calls: int, seed: int
) -> Outcome:
    """Let the simulator try a plan, from the state that the instances have after a long time.

    Args:
        demand: What the plan is for.
        times: Of calls that did not wait for each other.
        chosen: The plan.
        kind: Its instance type.
        calls: How many calls; a million models need no more of them than a thousand do.
        seed: Of the calls.
    """
    if chosen.instances is None:
        raise ValueError(f"No number of {chosen.instance_type} reaches the wanted percentile. Choose another plan.")
    trace = traffic.poisson(demand.popularity, calls_per_second=demand.calls_per_second, count=calls, seed=seed)
    fleet = Fleet(chosen.instances, chosen.models_per_instance, calls_at_once=kind.processors)
    return simulator.simulate(trace, fleet, times, seed=seed, popularity=demand.popularity)


def _plan(
    demand: Demand, times: ServiceTimes, kind: InstanceType, held: int, loads_at_once: int, *, reachable: bool
) -> Plan:
    room = int(kind.memory_gib * 2**30 * MEMORY_FOR_MODELS // demand.model_bytes)
    if room == 0:
        return Plan(kind.name, None, 0, "memory", 0.0, float("inf"))
    needed = {"memory": ceil(held / room)}
    hit_ratio = che.hit_ratio(demand.popularity, needed["memory"] * room)
    misses = (1 - hit_ratio) * demand.calls_per_second
    computing = demand.calls_per_second * times.warm.mean() + misses * times.cold.mean()
    needed["processors"] = ceil(computing / (kind.processors * BUSY))
    needed["loading"] = ceil(misses * times.cold.mean() / (loads_at_once * BUSY))
    limit = max(needed, key=lambda name: needed[name])
    count = max(1, needed[limit])
    return Plan(
        kind.name,
        count if reachable else None,
        room,
        limit,
        che.hit_ratio(demand.popularity, count * room),
        count * kind.dollars_per_hour if reachable else float("inf"),
    )


def _hit_ratio_for(p99_seconds: float, times: ServiceTimes) -> float:
    """Return the hit ratio from which the 99th percentile is low enough; 2 if not even warm calls are."""
    if times.percentile(99, hit_ratio=1.0) > p99_seconds:
        return 2.0
    low, high = 0.0, 1.0
    while high - low > 1e-4:
        middle = (low + high) / 2
        low, high = (low, middle) if times.percentile(99, hit_ratio=middle) <= p99_seconds else (middle, high)
    return high if times.percentile(99, hit_ratio=0.0) > p99_seconds else 0.0
