"""The parameters of the notebooks: what each takes, and the values that a run gives them.

A notebook declares its parameters in the cell tagged `parameters`, as literals, and calls `check` before anything else.
What is checked against is the table here, not that cell: whoever opens a notebook may edit the cell.
"""

import ast
import difflib
import json
import math
import re
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path

import yaml

from helpers.errors import show_as_sentences

# What a parameter takes, in words and as a test.
Rule = tuple[str, Callable[[object], bool]]


def _whole(least: int, most: float = math.inf) -> Rule:
    words = f"a whole number of at least {least}" if most == math.inf else f"a whole number from {least} to {most}"
    return words, lambda value: type(value) is int and least <= value <= most


def _or_none(rule: Rule) -> Rule:
    return f"{rule[0]}, or None", lambda value: value is None or rule[1](value)


def _text(pattern: str, words: str) -> Rule:
    return words, lambda value: isinstance(value, str) and re.fullmatch(pattern, value) is not None


def _one_of(*choices: str) -> Rule:
    return " or ".join(f'"{choice}"' for choice in choices), lambda value: value in choices


def _is_rate(value: object) -> bool:
    return type(value) in (int, float) and 0 < value < math.inf  # type: ignore[operator]  # one of the two


_SOURCE = _text(r".*\S.*", 'a text such as "auto", or a path')
_INSTANCE_TYPE = _text(r"ml\.[a-z0-9-]+\.[a-z0-9-]+", 'an instance type such as "ml.c5.xlarge"')
_ENDPOINT = _text(
    "[a-zA-Z0-9](-*[a-zA-Z0-9]){0,62}", "a name of at most 63 letters, digits and single hyphens between them"
)
_COUNT = _whole(1)
_FLAG: Rule = ("True or False", lambda value: type(value) is bool)

RULES: dict[str, Rule] = {
    "TARGET": _one_of("local", "aws"),
    "PREFIX": _text(
        r"/?[A-Za-z0-9_-][A-Za-z0-9_.-]*(/[A-Za-z0-9_-][A-Za-z0-9_.-]*)*/?", 'a key prefix such as "team/series"'
    ),
    "ACCOUNT": ("a mapping of settings, such as {}", lambda value: isinstance(value, dict)),
    "SEED": _whole(0, 2**32 - 1),
    "CLEAN_UP": _FLAG,
    "CIFAR_SOURCE": _SOURCE,
    "CIFAR_LIMIT": _or_none(_whole(10)),  # one image of each class
    "CIFAR_EPOCHS": _COUNT,
    "WIDTH": _COUNT,
    "BATCH_SIZE": _COUNT,
    "SIGN_LANGUAGE_SOURCE": _SOURCE,
    "SIGN_LANGUAGE_SPLIT": _one_of("random", "by_student"),
    "SIGN_LANGUAGE_LIMIT": _or_none(_whole(10)),
    "SIGN_LANGUAGE_EPOCHS": _COUNT,
    "WEIGHTS_SOURCE": _SOURCE,
    "IMAGE_SIZE": _whole(32),  # VGG16 halves it five times
    "TRAINING_INSTANCE_TYPE": _INSTANCE_TYPE,
    "TRAINING_INSTANCE_COUNT": _COUNT,
    "SERVING_INSTANCE_TYPE": _INSTANCE_TYPE,
    "INITIAL_INSTANCE_COUNT": _COUNT,
    "ENDPOINT_NAME": _ENDPOINT,
    "WARM_CALLS": _COUNT,
    "MANY_MODELS": _ENDPOINT,
    "MODELS": _COUNT,
    "MODELS_THAT_FIT": _whole(2),  # half of them get calls at first
    "CALLS_PER_SECOND": ("a finite number above 0", _is_rate),
    "CALLS": _whole(2),  # half as many go to few models first
    "USERS_ENDPOINT_NAME": _ENDPOINT,
    "USER_LIMIT": _or_none(_whole(2)),  # one joins late
}


def check(namespace: Mapping[str, object]) -> None:
    """Refuse parameters that are not what they should be, before a notebook starts anything with them.

    papermill injects whatever it reads, and only warns of a name that it does not know: `-p CLEAN_UP false` is a text,
    which is true, and an unset shell variable is an empty text, which is false and leaves an endpoint running.

    Args:
        namespace: The notebook's `globals()`.

    Raises:
        ValueError: With a sentence for each fault.
    """
    show_as_sentences()
    # papermill's own cell tells what it was given from what a person has defined beside the parameters.
    cells = [cell for cell in namespace.get("In", []) if cell.startswith("# Parameters\n")]  # type: ignore[attr-defined]
    stored = (node for cell in cells[-1:] for node in ast.walk(ast.parse(cell)) if isinstance(node, ast.Name))
    names = dict.fromkeys([*(node.id for node in stored if isinstance(node.ctx, ast.Store)), *RULES])
    _refuse(_faults({name: namespace[name] for name in names if name in namespace}, RULES))


def _refuse(faults: list[str]) -> None:
    if faults:
        raise ValueError("\n".join(faults))


def _faults(given: Mapping[str, object], known: Iterable[str]) -> list[str]:
    """Return a sentence for each name that is not known, and for each value that breaks the rule of its name."""
    faults = [_unknown(name, known) for name in given if name not in known]
    for name, value in given.items():
        if name in RULES and not RULES[name][1](value):
            read = parse(value) if isinstance(value, str) else value
            hint = (
                f" Type {read!r}; in YAML (a file, papermill -y) {json.dumps(read, default=str)}."
                if RULES[name][1](read)
                else ""
            )
            what = f"the text {value!r}" if isinstance(value, str) else repr(value)
            faults.append(f"{name} takes {RULES[name][0]}, not {what}.{hint}")
    return faults


def declared(notebook_path: Path) -> dict[str, object]:
    """Return the parameters that a notebook declares, with their default values.

    Args:
        notebook_path: A notebook file.

    Raises:
        ValueError: The cell tagged `parameters` holds something else than assignments of literals.
    """
    import nbformat  # takes two seconds, which a notebook that checks its own parameters should not wait for

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
    except (yaml.YAMLError, ValueError) as error:  # of its bytes, or of a date that there is not
        raise ValueError(f"{path} is not valid YAML: {error}") from None
    if not isinstance(values, dict) or not all(isinstance(name, str) for name in values):
        raise ValueError(f"{path} must hold lines like `EPOCHS: 6`, one for each parameter.")
    return values


def parse(text: str) -> object:
    """Return the value that a text stands for: 5, 0.5, 1e-3, true or True, null or None, [1, 2], {a: b}, or itself."""
    for kind in (int, float):
        try:
            return kind(text)
        except ValueError:
            continue
    if text == "None":
        return None
    try:
        value = yaml.safe_load(text)
    except (yaml.YAMLError, ValueError):  # of a date that there is not
        return text
    # To YAML, nothing is null and 12:30:00 is a number.
    return value if isinstance(value, bool | list | dict) or text in ("null", "~") else text


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
    # A name like 2024 or "no" stays a text where the notebook declares a text.
    read = {name: text if isinstance(every.get(name), str) else parse(text) for name, text in texts.items()}
    values = {**given, **read}
    faults = _faults(values, every)
    for name in texts:
        if name in every and not any(name in series[notebook] for notebook in selected):
            owners = ", ".join(notebook for notebook, defaults in series.items() if name in defaults)
            faults.append(f"{name} is a parameter of {owners}, which this run leaves out. Drop it or add {owners}.")
    _refuse(faults)
    values = {name: _absolute(name, value) for name, value in values.items()}
    return {
        notebook: {name: value for name, value in values.items() if name in series[notebook]} for notebook in selected
    }


def _unknown(name: str, known: Iterable[str]) -> str:
    """Return the sentence for a name that no notebook declares."""
    close = difflib.get_close_matches(name.upper(), known, n=1)
    hint = f"Did you mean {close[0]}?" if close else f"They declare {', '.join(sorted(known)) or 'none'}."
    return f"No notebook declares a parameter {name}. {hint}"


def _absolute(name: str, value: object) -> object:
    """Return the path of a source made absolute: notebooks run in their own folder, it is meant from the command's."""
    if name.endswith("_SOURCE") and isinstance(value, str) and _is_path(value):
        return str(Path(value).expanduser().resolve())
    return value


def _is_path(text: str) -> bool:
    return ("/" in text or text.startswith((".", "~"))) and "://" not in text
