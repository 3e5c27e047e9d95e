import numpy as np
import pytest

from helpers.capacity import popularity, traffic
from helpers.capacity.traffic import Trace

SHARES = popularity.zipf(20, 1.0)


def test_calls_come_at_the_rate_and_with_the_popularity_asked_for():
    trace = traffic.poisson(SHARES, calls_per_second=50, count=40_000, seed=1)
    assert len(trace) == 40_000
    assert len(trace) / trace.seconds == pytest.approx(50, rel=0.03)
    gaps = np.diff(trace.starts)
    assert gaps.min() >= 0
    assert gaps.std() == pytest.approx(gaps.mean(), rel=0.03)  # as of an exponential distribution
    assert np.bincount(trace.models) / len(trace) == pytest.approx(SHARES, abs=0.01)


def test_the_same_seed_gives_the_same_calls():
    first, again, other = (traffic.poisson(SHARES, calls_per_second=9, count=99, seed=seed) for seed in (1, 1, 2))
    assert np.array_equal(first.starts, again.starts) and np.array_equal(first.models, again.models)
    assert not np.array_equal(first.models, other.models)


def test_a_rate_of_nothing_is_refused():
    with pytest.raises(ValueError, match="brings no call"):
        traffic.poisson(SHARES, calls_per_second=0, count=1, seed=1)


def test_a_sweep_calls_each_model_once():
    trace = traffic.sweep(4, calls_per_second=2)
    assert trace.models.tolist() == [0, 1, 2, 3]
    assert trace.starts.tolist() == [0.5, 1.0, 1.5, 2.0]


def test_joined_traces_follow_each_other_and_merged_ones_run_at_the_same_time():
    first = Trace(np.array([1.0, 3.0]), np.array([7, 8]))
    second = Trace(np.array([0.5, 2.0]), np.array([1, 2]))
    joined = traffic.joined(first, second)
    assert joined.starts.tolist() == [1.0, 3.0, 3.5, 5.0]
    assert joined.models.tolist() == [7, 8, 1, 2]
    merged, of_first = traffic.merged(first, second)
    assert merged.starts.tolist() == [0.5, 1.0, 2.0, 3.0]
    assert merged.models.tolist() == [1, 7, 2, 8]
    assert of_first.tolist() == [False, True, False, True]


def test_parts_joined_are_the_whole():
    trace = traffic.poisson(SHARES, calls_per_second=9, count=50, seed=3)
    whole = traffic.joined(trace.part(0, 20), trace.part(20, 50))
    assert whole.starts == pytest.approx(trace.starts)
    assert np.array_equal(whole.models, trace.models)


def test_widening_traffic_goes_to_few_models_first_and_then_to_all():
    trace, change = traffic.widening(3, 30, exponent=0.5, calls_per_second=10, count=500, seed=1)
    assert len(trace) == 1000
    early = trace.models[trace.starts <= change]
    assert len(early) == 500 and early.max() == 2
    assert trace.models[500:].max() > 20
