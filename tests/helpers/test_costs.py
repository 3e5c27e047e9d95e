import pytest

from helpers import costs


def test_the_table_of_prices_can_be_read_and_names_instance_types():
    prices = costs.load_prices()
    assert len(prices) >= 4
    assert all(name.startswith("ml.") and kind.name == name for name, kind in prices.items())


@pytest.mark.parametrize(
    "entry",
    [
        "{processors: 2, memory_gib: 4}",
        "{processors: 2, memory_gib: 4, dollars_per_hour: 0}",
        "{processors: two, memory_gib: 4, dollars_per_hour: 1}",
    ],
)
def test_a_price_that_is_missing_or_wrong_is_named(tmp_path, entry):
    path = tmp_path / "prices.yaml"
    path.write_text(f"instances:\n  ml.own: {entry}\n")
    with pytest.raises(ValueError, match=r"ml.own in prices.yaml needs processors, memory_gib and dollars_per_hour"):
        costs.load_prices(path)


def test_an_instance_costs_its_price_and_an_unknown_type_is_named():
    prices = {"ml.own": costs.InstanceType("ml.own", 2, 4, 0.2)}
    assert costs.per_hour(prices, "ml.own") == 0.2
    with pytest.raises(ValueError, match=r"No price of ml.other. Add it to prices.yaml, which has ml.own"):
        costs.per_hour(prices, "ml.other")


def test_separate_endpoints_cost_in_proportion_to_models_and_instances():
    assert costs.separate(1000, price=0.1, instances_each=1) == pytest.approx(100)
    assert costs.separate(1000, price=0.1, instances_each=2) == pytest.approx(200)


def test_the_saving_moves_with_the_instances_of_each_separate_endpoint():
    assert costs.saving(1000, shared=10, price=0.1, instances_each=1) == pytest.approx(0.9)
    assert costs.saving(1000, shared=10, price=0.1, instances_each=2) == pytest.approx(0.95)
    assert costs.saving(50, shared=10, price=0.1, instances_each=1) == pytest.approx(-1)


@pytest.mark.parametrize(("shared", "models"), [(1.0, 6), (0.99, 5), (0.05, 1)])
def test_from_the_break_even_on_the_shared_endpoint_is_cheaper_and_not_before(shared, models):
    found = costs.break_even(shared=shared, price=0.1, instances_each=2)
    assert found == models
    assert costs.separate(found, price=0.1, instances_each=2) > shared
    assert costs.separate(found - 1, price=0.1, instances_each=2) <= shared
