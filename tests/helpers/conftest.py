"""What tests of several helpers share."""

from collections.abc import Callable
from fnmatch import fnmatchcase

import pytest
from matplotlib.figure import Figure


@pytest.fixture(scope="session")
def texts() -> Callable[[Figure], list[str]]:
    """A function that returns every text drawn in a figure, axes titles and tick labels included."""

    def read(figure: Figure) -> list[str]:
        figure.draw_without_rendering()
        found = figure.findobj(lambda artist: hasattr(artist, "get_text"))
        return [item.get_text() for item in found if item.get_text()]

    return read


@pytest.fixture(scope="session")
def allowed() -> Callable[[dict, str, str], bool]:
    """A function that tells whether a policy allows an action on a resource; what it demands besides is met."""

    def ask(policy: dict, action: str, resource: str) -> bool:
        return any(
            statement["Effect"] == "Allow"
            and _matches(statement["Action"], action)
            and _matches(statement["Resource"], resource)
            for statement in policy["Statement"]
        )

    return ask


def _matches(patterns: str | list[str], text: str) -> bool:
    patterns = [patterns] if isinstance(patterns, str) else patterns
    return any(fnmatchcase(text, pattern.replace("[", "[[]")) for pattern in patterns)
