"""Command line of the stand-in: start, stop, status, reset, env."""

import argparse
import shlex
import sys
from pathlib import Path

from local_sagemaker import daemon
from local_sagemaker.settings import default_home


def main(arguments: list[str] | None = None) -> int:
    """Run one command and return its exit code."""
    parser = argparse.ArgumentParser(
        prog="python -m local_sagemaker",
        description="Amazon SageMaker on 127.0.0.1, for boto3, the SageMaker Python SDK and the AWS CLI.",
    )
    parser.add_argument("--home", type=Path, default=None, help=f"folder with all state (default: {default_home()})")
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
    options = parser.parse_args(arguments)
    home = options.home.expanduser().absolute() if options.home else default_home()
    try:
        return _run(options, home)
    except (daemon.DaemonError, ValueError) as error:
        print(error, file=sys.stderr)
        return 1


def _run(options: argparse.Namespace, home: Path) -> int:
    match options.command:
        case "start":
            _print_status(daemon.start(home, port=options.port))
        case "serve":
            daemon.serve(home, port=options.port)
        case "stop":
            print("Stopped." if daemon.stop(home) else "No server is running.")
        case "reset":
            daemon.reset(home)
            print(f"Deleted the state in {home}.")
        case "status" | "env":
            running = daemon.status(home)
            if running is None:
                print("No server is running. Start one: python -m local_sagemaker start", file=sys.stderr)
                return 1
            if options.command == "status":
                _print_status(running)
            else:
                print("\n".join(f"export {key}={shlex.quote(value)}" for key, value in running.environment.items()))
    return 0


def _print_status(running: daemon.Status) -> None:
    print(f"local_sagemaker runs at {running.environment['AWS_ENDPOINT_URL']} (process {running.pid}).")
    print(f"Its state is in {running.home}.")
    print('Point a shell at it: eval "$(python -m local_sagemaker env)"')


if __name__ == "__main__":
    sys.exit(main())
