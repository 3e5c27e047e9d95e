"""Prices of serving instances, from a table that the reader edits."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import yaml

PRICES = Path(__file__).resolve().parents[1] / "notebooks" / "prices.yaml"


@dataclass(frozen=True)
class InstanceType:
    """A kind of serving instance; the price is of one, on demand."""

    name: str
    processors: int
    memory_gib: float
    dollars_per_hour: float


def load_prices(path: Path = PRICES) -> dict[str, InstanceType]:
    """Read the table of prices: the instance types by name.

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
