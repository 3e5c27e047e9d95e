"""JSON as TensorFlow Serving quotes it in its errors: what rapidjson 1.1.0 writes."""

import math
from collections.abc import Iterable
from typing import Any

_WORDS = {None: "null", True: "true", False: "false"}
_ESCAPED = {**{code: f"\\u{code:04X}" for code in range(32)}, 8: "\\b", 9: "\\t", 10: "\\n", 12: "\\f", 13: "\\r"}
_ESCAPED |= {34: '\\"', 92: "\\\\"}
_BITS = 64  # of Grisu's significands
_EXACT_PLACES = 9  # further than so many, rapidjson does not look which of several texts is the nearest


def quote(value: Any) -> str:
    """Return a value as text, indented but for lists of what is no object; a number that JSON lacks ends the text."""
    parts = []
    for part in _write(value, "\n"):
        if part is None:
            break
        parts.append(part)
    return "".join(parts)


def _write(value: Any, line: str) -> Iterable[str | None]:
    inner = line + "    "
    if isinstance(value, dict):
        yield "{"
        for number, (name, item) in enumerate(value.items()):
            yield f'{"," if number else ""}{inner}"{name.translate(_ESCAPED)}": '
            yield from _write(item, inner)
        yield line + "}" if len(value) else "}"
    elif isinstance(value, list):
        yield "["
        for number, item in enumerate(value):
            yield ", " if number else ""
            yield from _write(item, inner)
        yield "]"
    elif isinstance(value, str):
        yield f'"{value.translate(_ESCAPED)}"'
    elif isinstance(value, float):
        yield _write_double(value) if math.isfinite(value) else None
    else:
        yield str(value) if type(value) is int else _WORDS[value]


def _write_double(value: float) -> str:
    sign = "-" if math.copysign(1, value) < 0 else ""
    if value == 0:
        return f"{sign}0.0"
    digits, point = _digits(abs(value))
    if 0 < point <= 21:
        digits = digits.ljust(point, "0")
        return f"{sign}{digits[:point]}.{digits[point:] or '0'}"
    if -6 < point <= 0:
        return f"{sign}0.{'0' * -point}{digits}"
    rest = f".{digits[1:]}" if digits[1:] else ""
    return f"{sign}{digits[0]}{rest}e{point - 1}"


def _digits(value: float) -> tuple[str, int]:
    """Return digits that tell a double, and where their point is, by Grisu2 (Loitsch, PLDI 2010).

    They are seldom more than needed, and often not the nearest ones: a reader gets the same double, a text differs.
    """
    fraction, exponent = math.frexp(value)
    significand, exponent = int(fraction * 2**53), exponent - 53
    if exponent < -1074:  # subnormal
        significand, exponent = significand >> (-1074 - exponent), -1074
    upper, shift = _normalized(2 * significand + 1)
    top = exponent - 1 - shift
    near = 4 * significand - 1 if significand == 2**52 else 2 * (2 * significand - 1)
    lower = near << (exponent - 2 - top) if exponent - 2 >= top else near >> (top - exponent + 2)
    middle, _ = _normalized(significand)

    steps = math.ceil((-61 - top) * 0.30102999566398114 + 347)
    power = -348 + ((steps >> 3) + 1) * 8
    scale, scale_exponent = _power_of_ten(power)
    upper, middle, lower = (_product(each, scale) for each in (upper, middle, lower))
    upper, lower = upper - 1, lower + 1
    one_bits = -(top + scale_exponent + _BITS)
    one, gap, distance = 1 << one_bits, upper - lower, upper - middle

    whole, rest = upper >> one_bits, upper & (one - 1)
    digits = ""
    places = len(str(whole))
    while places > 0:
        places -= 1
        digit, whole = divmod(whole, 10**places)
        digits += str(digit) if digit or digits else ""
        left = (whole << one_bits) + rest
        if left <= gap:
            return _nearer(digits, gap, left, 10**places << one_bits, distance), len(digits) + places - power
    while True:
        rest, gap, places = rest * 10, gap * 10, places - 1
        digit, rest = divmod(rest, one)
        digits += str(digit) if digit or digits else ""
        if rest < gap:
            distance = distance * 10**-places if -places < _EXACT_PLACES else 0
            return _nearer(digits, gap, rest, one, distance), len(digits) + places - power


def _nearer(digits: str, gap: int, rest: int, step: int, distance: int) -> str:
    last = int(digits[-1])
    while (
        rest < distance and gap - rest >= step and (rest + step < distance or distance - rest > rest + step - distance)
    ):
        last, rest = last - 1, rest + step
    return f"{digits[:-1]}{last}"


def _normalized(significand: int) -> tuple[int, int]:
    shift = _BITS - significand.bit_length()
    return significand << shift, shift


def _product(one: int, other: int) -> int:
    return (one * other + (1 << (_BITS - 1))) >> _BITS


def _power_of_ten(power: int) -> tuple[int, int]:
    """Return 10**power as a significand of 64 bits, rounded, and its exponent."""
    if power >= 0:
        exponent = (10**power).bit_length() - _BITS
        return (10**power << -exponent if exponent <= 0 else (10**power + (1 << (exponent - 1))) >> exponent), exponent
    exponent = -((10**-power).bit_length() + _BITS - 1)
    return ((1 << -exponent) + 10**-power // 2) // 10**-power, exponent
