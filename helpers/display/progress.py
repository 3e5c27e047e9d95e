"""How a long step shows how far it is: a bar while it runs, and one plain line that stays.

In a notebook that is one output which is rewritten, so a saved, reopened or exported notebook shows the line and needs
no widget for it. On a terminal it is one line of stderr; in a log, only what stays is written.
"""

import contextvars
import html
import shutil
import sys
import threading
import time
from types import TracebackType
from typing import Any, Self

from IPython import get_ipython
from IPython.display import display

# What is over before a person wonders shows nothing.
_SHORT = 0.5
_SECONDS_BETWEEN_LOOKS = 0.5


def duration(seconds: float) -> str:
    """Return seconds as people say them: 8.3 s, 42 s, 3 min 07 s; whole ones as 8 s."""
    if seconds < 59.5:
        return f"{seconds:.1f} s" if seconds < 9.95 and not isinstance(seconds, int) else f"{seconds:.0f} s"
    minutes, rest = divmod(round(seconds), 60)
    return f"{minutes} min {rest:02d} s"


class Step:
    """A context around something that takes long.

    `name` says what it does, and `note` what it does at the moment, and at the end what came out. `done` is how much is
    done of the `total`, None if nobody knows that, and `unit` what is counted; `"B"` are bytes. `if_stopped` is a
    sentence for who interrupts it: what becomes of what it started, and what still bills.
    """

    def __init__(self, name: str, *, total: int | None = None, unit: str = "", if_stopped: str = "") -> None:
        """Show nothing yet; the step begins with its block."""
        self.name, self.total, self.unit, self.if_stopped = name, total, unit, if_stopped
        self.done, self.note = 0, ""
        self._stream, self._lines = sys.stderr, list[str]()
        self._kernel = hasattr(get_ipython(), "kernel")
        self._output: Any = None  # of the notebook, once something is shown
        self._first: tuple[int, float] | None = None  # how much was done at first, and when: before lies preparation
        self._ended, self._counting = threading.Event(), threading.Lock()

    def __enter__(self) -> Self:
        """Begin."""
        self._began = time.monotonic()
        # A thread shows it, as the step itself may wait or compute without an end; what it shows belongs to this cell.
        self._clock = threading.Thread(target=contextvars.copy_context().run, args=(self._tick,), daemon=True)
        self._clock.start()
        return self

    def advance(self, amount: int = 1) -> None:
        """Count what was done newly, in any thread."""
        with self._counting:
            self.reach(self.done + amount)

    def reach(self, done: int) -> None:
        """Set how much is done."""
        self.done = done
        if self._first is None and done:
            self._first = (done, time.monotonic())

    def say(self, line: str) -> None:
        """Show a line below the bar until the step ends; a log keeps it."""
        self._lines.append(line)
        if not self._kernel and not self._stream.isatty():
            print(f"    {line}", file=self._stream, flush=True)

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """End, and leave one line if there was time to show anything, or if somebody interrupts it."""
        self._ended.set()
        self._clock.join()
        took = duration(time.monotonic() - self._began)
        if kind and issubclass(kind, KeyboardInterrupt):
            self._show(f"Interrupted after {took}: {self.name}. {self.if_stopped}".strip(), last=True)
        elif self._output is not None:
            amount = self._amount(self.done) if self.done else ""
            ended = f"{self.name}: {', '.join(filter(None, [amount, took, self.note]))}"
            self._show(f"Failed after {took}: {self.name}" if kind else ended, last=True)

    def _tick(self) -> None:
        wait = _SHORT
        while not self._ended.wait(wait):
            wait = _SECONDS_BETWEEN_LOOKS
            self.look()
            self._show(self._text())

    def look(self) -> None:
        """Take note of how far the step is; called before each line is shown. Override it where nobody else counts."""

    def _text(self) -> str:
        """Return one line that says how far the step is."""
        now = time.monotonic()
        parts = [self.note, self._amount(self.done, self.total) if self.done or self.total else ""]
        parts.append(duration(round(now - self._began)))
        left = self._seconds_left(now)
        parts.append(f"about {duration(max(round(left), 1))} left" if left is not None else "")
        return f"{self.name}: {', '.join(filter(None, parts))}"

    def _seconds_left(self, now: float) -> float | None:
        if not self.total or self._first is None or self.done >= self.total:
            return None
        done, since = self._first if self.done > self._first[0] else (0, self._began)
        return (now - since) / (self.done - done) * (self.total - self.done)

    def _amount(self, done: int, total: int | None = None) -> str:
        of = f" of {total / 1e6:,.1f}" if total else ""
        if self.unit == "B":
            return f"{done / 1e6:,.1f}{of} MB"
        of = f" of {total:,}" if total else ""
        return f"{done:,}{of} {self.unit}".rstrip()

    def _show(self, line: str, *, last: bool = False) -> None:
        if self._kernel:
            plain = {"text/plain": "\n".join([line, *([] if last else self._lines)])}
            data = plain if last else {**plain, "text/html": self._html(line)}
            if self._output is None:
                self._output = display(data, raw=True, display_id=True)
            else:
                self._output.update(data, raw=True)
            return
        self._output = self._stream
        if self._stream.isatty():
            width = shutil.get_terminal_size().columns - 1
            shown = line if last else line[:width]  # what stays may wrap: it tells what still bills
            print(f"\r{shown:{width}}", end="\n" if last else "", file=self._stream, flush=True)
        elif last:
            print(line, file=self._stream, flush=True)

    def _html(self, line: str) -> str:
        # As long as nobody knows how much there is, it is empty: an animation would start anew with every look.
        value = f'value="{self.done if self.total else 0}" max="{self.total or 1}"'
        bar = f'<progress {value} style="width: 100%; max-width: 40em"></progress><div>{html.escape(line)}</div>'
        lines = html.escape("\n".join(self._lines))
        return f'{bar}<pre style="white-space: pre-wrap">{lines}</pre>' if lines else bar
