"""The line that shows how far the run of a notebook is."""

import re
import sys
import threading
import time
from pathlib import Path

import nbformat
from tqdm import tqdm


def duration(seconds: float) -> str:
    """Return seconds as people say them: 8.3 s, 42 s, 3 min 07 s."""
    if seconds < 59.5:
        return f"{seconds:.1f} s" if seconds < 9.95 else f"{seconds:.0f} s"
    minutes, rest = divmod(round(seconds), 60)
    return f"{minutes} min {rest:02d} s"


class Progress:
    """One line for each notebook: a live bar on a terminal, a line for each section elsewhere."""

    def __init__(self, name: str, path: Path) -> None:
        """Start the line of a notebook."""
        cells = nbformat.read(path, as_version=4).cells
        self.name, self.section, self._started = name, "", time.monotonic()
        self._total, self._done = sum(cell.cell_type == "code" for cell in cells), 0
        self._live = sys.stdout.isatty()
        layout = "{desc}  {bar:24} {n_fmt}/{total_fmt} {elapsed}  {unit}"
        self._bar = tqdm(
            total=self._total, desc=name, bar_format=layout, file=sys.stdout, leave=False, disable=not self._live
        )
        self._ended = threading.Event()
        # A cell that trains for minutes ends no cell: the clock on the line shows that it is alive.
        self._clock = threading.Thread(target=self._tick, daemon=True)
        self._clock.start()

    def _tick(self) -> None:
        while self._live and not self._ended.wait(1):
            self._bar.refresh()

    def cell_started(self, cell: nbformat.NotebookNode, **_: object) -> None:
        """Take note of the cell that starts: the first line of a heading is the name of its section."""
        if cell.cell_type == "code":
            self._done = min(self._done + 1, self._total)
            self._bar.n = self._done - 1
        heading = re.match(r"#+ (.+)", cell.source) if cell.cell_type == "markdown" else None
        if heading:
            self.section = heading[1].strip()
            self._bar.unit = self.section
            if not self._live:
                print(f"{self.name}  {self._done:2}/{self._total}  {self.section}", flush=True)
        self._bar.refresh()

    def end(self, status: str) -> float:
        """Replace the bar by the outcome and return the seconds that the notebook took."""
        seconds = time.monotonic() - self._started
        self._ended.set()
        self._clock.join()
        self._bar.close()
        print(f"{self.name}  {status} after {duration(seconds)}", flush=True)
        return seconds
