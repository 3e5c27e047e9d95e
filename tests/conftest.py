"""Fixtures that more than one test module uses."""

import os
import shutil
import uuid
from collections.abc import Callable, Iterator, Sequence
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Any

import matplotlib
import nbformat
import numpy as np
import pytest
from botocore.session import get_session
from botocore.validate import ParamValidator
from local_sagemaker import Status, start, stop, validate
from nbformat import v4

from helpers import session
from helpers.aws.connection import Connection
from series import orphaned_resources
from tests.browser import MISSING, PROGRAMS, Browser

matplotlib.use("Agg")
LONG = ("tests/notebooks/", "tests/training_scripts/", "tests/test_contributing.py")


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--target", choices=session.TARGETS, default="local", help="aws: run the tests marked aws there")
    parser.addoption("--keep-requests", action="store_true", help="keep the series' requests as the transcript")


def pytest_configure(config: pytest.Config) -> None:
    """Say what is missing before anything is tried on AWS."""
    if config.option.target != "aws" or config.option.collectonly:
        return
    missing = session.missing_on_aws()
    if missing:
        raise pytest.UsageError(f"The tests on AWS need {'; '.join(missing)}.")


def pytest_report_header(config: pytest.Config) -> str | None:
    if config.option.target != "aws":
        return None
    return (
        "target aws: one training job and one endpoint on ml.c5.xlarge, about $0.10 in all; needs a SageMaker quota of "
        "1 for ml.c5.xlarge for training job usage and for endpoint usage"
    )


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """With the target AWS, only what is marked for it runs. What takes minutes comes first, not alone at the end."""
    items.sort(key=lambda item: not item.nodeid.startswith(LONG))
    if config.option.target == "aws":
        there = [item for item in items if item.get_closest_marker("aws")]
        config.hook.pytest_deselected(items=[item for item in items if item not in there])
        items[:] = there


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config: pytest.Config, log: Any) -> Any:
    """Leave all tests of a file to one process, and those of training_scripts, which share finished runs."""
    from xdist.scheduler import LoadFileScheduling

    class Scheduling(LoadFileScheduling):
        def _split_scope(self, nodeid: str) -> str:
            folder = "tests/training_scripts/"
            return folder if nodeid.startswith(folder) else super()._split_scope(nodeid)

    return Scheduling(config, log)


@pytest.fixture(scope="session")
def project() -> Path:
    return Path(__file__).parent.parent


@pytest.fixture(scope="session")
def kept_requests(project: Path) -> Path:
    """The transcript of the series' requests that is kept under version control."""
    return project / "tests" / "notebooks" / "requests.jsonl"


@pytest.fixture
def write_notebook(tmp_path: Path) -> Callable[..., Path]:
    """A function that writes a small notebook into a folder of its own and returns the file's path."""

    def write(name: str, code: Sequence[str], *, parameters: str = "", keep: Sequence[int] = ()) -> Path:
        cells = [v4.new_markdown_cell(f"# {name}")]
        if parameters:
            cells.append(v4.new_code_cell(parameters, metadata={"tags": ["parameters"]}))
        for index, source in enumerate(code):
            cells.append(v4.new_markdown_cell(f"## Section {index + 1}"))
            tags = {"tags": ["keep_output"]} if index in keep else {}
            cells.append(v4.new_code_cell(source, metadata=tags))
        kernel = {"name": "python3", "display_name": "Python 3", "language": "python"}
        path = tmp_path / "notebooks" / f"{name}.ipynb"
        path.parent.mkdir(exist_ok=True)
        nbformat.write(v4.new_notebook(cells=cells, metadata={"kernelspec": kernel}), path)
        return path

    return write


@pytest.fixture(scope="module")
def browser(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Browser]:
    """A headless browser."""
    program = next((found for name in PROGRAMS if (found := shutil.which(name))), None)
    if program is None:
        # Elsewhere a contributor may do without; where everything is checked, nobody would notice a skipped test.
        (pytest.fail if os.environ.get("CI") else pytest.skip)(MISSING)
    opened = Browser(program, tmp_path_factory.mktemp("profile"))
    yield opened
    opened.close()


@pytest.fixture(scope="session")
def local_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Status]:
    """One server of local_sagemaker for all tests; only what this yields leads to it."""
    home = tmp_path_factory.mktemp("local sagemaker")  # with a space, as below macOS' Application Support
    yield start(home)
    stop(home)


@pytest.fixture(scope="module")
def connection(request: pytest.FixtureRequest) -> Iterator[Connection]:
    """The connection of a notebook to the target of the tests; afterwards all is as it was."""
    prefix = f"series-{uuid.uuid4().hex[:8]}"
    if request.config.option.target == "aws":
        on_aws = session.connect("aws", prefix=prefix)
        yield on_aws
        for resource in orphaned_resources.find(on_aws):
            orphaned_resources.delete(on_aws, resource)
        return
    local_server: Status = request.getfixturevalue("local_server")
    before = dict(os.environ)
    os.environ["LOCAL_SAGEMAKER_HOME"] = str(local_server.home)
    try:
        yield session.connect("local", prefix=prefix)
    finally:
        os.environ.clear()
        os.environ.update(before)
        session._connected_to = None


@pytest.fixture(scope="session")
def classifiers(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """Archives of two image classifiers of different architecture, by name, that tell bright images from dark ones.

    They are exported as the series' models are. "dense" takes images of 4×4 pixels, "convolution" of 8×8.
    """
    folder = tmp_path_factory.mktemp("classifiers")
    _export_classifier(folder / "dense", 4)
    _export_classifier(folder / "convolution", 8, convolution=True)
    names = ("dense", "convolution")
    return {name: Path(shutil.make_archive(str(folder / name), "gztar", folder / name)) for name in names}


def _export_classifier(folder: Path, size: int, *, convolution: bool = False) -> None:
    import keras  # imported only by the tests that need it: it takes seconds

    from shared.exporting import export_classifier

    pixels = keras.Input((size, size, 3))
    x = keras.layers.Rescaling(1 / 255)(pixels)
    if convolution:
        x = keras.layers.AveragePooling2D(3, strides=1, padding="same")(x)
    x = keras.layers.GlobalAveragePooling2D()(x)
    # One way up to a brightness of 0.4, the other way above it.
    weights = [np.tile([0.0, 8 / 3], (3, 1)), np.array([0.0, -3.2])]
    classify = keras.layers.Dense(2, activation="softmax")
    model = keras.Model(pixels, classify(x))
    classify.set_weights(weights)
    export_classifier(model, folder, class_names=["dark", "bright"], provenance={})


@pytest.fixture(scope="session")
def allowed() -> Callable[[dict, str, str], bool]:
    """A function that tells whether a policy allows an action on a resource; what it demands besides is met."""

    def ask(policy: dict, action: str, resource: str) -> bool:
        return any(
            statement["Effect"] == "Allow"
            and _matches(statement["Action"], action)
            and _matches(statement["Resource"], resource)
            for statement in policy["Statement"]
        )

    return ask


def _matches(patterns: str | list[str], text: str) -> bool:
    patterns = [patterns] if isinstance(patterns, str) else patterns
    return any(fnmatchcase(text, pattern.replace("[", "[[]")) for pattern in patterns)


@pytest.fixture(scope="session")
def check_request() -> Callable[[str, str, dict], None]:
    """A function that fails if a request is not valid for the service model that boto3 uses."""

    def check(service: str, operation: str, parameters: dict) -> None:
        shape = get_session().get_service_model(service).operation_model(operation).input_shape
        report = ParamValidator().validate(parameters, shape)
        assert not report.has_errors(), f"{operation}: {report.generate_report()}"
        if service == "sagemaker":
            validate(operation, parameters)  # lengths, enums and patterns too

    return check
