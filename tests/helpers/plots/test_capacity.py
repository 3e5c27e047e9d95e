from helpers import plots


def test_lines_and_points_of_hit_ratios_are_named_and_the_wanted_one_is_marked(texts):
    figure = plots.hit_ratios(
        {"Che": ([0.1, 1.0], [0.4, 1.0])}, {"measured": ([0.3], [0.6])}, wanted=0.95, title="T", source="s"
    )
    assert {"Che", "measured", "wanted: 95%"} <= set(texts(figure))
    assert list(figure.axes[0].lines[-1].get_ydata()) == [0.95, 0.95]


def test_costs_have_dollars_on_a_logarithmic_axis(texts):
    figure = plots.costs([1, 1000], {"one each": [0.1, 100.0]}, {"shared": [0.2, 1.0]}, title="T", source="s")
    assert {"one each", "shared", "$100", "1,000"} <= set(texts(figure))
