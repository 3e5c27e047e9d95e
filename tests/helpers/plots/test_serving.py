import numpy as np
import pytest

from helpers import plots


@pytest.mark.parametrize(
    ("seconds", "text"),
    [(0.00123, "1.2 ms"), (0.0099, "9.9 ms"), (0.05, "50 ms"), (0.42, "420 ms"), (0.9999, "1 s"), (12.34, "12.3 s")],
)
def test_latencies_are_written_in_readable_units(seconds, text, texts):
    figure = plots.latencies({"cifar": {"cold": [seconds]}}, title="T", source="s")
    assert f"cold: {text}" in texts(figure)


@pytest.mark.parametrize(("cold", "warm"), [(0.4, 0.005), (0.0085, 0.0062), (9.0, 0.0009), (2.0, 2.0)])
def test_the_latency_axis_is_logarithmic_with_ticks_and_nothing_is_cut_off(cold, warm):
    figure = plots.latencies(
        {"cifar": {"cold": [cold], "warm": [warm] * 20}, "sign-language": {"warm": [warm]}}, title="T", source="s"
    )
    figure.draw_without_rendering()
    axis = figure.axes[0]
    assert axis.get_xscale() == "log"
    low, high = axis.get_xlim()
    assert 2 <= sum(low <= tick <= high for tick in axis.get_xticks()) <= 9
    assert all(note.get_window_extent().x1 <= figure.bbox.width for note in axis.texts)


def test_the_ticks_of_a_narrow_time_axis_stand_at_the_times_that_they_name(texts):
    seconds = np.geomspace(0.0023, 0.0045, 30)
    figure = plots.traffic_over_time(np.arange(30.0), seconds, np.ones(30, bool), change=15.0, title="T", source="s")
    figure.draw_without_rendering()
    axis = figure.axes[0].yaxis
    low, high = axis.get_view_interval()
    seen = [tick for tick in axis.get_ticklocs() if low <= tick <= high]
    assert len(seen) >= 2
    assert all(tick * 1000 == pytest.approx(round(tick * 1000)) for tick in seen)


def test_each_state_is_a_row_with_its_calls_and_their_median():
    timings = {"copies": {"warm": [0.004], "on disk": [0.01] * 2, "cold": [0.2, 0.4, 0.3]}}
    figure = plots.latencies(timings, title="T", source="s")
    notes = figure.axes[0].texts
    assert [note.get_text() for note in notes] == [
        "cold: 3 calls, median 300 ms",
        "on disk: 2 calls, median 10 ms",
        "warm: 4 ms",
    ]
    assert len({note.xy[1] for note in notes}) == 3


def test_hits_and_misses_are_counted_and_their_share_follows_them(texts):
    hits = np.array([True, True, False, True])
    figure = plots.traffic_over_time(
        np.arange(1, 5), np.array([0.01, 0.01, 0.1, 0.1]), hits, change=2.5, title="T", source="s"
    )
    assert {"hits: 3", "misses, which load their model: 1"} <= set(texts(figure))
    upper, lower = figure.axes
    assert upper.get_yscale() == "log"
    assert list(lower.lines[0].get_ydata()) == [1, 1, 0, 1]
    assert "hits 100% before, 50% after the change" in figure.get_label()


def test_lines_and_points_of_hit_ratios_are_named_and_the_wanted_one_is_marked(texts):
    figure = plots.hit_ratios(
        {"Che": ([0.1, 1.0], [0.4, 1.0])}, {"measured": ([0.3], [0.6])}, wanted=0.95, title="T", source="s"
    )
    assert {"Che", "measured", "wanted: 95%"} <= set(texts(figure))
    assert list(figure.axes[0].lines[-1].get_ydata()) == [0.95, 0.95]


def test_costs_have_dollars_on_a_logarithmic_axis(texts):
    figure = plots.costs([1, 1000], {"one each": [0.1, 100.0]}, {"shared": [0.2, 1.0]}, title="T", source="s")
    assert {"one each", "shared", "$100", "1,000"} <= set(texts(figure))
