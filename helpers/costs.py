"""Costs: an endpoint for each model against one endpoint for all, from a table of prices that the reader edits."""

from collections.abc import Mapping
from dataclasses import dataclass
from math import floor
from pathlib import Path

import yaml

PRICES = Path(__file__).resolve().parents[1] / "notebooks" / "prices.yaml"


@dataclass(frozen=True)
class InstanceType:
    """A kind of serving instance.

    Attributes:
        name: Such as "ml.c5.xlarge".
        processors: Virtual CPUs.
        memory_gib: Memory in GiB.
        dollars_per_hour: Price of one instance, on demand.
    """

    name: str
    processors: int
    memory_gib: float
    dollars_per_hour: float


def load_prices(path: Path = PRICES) -> dict[str, InstanceType]:
    """Read the table of prices.

    Returns:
        The instance types by name.

    Raises:
        ValueError: If an entry lacks a value or has one that is not above zero.
    """
    table = {}
    for name, entry in yaml.safe_load(path.read_text(encoding="utf-8"))["instances"].items():
        try:
            kind = InstanceType(name, **entry)
            usable = min(kind.processors, kind.memory_gib, kind.dollars_per_hour) > 0
        except TypeError:
            usable = False
        if not usable:
            raise ValueError(
                f"{name} in {path.name} needs processors, memory_gib and dollars_per_hour, all of them above 0."
            )
        table[name] = kind
    return table


def per_hour(prices: Mapping[str, InstanceType], name: str) -> float:
    """Return what one instance of a type costs in dollars an hour, called or not.

    Raises:
        ValueError: If the table lacks the type.
    """
    if name not in prices:
        raise ValueError(f"No price of {name}. Add it to {PRICES.name}, which has {', '.join(prices)}.")
    return prices[name].dollars_per_hour


def separate(models: int, *, price: float, instances_each: float) -> float:
    """Return what an endpoint for each model costs in dollars an hour.

    Args:
        models: Number of models.
        price: Dollars per hour and instance.
        instances_each: Instances of each endpoint, on average: at least 1, and 2 where one of them may fail.
    """
    return models * instances_each * price


def saving(models: int, *, shared: float, price: float, instances_each: float) -> float:
    """Return the share of the cost that one shared endpoint saves; below 0 if it costs more.

    Args:
        models: Number of models.
        shared: Dollars per hour of the shared endpoint.
        price: Dollars per hour and instance of the separate endpoints.
        instances_each: Instances of each separate endpoint.
    """
    return 1 - shared / separate(models, price=price, instances_each=instances_each)


def break_even(*, shared: float, price: float, instances_each: float) -> int:
    """Return from how many models on the shared endpoint is cheaper; the arguments are those of `saving`."""
    return floor(shared / (instances_each * price)) + 1
