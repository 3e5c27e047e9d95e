"""The parameters that notebooks declare, and the values that a run gives them.

A notebook declares its parameters in the cell tagged `parameters`, as literals. papermill only warns about a name
that no notebook declares; here it is an error before anything runs.
"""

import ast
import difflib
from collections.abc import Mapping
from pathlib import Path

import nbformat
import yaml


def declared(notebook_path: Path) -> dict[str, object]:
    """Return the parameters that a notebook declares, with their default values.

    Args:
        notebook_path: A notebook file.

    Raises:
        ValueError: The cell tagged `parameters` holds something else than assignments of literals.
    """
    notebook = nbformat.read(notebook_path, as_version=4)
    defaults: dict[str, object] = {}
    for cell in notebook.cells:
        if cell.cell_type != "code" or "parameters" not in cell.metadata.get("tags", []):
            continue
        for statement in ast.parse(cell.source).body:
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
    except yaml.YAMLError as error:
        raise ValueError(f"{path} is not valid YAML: {error}") from None
    if not isinstance(values, dict) or not all(isinstance(name, str) for name in values):
        raise ValueError(f"{path} must hold lines like `EPOCHS: 6`, one for each parameter.")
    return values


def parse(text: str) -> object:
    """Return the value that a piece of command line text stands for, read as YAML: 5, 0.5, true, [1, 2], text."""
    try:
        value = yaml.safe_load(text)
    except yaml.YAMLError:
        return text
    if isinstance(value, str):
        # YAML 1.1 does not see a number in 1e-3.
        try:
            return float(value)
        except ValueError:
            return text
    return value


def assign(
    given: Mapping[str, object],
    series: Mapping[str, Mapping[str, object]],
    *,
    texts: Mapping[str, str] | None = None,
    selected: list[str] | None = None,
) -> dict[str, dict[str, object]]:
    """Give each notebook the values of the parameters that it declares.

    A file of values serves the whole series, so its names may belong to any notebook. A value typed on the
    command line must reach at least one of the selected notebooks.

    Args:
        given: Values from a parameter file.
        series: For every notebook of the series, its declared parameters with their defaults.
        texts: Values from the command line, as typed; they win over `given`.
        selected: The notebooks that will run; all of them when None.

    Returns:
        For every selected notebook, the values it is run with, in the types that it declares.

    Raises:
        ValueError: No notebook declares a name, none of the selected does, or a value has the wrong type.
    """
    texts = texts or {}
    selected = list(series) if selected is None else selected
    every = {name: default for defaults in series.values() for name, default in defaults.items()}
    for name in [*given, *texts]:
        if name not in every:
            raise ValueError(_unknown(name, every))
    for name in texts:
        if not any(name in series[notebook] for notebook in selected):
            owners = ", ".join(notebook for notebook, defaults in series.items() if name in defaults)
            raise ValueError(f"{name} is a parameter of {owners}, which this run leaves out. Drop it or add {owners}.")
    values = {name: _fitted(name, value, every[name]) for name, value in given.items()}
    values |= {name: _fitted(name, _read(text, every[name]), every[name]) for name, text in texts.items()}
    return {
        notebook: {name: value for name, value in values.items() if name in series[notebook]} for notebook in selected
    }


def _unknown(name: str, known: Mapping[str, object]) -> str:
    """Return the sentence for a name that no notebook declares."""
    close = difflib.get_close_matches(name.upper(), known, n=1)
    hint = f"Did you mean {close[0]}?" if close else f"They declare {', '.join(sorted(known)) or 'none'}."
    return f"No notebook declares a parameter {name}. {hint}"


def _read(text: str, default: object) -> object:
    # A name like 2024 or "no" stays a text where the notebook declares a text.
    return text if isinstance(default, str) else parse(text)


def _fitted(name: str, value: object, default: object) -> object:
    """Return a value in the type of its default, paths made absolute, or raise an error that names both."""
    if isinstance(default, float) and isinstance(value, int) and not isinstance(value, bool):
        value = float(value)
    if default is not None and value is not None and type(value) is not type(default):
        raise ValueError(
            f"{name} takes a value of type {type(default).__name__}, like {default!r}. "
            f"{value!r} is of type {type(value).__name__}."
        )
    if name.endswith("_SOURCE") and isinstance(value, str) and _is_path(value):
        # Notebooks run in their own folder; a path is meant from where the command was typed.
        value = str(Path(value).expanduser().resolve())
    return value


def _is_path(text: str) -> bool:
    return ("/" in text or text.startswith((".", "~"))) and "://" not in text
