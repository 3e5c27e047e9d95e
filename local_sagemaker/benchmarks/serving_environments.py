"""An environment of its own for each peer, built once and kept in the user's cache."""

import hashlib
import json
import shutil
import subprocess
import sys
from collections.abc import Sequence
from importlib.metadata import version
from pathlib import Path

from platformdirs import user_cache_path

_VERSIONS = (
    "import importlib.metadata as m, json, platform, sys;"
    "found = {n: m.version(n) for n in sys.argv[1:] if any(True for _ in m.distributions(name=n))};"
    "print(json.dumps({'python': platform.python_version()} | found))"
)


FOLDER = user_cache_path("local_sagemaker") / "benchmark-environments"


class MissingPeerError(RuntimeError):
    """A peer cannot run here; the message says why."""


def prepare(requirements: Sequence[str], *, package: str) -> tuple[Path, dict[str, str]]:
    """Return the programs of the environment with these requirements, and the versions in it; build it if need be.

    Its TensorFlow is that of the project if that can be installed together with them, else what can.

    Raises:
        MissingPeerError: If it cannot be built.
    """
    reasons = []
    ours = version("tensorflow")
    for tensorflow in (f"tensorflow-cpu=={ours}", f"tensorflow=={ours}", "tensorflow"):
        wanted = [*requirements, tensorflow]
        place = FOLDER / f"{package}-{hashlib.sha256(json.dumps([sys.version, wanted]).encode()).hexdigest()[:12]}"
        if reason := "" if (place / "ready").exists() else _build(place, wanted):
            reasons.append(f"{tensorflow}: {reason}")
            continue
        names = [package, tensorflow.partition("=")[0]]
        told = subprocess.check_output([place / "bin" / "python", "-c", _VERSIONS, *names], text=True)
        return place / "bin", json.loads(told)
    raise MissingPeerError(f"pip could not install it. {' '.join(reasons)}")


def _build(place: Path, requirements: Sequence[str]) -> str:
    """Build an environment; return why it could not be built, or nothing."""
    shutil.rmtree(place, ignore_errors=True)
    print(f"Building an environment with {', '.join(requirements)}. It takes minutes, once.", file=sys.stderr)
    subprocess.run([sys.executable, "-m", "venv", str(place)], check=True)
    pip = [str(place / "bin" / "python"), "-m", "pip", "install", "--quiet", "--disable-pip-version-check"]
    completed = subprocess.run([*pip, *requirements], stderr=subprocess.PIPE, text=True, check=False)
    if completed.returncode:
        shutil.rmtree(place, ignore_errors=True)
        errors = [line for line in completed.stderr.splitlines() if line.startswith("ERROR")]
        return " ".join(errors[:2]) or "pip failed."
    (place / "ready").touch()
    return ""
