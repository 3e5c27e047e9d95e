"""The numbers that a notebook records: shown in its "Check" section, read back by tests and by the report.

A recorded table is an ordinary cell output. Beside the table that a person sees, it carries the values
as JSON under `MIME_TYPE`, so an executed notebook is all that is needed to get them back: no side file.

The report of a run gathers some values by the end of their names: `…_source` (data), `…_weights`, `…_accuracy`,
`…_prediction`, `…_median_seconds` and `…_hit_ratios`. Start each name with the slug of the model, underscores for
hyphens: `sign_language_test_accuracy`.
"""

import html
import math
from collections.abc import Mapping
from pathlib import Path

import numpy as np
from IPython.display import display

MIME_TYPE = "application/vnd.multi-model-endpoint.results+json"

Value = None | bool | int | float | str | list["Value"] | dict[str, "Value"]


def record(**values: object) -> None:
    """Show values as a table that tests and the run report can read.

    Args:
        **values: Scalars, strings, None, and lists, dicts or arrays of them. NumPy values become plain ones.

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

        Args:
            rows: For each row, its values by the name of their column, with its unit: ``"median, ms"``.
            heading: What a row is: the name of the first column.
        """
        columns = list(dict.fromkeys(column for row in rows.values() for column in row))
        self._cells = [[heading, *columns]] + [
            [name, *(shown(row[column]) if column in row else "" for column in columns)] for name, row in rows.items()
        ]

    def __repr__(self) -> str:
        """Return the table as text."""
        widths = [max(map(len, column)) for column in zip(*self._cells, strict=True)]
        lines = ("  ".join(map(str.ljust, row, widths)).rstrip() for row in self._cells)
        return "\n".join(lines)

    def _repr_html_(self) -> str:
        first, *rest = (
            "".join(f'<{tag} style="text-align: left">{html.escape(cell)}</{tag}>' for cell in row)
            for tag, row in zip(["th", *["td"] * len(self._cells)], self._cells, strict=False)
        )
        body = "".join(f"<tr>{row}</tr>" for row in rest)
        return f"<table><thead><tr>{first}</tr></thead><tbody>{body}</tbody></table>"


def read(notebook_path: Path | str) -> dict[str, Value]:
    """Return the values that an executed notebook recorded.

    Args:
        notebook_path: An executed notebook file.

    Returns:
        Name to value, of all recorded tables; a name recorded twice keeps its last value.

    Raises:
        FileNotFoundError: There is no such file.
        ValueError: The notebook recorded nothing.
    """
    path = Path(notebook_path)
    if not path.is_file():
        raise FileNotFoundError(f"No notebook at {path}. Run the series first: python -m helpers.series run.")
    import nbformat  # takes two seconds, which notebooks that only record should not wait for

    notebook = nbformat.read(path, as_version=4)
    values: dict[str, Value] = {}
    for cell in notebook.cells:
        for output in cell.get("outputs", []):
            values.update(output.get("data", {}).get(MIME_TYPE, {}))
    if not values:
        raise ValueError(
            f"{path.name} holds no recorded results. Execute it to the end of its Check section, "
            "which calls results.record(…)."
        )
    return values


def _plain(name: str, value: object) -> Value:
    """Return the JSON form of a value, or raise an error that names it."""
    if isinstance(value, np.ndarray | np.generic):
        value = value.tolist()
    if isinstance(value, float) and not math.isfinite(value):
        raise ValueError(f"{name} is {value}. Only finite numbers are recorded; look at the cell that computes it.")
    if isinstance(value, float) and value.is_integer() and abs(value) < 2**53:
        # JavaScript has no 1.0, so JupyterLab would store another text than was kept.
        value = int(value)
    if value is None or isinstance(value, bool | int | float | str):
        return value
    if isinstance(value, Mapping) and all(isinstance(key, str) for key in value):
        return {key: _plain(f"{name}[{key!r}]", item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(f"{name}[{index}]", item) for index, item in enumerate(value)]
    raise TypeError(
        f"{name} is of type {type(value).__name__}, which has no JSON form. "
        "Record numbers, strings, booleans, None, or lists and dicts of them."
    )


def shown(value: object) -> str:
    """Return a value as people read it: four significant digits, thousands separated, lists with commas."""
    if isinstance(value, np.ndarray | np.generic):
        value = value.tolist()
    if isinstance(value, bool) or value is None:
        return {True: "yes", False: "no", None: "none"}[value]
    if isinstance(value, int):
        return f"{value:,}"
    if isinstance(value, float):
        return f"{value:,.0f}" if abs(value) >= 1000 else f"{value:.4g}"
    if isinstance(value, list | tuple):
        return ", ".join(shown(item) for item in value)
    if isinstance(value, dict):
        return ", ".join(f"{key}: {shown(item)}" for key, item in value.items())
    return str(value)
