import numpy as np
import pytest

from helpers.capacity import service_times
from helpers.capacity.service_times import COLD, DISK, WARM, ServiceTimes

TIMES = ServiceTimes(warm=np.array([1.0, 2.0]), disk=np.array([5.0]), cold=np.array([10.0, 20.0]))


def test_calls_are_divided_by_their_state():
    times = service_times.measured(np.array([1.0, 10.0, 2.0, 100.0]), np.array([WARM, DISK, WARM, COLD]))
    assert [times.of(state).tolist() for state in (WARM, DISK, COLD)] == [[1.0, 2.0], [10.0], [100.0]]


def test_a_state_that_never_came_up_is_stood_in_for():
    times = service_times.measured(np.array([1.0, 10.0]), np.array([WARM, DISK]))
    assert times.cold.tolist() == [10.0]
    times = service_times.measured(np.array([1.0, 10.0]), np.array([WARM, COLD]))
    assert times.disk.tolist() == [10.0]
    times = service_times.measured(np.array([1.0, 2.0]), np.array([WARM, WARM]))
    assert times.disk.tolist() == times.cold.tolist() == [1.0, 2.0]


def test_warm_calls_are_needed():
    with pytest.raises(ValueError, match="need calls that found their model loaded"):
        service_times.measured(np.array([1.0, 2.0]), np.array([COLD, DISK]))


@pytest.mark.parametrize(
    ("percent", "hit_ratio", "seconds"),
    [(99, 1.0, 2.0), (50, 1.0, 1.0), (99, 0.9, 20.0), (94, 0.9, 10.0), (50, 0, 10.0)],
)
def test_percentiles_of_a_mixture(percent, hit_ratio, seconds):
    assert TIMES.percentile(percent, hit_ratio=hit_ratio) == seconds


def test_each_call_gets_a_time_of_its_state():
    drawn = TIMES.draw(np.array([WARM, DISK, COLD] * 50), seed=1).reshape(-1, 3)
    assert [sorted(set(column)) for column in drawn.T.tolist()] == [[1.0, 2.0], [5.0], [10.0, 20.0]]


def test_states_are_named_from_the_slowest_on():
    assert list(TIMES.by_state) == ["cold", "on disk", "warm"]
    assert TIMES.by_state["cold"] is TIMES.cold
