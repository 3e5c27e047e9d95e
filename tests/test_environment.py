import re
import tomllib
from pathlib import Path

import pytest
import yaml
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name
from packaging.version import Version

PYTHONS = ("3.11.9", "3.12.4")
SYSTEMS = ({"sys_platform": "linux"}, {"sys_platform": "darwin"}, {"sys_platform": "win32", "os_name": "nt"})


@pytest.fixture(scope="module")
def metadata(project: Path) -> dict:
    return tomllib.loads((project / "pyproject.toml").read_text())


@pytest.fixture(scope="module")
def required(metadata) -> list[Requirement]:
    parts = metadata["project"]["dependencies"] + metadata["project"]["optional-dependencies"]["test"]
    return [Requirement(line) for line in parts]


@pytest.fixture(scope="module")
def conda(project: Path) -> dict:
    return yaml.safe_load((project / "environment.yml").read_text())


@pytest.fixture(scope="module")
def locked(project: Path) -> list[Requirement]:
    lines = (project / "requirements.lock").read_text().splitlines()
    return [Requirement(line.rstrip(" \\")) for line in lines if re.match(r"[a-z0-9]", line)]


def key(requirement: Requirement) -> tuple:
    name = canonicalize_name(requirement.name)
    return name, frozenset(requirement.extras), str(requirement.specifier), str(requirement.marker or "")


def test_the_conda_environment_and_the_project_require_the_same(conda, required):
    (pip,) = [part["pip"] for part in conda["dependencies"] if isinstance(part, dict)]
    assert pip[-1] == "-e ."
    in_conda = [key(Requirement(line)) for line in pip[:-1]]
    assert len(in_conda) == len(set(in_conda))
    assert sorted(in_conda, key=str) == sorted(map(key, required), key=str)


def test_the_python_of_the_conda_environment_is_supported(conda, metadata):
    (python,) = [part for part in conda["dependencies"] if str(part).startswith("python=")]
    version = python.partition("=")[2]
    assert f"{version}.0" in Requirement(f"python{metadata['project']['requires-python']}").specifier


def test_every_dependency_of_the_conda_environment_has_its_reason(project):
    lines = (project / "environment.yml").read_text().splitlines()
    packages = [line.strip() for line in lines if re.match(r" +- [a-z0-9]", line) and not line.strip().endswith(":")]
    packages.remove("- conda-forge")
    assert len(packages) > 30
    assert [line for line in packages if not re.search(r"  # \w.{10,}", line)] == []


@pytest.mark.parametrize("python", PYTHONS)
@pytest.mark.parametrize("system", SYSTEMS, ids=lambda system: system["sys_platform"])
def test_the_lock_file_pins_what_is_required_once_for_every_system(locked, required, python, system):
    environment = {
        "os_name": "posix",
        "python_version": python.rpartition(".")[0],
        "python_full_version": python,
        "implementation_name": "cpython",
        "platform_python_implementation": "CPython",
        **system,
    }
    pins: dict[str, Version] = {}
    for pin in locked:
        if pin.marker is None or pin.marker.evaluate(environment):
            name = canonicalize_name(pin.name)
            assert name not in pins, f"{name} is pinned twice for {environment}"
            (only,) = pin.specifier
            assert only.operator == "=="
            pins[name] = Version(only.version)
    assert len(pins) > 150
    for requirement in required:
        if requirement.marker is None or requirement.marker.evaluate(environment):
            pin = pins.get(canonicalize_name(requirement.name))
            assert pin is not None, f"{requirement} is not in requirements.lock; run make lock"
            assert pin in requirement.specifier, f"requirements.lock pins {requirement.name} {pin}, not {requirement}"


def test_every_pin_has_hashes_and_the_lock_file_names_no_registry(project, locked):
    text = (project / "requirements.lock").read_text()
    blocks = re.split(r"\n(?=[a-z0-9])", text)[1:]
    assert len(blocks) == len(locked)
    assert [block.splitlines()[0] for block in blocks if "--hash=sha256:" not in block] == []
    assert "://" not in text
    assert not re.search(r"^\s*--(index|extra-index|find-links|trusted-host)", text, re.MULTILINE)


def test_this_environment_is_the_one_that_is_required(required):
    from importlib.metadata import version

    for requirement in required:
        if requirement.marker is None or requirement.marker.evaluate():
            assert version(requirement.name) in requirement.specifier
