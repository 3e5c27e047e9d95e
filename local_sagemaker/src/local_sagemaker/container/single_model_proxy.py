"""What the proxy of AWS's container makes of a request in single-model mode, before TensorFlow Serving sees it.

A model without an ``inference.py`` may be sent CSV, JSON lines and JSON without ``instances``, too: they become
``{"instances": [...]}``. Whether that fits the model is for TensorFlow Serving to say.
"""

import json
import re

_JSON_TYPES = ("application/json", "application/jsonlines", "application/jsons")
_FOR_SERVING = re.compile(rb'"(instances|inputs|examples)"\s*:')
_BETWEEN_DOCUMENTS = re.compile(rb"[}\]]\s*[\[{]")
_LIST_OF_LISTS = re.compile(rb"\s*\[\s*\[")
_FIELD = re.compile(r'\s*(?:"((?:[^"]|"")*)"\s*|([^,]*))(?:,|$)')
_NUMBER = re.compile(r"-?(0|[1-9]\d*)(\.\d+)?([eE][+-]?\d+)?", re.ASCII)


def convert(media_type: str, body: bytes) -> bytes | None:
    """Return the body that reaches TensorFlow Serving; None if requests of this media type are refused."""
    if media_type == "text/csv":
        rows = [_row(line) for line in body.decode("utf-8", "replace").splitlines() if line.strip()]
        return f'{{"instances":[{",".join(rows)}]}}'.encode()
    if media_type not in _JSON_TYPES:
        return None
    if _FOR_SERVING.search(body):
        return body
    if _BETWEEN_DOCUMENTS.search(body):
        lines = [line.strip() for line in body.splitlines() if line.strip()]
        return b'{"instances":' + (b"[%b]" % b",".join(lines) if len(lines) > 1 else lines[0]) + b"}"
    return b'{"instances":' + (body if _LIST_OF_LISTS.match(body) else b"[%b]" % body) + b"}"


def _row(line: str) -> str:
    """Return a line of CSV as JSON: a value, or a list of several."""
    values, place, more = [], 0, True
    while more:
        field = _FIELD.match(line, place)
        if field is None:  # a quotation mark in the wrong place
            values.append(json.dumps(line[place:].strip(), ensure_ascii=False))
            break
        quoted, plain = field.groups()
        text = plain.strip() if quoted is None else quoted.replace('""', '"')
        is_number = quoted is None and _NUMBER.fullmatch(text)
        values.append(text if is_number else json.dumps(text, ensure_ascii=False))
        place, more = field.end(), field[0].endswith(",")
    return values[0] if len(values) == 1 else f"[{','.join(values)}]"
