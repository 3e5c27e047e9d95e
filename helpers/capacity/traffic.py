"""Traffic: which model is called when."""

from dataclasses import dataclass

import numpy as np

from helpers.capacity import popularity


@dataclass(frozen=True, eq=False)
class Trace:
    """Calls in the order in which they come.

    Attributes:
        starts: float64 array (M,), seconds since the beginning, ascending.
        models: int64 array (M,), the number of the model that each call names.
    """

    starts: np.ndarray
    models: np.ndarray

    def __len__(self) -> int:
        """Count the calls."""
        return len(self.models)

    @property
    def seconds(self) -> float:
        """Time from the beginning to the last call."""
        return float(self.starts[-1]) if len(self) else 0.0

    def part(self, first: int, end: int) -> "Trace":
        """Return the calls from one to before another, with the time counted from the call before them."""
        before = self.starts[first - 1] if first else 0.0
        return Trace(self.starts[first:end] - before, self.models[first:end])


def poisson(shares: np.ndarray, *, calls_per_second: float, count: int, seed: int) -> Trace:
    """Draw calls that come independently of each other: a Poisson process, each call naming a model by popularity.

    Args:
        shares: float array (N,) that sums to 1: the popularity of each model.
        calls_per_second: Mean rate.
        count: Number of calls.
        seed: The same seed gives the same calls.
    """
    if calls_per_second <= 0:
        raise ValueError(f"A rate of {calls_per_second} calls a second brings no call. Give one above 0.")
    generator = np.random.default_rng(seed)
    starts = np.cumsum(generator.exponential(1 / calls_per_second, count))
    return Trace(starts, generator.choice(len(shares), size=count, p=shares))


def widening(
    few: int, many: int, *, exponent: float, calls_per_second: float, count: int, seed: int
) -> tuple[Trace, float]:
    """Draw calls that first go to few models and then to many, at the same rate.

    Args:
        few: Number of models that get the first calls, by Zipf's law.
        many: Number of models that get the later ones.
        exponent: Of Zipf's law, in both.
        calls_per_second: Mean rate.
        count: Calls of each of the two.
        seed: Of the calls.

    Returns:
        The trace, and when the later calls begin, in seconds.
    """
    first, later = (
        poisson(popularity.zipf(models, exponent), calls_per_second=calls_per_second, count=count, seed=seed + models)
        for models in (few, many)
    )
    return joined(first, later), first.seconds


def sweep(count: int, *, calls_per_second: float) -> Trace:
    """Return one call of each model, in turn, at even distances."""
    return Trace((np.arange(count) + 1) / calls_per_second, np.arange(count))


def joined(*traces: Trace) -> Trace:
    """Return traces one after another as one."""
    ends = np.cumsum([0.0, *(trace.seconds for trace in traces)])[:-1]
    return Trace(
        np.concatenate([trace.starts + end for trace, end in zip(traces, ends, strict=True)]),
        np.concatenate([trace.models for trace in traces]),
    )


def merged(first: Trace, second: Trace) -> tuple[Trace, np.ndarray]:
    """Return two traces that run at the same time as one, and a bool array (M,) that is True for calls of the first."""
    starts = np.concatenate([first.starts, second.starts])
    order = np.argsort(starts, kind="stable")
    models = np.concatenate([first.models, second.models])
    return Trace(starts[order], models[order]), order < len(first)
