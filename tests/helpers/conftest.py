"""What tests of several helpers share."""

from collections.abc import Callable

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
