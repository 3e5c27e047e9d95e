import pytest

from helpers import plots


def test_each_state_says_how_many_calls_it_has_and_their_median(texts):
    figure = plots.call_states({"cold": [0.2, 0.4, 0.3], "warm": [0.004]}, title="T", source="s")
    assert {"3 calls, median 300 ms", "1 calls, median 4 ms"} <= set(texts(figure))
    with pytest.raises(ValueError, match="at least one call"):
        plots.call_states({"cold": []}, title="T", source="s")


def test_hits_and_misses_are_counted_and_the_loaded_models_drawn(texts):
    figure = plots.traffic_over_time(
        [1, 2, 3, 4],
        [0.01, 0.01, 0.1, 0.1],
        [True, True, False, True],
        [(1, 3), (3, 8)],
        change=2.5,
        title="T",
        source="s",
    )
    assert {"hit: the model was loaded (3 calls)", "miss: it had to be (1 calls)"} <= set(texts(figure))
    upper, _, lower = figure.axes
    assert upper.get_yscale() == "log"
    assert list(lower.lines[0].get_ydata()) == [3, 8]
    with pytest.raises(ValueError, match="starts: 1, seconds: 2"):
        plots.traffic_over_time([1], [1, 2], [True], [], change=0, title="T", source="s")


def test_a_forecast_names_both_percentiles(texts):
    figure = plots.forecast([0.01] * 98 + [0.05] * 2, [0.02] * 100, title="T", source="s")
    assert {"forecast: p50 10 ms, p99 50 ms", "measured: p50 20 ms, p99 20 ms"} <= set(texts(figure))
