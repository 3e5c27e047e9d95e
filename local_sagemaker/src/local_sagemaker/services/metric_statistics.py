"""Statistics of CloudWatch metrics, as "CloudWatch statistics definitions" in its user guide defines them."""

import math
import re
from array import array
from collections.abc import Callable, Iterable
from typing import Any

_RATIO = math.log(1.02)
_SHORT = re.compile(r"(p|tm|wm|tc|ts)(\d{1,2}(?:\.\d{1,10})?|100)")
_LONG = re.compile(r"(TM|WM|TC|TS|PR)\(((?:\d+(?:\.\d+)?)?)(%?):((?:\d+(?:\.\d+)?)?)(%?)\)")


def bin_value(value: float) -> float:
    """Return the value that stands for all of its bin, at most 1 % away; whole numbers below 100 stand for themselves.

    CloudWatch estimates percentiles from bins, too.
    """
    return round(value, 1) if value < 100 else math.exp(round(math.log(value) / _RATIO) * _RATIO)


def pack(counts: Iterable[tuple[float, float]], *, exact: bool = True) -> "array[float]":
    """Return values and how often they occur as one small array, each value once; half as large if seven digits do."""
    merged: dict[float, float] = {}
    for value, count in counts:
        merged[value] = merged.get(value, 0.0) + count
    return array("d" if exact else "f", [number for pair in sorted(merged.items()) for number in pair])


def find(name: str) -> Callable[[list[Any]], float | None] | None:
    """Return what computes a statistic.

    Args:
        name: Such as ``Average``, ``p99``, ``tm90``, ``TM(2%:98%)``, ``PR(:300)`` or ``IQM``.

    Returns:
        A function of a period's items, as moto keeps them. It returns None where CloudWatch has no value: the values
        behind a statistic set are not known, or one is negative. None if CloudWatch has no such statistic.
    """
    if name in _PLAIN:
        return _PLAIN[name]
    if name == "IQM":
        name = "TM(25%:75%)"
    if short := _SHORT.fullmatch(name):
        kind, percent = short.groups()
        if kind == "p":
            return lambda items: _percentile(_all(items), float(percent) / 100)
        return _trimmed(kind.upper(), 0.0, float(percent) / 100, relative=True)
    if long := _LONG.fullmatch(name):
        kind, low, low_percent, high, high_percent = long.groups()
        relative = bool(low_percent or high_percent)
        if bool(low_percent) == (bool(low) and relative) and bool(high_percent) == (bool(high) and relative):
            scale, top = (100.0, 1.0) if relative else (1.0, math.inf)
            if (low or high) and not (kind == "PR" and relative):
                limits = (float(low) / scale if low else -math.inf, float(high) / scale if high else top)
                return _trimmed(kind, *limits, relative=relative)
    return None


def _of(item: Any, name: str) -> Any:
    """Return a statistic of an item, which may be a single value."""
    return item.value if hasattr(item, "value") else getattr(item, name)


def _count(items: list[Any]) -> float:
    return float(sum(getattr(item, "sample_count", 1.0) for item in items))


def _sum(items: list[Any]) -> float:
    return float(sum(_of(item, "sum") for item in items))


_PLAIN: dict[str, Callable[[list[Any]], float | None]] = {
    "SampleCount": _count,
    "Sum": _sum,
    "Average": lambda items: _sum(items) / _count(items) if _count(items) else None,
    "Minimum": lambda items: float(min(_of(item, "min") for item in items)),
    "Maximum": lambda items: float(max(_of(item, "max") for item in items)),
}


def pairs(item: Any) -> list[tuple[float, float]] | None:
    """Return the values behind one of moto's items with their counts, or None if only statistics were given."""
    if hasattr(item, "value"):
        return [(item.value, 1.0)]
    if item.min == item.max:
        return [(item.min, item.sample_count)]
    if not hasattr(item, "bins"):
        return None
    values = zip(item.bins[::2], item.bins[1::2], strict=True)
    return [(min(max(value, item.min), item.max), count) for value, count in values]


def _all(items: list[Any]) -> list[tuple[float, float]] | None:
    """Return all values with their counts, sorted, or None if they are not known or one is negative."""
    known = [pairs(item) for item in items]
    found = sorted(pair for each in known for pair in each or ())
    return None if None in known or (found and found[0][0] < 0) else found


def _percentile(found: list[tuple[float, float]] | None, share: float) -> float | None:
    """Return the least value that the share of all values do not exceed."""
    if not found:
        return None
    rank, passed = share * sum(count for _, count in found) * (1 - 1e-12), 0.0
    for value, count in found:
        passed += count
        if passed >= rank:
            return value
    return found[-1][0]


def _trimmed(kind: str, low: float, high: float, *, relative: bool) -> Callable[[list[Any]], float | None]:
    """Return what computes a statistic of the values above a lower bound up to an upper one."""

    def compute(items: list[Any]) -> float | None:
        found = _all(items)
        if not found:
            return None
        total, passed = sum(count for _, count in found), 0.0
        kept, below, above = [], 0.0, 0.0
        for value, count in found:
            if relative:  # a value may lie on a bound with a part of its count
                start, passed = passed, passed + count
                below_here = min(count, max(0.0, low * total - start))
                above_here = min(count, max(0.0, passed - high * total))
            else:
                below_here, above_here = count * (value <= low), count * (value > high)
            below, above = below + below_here, above + above_here
            kept.append((value, count - below_here - above_here))
        count = sum(each for _, each in kept)
        amount = sum(value * each for value, each in kept)
        if kind == "WM" and count:
            inside = [value for value, each in kept if each > 0]
            bounds = (inside[0], inside[-1]) if relative else (max(low, 0.0), high if above else 0.0)
            return (amount + bounds[0] * below + bounds[1] * above) / total
        ratios = {"TM": amount / count if count else None, "PR": 100 * count / total, "TC": count, "TS": amount}
        return ratios.get(kind)

    return compute
