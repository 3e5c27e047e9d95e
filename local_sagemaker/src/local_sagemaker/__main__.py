"""Command line of the emulator: start, stop, status, reset, env, fit."""

import argparse
import dataclasses
import json
import os
import shlex
import signal
import sys
from pathlib import Path
from typing import Any

from local_sagemaker import daemon
from local_sagemaker.fit import capacities, tables
from local_sagemaker.settings import Settings, default_home


def main(arguments: list[str] | None = None) -> int:
    """Run one command and return its exit code."""
    try:
        options = _parser().parse_args(arguments)
        return _run(options, options.home)
    except (daemon.DaemonError, ValueError) as error:
        print(error, file=sys.stderr)
        return 1


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m local_sagemaker",
        description="Amazon SageMaker on 127.0.0.1, for boto3, the SageMaker Python SDK and the AWS CLI.",
    )
    usual = default_home()
    parser.add_argument("--home", type=_folder, default=usual, help=f"folder with all state (default: {usual})")
    commands = parser.add_subparsers(dest="command", required=True)
    for name, help_text in (
        ("start", "start the server in the background"),
        ("serve", "run the server in the foreground"),
    ):
        command = commands.add_parser(name, help=help_text)
        command.add_argument("--port", type=int, default=0, help="port on 127.0.0.1 (default: a free one)")
    commands.add_parser("stop", help="stop the server; its state stays")
    commands.add_parser("status", help="tell whether the server runs (exit code 1 if not)")
    commands.add_parser("reset", help="stop the server and delete all its state")
    commands.add_parser("env", help='print the variables to set: eval "$(python -m local_sagemaker env)"')
    _add_fit(commands)
    return parser


def _add_fit(commands: Any) -> None:
    fit = commands.add_parser(
        "fit",
        help="measure a model of your own, and tell how many copies fit on an instance",
        description="Load copies of a model as an instance does, measure memory and times, and tell how many fit.",
    )
    fit.add_argument("model", type=Path, help="a .tar.gz archive, or the folder that was packed into it")
    fit.add_argument("--memory-bytes", type=_positive, help="memory of the instance for models (default: 4 GiB)")
    fit.add_argument("--disk-bytes", type=_positive, help="disk of the instance for models (default: 16 GiB)")
    fit.add_argument("--json", action="store_true", help="write JSON, with sizes in bytes and times in seconds")


def _folder(text: str) -> Path:
    try:
        return Path(text).expanduser().absolute()
    except RuntimeError as error:
        raise argparse.ArgumentTypeError(f"{text}: {error}") from error


def _positive(text: str) -> int:
    value = int(text) if text.isascii() and text.isdecimal() else 0
    if value <= 0:
        raise argparse.ArgumentTypeError(f"{text!r} is no number of bytes; pass a whole one, such as 4294967296")
    return value


def _run(options: argparse.Namespace, home: Path) -> int:
    match options.command:
        case "start":
            _print_status(daemon.start(home, port=options.port))
        case "serve":
            daemon.serve(home, port=options.port)
        case "stop":
            print("Stopped." if daemon.stop(home) else "No server is running.")
        case "fit":
            return _fit(options)
        case "reset":
            said = f"Deleted the state in {home}." if home.exists() else f"There is no state in {home}."
            daemon.reset(home)
            print(said)
        case "status" | "env":
            running = daemon.status(home)
            if running is None:
                print(f"No server is running. Start one: {daemon.command('start', home)}", file=sys.stderr)
                return 1
            if options.command == "status":
                _print_status(running)
            else:
                _print_environment(running)
    return 0


def _fit(options: argparse.Namespace) -> int:
    """Measure a model; whatever ends this command, the copies and the process that loads them go with it."""
    limits = {"instance_memory_bytes": options.memory_bytes, "instance_disk_bytes": options.disk_bytes}
    settings = dataclasses.replace(Settings(), **{name: value for name, value in limits.items() if value})
    before = signal.signal(signal.SIGTERM, lambda number, _: sys.exit(128 + number))
    if sys.stderr.isatty():
        print(f"Loading {capacities.COPIES} copies of {options.model}", file=sys.stderr)
    try:
        capacity = capacities.measure(options.model, settings)
    except KeyboardInterrupt:
        return 128 + signal.SIGINT
    except OSError as error:
        print(f"The copies cannot be written: {error}. Set TMPDIR to a folder with room for them.", file=sys.stderr)
        return 1
    finally:
        signal.signal(signal.SIGTERM, before)
    print(json.dumps(capacity.document(), indent=2) if options.json else tables.write(capacity))
    return 0


def _print_environment(running: daemon.Status) -> None:
    """Print what a shell evaluates: the server's variables, and an end to those that would win over them."""
    foreign = ("AWS_PROFILE", "AWS_SESSION_TOKEN", "AWS_IGNORE_CONFIGURED_ENDPOINT_URLS")
    names = [name for name in os.environ if name in foreign or name.startswith("AWS_ENDPOINT_URL_")]
    if names:
        print("unset", *sorted(names))
    for name, value in running.environment.items():
        print(f"export {name}={shlex.quote(value)}")


def _print_status(running: daemon.Status) -> None:
    print(f"local_sagemaker runs at {running.environment['AWS_ENDPOINT_URL']} (process {running.pid}).")
    print(f"Its state is in {running.home}.")
    print(f'Point a shell at it: eval "$({daemon.command("env", running.home)})"')


if __name__ == "__main__":
    sys.exit(main())
