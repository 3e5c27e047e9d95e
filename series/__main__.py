"""Run the notebooks in order, without a browser: `python -m series run`.

The first failure ends the run with the cell's error and the command that resumes it.
"""

import argparse
import datetime
import re
import shlex
import signal
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from series import assignment, kept_outputs, report, runner


def select(only: Sequence[str]) -> list[str]:
    """Return the notebooks of the given numbers (`02`) or names, or all of them, in the order of the series.

    Raises:
        ValueError: One of them fits no notebook.
    """
    names = list(runner.find())
    for item in only:
        if not any(item in (name, name[:2]) for name in names):
            raise ValueError(f"No notebook {item}. The series has {', '.join(names)}.")
    return [name for name in names if not only or name in only or name[:2] in only]


def _commands() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m series", description=__doc__.splitlines()[0])
    commands = parser.add_subparsers(dest="command", required=True)
    run = commands.add_parser("run", help="execute the notebooks in order")
    run.add_argument("--parameters", type=Path, metavar="FILE", help="YAML file of parameter values")
    run.add_argument("-p", nargs=2, action="append", default=[], metavar=("NAME", "VALUE"), help="one value")
    run.add_argument(
        "--only", nargs="+", action="extend", default=[], metavar="NN", help="numbers of the notebooks to run"
    )
    run.add_argument("--output", type=Path, metavar="DIR", help="default: runs/<time stamp in UTC>")
    commands.add_parser("list", help="show the notebooks and their parameters")
    keep = commands.add_parser("keep", help="store the outputs of a run in the notebooks, and draw their pictures")
    keep.add_argument("run", type=Path, nargs="?", metavar="DIR", help="a run's folder; without it, only draw")
    return parser


def _list() -> None:
    from papermill import inspect_notebook

    for name, path in runner.find().items():
        print(f"{name}: {runner.title(path)}")
        for parameter, entry in inspect_notebook(str(path)).items():
            print(f"    {parameter} = {entry['default']}  # {entry['help']}")


def _keep(run_folder: Path | None) -> None:
    for path in runner.find().values():
        if run_folder:
            print(f"{path.name}: {kept_outputs.refresh(path, run_folder / path.name)} outputs kept")
        drawn = kept_outputs.draw_picture(path)
        if drawn:
            print(f"pictures/{drawn.name}: {drawn.stat().st_size / 1000:.0f} KB")


def _advice(
    entry: Mapping[str, Any], assigned: Mapping[str, object], output: Path, options: argparse.Namespace
) -> dict[str, str]:
    """Return commands by what they do: one repeats a run from the notebook that stopped it, or that this asks for."""
    names, known = list(assigned), list(runner.find())
    left = names[names.index(entry["name"]) :]
    asked = re.search(r"Run (\w+) first\.", entry["error"]["message"] if entry["error"] else "")
    if asked and asked[1] in known:
        left = known[known.index(asked[1]) : known.index(entry["name"])] + left
    # The environment that make builds is often not the active one: name its Python as it can be typed here.
    own = Path(sys.executable)
    python = str(own.relative_to(Path.cwd())) if own.is_relative_to(Path.cwd()) else "python"
    words = [python, "-m", "series", "run", "--only", *(name[:2] for name in left), "--output", str(output)]
    words += ["--parameters", str(options.parameters)] if options.parameters else []
    declared = {name for notebook in left for name in assignment.declared(runner.find()[notebook])}
    words += [word for name, text in options.p if name in declared for word in ("-p", name, text)]
    commands = {"Resume with": shlex.join(words)}
    if entry["parameters"].get("TARGET") == "aws":
        prefix = entry["parameters"].get("PREFIX", "multi-model-endpoint")
        words = ["python", "-m", "series.orphaned_resources", "list", "--target", "aws", "--prefix", prefix]
        commands["See what bills"] = shlex.join(words)
    return commands


def _explain(entry: Mapping[str, Any], output: Path) -> None:
    """Say on stderr what stopped a run, where to look, and how to go on."""
    if entry["error"]:
        message = "\n    ".join(entry["error"]["message"].splitlines()[:15])
        print(f"\nIn section “{entry['error']['section']}”:\n    {entry['error']['name']}: {message}", file=sys.stderr)
    print(f"\nExecuted so far: {output / entry['file']}", file=sys.stderr)
    for purpose, command in entry.get("commands", {}).items():
        print(f"{purpose + ':':16} {command}", file=sys.stderr)


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command line and return the exit code: 0 done, 1 a notebook failed, 2 bad arguments, 130 Ctrl-C."""
    options = _commands().parse_args(argv)
    try:
        if options.command != "run":
            _list() if options.command == "list" else _keep(options.run)
            return 0
        assigned = assignment.assign(
            assignment.read_file(options.parameters) if options.parameters else {},
            {name: assignment.declared(path) for name, path in runner.find().items()},
            texts=dict(options.p),
            selected=select(options.only),
        )
        output = options.output or Path("runs", f"{datetime.datetime.now(datetime.UTC):%Y-%m-%dT%H-%M-%SZ}")
        output.mkdir(parents=True, exist_ok=True)
    except (ValueError, OSError) as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    # `kill` and a closed terminal end a run as Ctrl-C does: with the kernel stopped and a summary.
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    summary = runner.run(assigned, output, advise=lambda entry: _advice(entry, assigned, output, options))
    print(f"\nSummary: {output / report.SUMMARY}\nPage:    {output / report.PAGE}", flush=True)
    for entry in summary["notebooks"]:
        if entry["name"] in assigned and entry["status"] != "completed":
            _explain(entry, output)
    return {"completed": 0, "interrupted": 130}.get(summary["status"], 1)


if __name__ == "__main__":
    sys.exit(main())
