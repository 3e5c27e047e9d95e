"""Which notebook of a run gets which values of parameters, from a file and from the command line."""

import ast
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import nbformat
import yaml

from helpers import parameters


def declared(notebook_path: Path) -> dict[str, object]:
    """Return the parameters that a notebook declares, with their default values.

    Raises:
        ValueError: The cell tagged `parameters` holds something else than assignments of literals.
    """
    cells = nbformat.read(notebook_path, as_version=4).cells
    source = "\n".join(cell.source for cell in cells if "parameters" in cell.metadata.get("tags", []))
    statements: list[Any] = ast.parse(source).body
    defaults: dict[str, object] = {}
    for statement in statements:
        try:
            (target,) = statement.targets
            defaults[target.id] = ast.literal_eval(statement.value)
        except (AttributeError, ValueError):
            raise ValueError(
                f"The parameters cell of {notebook_path.name} holds `{ast.unparse(statement)}`. "
                "Only lines like `NAME = literal` belong there; derive values in a later cell."
            ) from None
    return defaults


def read_file(path: Path) -> dict[str, object]:
    """Return the names and values of a YAML parameter file.

    Raises:
        FileNotFoundError: There is no such file.
        ValueError: The file is not a YAML mapping of names to values.
    """
    if not path.is_file():
        raise FileNotFoundError(f"No parameter file at {path}. The project's own are in notebooks/parameters/.")
    try:
        values = yaml.safe_load(path.read_text(encoding="utf-8")) or {}
    except (yaml.YAMLError, ValueError) as error:  # of its bytes, or of a date that there is not
        raise ValueError(f"{path} is not valid YAML: {error}") from None
    if not isinstance(values, dict) or not all(isinstance(name, str) for name in values):
        raise ValueError(f"{path} must hold lines like `EPOCHS: 6`, one for each parameter.")
    return values


def assign(
    given: Mapping[str, object],
    series: Mapping[str, Mapping[str, object]],
    *,
    texts: Mapping[str, str] | None = None,
    selected: list[str] | None = None,
) -> dict[str, dict[str, object]]:
    """Give each notebook of a run the values of the parameters that it declares, in the types that it declares.

    `series` has the declared parameters of every notebook with their defaults. What is `given` in a file serves all of
    them, so its names may belong to any. `texts` are as typed on the command line: they win, and each must reach one of
    the `selected` notebooks that will run, by default all.

    Raises:
        ValueError: No notebook declares a name, none of the selected does, or a value has the wrong type.
    """
    texts = texts or {}
    selected = list(series) if selected is None else selected
    every = {name: default for defaults in series.values() for name, default in defaults.items()}
    # A name like 2024 or "no" stays a text where the notebook declares a text.
    read = {name: text if isinstance(every.get(name), str) else parameters.parse(text) for name, text in texts.items()}
    values = {**given, **read}
    faults = parameters.faults(values, every)
    for name in texts:
        if name in every and not any(name in series[notebook] for notebook in selected):
            owners = ", ".join(notebook for notebook, defaults in series.items() if name in defaults)
            faults.append(f"{name} is a parameter of {owners}, which this run leaves out. Drop it or add {owners}.")
    if faults:
        raise ValueError("\n".join(faults))
    values = {name: _absolute(name, value) for name, value in values.items()}
    return {
        notebook: {name: value for name, value in values.items() if name in series[notebook]} for notebook in selected
    }


def _absolute(name: str, value: object) -> object:
    """Return the path of a source made absolute: notebooks run in their own folder, it is meant from the command's."""
    if name.endswith("_SOURCE") and isinstance(value, str) and "://" not in value:
        return str(Path(value).expanduser().resolve()) if "/" in value or value.startswith((".", "~")) else value
    return value
