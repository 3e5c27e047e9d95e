"""Tiny data sets, random weights in the layout of VGG16, and one finished run of each script."""

import hashlib
import json
import os
import subprocess
import sys
import sysconfig
import tarfile
import tempfile
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import pytest

from helpers.sources.weights import layer_shapes

SCRIPTS = Path(__file__).resolve().parents[2] / "training_scripts"
# Scripts that the tests of every script run on; each has the fixtures `…_data`, `…_training` and `…_run`.
EVERY_SCRIPT = ("cifar", "hands")
RUN_A_SCRIPT = {"run_job", "any_run", "personal_run", "training", *(f"{name}_run" for name in EVERY_SCRIPT)}


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """A test that looks at a run of a script is slow: starting TensorFlow alone takes seconds."""
    for item in items:
        if RUN_A_SCRIPT & set(getattr(item, "fixturenames", ())):
            item.add_marker("slow")


@pytest.fixture(scope="session")
def mpirun() -> Callable[..., subprocess.CompletedProcess]:
    """A function that runs a script with so many ranks, as a training job does."""

    def run(count: int, *command: object) -> subprocess.CompletedProcess:
        environment = {name: value for name, value in os.environ.items() if not name.startswith("SM_")}
        environment |= {"TF_CPP_MIN_LOG_LEVEL": "3", "TF_NUM_INTRAOP_THREADS": "1", "OMPI_MCA_btl": "self,sm"}
        environment |= {"OMPI_MCA_btl_sm_backing_directory": tempfile.gettempdir(), "OMPI_MCA_mpi_yield_when_idle": "1"}
        program = Path(sysconfig.get_path("scripts"), "mpirun")
        options = ["--allow-run-as-root", "--bind-to", "none", "--host", f"localhost:{count}", "-np", count]
        words = [program, *options, sys.executable, "-m", "mpi4py", *command]
        return subprocess.run(list(map(str, words)), env=environment, capture_output=True, text=True, timeout=300)

    return run


@pytest.fixture(scope="session")
def unpack() -> Callable[[Path, Path], None]:
    """A function that unpacks an archive, which the tests have made themselves, into a folder."""

    def unpack(archive: Path, folder: Path) -> None:
        with tarfile.open(archive) as files:
            for member in filter(tarfile.TarInfo.isfile, files):
                (folder / member.name).parent.mkdir(parents=True, exist_ok=True)
                (folder / member.name).write_bytes(files.extractfile(member).read())

    return unpack


@dataclass(frozen=True)
class Run:
    """A finished script and the folders that it wrote."""

    exit_code: int
    stdout: str
    stderr: str
    model: Path
    output: Path

    def report(self, name: str) -> dict:
        return json.loads((self.output / f"{name}.json").read_text())

    def exported_variables(self) -> list[bytes]:
        """Sorted, because Keras exports the variables in another order each time."""
        import tensorflow as tf  # imported only by the tests that need it: it takes seconds

        reader = tf.train.load_checkpoint(self.model / "1" / "variables" / "variables")
        names = [name for name in reader.get_variable_to_shape_map() if name.endswith("VARIABLE_VALUE")]
        return sorted(reader.get_tensor(name).tobytes() for name in names)


def write_dataset(folder: Path, *, slug: str, size: int, counts: dict[str, int]) -> Path:
    """Write images of coloured noise in which the brightness of two pixels tells the class."""
    folder.mkdir(parents=True)
    random = np.random.default_rng(7)
    for name, count in counts.items():
        labels = np.arange(count, dtype=np.int64) % 10
        images = random.integers(0, 40, (count, size, size, 3), dtype=np.uint8)
        images += random.integers(0, 200, (count, 1, 1, 3), dtype=np.uint8)
        images[:, 4, 4] = images[:, 9, 9] = (labels * 25)[:, None]
        np.savez(folder / f"{name}.npz", images=images, labels=labels)
    description = {
        "name": slug,
        "title": slug.title(),
        "source": f"{slug.title()}, a generated sample.",
        "is_real": False,
        "class_names": [f"class {index}" for index in range(10)],
        "image_size": size,
        "counts": counts,
        "split": "original",
        "seed": 7,
        "fingerprint": "0" * 64,
    }
    (folder / "dataset.json").write_text(json.dumps(description))
    return folder


def write_vgg16_base(folder: Path) -> Path:
    """Write random arrays with the names and shapes of VGG16, scaled so that no class is ever certain."""
    folder.mkdir(parents=True)
    random = np.random.default_rng(7)
    arrays = {
        name: random.standard_normal(shape, dtype=np.float32) * np.float32(0.7 * np.sqrt(2 / np.prod(shape[:3])))
        if name.endswith("kernel")
        else np.zeros(shape, np.float32)
        for name, shape in layer_shapes().items()
    }
    path = folder / "vgg16_base.npz"
    np.savez(path, **arrays)
    record = {
        "provenance": "file",
        "description": "Random arrays of a test.",
        "sha256": hashlib.sha256(path.read_bytes()).hexdigest(),
    }
    (folder / "weights.json").write_text(json.dumps(record))
    return folder


def run_script(script: str, *arguments: str, folder: Path, channels: dict[str, Path]) -> Run:
    """Run a script the way a training job does: folders in the environment, hyperparameters as arguments."""
    model, output = folder / "model", folder / "output" / "data"
    environment = {name: value for name, value in os.environ.items() if not name.startswith("SM_")}
    environment |= {"SM_MODEL_DIR": str(model), "SM_OUTPUT_DATA_DIR": str(output)}
    environment |= {f"SM_CHANNEL_{name.upper()}": str(path) for name, path in channels.items()}
    environment["TF_CPP_MIN_LOG_LEVEL"] = "3"
    finished = subprocess.run(
        [sys.executable, str(SCRIPTS / script), *arguments],
        env=environment,
        cwd=folder,
        capture_output=True,
        text=True,
        timeout=300,
    )
    return Run(finished.returncode, finished.stdout, finished.stderr, model, output)


@dataclass(frozen=True)
class Training:
    """A script with data and arguments, which can be run again and again."""

    script: str
    arguments: tuple[str, ...]
    channels: dict[str, Path]

    def run(self, folder: Path, *more: str) -> Run:
        folder.mkdir(exist_ok=True)
        return run_script(self.script, *self.arguments, *more, folder=folder, channels=self.channels)

    def finished(self, tmp_path_factory: pytest.TempPathFactory, *more: str) -> Run:
        run = self.run(tmp_path_factory.mktemp(Path(self.script).stem), *more)
        assert run.exit_code == 0, run.stderr
        return run


@pytest.fixture(scope="session")
def run_job():
    """The function that runs a script as a training job does."""
    return run_script


@pytest.fixture(scope="session")
def cifar_data(tmp_path_factory) -> Path:
    counts = {"train": 64, "validation": 20, "test": 10}
    return write_dataset(tmp_path_factory.mktemp("cifar") / "data", slug="cifar", size=32, counts=counts)


@pytest.fixture(scope="session")
def hands_data(tmp_path_factory) -> Path:
    counts = {"train": 64, "validation": 20, "test": 10}
    folder = tmp_path_factory.mktemp("hands") / "data"
    return write_dataset(folder, slug="sign-language", size=40, counts=counts)


@pytest.fixture(scope="session")
def users_data(tmp_path_factory) -> Path:
    """The images of four users."""
    counts = {"train": 64, "validation": 20, "test": 10}
    folder = write_dataset(tmp_path_factory.mktemp("users") / "data", slug="personal", size=40, counts=counts)
    users = {name: np.arange(count) % 4 for name, count in counts.items()}
    np.savez(folder / "users.npz", names=np.array([f"user-00{number}" for number in range(4)]), **users)
    return folder


@pytest.fixture(scope="session")
def vgg16_base(tmp_path_factory) -> Path:
    return write_vgg16_base(tmp_path_factory.mktemp("weights") / "vgg16")


@pytest.fixture(scope="session")
def cifar_training(cifar_data) -> Training:
    arguments = ("--batch-size", "16", "--width", "8", "--seed", "3")
    return Training("cifar_train.py", arguments, {"training": cifar_data})


@pytest.fixture(scope="session")
def cifar_run(tmp_path_factory, cifar_training) -> Run:
    return cifar_training.finished(tmp_path_factory, "--epochs", "2")


@pytest.fixture(scope="session")
def hands_training(hands_data, vgg16_base) -> Training:
    arguments = ("--batch-size", "16", "--image-size", "32", "--seed", "3")
    return Training("sign_language_train.py", arguments, {"training": hands_data, "weights": vgg16_base})


@pytest.fixture(scope="session")
def hands_run(tmp_path_factory, hands_training) -> Run:
    return hands_training.finished(tmp_path_factory, "--epochs", "1")


@pytest.fixture(scope="session")
def personal_run(tmp_path_factory, users_data, vgg16_base) -> Run:
    arguments = ("--batch-size", "16", "--image-size", "32")
    channels = {"training": users_data, "weights": vgg16_base}
    return Training("personal_train.py", arguments, channels).finished(tmp_path_factory, "--epochs", "2")


@pytest.fixture(scope="session")
def served_archive(tmp_path_factory, unpack):
    """A function that loads one archive of a run of personal models and returns its signature for pixels."""
    import tensorflow as tf  # imported only by the tests that need it: it takes seconds

    def load(run: Run, name: str):
        folder = tmp_path_factory.mktemp(name) / "model"
        unpack(run.model / f"{name}.tar.gz", folder)
        return tf.saved_model.load(folder / "1").signatures["serving_default"]

    return load


@pytest.fixture(scope="session", params=EVERY_SCRIPT)
def any_run(request) -> tuple[Run, Path]:
    """Each finished run with its data, for what holds of all."""
    return request.getfixturevalue(f"{request.param}_run"), request.getfixturevalue(f"{request.param}_data")


@pytest.fixture(scope="session", params=EVERY_SCRIPT)
def training(request) -> Training:
    """Each script with three epochs of four steps, on two threads."""
    script = request.getfixturevalue(f"{request.param}_training")
    return replace(script, arguments=(*script.arguments, "--epochs", "3", "--threads", "2"))


@pytest.fixture(scope="session")
def whole_run(training, tmp_path_factory) -> Run:
    """A run of it that nothing interrupted; its checkpoints are below the folder of the run."""
    folder = tmp_path_factory.mktemp("whole_run")
    run = training.run(folder, "--checkpoint-dir", str(folder / "checkpoints"))
    assert run.exit_code == 0, run.stderr
    return run


@pytest.fixture
def call_main(monkeypatch, tmp_path):
    """Call a script's main in this process; return what it raised and its model folder."""
    for name in [name for name in os.environ if name.startswith("SM_")]:
        monkeypatch.delenv(name)

    def call(main, *arguments: object) -> tuple[BaseException | None, Path]:
        folders = ["--model-dir", tmp_path / "model", "--output-data-dir", tmp_path / "output"]
        monkeypatch.setattr(sys, "argv", ["script.py", *map(str, [*folders, *arguments])])
        try:
            main()
        except (Exception, SystemExit) as error:
            return error, tmp_path / "model"
        return None, tmp_path / "model"

    return call
