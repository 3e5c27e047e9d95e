"""The numbers that a notebook records: shown in its "Check" section, read back by tests and by the report of a run.

A recorded table is an ordinary cell output. Beside the table that a reader sees, it carries the values as JSON under
`MIME_TYPE`, so an executed notebook is all that is needed to get them back: no side file.

The report of a run shows all of them. `…_accuracy` is shown in percent and `…_seconds` as a time; `X_interval` stands
behind `X`. Start each name with the slug of the model, underscores for hyphens: `sign_language_test_accuracy`.
"""

import html
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from IPython.display import display

MIME_TYPE = "application/vnd.multi-model-endpoint.results+json"

Value = None | bool | int | float | str | list["Value"] | dict[str, "Value"]


def record(**values: object) -> None:
    """Show values as a table that tests and the report of a run can read; NumPy values become plain ones.

    Raises:
        ValueError: No value was given, or one is NaN or infinite.
        TypeError: A value has no JSON form.
    """
    if not values:
        raise ValueError("Nothing to record. Name at least one value: results.record(test_accuracy=0.9).")
    plain = {name: _plain(name, value) for name, value in values.items()}
    table = Table({name: {"value": value} for name, value in plain.items()}, heading="recorded")
    display({"text/plain": repr(table), "text/html": table._repr_html_(), MIME_TYPE: plain}, raw=True)


class Table:
    """Rows of named values, which a notebook shows as a table."""

    def __init__(self, rows: Mapping[str, Mapping[str, object]], *, heading: str) -> None:
        """Keep the text of each cell.

        A row has its values by the name of their column, with its unit: `"median, ms"`. The first has the heading.
        """
        columns = list(dict.fromkeys(column for row in rows.values() for column in row))
        self._head = [heading, *columns]
        self._body = [[name, *(shown(row.get(column, "")) for column in columns)] for name, row in rows.items()]

    def __repr__(self) -> str:
        """Return the table as text."""
        cells = [self._head, *self._body]
        widths = [max(map(len, column)) for column in zip(*cells, strict=True)]
        return "\n".join("  ".join(map(str.ljust, row, widths)).rstrip() for row in cells)

    def _repr_html_(self) -> str:
        head, body = _html("th", self._head), "".join(_html("td", row) for row in self._body)
        return f"<table><thead>{head}</thead><tbody>{body}</tbody></table>"


def _html(tag: str, row: list[str]) -> str:
    cells = (f'<{tag} style="text-align: left">{html.escape(cell)}</{tag}>' for cell in row)
    return f"<tr>{''.join(cells)}</tr>"


def accuracies(evaluations: Mapping[str, Mapping[str, Any]], *, heading: str) -> Table:
    """Return accuracies as a table, in percent, with their 95% intervals and, where it is known, the number of images.

    The evaluations, by row, are as training jobs leave them.
    """
    rows: dict[str, dict[str, object]] = {}
    for name, found in evaluations.items():
        low, high = found["accuracy_interval"]
        rows[name] = {"accuracy": f"{found['accuracy']:.1%}", "95% interval": f"{low:.1%} to {high:.1%}"}
        if "count" in found:
            rows[name]["images"] = found["count"]
    return Table(rows, heading=heading)


def read(notebook: Path) -> dict[str, Value]:
    """Return the values that an executed notebook recorded, by name; a name recorded twice keeps its last value."""
    cells = json.loads(notebook.read_text(encoding="utf-8"))["cells"]
    outputs = [output.get("data", {}) for cell in cells for output in cell.get("outputs", [])]
    return {name: value for data in outputs for name, value in data.get(MIME_TYPE, {}).items()}


def _plain(name: str, value: object) -> Value:
    """Return the JSON form of a value, or raise an error that names it."""
    try:
        text = json.dumps(value, allow_nan=False, default=lambda item: item.tolist())
    except ValueError:
        raise ValueError(f"{name} is {value}. Only finite numbers are recorded: look where it is computed.") from None
    except (AttributeError, TypeError):
        raise TypeError(
            f"{name} is of type {type(value).__name__}, which has no JSON form. "
            "Record numbers, strings, booleans, None, or lists and dicts of them."
        ) from None
    plain: Value = json.loads(text, parse_float=_number)
    return plain


def _number(text: str) -> int | float:
    """Return a number as JavaScript writes it, which has no 1.0: JupyterLab would store another text than was kept."""
    value = float(text)
    return int(value) if value.is_integer() and abs(value) < 2**53 else value


def shown(value: object) -> str:
    """Return a value as a reader likes it: four significant digits, thousands separated, lists with commas."""
    if isinstance(value, np.ndarray | np.generic):
        value = value.tolist()
    if value is None or value in ([], (), {}):
        return "none"
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, int):
        return f"{value:,}"
    if isinstance(value, float):
        return f"{value:,.0f}" if abs(value) >= 1000 else f"{value:.4g}"
    if isinstance(value, list | tuple):
        return ", ".join(map(shown, value))
    if isinstance(value, dict):
        return ", ".join(f"{key}: {shown(item)}" for key, item in value.items())
    return str(value)
