from types import SimpleNamespace

import pytest

from local_sagemaker.services import metric_statistics
from local_sagemaker.services.metric_statistics import bin_value, pack

HUNDRED = [SimpleNamespace(value=float(value)) for value in range(1, 101)]


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("SampleCount", 100),
        ("Average", 50.5),
        ("p0", 1),
        ("p50", 50),
        ("p99", 99),
        ("p99.9", 100),
        ("p100", 100),
        ("tm90", 45.5),  # of 1 to 90
        ("TM(2%:98%)", 50.5),  # of 3 to 98
        ("TM(10:20)", 15.5),  # above 10, up to 20
        ("IQM", 50.5),
        ("wm98", (sum(range(1, 99)) + 2 * 98) / 100),
        ("WM(10%:90%)", (10 * 11 + sum(range(11, 91)) + 10 * 90) / 100),
        ("PR(:30)", 30),
        ("PR(10:20)", 10),
        ("tc90", 90),
        ("TC(95:)", 5),
        ("ts90", sum(range(1, 91))),
        ("TS(80%:)", sum(range(81, 101))),
    ],
)
def test_a_statistic_is_what_the_guide_defines(name, expected):
    assert metric_statistics.find(name)(HUNDRED) == pytest.approx(expected)


@pytest.mark.parametrize("name", ["Median", "p101", "p", "tm90%", "TM(:)", "TM(5:10%)", "PR(10%:90%)", "pr90", "P99"])
def test_another_name_is_no_statistic(name):
    assert metric_statistics.find(name) is None


def test_a_statistic_set_has_percentiles_only_if_it_tells_its_values():
    alike = SimpleNamespace(min=4.0, max=4.0, sample_count=3.0, sum=12.0)
    unknown = SimpleNamespace(min=4.0, max=5.0, sample_count=3.0, sum=13.0)
    known = SimpleNamespace(min=4.0, max=5.0, sample_count=3.0, sum=13.0, bins=pack([(4.0, 2.0), (5.0, 1.0)]))
    median = metric_statistics.find("p50")
    assert [median([item]) for item in (alike, unknown, known)] == [4.0, None, 4.0]
    assert median([alike, unknown]) is None
    assert metric_statistics.find("Average")([alike, unknown]) == pytest.approx(25 / 6)


def test_negative_values_have_no_percentiles():
    assert metric_statistics.find("p50")([SimpleNamespace(value=-1.0)]) is None


def test_a_bin_is_within_one_percent_and_keeps_small_whole_numbers():
    for value in (0.0, 1.0, 99.0):
        assert bin_value(value) == value
    values = [100 * 1.0037**step for step in range(4_000)]
    assert all(abs(bin_value(value) / value - 1) <= 0.01 for value in values)
    assert len({bin_value(value) for value in values}) < 800
