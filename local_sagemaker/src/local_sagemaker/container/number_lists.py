"""Lists of numbers, read from JSON without an object for each number.

Requests with images consist of numbers, of which JSON libraries make a Python object each. simdjson writes them to one
array instead, but forgets how the lists were nested. What is left of the text when digits and white space are removed
tells that: it must be equal to what lists of one shape leave. Whatever else a request holds, such as text, truth values
or lists of unequal length, is not read here: ``read`` returns None, and the caller reads it value by value.
"""

import math
import re
import threading

import numpy as np
import simdjson

_SPACE = rb"[ \t\n\r]*"
_NAME = rb'"signature_name"%b:%b"([\w.-]*)"%b' % (_SPACE, _SPACE, _SPACE)
# The request around its one list of numbers. None of this can occur within a string.
_BEFORE = re.compile(rb'%b\{%b(?:%b,%b)?"(instances|inputs)"%b:%b' % (_SPACE, _SPACE, _NAME, _SPACE, _SPACE, _SPACE))
_AFTER = re.compile(rb"%b(?:,%b%b)?\}%b" % (_SPACE, _SPACE, _NAME, _SPACE))
_IN_NUMBERS = b"0123456789+-.eE \t\n\r"
_MAX_DEPTH = 64  # of NumPy
_KEPT_PARSER_BYTES = 1 << 20  # a parser keeps several times the memory of the longest text it has read
_thread = threading.local()


class NumberList:
    """A list of numbers, or of lists of numbers that all have the same length, and so on; none is empty."""

    def __init__(self, text: bytes, array: np.ndarray) -> None:
        """Describe a list by its JSON text and its numbers as float64."""
        self._text = text
        self.array = array

    @property
    def integers(self) -> bool:
        """Whether all numbers are written as integers."""
        return not any(mark in self._text for mark in (b".", b"e", b"E"))


def read(body: bytes) -> dict[str, str | NumberList] | None:
    """Read a predict request that has one list of numbers, and nothing else but the name of a signature.

    Returns:
        The request as a JSON library would read it, but for the list; or None if it is not of this form.
    """
    before = _BEFORE.match(body)
    if before is None:
        return None
    end = body.rfind(b"]") + 1
    after = _AFTER.fullmatch(body, end)
    if after is None or None not in (before[1], after[1]):  # of two names the first counts, the exact reader knows
        return None
    text = body[before.end() : end]
    if b'"' in text:
        return None
    numbers = _read_list(text)
    if numbers is None:
        return None
    signature_name = after[1] if after[1] is not None else before[1]
    named = {} if signature_name is None else {"signature_name": signature_name.decode()}
    return named | {before[2].decode(): numbers}


def _read_list(text: bytes) -> NumberList | None:
    shape = _shape(text.translate(None, _IN_NUMBERS))
    if shape is None:
        return None
    kept = len(text) <= _KEPT_PARSER_BYTES
    parser = getattr(_thread, "parser", None) if kept else None
    parser = parser or simdjson.Parser()
    if kept:
        _thread.parser = parser
    try:
        numbers = parser.parse(text)
        assert isinstance(numbers, simdjson.Array), "the text begins with a bracket"
        flat = np.frombuffer(numbers.as_buffer(of_type="d"), np.float64)
    except (ValueError, TypeError, RuntimeError):  # no JSON, or too large a number
        return None
    return NumberList(text, flat.reshape(shape)) if flat.size == math.prod(shape) else None


def _shape(outline: bytes) -> list[int] | None:
    """Return the shape of nested lists of which only brackets and commas are left, or None if they have none."""
    depth = len(outline) - len(outline.lstrip(b"["))
    if not 0 < depth <= _MAX_DEPTH:
        return None
    shape: list[int] = []
    item = b""
    for level in range(1, depth + 1):  # from the innermost lists outwards
        length = outline.find(b"]" * level) + level - (depth - level)  # of the first list of this level
        count = (length - 1) // (len(item) + 1)
        item = b"[" + b",".join([item] * count) + b"]"
        shape.insert(0, count)
    return shape if item == outline else None
