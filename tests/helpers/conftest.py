"""What tests of several helpers share."""

import threading
from collections.abc import Callable
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest
from matplotlib.figure import Figure

from helpers.sources import downloads


class _QuietHandler(SimpleHTTPRequestHandler):
    def log_message(self, *args) -> None:
        pass


@pytest.fixture
def server(tmp_path: Path):
    """A web server over `served`, and its address."""
    (tmp_path / "served").mkdir()
    handler = partial(_QuietHandler, directory=tmp_path / "served")
    with ThreadingHTTPServer(("127.0.0.1", 0), handler) as http:
        thread = threading.Thread(target=http.serve_forever)
        thread.start()
        yield tmp_path / "served", f"http://127.0.0.1:{http.server_port}"
        http.shutdown()
        thread.join()


@pytest.fixture
def no_network(monkeypatch, tmp_path):
    """No cache, and nothing that answers."""

    def unreachable(url: str, **_) -> None:
        raise ConnectionError(f"{url} cannot be reached: Name or service not known")

    monkeypatch.setattr(downloads, "check_reachable", unreachable)
    monkeypatch.setattr(downloads, "DATA_FOLDER", tmp_path / "data")
    monkeypatch.setenv("KERAS_HOME", str(tmp_path / "keras"))


@pytest.fixture(scope="session")
def texts() -> Callable[[Figure], list[str]]:
    """A function that returns every text drawn in a figure, axes titles and tick labels included."""

    def read(figure: Figure) -> list[str]:
        figure.draw_without_rendering()
        found = figure.findobj(lambda artist: hasattr(artist, "get_text"))
        return [item.get_text() for item in found if item.get_text()]

    return read
