"""Execute notebooks in order, with papermill, until one fails."""

import datetime
import logging
import re
import sys
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import nbformat

from helpers import results
from helpers.display.progress import Step
from series import report

NOTEBOOKS = Path(__file__).parent.parent / "notebooks"
_BAR = 24  # characters


def find() -> dict[str, Path]:
    """Return the notebooks of the series, name to path, in the order of their numbers."""
    return {path.stem: path for path in sorted(NOTEBOOKS.glob("[0-9][0-9]_*.ipynb"))}


def title(notebook: Path) -> str:
    """Return the first heading of a notebook, or its name."""
    texts = [cell.source for cell in nbformat.read(notebook, as_version=4).cells if cell.cell_type == "markdown"]
    heading = re.search(r"^# (.+)$", "\n".join(texts), re.MULTILINE)
    return heading[1].strip() if heading else notebook.stem


class NotebookStep(Step):
    """The progress of a notebook: its cells, the section, and how far a long step of the running cell is."""

    def __init__(self, path: Path) -> None:
        """Describe the run of a notebook file."""
        super().__init__(path.stem, unit="cells")
        cells = nbformat.read(path, as_version=4).cells
        self._cells, self._cell = sum(cell.cell_type == "code" for cell in cells), nbformat.from_dict({})
        self.section, self._started = "", 0  # the heading above the running cell, and the cells that have started

    def start_cell(self, cell: nbformat.NotebookNode, **_: object) -> None:
        """Take note of the cell that starts."""
        self._cell = cell
        if cell.cell_type == "code":
            self._started += "injected-parameters" not in cell.metadata.get("tags", [])  # papermill's own cell
        elif heading := re.match(r"#+ (.+)", cell.source):
            self.section = heading[1].strip()
            self.say(f"{self.name}  {self._started}/{self._cells}  {self.section}")

    def look(self) -> None:
        """Say where the notebook is, and what a `Step` of its cell shows meanwhile."""
        shown = [output.get("data", {}) for output in list(self._cell.get("outputs", []))]
        steps = [data["text/plain"].split("\n")[0] for data in shown if "<progress" in data.get("text/html", "")]
        filled = _BAR * max(self._started - 1, 0) // max(self._cells, 1)
        bar = "█" * filled + "░" * (_BAR - filled)
        self.note = "  ".join([bar, f"{self._started}/{self._cells}", self.section, *steps])

    def complete(self) -> None:
        """Count all cells."""
        self.done, self.note = self._cells, ""


def _kernel_manager(log: Path) -> type:
    """Return a kernel manager that starts this Python, and sends what the process itself says to a file."""
    from jupyter_client.manager import AsyncKernelManager

    class KernelManager(AsyncKernelManager):
        def format_kernel_cmd(self, extra_arguments: list[str] | None = None) -> list[str]:
            # Whatever kernel the user has registered under the name that the notebooks ask for.
            return [sys.executable, "-m", "ipykernel_launcher", "-f", self.connection_file, *(extra_arguments or [])]

        # Ignored: the asynchronous manager itself replaces a method that its base class has synchronous.
        async def start_kernel(self, **options: object) -> None:  # type: ignore[override]
            with log.open("wb") as stderr:
                await super().start_kernel(stderr=stderr, **options)

    return KernelManager


def run_notebook(path: Path, output: Path, values: Mapping[str, object]) -> dict[str, Any]:
    """Execute one notebook in its own folder, its copy in another, and return its entry of the summary.

    That is name, title, file, status ("completed", "failed" or "interrupted"), seconds, parameters, the recorded
    results and error (section, name and message, or None).
    """
    import papermill

    executed, status, error = output / path.name, "completed", None
    log, step, started = executed.with_suffix(".log"), NotebookStep(path), time.monotonic()
    try:
        with step:
            papermill.execute_notebook(
                path.resolve(),
                executed.resolve(),
                parameters=dict(values),
                kernel_name="python3",
                cwd=path.parent,
                progress_bar=False,
                on_cell_start=step.start_cell,
                kernel_manager_class=_kernel_manager(log.resolve()),
            )
            step.complete()
    except KeyboardInterrupt:
        status = "interrupted"
        # The kernel answers the interrupt with an error that nobody waits for any more; asyncio would print it.
        logging.getLogger("asyncio").setLevel(logging.CRITICAL)
    except papermill.PapermillExecutionError as failure:
        status, error = "failed", {"section": step.section, "name": failure.ename, "message": failure.evalue}
    except Exception as failure:
        # The kernel died or never started: the reason is not in the notebook, but it may be in the log.
        said = log.read_text(encoding="utf-8", errors="replace").splitlines() if log.exists() else []
        message = "\n".join([str(failure), *said[-10:]])
        status, error = "failed", {"section": step.section, "name": type(failure).__name__, "message": message}
    finally:
        log.unlink(missing_ok=True)
    try:
        recorded = results.read(executed)
    except (OSError, ValueError):  # stopped before it was written
        recorded = {}
    return {
        "name": path.stem,
        "title": title(path),
        "file": path.name,
        "status": status,
        "seconds": round(time.monotonic() - started, 1),
        "parameters": dict(values),
        "results": recorded,
        "error": error,
    }


def run(
    assigned: Mapping[str, Mapping[str, object]], output: Path, *, advise: Callable[[dict[str, Any]], dict[str, str]]
) -> dict[str, Any]:
    """Execute notebooks in order, each with its assigned values, until one fails; write the summary and the report.

    The output folder is there; entries of an earlier run in it are kept. Given the entry of the notebook that
    stopped the run, `advise` returns the commands that help, by what they do.
    """
    from helpers import session  # late: the SageMaker SDK takes seconds, and the checks of parameters need none of it

    started = datetime.datetime.now(datetime.UTC)
    target = next((str(values["TARGET"]) for values in assigned.values() if "TARGET" in values), "local")
    entries: list[dict[str, Any]] = []
    status = "completed"
    try:
        with session.running(target):
            for name, values in assigned.items():
                entries.append(run_notebook(find()[name], output, values))
                status = entries[-1]["status"]
                if status != "completed":
                    entries[-1]["commands"] = advise(entries[-1])
                    break
    except KeyboardInterrupt:
        status = "interrupted"
    return report.write(output, status=status, started=started, target=target, entries=entries)
