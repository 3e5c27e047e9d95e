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
