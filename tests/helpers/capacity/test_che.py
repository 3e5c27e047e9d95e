from collections import OrderedDict

import numpy as np
import pytest

from helpers.capacity import che, popularity


def counted_hit_ratio(shares, capacity, *, calls=200_000):
    """The hit ratio of a cache that is really run, its first half left out."""
    cache: OrderedDict[int, None] = OrderedDict()
    hits = []
    for model in np.random.default_rng(1).choice(len(shares), calls, p=shares).tolist():
        hits.append(model in cache)
        cache[model] = None
        cache.move_to_end(model)
        if len(cache) > capacity:
            cache.popitem(last=False)
    return np.mean(hits[calls // 2 :])


@pytest.mark.parametrize("exponent", [0.4, 0.8, 1.2])
@pytest.mark.parametrize("capacity", [20, 100, 400])
def test_the_approximation_is_within_a_point_of_a_cache_that_is_run(exponent, capacity):
    shares = popularity.zipf(500, exponent)
    assert che.hit_ratio(shares, capacity) == pytest.approx(counted_hit_ratio(shares, capacity), abs=0.01)


def test_equal_shares_hit_as_often_as_models_fit():
    assert che.hit_ratio(popularity.zipf(1000, 0), 250) == pytest.approx(0.25)


def test_the_expected_number_of_cached_models_is_the_capacity():
    shares = popularity.zipf(1_000_000, 0.9)
    time = che.characteristic_time(shares, 200_000)
    assert np.sum(1 - np.exp(-shares * time)) == pytest.approx(200_000, rel=1e-5)


def test_if_all_models_fit_every_call_hits_and_if_none_fits_it_is_an_error():
    shares = popularity.zipf(10, 1)
    assert che.hit_ratio(shares, 10) == 1
    assert che.characteristic_time(shares, 12) == np.inf
    with pytest.raises(ValueError, match="holds none"):
        che.hit_ratio(shares, 0)


@pytest.mark.parametrize("wanted", [0.3, 0.8, 0.99])
def test_the_capacity_for_a_hit_ratio_gives_that_hit_ratio_and_hardly_more(wanted):
    shares = popularity.zipf(5000, 0.8)
    capacity = che.capacity_for(shares, wanted)
    assert wanted <= che.hit_ratio(shares, capacity + 1) < wanted + 0.002


def test_every_call_hits_only_if_all_models_fit():
    assert che.capacity_for(popularity.zipf(70, 1), 1.0) == 70
    with pytest.raises(ValueError, match="between 0 and 1"):
        che.capacity_for(popularity.zipf(7, 1), 1.1)


def test_a_curve_has_a_hit_ratio_for_each_share_of_the_models():
    shares = popularity.zipf(100, 0.8)
    assert che.curve(shares, [0.1, 1.0]) == pytest.approx([che.hit_ratio(shares, 10), 1.0])
