"""JSON as TensorFlow Serving reads it: what rapidjson 1.1.0 does, in Python.

This is the authority on what a request means; faster readers take what they are sure to read alike. What differs from
other readers of JSON:

- what follows the first document is ignored, and so is a byte order mark;
- of equal keys the first counts, although all are members;
- ``NaN``, ``Inf`` and ``Infinity`` are numbers, with a minus sign, too;
- a number with more digits than 2**53 has may be off in its last bit, and one beyond 64 bits is no integer;
- strings may hold any bytes; those that are no UTF-8 are surrogates here, as ``surrogateescape`` makes them.
"""

import math
import re
from typing import Any

_SPACE = re.compile(rb"[ \t\n\r]*")
_PLAIN = re.compile(rb'[^"\\\x00-\x1f]*')
_LITERALS = {b"n": (b"null", None), b"t": (b"true", True), b"f": (b"false", False)}
_ESCAPES = dict(zip(b'"\\/bfnrt', b'"\\/\b\f\n\r\t', strict=True))
_HEX = re.compile(rb"[0-9A-Fa-f]{4}")
_NUMBER = re.compile(rb"(-?)(0|[1-9][0-9]*)(?:(\.)([0-9]*))?(?:([eE])([+-]?)([0-9]*))?")
_NOT_A_NUMBER = re.compile(rb"(-?)(?:(NaN)|(Inf)(inity)?)")
_UNSIGNED, _SIGNED = 2**64 - 1, 2**63
_EXACT = 2**53 - 1  # from here on rapidjson counts digits in a double
_EXACT_DIGITS = 15  # so many it reads as everyone else


class JsonError(ValueError):
    """The text is no JSON; the message is rapidjson's."""


class Members(dict[str, Any]):
    """An object some of whose keys are equal: the first of them is found, ``items`` has all."""

    def __init__(self, pairs: list[tuple[str, Any]]) -> None:
        """Take the members in their order."""
        super().__init__(reversed(pairs))
        self._pairs = pairs

    def items(self) -> Any:
        """Return all members."""
        return self._pairs

    def __len__(self) -> int:
        """Return how many members there are."""
        return len(self._pairs)


def read(text: bytes) -> Any:
    """Return the first document of a text.

    Raises:
        JsonError: If there is none.
        RecursionError: If it is nested too deeply.
    """
    reader = _Reader(text)
    reader.skip()
    if reader.at_end():
        raise reader.error("The document is empty.")
    return reader.value()


class _Reader:
    def __init__(self, text: bytes) -> None:
        self._text = text
        self._place = 3 if text.startswith(b"\xef\xbb\xbf") else 0

    def skip(self) -> None:
        space = _SPACE.match(self._text, self._place)
        assert space
        self._place = space.end()

    def at_end(self) -> bool:
        return self._next() in (b"", b"\0")

    def error(self, reason: str, place: int | None = None) -> JsonError:
        return JsonError(f"{reason} at offset: {self._place if place is None else place}")

    def value(self) -> Any:
        match self._next():
            case b"{":
                return self._object()
            case b"[":
                return self._array()
            case b'"':
                return self._string()
            case (b"n" | b"t" | b"f") as first:
                return self._literal(*_LITERALS[first])
        return self._number()

    def _next(self) -> bytes:
        return self._text[self._place : self._place + 1]

    def _take(self, wanted: bytes) -> bool:
        found = self._next() == wanted
        self._place += found
        return found

    def _literal(self, word: bytes, value: bool | None) -> bool | None:
        for number in range(len(word)):
            if not self._take(word[number : number + 1]):
                raise self.error("Invalid value.")
        return value

    def _object(self) -> dict[str, Any]:
        pairs: list[tuple[str, Any]] = []
        self._place += 1
        self.skip()
        closed = self._take(b"}")
        while not closed:
            if self._next() != b'"':
                raise self.error("Missing a name for object member.")
            name = self._string()
            self.skip()
            if not self._take(b":"):
                raise self.error("Missing a colon after a name of object member.")
            self.skip()
            pairs.append((name, self.value()))
            self.skip()
            closed = self._take(b"}")
            if not closed and not self._take(b","):
                raise self.error("Missing a comma or '}' after an object member.")
            self.skip()
        members = dict(pairs)
        return members if len(members) == len(pairs) else Members(pairs)

    def _array(self) -> list[Any]:
        values: list[Any] = []
        self._place += 1
        self.skip()
        closed = self._take(b"]")
        while not closed:
            values.append(self.value())
            self.skip()
            closed = self._take(b"]")
            if not closed and not self._take(b","):
                raise self.error("Missing a comma or ']' after an array element.")
            self.skip()
        return values

    def _string(self) -> str:
        written = bytearray()
        self._place += 1
        while True:
            plain = _PLAIN.match(self._text, self._place)
            assert plain
            written += plain[0]
            self._place = plain.end()
            if self._take(b'"'):
                return written.decode("utf-8", "surrogateescape")
            if self.at_end():
                raise self.error("Missing a closing quotation mark in string.")
            start = self._place
            if not self._take(b"\\"):
                raise self.error("Invalid encoding in string.")
            escaped = self._next()
            self._place += 1
            if escaped == b"u":
                written += chr(self._code_point(start)).encode("utf-8", "surrogatepass")
            elif escaped and escaped[0] in _ESCAPES:
                written.append(_ESCAPES[escaped[0]])
            else:
                raise self.error("Invalid escape character in string.", start)

    def _code_point(self, start: int) -> int:
        code = self._code(start)
        if not 0xD800 <= code < 0xDC00:
            return code
        low = self._code(start) if self._take(b"\\") and self._take(b"u") else 0
        if not 0xDC00 <= low < 0xE000:
            raise self.error("The surrogate pair in string is invalid.", start)
        return ((code - 0xD800) << 10 | low - 0xDC00) + 0x10000

    def _code(self, start: int) -> int:
        digits = _HEX.match(self._text, self._place)
        if digits is None:
            raise self.error("Incorrect hex digit after \\u escape in string.", start)
        self._place = digits.end()
        return int(digits[0], 16)

    def _number(self) -> int | float:
        start = self._place
        number = _NUMBER.match(self._text, start)
        if number is None:
            return self._not_a_number()
        minus, whole, point, fraction, e, exponent_sign, exponent = number.groups()
        if point and not fraction:
            raise self.error("Miss fraction part in number.", number.end(3))
        if e and not exponent:
            raise self.error("Miss exponent in number.", number.end())
        self._place = number.end()
        value = int(whole)
        if not point and not e and value <= (_SIGNED if minus else _UNSIGNED):
            return -value if minus else value
        if not e and len(whole) + len(fraction or b"") <= _EXACT_DIGITS:
            return float(number[0])
        significand, power = _significand(value, fraction or b"", limit=_SIGNED if minus else _UNSIGNED)
        if e:
            # Beyond these, digits of an exponent no longer matter; of a negative one, rapidjson drops the rest, too.
            shift = min(int(exponent), 10**9)
            if exponent_sign != b"-" and shift > 308 - power:
                raise self.error("Number too big to be stored in double.", start)
            power += -shift if exponent_sign == b"-" else shift
        if math.isinf(significand):
            raise self.error("Number too big to be stored in double.", start)
        result = _scale(significand, power)
        return -result if minus else result

    def _not_a_number(self) -> float:
        found = _NOT_A_NUMBER.match(self._text, self._place)
        if found is None or (found[3] and not found[4] and self._text[found.end() : found.end() + 1] == b"i"):
            self._take(b"-")
            self._literal(b"NaN" if self._next() == b"N" else b"Infinity", None)
        assert found, "an error was raised"
        self._place = found.end()
        if found[2]:
            return math.nan
        return -math.inf if found[1] else math.inf


def _significand(whole: int, fraction: bytes, *, limit: int) -> tuple[float, int]:
    """Return the digits of a number as rapidjson counts them, and by which power of ten to multiply them."""
    digits = str(whole).encode()
    power = 0
    if whole > limit:  # what does not fit into 64 bits is added digit by digit
        fitting = 19 + (int(digits[:20]) <= limit)
        value = float(int(digits[:fitting]))
        for digit in digits[fitting:]:
            value = value * 10 + (digit - 48)
        significant = fitting - 1
    else:
        count, significant = whole, len(digits) - 1 if whole else 0
        used = 0
        for digit in fraction:
            if count > _EXACT:
                break
            count = count * 10 + (digit - 48)
            used += 1
            significant += count != 0
        power = -used
        fraction = fraction[used:]
        value = float(count)
    for digit in fraction:
        if significant < 17:
            value = value * 10 + (digit - 48)
            power -= 1
            significant += value > 0
    return value, power


def _scale(significand: float, power: int) -> float:
    if power < -308:
        return _scale(significand / 1e308, power + 308) if power >= -616 else 0.0
    return significand * float(f"1e{power}") if power >= 0 else significand / float(f"1e{-power}")
