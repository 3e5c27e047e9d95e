import re
import shutil
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest
import yaml
from packaging.requirements import Requirement
from packaging.specifiers import SpecifierSet
from packaging.utils import canonicalize_name
from packaging.version import Version

PYTHONS = ("3.11.2", "3.11.9", "3.12.4", "3.13.0")
SYSTEMS = ({"sys_platform": "linux"}, {"sys_platform": "darwin"}, {"sys_platform": "win32", "os_name": "nt"})


@pytest.fixture(scope="module")
def metadata(project: Path) -> dict:
    return tomllib.loads((project / "pyproject.toml").read_text())


@pytest.fixture(scope="module")
def emulator(project: Path) -> dict:
    """The metadata of local_sagemaker, which is a project of its own and installed beside this one."""
    return tomllib.loads((project / "local_sagemaker" / "pyproject.toml").read_text())


def requirements(metadata: dict) -> list[Requirement]:
    """What a project and its tests need of others."""
    parts = metadata["project"]["dependencies"] + metadata["project"]["optional-dependencies"]["test"]
    return [needed for needed in map(Requirement, parts) if needed.name != "local-sagemaker"]


@pytest.fixture(scope="module")
def required(metadata, emulator) -> list[Requirement]:
    return requirements(metadata) + requirements(emulator)


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


def test_the_conda_environment_and_the_project_require_the_same(conda, metadata):
    (pip,) = [part["pip"] for part in conda["dependencies"] if isinstance(part, dict)]
    assert pip[-2:] == ["-e ./local_sagemaker[test]", "-e ."]
    in_conda = [key(Requirement(line)) for line in pip[:-2]]
    assert len(in_conda) == len(set(in_conda))
    assert sorted(in_conda, key=str) == sorted(map(key, requirements(metadata)), key=str)


def test_the_project_requires_the_local_sagemaker_that_is_beside_it(metadata, emulator):
    version = emulator["project"]["version"]
    for parts, extras in (
        (metadata["project"]["dependencies"], set()),
        (metadata["project"]["optional-dependencies"]["test"], {"test"}),
    ):
        (needed,) = [needed for needed in map(Requirement, parts) if needed.name == "local-sagemaker"]
        assert needed.extras == extras
        assert version in needed.specifier


def test_the_python_of_the_conda_environment_is_supported(conda, metadata):
    (python,) = [part for part in conda["dependencies"] if str(part).startswith("python=")]
    version = python.partition("=")[2]
    assert f"{version}.0" in Requirement(f"python{metadata['project']['requires-python']}").specifier


@pytest.fixture(scope="module")
def pythons(metadata) -> list[str]:
    """The supported versions, as pyproject.toml has them."""
    supported = SpecifierSet(metadata["project"]["requires-python"])
    return [f"3.{minor}" for minor in range(30) if f"3.{minor}.0" in supported and f"3.{minor}.99" in supported]


def test_every_place_names_the_same_pythons(project, metadata, emulator, pythons):
    [versions] = re.findall(r"^VERSIONS := (.+)$", (project / "Makefile").read_text(), re.MULTILINE)
    assert versions.split() == pythons[::-1]
    assert {python.rpartition(".")[0] for python in PYTHONS} == set(pythons)
    sentence = f"Python {', '.join(pythons[:-1])} or {pythons[-1]}"
    for page in ("README.md", "notebooks/README.md"):
        assert sentence in (project / page).read_text(encoding="utf-8"), page
    assert emulator["project"]["requires-python"] == metadata["project"]["requires-python"]
    for settings in (metadata, emulator):
        assert settings["tool"]["ruff"]["target-version"] == f"py{pythons[0].replace('.', '')}"


@pytest.fixture
def bare_machine(project, tmp_path):
    """A function that runs a command of the project's on a machine whose one Python is of a given version."""
    tools = tmp_path / "bin"
    (tmp_path / ".ci").mkdir()
    tools.mkdir()
    (tmp_path / "notebooks").mkdir()
    for name in ("Makefile", "requirements.lock", "notebooks/jupyter_server.json", ".ci/run"):
        shutil.copy(project / name, tmp_path / name)
    for name in ("bash", "dirname", "grep", "id", "make", "mktemp", "rm", "tee", "tail"):
        (tools / name).symlink_to(shutil.which(name))

    def run(*command: str, version: str) -> subprocess.CompletedProcess:
        pretend = f"import sys; sys.version_info = ({version.replace('.', ', ')}, 0, 'final', 0)"
        python = tools / "python3"
        # It stands for a Python in as much as the check of its version asks, and installs nothing.
        python.write_text(
            f'#!{shutil.which("bash")}\n[ "$1" = -c ] && exec {sys.executable} -c "{pretend}\n$2"\nexit 9\n'
        )
        python.chmod(0o755)
        environment = {"PATH": str(tools), "HOME": str(tmp_path)}
        return subprocess.run(command, cwd=tmp_path, env=environment, capture_output=True, text=True, timeout=60)

    return run


@pytest.mark.parametrize("command", [("make", "run"), ("make", "test"), (".ci/run",)], ids=" ".join)
@pytest.mark.parametrize("version", ["3.10", "3.14"])
def test_another_python_is_refused_before_anything_is_installed(bare_machine, tmp_path, pythons, command, version):
    refused = bare_machine(*command, version=version)
    assert refused.returncode != 0
    assert f"not one of the Pythons that this project runs on: {' '.join(pythons[::-1])}." in refused.stderr
    newest = pythons[-1]
    assert f'uv python install {newest} && make PYTHON="$(uv python find {newest})" run' in refused.stderr
    assert "Installing" not in refused.stdout
    assert not (tmp_path / ".venv").exists()


@pytest.mark.parametrize("program", ["true", "echo", "no-such-program", ""])
def test_what_is_no_python_is_refused(project, program):
    refused = subprocess.run(["make", "python", f"PYTHON={program}"], cwd=project, capture_output=True, text=True)
    assert refused.returncode != 0
    assert f'"{program or "python3"}" is not one of the Pythons' in refused.stderr


def test_each_supported_python_is_found_and_taken(bare_machine, pythons):
    for version in pythons:
        assert bare_machine("make", "python", version=version).stdout == "python3\n"
        assert "Installing" in bare_machine("make", "run", version=version).stdout


def test_nothing_unpacks_as_only_later_releases_of_python_3_11_do(project):
    """tarfile's filters came with 3.11.4, and Debian 12 has 3.11.2."""
    folders = ("helpers", "local_sagemaker", "training_scripts", "tests")
    paths = [path for folder in folders for path in (project / folder).rglob("*.py") if path != Path(__file__)]
    assert len(paths) > 300
    missing = re.compile(r"FilterError|\b(extract|extractall|unpack_archive)\(")
    assert [path for path in paths if missing.search(path.read_text(encoding="utf-8"))] == []


def test_every_dependency_of_the_conda_environment_has_its_reason(project):
    lines = (project / "environment.yml").read_text().splitlines()
    packages = [line.strip() for line in lines if re.match(r" +- [a-z0-9]", line) and not line.strip().endswith(":")]
    packages.remove("- conda-forge")
    assert len(packages) > 25
    assert [line for line in packages if not re.search(r"  # \w.{10,}", line)] == []


def test_every_dependency_of_local_sagemaker_has_its_reason(project, emulator):
    lines = (project / "local_sagemaker" / "pyproject.toml").read_text().splitlines()
    packages = [line for line in lines if re.match(r' {4}"[a-z0-9\[\]-]+[>~]=', line)]
    assert len(packages) == len(requirements(emulator))
    assert [line for line in packages if not re.search(r'",  # \w.{10,}', line)] == []


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
