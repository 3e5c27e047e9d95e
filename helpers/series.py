"""Run the notebooks in order, without a browser: `python -m helpers.series run`.

Each notebook goes through papermill into the output folder, with the parameters that it declares. The first failure
ends the run with the cell's error and the command that resumes it. `helpers.runs.report` writes what came out.
"""

import argparse
import datetime
import os
import re
import shlex
import signal
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path
from typing import Any

from helpers import parameters
from helpers.runs import kept_outputs, report
from helpers.runs.progress import Progress

NOTEBOOKS = Path(__file__).parent.parent / "notebooks"


def find(folder: Path = NOTEBOOKS) -> dict[str, Path]:
    """Return the notebooks of a folder, name to path, in the order of their numbers.

    Raises:
        FileNotFoundError: The folder holds no file like `01_prepare_data.ipynb`.
    """
    found = {path.stem: path for path in sorted(folder.glob("[0-9][0-9]_*.ipynb"))}
    if not found:
        raise FileNotFoundError(f"No notebooks like 01_prepare_data.ipynb in {folder}. Run this in a clone.")
    return found


def select(names: Sequence[str], only: Sequence[str]) -> list[str]:
    """Return the names that start with one of the given numbers or names, in the order of the series.

    Args:
        names: All notebooks of the series.
        only: Numbers (`02`) or whole names; empty for all.

    Raises:
        ValueError: One of them fits no notebook.
    """
    wanted = {item: [name for name in names if item in (name, name.split("_")[0])] for item in only}
    for item, matches in wanted.items():
        if not matches:
            raise ValueError(f"No notebook {item}. The series has {', '.join(names)}.")
    return [name for name in names if not only or any(name in matches for matches in wanted.values())]


@contextmanager
def _kernel_of_this_python() -> Iterator[None]:
    """Make `python3` mean this interpreter, whatever kernels the user has registered elsewhere."""
    before = os.environ.get("JUPYTER_PATH")
    own = str(Path(sys.prefix, "share", "jupyter"))
    os.environ["JUPYTER_PATH"] = os.pathsep.join([own, before] if before else [own])
    try:
        yield
    finally:
        if before is None:
            del os.environ["JUPYTER_PATH"]
        else:
            os.environ["JUPYTER_PATH"] = before


def _kernel_manager(log: Path) -> type:
    """Return a kernel manager that sends what the kernel process itself says to a file, not over the progress."""
    from jupyter_client.manager import AsyncKernelManager

    class LoggedKernelManager(AsyncKernelManager):
        # Ignored: the asynchronous manager itself replaces a method that its base class has synchronous.
        async def start_kernel(self, **options: object) -> None:  # type: ignore[override]
            with log.open("wb") as stderr:
                await super().start_kernel(stderr=stderr, **options)

    return LoggedKernelManager


def run_notebook(path: Path, output: Path, values: Mapping[str, object]) -> dict[str, Any]:
    """Execute one notebook and return its entry of the summary.

    Args:
        path: The notebook; it runs in its own folder.
        output: Folder for the executed copy.
        values: Its parameters.

    Returns:
        name, title, file, status ("completed", "failed" or "interrupted"), seconds, parameters, results and
        error (section, cell, name and message, or None).
    """
    import papermill

    executed, error, status = output / path.name, None, "completed"
    log = executed.with_suffix(".log")
    progress = Progress(path.stem, path)
    try:
        with _kernel_of_this_python():
            papermill.execute_notebook(
                path.resolve(),
                executed.resolve(),
                parameters=dict(values),
                kernel_name="python3",
                cwd=path.parent,
                progress_bar=False,
                on_cell_start=progress.cell_started,
                kernel_manager_class=_kernel_manager(log.resolve()),
            )
    except KeyboardInterrupt:
        status = "interrupted"
    except papermill.PapermillExecutionError as failure:
        status = "failed"
        error = {"section": progress.section, "name": failure.ename, "message": failure.evalue}
    except Exception as failure:
        # The kernel died or never started: the reason is not in the notebook, but it may be in the log.
        status = "failed"
        said = log.read_text(encoding="utf-8", errors="replace").strip() if log.exists() else ""
        message = "\n".join([str(failure), *said.splitlines()[-10:]])
        error = {"section": progress.section, "name": type(failure).__name__, "message": message}
    finally:
        log.unlink(missing_ok=True)
    seconds = progress.end(status)
    return report.notebook_entry(executed, title_from=path, status=status, seconds=seconds, values=values, error=error)


def run(
    assigned: Mapping[str, Mapping[str, object]],
    *,
    notebooks: Mapping[str, Path],
    output: Path,
    running: Callable[[str], AbstractContextManager[None]],
    advice: Callable[[dict[str, Any]], dict[str, str]],
) -> dict[str, Any]:
    """Execute notebooks in order until one fails, and write the summary and the page of the run.

    Args:
        assigned: For each notebook to run, its parameter values.
        notebooks: Name to path.
        output: Folder for everything the run writes; entries of an earlier run in it are kept.
        running: Context manager around the run that is given the target, as `session.running`.
        advice: Given the entry of the notebook that stopped the run, returns the commands that help, by what they do.

    Returns:
        The summary, as written to `summary.json`.
    """
    output.mkdir(parents=True, exist_ok=True)
    started = datetime.datetime.now(datetime.UTC)
    entries: list[dict[str, Any]] = []
    status = "completed"
    target = next((str(values["TARGET"]) for values in assigned.values() if "TARGET" in values), "local")
    try:
        with running(target):
            for name, values in assigned.items():
                entries.append(run_notebook(notebooks[name], output, values))
                status = entries[-1]["status"]
                if status != "completed":
                    entries[-1]["commands"] = advice(entries[-1])
                    break
    except KeyboardInterrupt:
        status = "interrupted"
    return report.write(output, status=status, started=started, target=target, entries=entries)


def resume_command(
    entry: Mapping[str, Any], assigned: Mapping[str, object], output: Path, arguments: argparse.Namespace
) -> str:
    """Return the command that repeats a run from the notebook that stopped it, or from the one that it asks for."""
    names, known = list(assigned), list(find(arguments.notebooks))
    left = names[names.index(entry["name"]) :]
    asked = re.search(r"Run (\w+) first\.", entry["error"]["message"] if entry["error"] else "")
    if asked and asked[1] in known:
        left = known[known.index(asked[1]) : known.index(entry["name"])] + left
    # The environment that make builds is often not the active one: name its Python as it can be typed here.
    own = Path(sys.executable)
    python = str(own.relative_to(Path.cwd())) if own.is_relative_to(Path.cwd()) else "python"
    words = [python, "-m", "helpers.series", "run", "--only", *(name.split("_")[0] for name in left)]
    words += ["--output", str(output)]
    words += ["--notebooks", str(arguments.notebooks)] if arguments.notebooks != NOTEBOOKS else []
    words += ["--parameters", str(arguments.parameters)] if arguments.parameters else []
    for name, text in arguments.parameter:
        if any(name in parameters.declared(find(arguments.notebooks)[notebook]) for notebook in left):
            words += ["-p", name, text]
    return shlex.join(words)


def _arguments(argv: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m helpers.series", description=__doc__.splitlines()[0])
    commands = parser.add_subparsers(dest="command", required=True)
    runner = commands.add_parser("run", help="execute the notebooks in order")
    runner.add_argument("--parameters", type=Path, metavar="FILE", help="YAML file of parameter values")
    runner.add_argument(
        "-p", dest="parameter", nargs=2, action="append", default=[], metavar=("NAME", "VALUE"), help="one value"
    )
    runner.add_argument("--only", nargs="+", default=[], metavar="NN", help="numbers of the notebooks to run")
    runner.add_argument("--output", type=Path, metavar="DIR", help="default: runs/<time stamp in UTC>")
    lister = commands.add_parser("list", help="show the notebooks and their parameters")
    keeper = commands.add_parser("keep", help="store the outputs of a run in the notebooks, before a commit")
    keeper.add_argument(
        "run",
        type=Path,
        nargs="?",
        metavar="DIR",
        help="output folder of a completed run; without it, only draw pictures",
    )
    for command in (runner, lister, keeper):
        command.add_argument("--notebooks", type=Path, default=NOTEBOOKS, metavar="DIR", help=argparse.SUPPRESS)
    return parser.parse_args(argv)


def _list(notebooks: Mapping[str, Path]) -> None:
    for name, path in notebooks.items():
        print(f"{name}: {report.title(path)}")
        for parameter, default in parameters.declared(path).items():
            print(f"    {parameter} = {default!r}")


def _keep(notebooks: Mapping[str, Path], run_folder: Path | None) -> None:
    """Store the outputs of a run, if one is given, and draw from what is stored the pictures of the README."""
    for path in notebooks.values():
        if run_folder:
            print(f"{path.name}: {kept_outputs.refresh(path, run_folder / path.name)} outputs kept")
        drawn = kept_outputs.draw_picture(path, path.parent / "pictures")
        if drawn:
            print(f"pictures/{drawn.name}: {drawn.stat().st_size / 1000:.0f} KB")


def _advice(entry: Mapping[str, Any], resume: str) -> dict[str, str]:
    """Return the commands that help after a run stopped, by what they do."""
    commands = {"Resume with": resume}
    if entry["parameters"].get("TARGET") == "aws":
        prefix = entry["parameters"].get("PREFIX", "multi-model-endpoint")
        words = ["python", "-m", "helpers.orphaned_resources", "list", "--target", "aws", "--prefix", prefix]
        commands["See what bills"] = shlex.join(words)
    return commands


def _explain(entry: Mapping[str, Any], output: Path) -> None:
    """Say on stderr what stopped a run, where to look, and how to go on."""
    if entry["error"]:
        message = "\n    ".join(entry["error"]["message"].splitlines()[:15])
        print(f"\nIn section “{entry['error']['section']}”:", file=sys.stderr)
        print(f"    {entry['error']['name']}: {message}", file=sys.stderr)
    print(f"\nExecuted so far: {output / entry['file']}", file=sys.stderr)
    for purpose, command in entry.get("commands", {}).items():
        print(f"{purpose + ':':16} {command}", file=sys.stderr)


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command line and return the exit code: 0 done, 1 a notebook failed, 2 bad arguments, 130 Ctrl-C."""
    arguments = _arguments(argv)
    try:
        notebooks = find(arguments.notebooks)
        if arguments.command == "list":
            _list(notebooks)
            return 0
        if arguments.command == "keep":
            _keep(notebooks, arguments.run)
            return 0
        assigned = parameters.assign(
            parameters.read_file(arguments.parameters) if arguments.parameters else {},
            {name: parameters.declared(path) for name, path in notebooks.items()},
            texts=dict(arguments.parameter),
            selected=select(list(notebooks), arguments.only),
        )
    except (ValueError, OSError) as error:
        print(f"error: {error}", file=sys.stderr)
        return 2

    # Late, because the SageMaker SDK takes seconds to import and the checks above need none of it.
    from helpers import session

    # `kill` and a closed terminal end a run as Ctrl-C does: with the kernel stopped and a summary.
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    stamp = datetime.datetime.now(datetime.UTC).strftime("%Y-%m-%dT%H-%M-%SZ")
    output = arguments.output or Path("runs", stamp)

    def advice(entry: dict[str, Any]) -> dict[str, str]:
        return _advice(entry, resume_command(entry, assigned, output, arguments))

    summary = run(assigned, notebooks=notebooks, output=output, running=session.running, advice=advice)
    print(f"\nSummary: {output / 'summary.json'}\nPage:    {output / 'index.html'}", flush=True)
    if summary["status"] == "completed":
        return 0
    for entry in summary["notebooks"]:
        if entry["name"] in assigned and entry["status"] != "completed":
            _explain(entry, output)
    return 130 if summary["status"] == "interrupted" else 1


if __name__ == "__main__":
    sys.exit(main())
