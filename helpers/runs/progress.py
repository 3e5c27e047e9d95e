"""The line that shows how far the run of a notebook is."""

import re
import shutil
import sys
import threading
import time
from pathlib import Path

import nbformat

from helpers.progress import duration

_BAR = 24  # characters


class Progress:
    """One line for each notebook: a live one on a terminal; elsewhere a line for each section, epoch and long step."""

    def __init__(self, name: str, path: Path) -> None:
        """Start the line of a notebook."""
        cells = nbformat.read(path, as_version=4).cells
        self.name, self.section, self._started = name, "", time.monotonic()
        self._total, self._done = sum(cell.cell_type == "code" for cell in cells), 0
        self._live = sys.stdout.isatty()
        self._cell, self._step = nbformat.from_dict({}), ""
        self._said: dict[int, int] = {}  # lines that were printed of each output that a long step rewrites
        self._looking, self._ended = threading.Lock(), threading.Event()
        # A cell that trains for minutes ends no cell: what it shows a reader meanwhile is shown here as well.
        self._clock = threading.Thread(target=self._tick, daemon=True)
        self._clock.start()

    def _tick(self) -> None:
        while not self._ended.wait(1):
            self._look()

    def cell_started(self, cell: nbformat.NotebookNode, **_: object) -> None:
        """Take note of the cell that starts: the first line of a heading is the name of its section."""
        self._look()
        with self._looking:
            self._cell, self._said = cell, {}
        if cell.cell_type == "code":
            self._done = min(self._done + 1, self._total)
        heading = re.match(r"#+ (.+)", cell.source) if cell.cell_type == "markdown" else None
        if heading:
            self.section = heading[1].strip()
            if not self._live:
                print(f"{self.name}  {self._done:2}/{self._total}  {self.section}", flush=True)
        self._look()

    def _look(self) -> None:
        """Show what the long steps of the cell (helpers.progress) newly wrote into its outputs."""
        with self._looking:
            self._step = ""
            for index, output in enumerate(list(self._cell.get("outputs", []))):
                data = output.get("data", {})
                first, *lines = data.get("text/plain", "").splitlines() or [""]
                if "<progress" in data.get("text/html", ""):
                    self._step = first
                    self._say(*lines[self._said.get(index, 0) :])
                    self._said[index] = len(lines)
                elif self._said.pop(index, None) is not None:
                    self._say(first)
            if self._live:
                filled = _BAR * max(self._done - 1, 0) // max(self._total, 1)
                bar = "█" * filled + "░" * (_BAR - filled)
                took = duration(round(time.monotonic() - self._started))
                done = f"{self._done}/{self._total}"
                self._write("  ".join(filter(None, [self.name, bar, done, took, self.section, self._step])))

    def _say(self, *lines: str) -> None:
        for line in lines if not self._live else ():
            print(f"    {line}", flush=True)

    def _write(self, line: str, end: str = "") -> None:
        """Put a line in the place of the one on the terminal."""
        width = shutil.get_terminal_size().columns - 1
        print(f"\r{line[:width]:{width}}", end=end, flush=True)

    def end(self, status: str) -> float:
        """Replace the line by the outcome and return the seconds that the notebook took."""
        seconds = time.monotonic() - self._started
        self._ended.set()
        self._clock.join()
        self._look()
        line = f"{self.name}  {status} after {duration(seconds)}"
        if self._live:
            self._write(line, end="\n")
        else:
            print(line, flush=True)
        return seconds
