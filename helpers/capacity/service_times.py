"""Service times: how long calls take whose model is loaded, on the instance's disk, or still in S3."""

from dataclasses import dataclass

import numpy as np

WARM, DISK, COLD = 0, 1, 2
NAMES = ("warm", "on disk", "cold")


@dataclass(frozen=True, eq=False)
class ServiceTimes:
    """Measured times of whole calls, in seconds, to draw from.

    Attributes:
        warm: float array, calls that found their model loaded.
        disk: float array, calls that had it loaded from the instance's disk.
        cold: float array, calls that had it downloaded, unpacked and loaded.
    """

    warm: np.ndarray
    disk: np.ndarray
    cold: np.ndarray

    def of(self, state: int) -> np.ndarray:
        """Return the times of a state: WARM, DISK or COLD."""
        return (self.warm, self.disk, self.cold)[state]

    @property
    def by_state(self) -> dict[str, np.ndarray]:
        """The times by the name of their state, the slowest state first."""
        return {NAMES[state]: self.of(state) for state in (COLD, DISK, WARM)}

    def draw(self, states: np.ndarray, *, seed: int) -> np.ndarray:
        """Return a time for each call, drawn from those of its state.

        Args:
            states: int array (M,) of WARM, DISK and COLD.
            seed: Of the draws.

        Returns:
            float64 array (M,), seconds.
        """
        generator = np.random.default_rng(seed)
        drawn = np.stack([generator.choice(self.of(state), len(states)) for state in (WARM, DISK, COLD)])
        seconds: np.ndarray = drawn[states, np.arange(len(states))]
        return seconds

    def percentile(self, percent: float, *, hit_ratio: float) -> float:
        """Return a percentile of calls that are warm or cold, and wait for no other call.

        Args:
            percent: 0 to 100.
            hit_ratio: Share of the calls that are warm, 0 to 1.

        Returns:
            Seconds.
        """
        seconds = np.concatenate([self.warm, self.cold])
        warm = np.full(len(self.warm), hit_ratio / len(self.warm))
        cold = np.full(len(self.cold), (1 - hit_ratio) / len(self.cold))
        order = np.argsort(seconds)
        reached = np.searchsorted(np.cumsum(np.concatenate([warm, cold])[order]), percent / 100 - 1e-12)
        return float(seconds[order][min(int(reached), len(seconds) - 1)])


def measured(seconds: np.ndarray, states: np.ndarray) -> ServiceTimes:
    """Divide measured calls by their state.

    A state that never came up is stood in for by the other kind of loading, and where no call loaded its model, because
    all models fit, by warm calls: its own times are not known then.

    Args:
        seconds: float array (M,).
        states: int array (M,) of WARM, DISK and COLD.

    Raises:
        ValueError: If no call found its model loaded.
    """
    warm, disk, cold = (np.asarray(seconds)[np.asarray(states) == state] for state in (WARM, DISK, COLD))
    if not len(warm):
        raise ValueError("Service times need calls that found their model loaded. Make more calls.")
    loading = disk if len(disk) else cold if len(cold) else warm
    return ServiceTimes(warm, loading, cold if len(cold) else loading)
