"""The parameters of the notebooks, and what each takes.

A notebook declares its parameters in the cell tagged `parameters`, as literals, and calls `check` before anything else.
What is checked against is the table here, not that cell: whoever opens a notebook may edit the cell.
"""

import ast
import contextlib
import difflib
import json
import math
import re
from collections.abc import Callable, Iterable, Mapping

import yaml

from helpers.display.errors import show_as_sentences

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


_SOURCE = _text(r".*\S.*", 'a text such as "auto", or a path')
_INSTANCE_TYPE = _text(r"ml\.[a-z0-9-]+\.[a-z0-9-]+", 'an instance type such as "ml.c5.xlarge"')
_ENDPOINT = _text(
    "[a-zA-Z0-9](-*[a-zA-Z0-9]){0,62}", "a name of at most 63 letters, digits and single hyphens between them"
)
_PART = "[A-Za-z0-9_-][A-Za-z0-9_.-]*"

RULES: dict[str, Rule] = {
    "TARGET": _one_of("local", "aws"),
    "PREFIX": _text(f"/?{_PART}(/{_PART})*/?", 'a key prefix such as "team/series"'),
    "ACCOUNT": ("a mapping of settings, such as {}", lambda value: isinstance(value, dict)),
    "CLEAN_UP": ("True or False", lambda value: type(value) is bool),
    "SEED": _whole(0, 2**32 - 1),
    **dict.fromkeys(("CIFAR_SOURCE", "SIGN_LANGUAGE_SOURCE", "WEIGHTS_SOURCE"), _SOURCE),
    **dict.fromkeys(("CIFAR_LIMIT", "SIGN_LANGUAGE_LIMIT"), _or_none(_whole(10))),  # one image of each class
    "SIGN_LANGUAGE_SPLIT": _one_of("random", "by_student"),
    **dict.fromkeys(("CIFAR_EPOCHS", "SIGN_LANGUAGE_EPOCHS", "WIDTH", "BATCH_SIZE"), _whole(1)),
    "IMAGE_SIZE": _whole(32),  # VGG16 halves it five times
    **dict.fromkeys(("TRAINING_INSTANCE_TYPE", "SERVING_INSTANCE_TYPE"), _INSTANCE_TYPE),
    **dict.fromkeys(("TRAINING_INSTANCE_COUNT", "INITIAL_INSTANCE_COUNT"), _whole(1)),
    **dict.fromkeys(("ENDPOINT_NAME", "MANY_MODELS", "USERS_ENDPOINT_NAME"), _ENDPOINT),
    **dict.fromkeys(("WARM_CALLS", "MODELS"), _whole(1)),
    "MODELS_THAT_FIT": _whole(2),  # half of them get calls at first
    "CALLS_PER_SECOND": ("a finite number above 0", lambda value: type(value) in (int, float) and 0 < value < math.inf),  # type: ignore[operator]
    "CALLS": _whole(2),  # half as many go to few models first
    "USER_LIMIT": _or_none(_whole(2)),  # one joins late
}


def check(namespace: Mapping[str, object]) -> None:
    """Refuse parameters in a notebook's `globals()` that are not what they should be, before anything starts.

    papermill injects whatever it reads, and only warns of a name that it does not know: `-p CLEAN_UP false` is a text,
    which is true, and an unset shell variable is an empty text, which is false and leaves an endpoint running.

    Raises:
        ValueError: With a sentence for each fault.
    """
    show_as_sentences()
    # papermill's own cell tells what it was given from what a user has defined beside the parameters.
    cells = [cell for cell in namespace.get("In", []) if cell.startswith("# Parameters\n")]  # type: ignore[attr-defined]
    stored = (node for cell in cells[-1:] for node in ast.walk(ast.parse(cell)) if isinstance(node, ast.Name))
    names = dict.fromkeys([*(node.id for node in stored if isinstance(node.ctx, ast.Store)), *RULES])
    if found := faults({name: namespace[name] for name in names if name in namespace}, RULES):
        raise ValueError("\n".join(found))


def faults(given: Mapping[str, object], known: Iterable[str]) -> list[str]:
    """Return a sentence for each name that is not known, and for each value that breaks the rule of its name."""
    found = []
    for name in given:
        if name not in known:
            close = difflib.get_close_matches(name.upper(), known, n=1)
            hint = f"Did you mean {close[0]}?" if close else f"They declare {', '.join(sorted(known)) or 'none'}."
            found.append(f"No notebook declares a parameter {name}. {hint}")
    for name, value in given.items():
        words, accepts = RULES.get(name, ("", lambda _: True))
        if not accepts(value):
            read = parse(value) if isinstance(value, str) else value
            hint = f" Type {read!r}; in YAML (a file, papermill -y) {json.dumps(read, default=str)}."
            what = f"the text {value!r}" if isinstance(value, str) else repr(value)
            found.append(f"{name} takes {words}, not {what}.{hint if accepts(read) else ''}")
    return found


def parse(text: str) -> object:
    """Return the value that a text stands for: 5, 0.5, 1e-3, true or True, null or None, [1, 2], {a: b}, or itself."""
    for kind in (int, float):
        with contextlib.suppress(ValueError):
            return kind(text)
    if text == "None":
        return None
    try:
        value = yaml.safe_load(text)
    except (yaml.YAMLError, ValueError):  # of a date that there is not
        return text
    # To YAML, nothing is null and 12:30:00 is a number.
    return value if isinstance(value, bool | list | dict) or text in ("null", "~") else text
