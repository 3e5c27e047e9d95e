import os
import subprocess
import sys

import pytest


@pytest.fixture(scope="module")
def home(tmp_path_factory):
    """A home folder of the emulator for one test file; whatever that leaves running is stopped."""
    folder = tmp_path_factory.mktemp("home")
    yield folder
    subprocess.run([sys.executable, "-m", "local_sagemaker", "--home", str(folder), "stop"], check=True)


@pytest.fixture(scope="module")
def environment(home):
    """The environment of a newcomer's shell: no AWS settings."""
    inherited = {key: value for key, value in os.environ.items() if not key.startswith("AWS_")}
    return inherited | {"LOCAL_SAGEMAKER_HOME": str(home)}
