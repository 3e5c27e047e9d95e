import io
import tarfile
from itertools import pairwise

import numpy as np
import pytest

from helpers import capacity
from helpers.costs import InstanceType

SMALL = InstanceType("small", processors=2, memory_gib=4, dollars_per_hour=0.1)
LARGE = InstanceType("large", processors=8, memory_gib=64, dollars_per_hour=0.6)
TOO_SMALL = InstanceType("too small", processors=8, memory_gib=0.01, dollars_per_hour=0.01)


def test_shares_fall_as_zipfs_law_says_and_sum_to_one():
    shares = capacity.zipf(1000, 0.8)
    assert shares.sum() == pytest.approx(1)
    assert shares[0] / shares[9] == pytest.approx(10**0.8)
    assert np.all(np.diff(shares) < 0)
    assert capacity.zipf(4, 0) == pytest.approx([0.25] * 4)


@pytest.mark.parametrize(("count", "exponent"), [(0, 1.0), (3, -0.1)])
def test_no_model_and_a_negative_exponent_are_refused(count, exponent):
    with pytest.raises(ValueError, match="needs a model and an exponent"):
        capacity.zipf(count, exponent)


def test_calls_come_at_the_rate_and_with_the_popularity_asked_for():
    shares = capacity.zipf(20, 1.0)
    trace = capacity.poisson(shares, calls_per_second=50, count=40_000, seed=1)
    assert len(trace) == 40_000
    assert len(trace) / trace.starts[-1] == pytest.approx(50, rel=0.03)
    gaps = np.diff(trace.starts)
    assert gaps.min() >= 0
    assert gaps.std() == pytest.approx(gaps.mean(), rel=0.03)  # as of an exponential distribution
    assert np.bincount(trace.models) / len(trace) == pytest.approx(shares, abs=0.01)
    with pytest.raises(ValueError, match="brings no call"):
        capacity.poisson(shares, calls_per_second=0, count=1, seed=1)


def test_the_same_seed_gives_the_same_calls():
    first, again, other = (
        capacity.poisson(capacity.zipf(20, 1.0), calls_per_second=9, count=99, seed=seed) for seed in (1, 1, 2)
    )
    assert np.array_equal(first.starts, again.starts) and np.array_equal(first.models, again.models)
    assert not np.array_equal(first.models, other.models)


def test_the_model_that_was_used_longest_ago_makes_room():
    # 3 takes the place of 2, which was used longer ago than 1.
    assert capacity.hits([1, 2, 1, 3, 1, 2], 2).tolist() == [False, False, True, False, True, False]
    assert capacity.hits([1, 2, 1, 2], 1).tolist() == [False] * 4
    assert capacity.hits([], 3).tolist() == []


@pytest.mark.parametrize("exponent", [0.4, 0.8, 1.2])
@pytest.mark.parametrize("fits", [20, 100, 400])
def test_ches_approximation_is_within_a_point_of_calls_that_are_replayed(exponent, fits):
    shares = capacity.zipf(500, exponent)
    trace = capacity.poisson(shares, calls_per_second=1, count=200_000, seed=1)
    replayed = capacity.hits(trace.models.tolist(), fits)[100_000:].mean()
    assert capacity.hit_ratio(shares, fits) == pytest.approx(replayed, abs=0.01)


def test_the_expected_number_of_loaded_models_is_the_capacity():
    shares = capacity.zipf(1_000_000, 0.9)
    time = capacity.characteristic_time(shares, 200_000)
    assert np.sum(1 - np.exp(-shares * time)) == pytest.approx(200_000, rel=1e-5)


def test_equal_shares_hit_as_often_as_models_fit():
    assert capacity.hit_ratio(capacity.zipf(1000, 0), 250) == pytest.approx(0.25)


def test_if_all_models_fit_every_call_hits_and_if_none_fits_it_is_an_error():
    shares = capacity.zipf(10, 1)
    assert capacity.hit_ratio(shares, 10) == capacity.hit_ratio(shares, 12) == 1
    with pytest.raises(ValueError, match="holds none"):
        capacity.hit_ratio(shares, 0)


@pytest.mark.parametrize("wanted", [0.3, 0.8, 0.99, 1.0])
def test_the_capacity_for_a_hit_ratio_is_the_least_that_gives_it(wanted):
    shares = capacity.zipf(5000, 0.8)
    fits = capacity.capacity_for(shares, wanted)
    assert capacity.hit_ratio(shares, fits - 1) < wanted <= capacity.hit_ratio(shares, fits)
    with pytest.raises(ValueError, match="between 0 and 1"):
        capacity.capacity_for(shares, 1.1)


def packed(**sizes):
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w:gz") as files:
        for name, size in sizes.items():
            member = tarfile.TarInfo(name)
            member.size = size
            files.addfile(member, io.BytesIO(bytes(size)))
    return buffer.getvalue()


def test_only_the_files_of_weights_count():
    names = {
        "1/saved_model.pb": 7,
        "1/variables/variables.index": 9,
        "1/variables/variables.data-00000-of-00002": 100,
        "1/variables/variables.data-00001-of-00002": 50,
    }
    assert capacity.weight_bytes(packed(**names)) == 150
    with pytest.raises(ValueError, match="Is it that of a SavedModel"):
        capacity.weight_bytes(packed(**{"a.txt": 3}))


def planned(*types, wanted=0.9, calls_per_second=1.0):
    return capacity.plans(
        capacity.zipf(10_000, 0.9),
        types,
        wanted=wanted,
        model_bytes=10 * 2**20,
        calls_per_second=calls_per_second,
        warm_seconds=0.01,
        cold_seconds=0.5,
    )


def test_as_many_instances_as_hold_enough_models_where_memory_is_short():
    found = [planned(SMALL, wanted=wanted)[0] for wanted in (0.5, 0.8, 0.95)]
    for plan in found:
        assert plan.instances == plan.for_memory == -(-plan.models_to_hold // int(4 * 1024 * 0.7 // 10))
        assert plan.dollars_per_hour == pytest.approx(plan.instances * 0.1)
    assert all(less.instances < more.instances for less, more in pairwise(found))


def test_as_many_processors_as_answer_and_load_where_traffic_is_heavy():
    [plan] = planned(LARGE, calls_per_second=1000)
    # 900 calls of 10 ms and 100 of half a second, on processors that are busy for six tenths of their time.
    assert plan.instances == plan.for_processors == int(np.ceil((9 + 50) / (8 * 0.6)))


def test_the_cheapest_plan_comes_first_and_what_holds_no_model_is_left_out():
    plans = planned(LARGE, TOO_SMALL, SMALL, calls_per_second=1000)
    assert {plan.instance_type for plan in plans} == {"large", "small"}
    assert plans[0].dollars_per_hour <= plans[1].dollars_per_hour
