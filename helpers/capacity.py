"""Capacity of a multi-model endpoint: how many models stay in memory, how many calls find theirs, how many instances.

An instance that runs short of memory unloads the least recently used model (LRU). Several instances count as one cache
of their joint capacity: a call goes to the instance that holds its model, so most models are held once.
"""

import io
import tarfile
from bisect import bisect_left
from collections import OrderedDict
from collections.abc import Iterable
from dataclasses import dataclass
from fnmatch import fnmatch
from math import ceil

import numpy as np

from helpers.costs import InstanceType

BUSY = 0.6  # share of its time that a processor may work; above it, calls wait for each other
MEMORY_FOR_MODELS = 0.7  # share of an instance's memory; the rest is for the system and the server


@dataclass(frozen=True, eq=False)
class Trace:
    """Calls in the order in which they come."""

    starts: np.ndarray  # float64 (M,), seconds since the beginning, ascending
    models: np.ndarray  # int64 (M,), the number of the model that each call names

    def __len__(self) -> int:
        """Count the calls."""
        return len(self.models)


def zipf(count: int, exponent: float) -> np.ndarray:
    """Return the popularity of models by Zipf's law: the k-th gets a share in proportion to 1 / k to the exponent.

    Web and video traffic mostly has an exponent between 0.6 and 1.2; at 0 all shares are equal. The shares, float64
    (count,), sum to 1; the most popular model comes first.
    """
    if count < 1 or exponent < 0:
        raise ValueError(f"Zipf's law needs a model and an exponent of at least 0, not {count} and {exponent}.")
    weights = np.arange(1, count + 1, dtype=np.float64) ** -exponent
    return weights / weights.sum()  # type: ignore[no-any-return]  # NumPy's types lose the array


def poisson(popularity: np.ndarray, *, calls_per_second: float, count: int, seed: int) -> Trace:
    """Draw calls that come independently of each other, a Poisson process, where each model has its share of them."""
    if calls_per_second <= 0:
        raise ValueError(f"A rate of {calls_per_second} calls a second brings no call. Give one above 0.")
    generator = np.random.default_rng(seed)
    starts = np.cumsum(generator.exponential(1 / calls_per_second, count))
    return Trace(starts, generator.choice(len(popularity), size=count, p=popularity))


def hits(models: Iterable[int], capacity: int) -> np.ndarray:
    """Replay the models of M calls where `capacity` models fit, and return which find theirs loaded, bool (M,)."""
    loaded: OrderedDict[int, None] = OrderedDict()
    found = []
    for model in models:
        found.append(model in loaded)
        loaded[model] = None
        loaded.move_to_end(model)
        if len(loaded) > capacity:
            loaded.popitem(last=False)
    return np.array(found, dtype=bool)


def characteristic_time(popularity: np.ndarray, capacity: float) -> float:
    """Return after how many calls of other models a model leaves the cache, by Che's approximation.

    A model is loaded if it was called within this time, which is taken to be the same for all models and is infinite if
    all fit. H. Che, Y. Tung, Z. Wang, "Hierarchical Web Caching Systems: Modeling, Design and Experimental Results",
    IEEE Journal on Selected Areas in Communications 20(7), 2002.
    """
    if capacity <= 0:
        raise ValueError(f"A cache of {capacity} models holds none. Give a capacity above 0.")
    if capacity >= np.count_nonzero(popularity):
        return np.inf
    # The expected number of loaded models is concave in the time, so that Newton's steps climb to the root from below.
    time = float(capacity)
    for _ in range(200):  # about ten, and more where hardly any model stays outside
        absent = np.exp(-popularity * time)
        missing = capacity - np.sum(1 - absent)
        time += missing / np.sum(popularity * absent)
        if missing < 1e-6 * capacity:
            break
    return time


def hit_ratio(popularity: np.ndarray, capacity: float) -> float:
    """Return the share of calls, 0 to 1, that find their model loaded, by Che's approximation."""
    return float(np.sum(popularity * (1 - np.exp(-popularity * characteristic_time(popularity, capacity)))))


def capacity_for(popularity: np.ndarray, wanted: float) -> int:
    """Return how many models must fit for a wanted hit ratio, 0 to 1; at 1 all of them."""
    if not 0 <= wanted <= 1:
        raise ValueError(f"A hit ratio lies between 0 and 1, and {wanted} does not.")
    return 1 + bisect_left(range(1, len(popularity)), wanted, key=lambda fits: hit_ratio(popularity, fits))


def weight_bytes(archive: bytes) -> int:
    """Return the size of the weights in a model's `tar.gz` archive, in bytes: about what it takes in memory."""
    with tarfile.open(fileobj=io.BytesIO(archive), mode="r:gz") as files:
        sizes = [file.size for file in files if fnmatch(file.name, "*variables/variables.data-*")]
    if not sizes:
        raise ValueError("The archive holds no variables/variables.data file. Is it that of a SavedModel?")
    return sum(sizes)


@dataclass(frozen=True)
class Plan:
    """Instances of one type that hold models at a wanted hit ratio."""

    instance_type: str
    models_to_hold: int  # models that must be loaded on all instances together
    for_memory: int  # instances that hold them
    for_processors: int  # instances that answer the calls and load what is missing
    instances: int  # the larger of the two
    dollars_per_hour: float


def plans(
    popularity: np.ndarray,
    types: Iterable[InstanceType],
    *,
    wanted: float,
    model_bytes: float,
    calls_per_second: float,
    warm_seconds: float,
    cold_seconds: float,
) -> list[Plan]:
    """Return a plan for each instance type that can hold a model, the cheapest first.

    Args:
        popularity: float (N,) that sums to 1.
        types: Which instances may be taken.
        wanted: Hit ratio, 0 to 1.
        model_bytes: Memory of one loaded model.
        calls_per_second: Of all models together.
        warm_seconds: Processor time of a call whose model is loaded.
        cold_seconds: Processor time of a call whose model has to be loaded.
    """
    held = capacity_for(popularity, wanted)
    working = calls_per_second * (wanted * warm_seconds + (1 - wanted) * cold_seconds)
    found = []
    for kind in types:
        room = int(kind.memory_gib * 2**30 * MEMORY_FOR_MODELS // model_bytes)
        if room:
            needed = ceil(held / room), ceil(working / (kind.processors * BUSY))
            found.append(Plan(kind.name, held, *needed, max(needed), max(needed) * kind.dollars_per_hour))
    return sorted(found, key=lambda plan: plan.dollars_per_hour)
