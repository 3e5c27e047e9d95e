import numpy as np
import pytest

from helpers.capacity import popularity


def test_shares_fall_as_zipfs_law_says_and_sum_to_one():
    shares = popularity.zipf(1000, 0.8)
    assert shares.sum() == pytest.approx(1)
    assert shares[0] / shares[9] == pytest.approx(10**0.8)
    assert np.all(np.diff(shares) < 0)


def test_an_exponent_of_zero_gives_equal_shares():
    assert popularity.zipf(4, 0) == pytest.approx([0.25] * 4)


@pytest.mark.parametrize(("count", "exponent"), [(0, 1.0), (3, -0.1)])
def test_no_model_and_a_negative_exponent_are_refused(count, exponent):
    with pytest.raises(ValueError, match="needs a model and an exponent"):
        popularity.zipf(count, exponent)
