"""Metric math: the expressions of ``GetMetricData`` and of alarms, as far as they are arithmetic and common functions.

See "Using math expressions with CloudWatch metrics" in the CloudWatch user guide. An expression is parsed as Python and
its tree is walked; nothing is executed.
"""

import ast
import contextlib
import math
import operator
import re
from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from statistics import pstdev
from typing import Any

_TOKENS = re.compile(r"\"[^\"]*\"|'[^']*'|\^|&&|\|\||\bAND\b|\bOR\b")
_PYTHON = {"^": "**", "&&": " and ", "||": " or ", "AND": "and", "OR": "or"}
_OPERATORS: dict[type, Callable[[float, float], float]] = {
    ast.Add: operator.add,
    ast.Sub: operator.sub,
    ast.Mult: operator.mul,
    ast.Div: operator.truediv,
    ast.Pow: math.pow,
    ast.And: lambda left, right: float(bool(left) and bool(right)),
    ast.Or: lambda left, right: float(bool(left) or bool(right)),
    ast.Eq: operator.eq,
    ast.NotEq: operator.ne,
    ast.Lt: operator.lt,
    ast.LtE: operator.le,
    ast.Gt: operator.gt,
    ast.GtE: operator.ge,
}
_EACH: dict[str, Callable[[float], float]] = {
    "ABS": abs,
    "CEIL": math.ceil,
    "FLOOR": math.floor,
    "LOG": math.log,
    "LOG10": math.log10,
}
_ALL: dict[str, Callable[[list[float]], float]] = {
    "SUM": sum,
    "AVG": lambda values: sum(values) / len(values),
    "MIN": min,
    "MAX": max,
    "STDDEV": pstdev,
}
FUNCTIONS = sorted([*_EACH, *_ALL, "FILL", "IF", "METRICS", "PERIOD"])


class ExpressionError(ValueError):
    """An expression that cannot be computed; the message says why."""


@dataclass(frozen=True)
class Series:
    """Values over time."""

    values: dict[datetime, float]  # by the start of their period
    period: int  # seconds
    label: str = ""  # name of the metric


Value = Any  # a number, a text, a series, or a list of series


def evaluate(
    expression: str, find: Callable[[str], Series], metrics: dict[str, Series], *, start: datetime, end: datetime
) -> list[Series]:
    """Return the series that an expression such as ``100 * errors / FILL(calls, 1)`` makes in a range of time.

    ``find`` returns the series of an id, and ``metrics`` are those of the request, for ``METRICS``.

    Raises:
        ExpressionError: If it is no such expression, or needs what is not here.
    """
    text = _TOKENS.sub(lambda match: _PYTHON.get(match[0], match[0]), expression).strip()
    try:
        tree = ast.parse(text, mode="eval").body
        value = _Walk(find, metrics, start, end).value(tree)
    except (SyntaxError, ValueError, ArithmeticError, RecursionError, MemoryError) as error:
        if isinstance(error, ExpressionError):
            raise
        raise ExpressionError(f"The expression {expression[:200]!r} cannot be read.") from error
    found = value if isinstance(value, list) else [value]
    series = [each for each in found if isinstance(each, Series)]
    if len(series) < len(found):
        raise ExpressionError(f"The expression {expression[:200]!r} must make a time series, not a number.")
    return series


class _Walk:
    def __init__(
        self, find: Callable[[str], Series], metrics: dict[str, Series], start: datetime, end: datetime
    ) -> None:
        self._find, self._metrics, self._start, self._end = find, metrics, start, end

    def value(self, node: ast.expr) -> Value:
        match node:
            case ast.Constant(value=number) if type(number) in (int, float):
                return float(number)  # type: ignore[arg-type]
            case ast.Constant(value=str() as text):
                return text
            case ast.Name(id=name):
                return self._find(name)
            case ast.List(elts=elements):
                parts = [self.value(element) for element in elements]
                return [each for part in parts for each in (part if isinstance(part, list) else [part])]
            case ast.UnaryOp(op=ast.USub(), operand=operand):
                return _combine(operator.sub, 0.0, self.value(operand))
            case ast.BinOp(left=left, op=op, right=right) if type(op) in _OPERATORS:
                return _combine(_OPERATORS[type(op)], self.value(left), self.value(right))
            case ast.Compare(left=left, ops=[op], comparators=[right]) if type(op) in _OPERATORS:
                return _combine(_OPERATORS[type(op)], self.value(left), self.value(right))
            case ast.BoolOp(op=op, values=[first, *others]):
                result = self.value(first)
                for other in others:
                    result = _combine(_OPERATORS[type(op)], result, self.value(other))
                return result
            case ast.Call(func=ast.Name(id=name), args=arguments, keywords=[]):
                return self._call(name, arguments)
        raise ExpressionError(f"local_sagemaker has no metric math for {ast.unparse(node)[:100]!r}.")

    def _call(self, name: str, nodes: list[ast.expr]) -> Value:
        if name not in FUNCTIONS:
            raise ExpressionError(f"local_sagemaker has no metric math {name}. It has {', '.join(FUNCTIONS)}.")
        repeats = name == "FILL" and len(nodes) == 2 and isinstance(nodes[1], ast.Name) and nodes[1].id == "REPEAT"
        arguments = [self.value(node) for node in (nodes[:1] if repeats else nodes)]
        match name, arguments:
            case "METRICS", []:
                return list(self._metrics.values())
            case "METRICS", [str() as part]:
                return [series for id_, series in self._metrics.items() if part in id_]
            case "PERIOD", [Series() as series]:
                return float(series.period)
            case "FILL", [Series() | list() as series] if repeats:
                return self._fill(series, None)
            case "FILL", [Series() | list() as series, float() as filler]:
                return self._fill(series, filler)
            case "IF", [Series() | float() as condition, Series() | float() as true, *rest] if len(rest) < 2:
                return _choose(condition, true, rest[0] if rest else None)
            case _, [value] if name in _EACH:
                return _combine(lambda each, _: float(_EACH[name](each)), value, 0.0)
            case _, [Series(values=values)] if name in _ALL:
                return float(_ALL[name](list(values.values()) or [0.0]))
            case _, [[Series(), *_] as several] if name in _ALL:
                moments = sorted({moment for series in several for moment in series.values})
                found = {at: [series.values.get(at, 0.0) for series in several] for at in moments}
                return Series({at: float(_ALL[name](each)) for at, each in found.items()}, several[0].period)
        raise ExpressionError(f"local_sagemaker has no metric math {name} of these arguments.")

    def _fill(self, value: Series | list[Any], filler: float | None) -> Value:
        if isinstance(value, list):
            return [self._fill(each, filler) for each in value]
        filled, last, moment = {}, filler, self._start
        while moment < self._end:
            if moment in value.values and filler is None:
                last = value.values[moment]
            found = value.values.get(moment, last)
            if found is not None:
                filled[moment] = found
            moment += timedelta(seconds=value.period)
        return Series(filled, value.period, value.label)


def _combine(function: Callable[[float, float], float], left: Value, right: Value) -> Value:
    """Apply a function to numbers, series or lists of series; a missing value is 0, a point without result is none."""
    if isinstance(left, list) or isinstance(right, list):
        lefts = left if isinstance(left, list) else [left] * len(right)
        rights = right if isinstance(right, list) else [right] * len(lefts)
        if len(lefts) != len(rights):
            raise ExpressionError("Two lists of time series must be of one length.")
        return [_combine(function, *pair) for pair in zip(lefts, rights, strict=True)]
    if isinstance(left, str) or isinstance(right, str):
        raise ExpressionError("A text is no number.")
    if isinstance(left, float) and isinstance(right, float):
        return float(function(left, right))
    found = {}
    for moment in sorted({at for each in (left, right) if isinstance(each, Series) for at in each.values}):
        pair = (each.values.get(moment, 0.0) if isinstance(each, Series) else each for each in (left, right))
        with contextlib.suppress(ArithmeticError, ValueError):
            found[moment] = float(function(*pair))
    series = left if isinstance(left, Series) else right
    return replace(series, values=found)


def _choose(condition: Value, true: Value, false: Value) -> Value:
    """Return what ``IF`` does: of each moment the value of one side, and none where that side has none."""
    if isinstance(condition, float):
        return true if condition or false is None else false
    found = {}
    for moment, holds in condition.values.items():
        side = true if holds else false
        value = side.values.get(moment) if isinstance(side, Series) else side
        if value is not None:
            found[moment] = value
    return replace(condition, values=found)
