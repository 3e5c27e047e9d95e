"""What a person sees in JupyterLab, in a browser: a training cell, an interrupt and an error that is a sentence."""

import json
import os
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import nbformat
import pytest
from nbformat import v4

from helpers import session
from tests.browser import Browser, Page

pytestmark = pytest.mark.slow

SCRIPTS = Path(__file__).parents[1] / "helpers" / "job_scripts"
CONNECT = f"""
from pathlib import Path
from helpers import datasets, endpoint, session, s3, training
training.SCRIPTS = Path({str(SCRIPTS)!r})
connection = session.connect("local", prefix="lab")
Path("data").mkdir()
Path("data", "a.txt").write_text("data")
data = {{"training": s3.upload(connection, Path("data"), connection.dataset_uri("lab"))}}
def train(script, **hyperparameters):
    return training.train(connection, "lab", entry_script=script, channels=data, hyperparameters=hyperparameters,
                          instance_type="ml.c5.xlarge")
"connected"
"""
CELLS = [
    CONNECT,
    "result = train('succeed.py', pause=1.5)",
    "train('wait.py')",
    "endpoint.attach(connection, 'nothing', models_uri=connection.models_uri)",
]
# Until then, what is run asks for a kernel.
READY = "(document.querySelector('#jp-main-statusbar')?.innerText ?? '').includes('(ipykernel) | Idle')"


@pytest.fixture
def address(tmp_path: Path, environment: dict[str, str]) -> Iterator[str]:
    """Where JupyterLab serves a notebook of four cells; it asks nobody for news and opens no browser."""
    folder = tmp_path / "notebooks"
    folder.mkdir()
    kernel = {"name": "python3", "display_name": "Python 3", "language": "python"}
    cells = [v4.new_code_cell(cell.strip()) for cell in CELLS]
    nbformat.write(v4.new_notebook(cells=cells, metadata={"kernelspec": kernel}), folder / "test.ipynb")
    settings = tmp_path / "settings" / "@jupyterlab" / "apputils-extension" / "notification.jupyterlab-settings"
    settings.parent.mkdir(parents=True)
    settings.write_text(json.dumps({"fetchNews": "false", "checkForUpdates": False}))
    own = {
        "JUPYTER_CONFIG_DIR": "config",
        "JUPYTER_DATA_DIR": "data",
        "JUPYTER_RUNTIME_DIR": "runtime",
        "JUPYTERLAB_SETTINGS_DIR": "settings",
        "JUPYTERLAB_WORKSPACES_DIR": "workspaces",
        "IPYTHONDIR": "ipython",
    }
    environment = environment | {name: str(tmp_path / place) for name, place in own.items()}
    options = ["--no-browser", "--allow-root", "--ip=127.0.0.1", "--port=0", "--IdentityProvider.token=secret"]
    command = [sys.executable, "-m", "jupyterlab", *options, f"--ServerApp.root_dir={folder}"]
    with (tmp_path / "log").open("wb") as log:
        server = subprocess.Popen(command, env=environment, stdout=log, stderr=subprocess.STDOUT, cwd=folder)
    try:
        yield f"{_wait_for_server(server, tmp_path)}lab/tree/test.ipynb?token=secret"
    finally:
        server.terminate()  # it ends its kernels
        server.wait(timeout=30)


def _wait_for_server(server: subprocess.Popen, folder: Path) -> str:
    deadline = time.monotonic() + 60
    while not (found := [*(folder / "runtime").glob("jpserver-*.json")]):
        assert server.poll() is None and time.monotonic() < deadline, (folder / "log").read_text()
        time.sleep(0.05)
    return str(json.loads(found[0].read_text())["url"])


def output(number: int) -> str:
    """Return the JavaScript of what is shown below a cell."""
    return f"(document.querySelectorAll('.jp-CodeCell')[{number}]?.querySelector('.jp-OutputArea')?.innerText ?? '')"


def run(page: Page, number: int) -> None:
    page.click(".jp-CodeCell .jp-InputArea-editor", index=number)
    page.press("Enter", shift=True)


def test_a_person_sees_how_far_a_step_is_what_came_out_and_what_was_stopped(
    browser: Browser, address: str, environment: dict[str, str], monkeypatch: pytest.MonkeyPatch
):
    page = browser.open(address)
    page.wait(READY)
    run(page, 0)
    page.wait(f"{output(0)}.includes('connected')")

    # A bar that grows, with the job's state, and a line for each epoch.
    run(page, 1)
    bar = "document.querySelector('.jp-OutputArea progress')"
    page.wait(f"{bar}?.position === 0 && /Creating|Starting|Training/.test({output(1)})")
    page.wait(f"{bar}?.position === 0.5 && {output(1)}.includes('epoch 1/2 loss=0.5')")
    assert 300 < page.evaluate(f"{bar}.getBoundingClientRect().width") < 900
    assert page.evaluate("/1 of 2 epochs, \\d+ s, about \\d+ s left/.test(" + output(1) + ")")

    # One plain line, which is still there after the tab was closed and opened again.
    page.wait(f"{output(1)}.startsWith('Completed: 2 epochs')")
    line = str(page.evaluate(output(1))).strip()
    assert line.endswith(" s, validation 0.900") and "\n" not in line
    assert page.evaluate(f"{bar} === null")
    page.press("s", control=True)
    page.wait("!document.querySelector('.jp-mod-dirty')")
    page = browser.open(address)
    page.wait(READY)
    page.wait(f"{output(1)}.includes({json.dumps(line)})")
    assert "Error displaying widget" not in str(page.text())
    assert page.evaluate(f"{bar} === null")

    # An interrupt says what was stopped, and the job is.
    run(page, 2)
    page.wait(f"{output(2)}.includes('lab-2')", seconds=90)
    page.press("Escape")
    page.press("i")
    page.press("i")
    page.wait(f"{output(2)}.includes('KeyboardInterrupt')")
    said, error = str(page.evaluate(output(2))).split("\n")[:2]
    assert said.startswith("Interrupted after ") and "It is being stopped; on AWS it bills until it has" in said
    assert error == "KeyboardInterrupt"
    monkeypatch.setattr(os, "environ", dict(environment))
    monkeypatch.setattr(session, "_connected_to", None)
    client = session.connect("local", prefix="lab").boto.client("sagemaker")
    job = next(word for word in said.split() if word.startswith("lab-")).rstrip(".")
    client.get_waiter("training_job_completed_or_stopped").wait(
        TrainingJobName=job, WaiterConfig={"Delay": 1, "MaxAttempts": 30}
    )
    assert client.describe_training_job(TrainingJobName=job)["TrainingJobStatus"] == "Stopped"

    # An error that is a sentence is shown as one.
    run(page, 3)
    page.wait(f"{output(3)}.includes('Error')")
    sentence = "EndpointError: The endpoint nothing does not exist. Run 04_deploy_multi_model_endpoint first."
    assert str(page.evaluate(output(3))).strip() == sentence
    assert all(url.startswith((address.partition("lab/")[0], "data:", "blob:")) for url in page.requests)
