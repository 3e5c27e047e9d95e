import html
import io
import json
import os
import re
import shlex
import signal
import subprocess
import sys
import time
import types
from contextlib import contextmanager
from pathlib import Path

import nbformat
import pytest
from nbformat import v4

import helpers
from helpers.display import progress
from series import __main__ as series
from series import runner

RECORD = "from helpers import results\nresults.record(cifar_test_accuracy=0.9, cifar_source=SOURCE)"


@pytest.fixture
def targets(monkeypatch):
    """Replace the session, which would start a server, and note the targets that runs asked for."""
    entered = []

    @contextmanager
    def running(target):
        entered.append(target)
        yield
        entered.append("left")

    stand_in = types.SimpleNamespace(running=running)
    monkeypatch.setitem(sys.modules, "helpers.session", stand_in)
    monkeypatch.setattr(helpers, "session", stand_in, raising=False)
    return entered


@pytest.fixture(autouse=True)
def series_of_small_notebooks(project, tmp_path, monkeypatch):
    """The series is what write_notebook has written; kernels find the project."""
    monkeypatch.setattr(runner, "NOTEBOOKS", tmp_path / "notebooks")
    monkeypatch.setenv("PYTHONPATH", str(project))


@pytest.fixture(autouse=True)
def sigterm_as_before():
    """The runner handles SIGTERM; in this process it shall do so only for the test."""
    before = signal.getsignal(signal.SIGTERM)
    yield
    signal.signal(signal.SIGTERM, before)


def run(output: Path, *arguments: str) -> int:
    return series.main(["run", "--output", str(output), *arguments])


def summary(output: Path) -> dict:
    return json.loads((output / "summary.json").read_text())


def test_the_notebooks_run_in_order_with_the_parameters_they_declare(write_notebook, tmp_path, targets, capfd):
    write_notebook("01_data", [RECORD], parameters="SOURCE = 'auto'")
    write_notebook(
        "02_train",
        ["from pathlib import Path\nfrom helpers import results", "results.record(here=Path.cwd().name, n=EPOCHS)"],
        parameters="EPOCHS = 5",
    )
    output = tmp_path / "out"
    assert run(output, "-p", "EPOCHS", "2", "-p", "SOURCE", "sample") == 0
    written = summary(output)
    assert written["status"] == "completed"
    assert [entry["name"] for entry in written["notebooks"]] == ["01_data", "02_train"]
    assert written["notebooks"][1]["results"] == {"here": "notebooks", "n": 2}
    assert written["parameters"] == {"EPOCHS": 2, "SOURCE": "sample"}
    assert written["results"] == {"cifar_test_accuracy": 0.9, "cifar_source": "sample", "here": "notebooks", "n": 2}
    assert all(entry["seconds"] > 0 for entry in written["notebooks"])
    assert {"python", "tensorflow", "sagemaker"} <= set(written["versions"])
    assert targets == ["local", "left"]
    log = capfd.readouterr().err
    assert re.search(r"01_data  0/2  01_data\n +01_data  1/2  Section 1\n.*01_data: 2 cells, \d", log, re.DOTALL)
    assert "02_train: 3 cells, " in log


def test_the_target_comes_from_the_parameters(write_notebook, tmp_path, targets):
    write_notebook("01_data", ["1"], parameters="TARGET = 'local'")
    assert run(tmp_path / "out", "-p", "TARGET", "aws") == 0
    assert targets == ["aws", "left"]
    assert summary(tmp_path / "out")["target"] == "aws"


def test_the_kernel_is_this_python_whatever_the_user_registered(write_notebook, tmp_path, targets, monkeypatch):
    spec = tmp_path / "user" / "kernels" / "python3" / "kernel.json"
    spec.parent.mkdir(parents=True)
    spec.write_text(json.dumps({"argv": ["/bin/false"], "display_name": "wrong", "language": "python"}))
    monkeypatch.setenv("JUPYTER_PATH", str(tmp_path / "user"))
    monkeypatch.setenv("JUPYTER_DATA_DIR", str(tmp_path / "user"))
    cell = "import sys\nfrom helpers import results\nresults.record(prefix=sys.prefix)"
    write_notebook("01_data", [cell])
    assert run(tmp_path / "out") == 0
    assert summary(tmp_path / "out")["notebooks"][0]["results"] == {"prefix": sys.prefix}


@pytest.mark.slow
def test_a_failure_stops_the_series_and_the_printed_command_resumes_it(
    write_notebook, tmp_path, targets, capfd, monkeypatch
):
    ready = tmp_path / "model.txt"
    check = "from pathlib import Path\nif not Path(MODEL).exists():\n    raise FileNotFoundError('No model. Run 01.')"
    write_notebook("01_data", [RECORD], parameters="SOURCE = 'auto'")
    write_notebook("02_train", ["1", check], parameters=f"MODEL = {str(ready)!r}\nEPOCHS = 1")
    write_notebook("03_deploy", ["1"])
    output = tmp_path / "out put"
    assert run(output, "-p", "SOURCE", "sample", "-p", "EPOCHS", "2") == 1
    written = summary(output)
    assert written["status"] == "failed"
    assert [entry["status"] for entry in written["notebooks"]] == ["completed", "failed"]
    assert written["notebooks"][1]["error"] == {
        "section": "Section 2",
        "name": "FileNotFoundError",
        "message": "No model. Run 01.",
    }
    assert targets == ["local", "left"]
    message = capfd.readouterr().err
    assert "In section “Section 2”:\n    FileNotFoundError: No model. Run 01." in message
    assert str(output / "02_train.ipynb") in message
    (command,) = [line for line in message.splitlines() if line.startswith("Resume with:")]
    page = html.unescape((output / "index.html").read_text())
    assert "FileNotFoundError: No model. Run 01." in page
    assert command.partition(":")[2].strip() in page
    assert "--only 02 03 --output" in command
    assert "-p EPOCHS 2" in command and "SOURCE" not in command
    ready.touch()
    assert series.main(shlex.split(command.partition(" -m series ")[2])) == 0
    written = summary(output)
    assert written["status"] == "completed"
    assert [entry["name"] for entry in written["notebooks"]] == ["01_data", "02_train", "03_deploy"]
    assert written["results"]["cifar_source"] == "sample"


def test_a_run_that_lacks_what_an_earlier_notebook_leaves_is_resumed_with_that_one(
    write_notebook, tmp_path, targets, capfd
):
    write_notebook("01_data", ["1"], parameters="SOURCE = 'auto'")
    write_notebook("02_train", ["raise LookupError('No data set. Run 01_data first.')"], parameters="EPOCHS = 1")
    assert run(tmp_path / "out", "--only", "02", "-p", "EPOCHS", "2") == 1
    assert "--only 01 02 --output" in capfd.readouterr().err


def test_a_failure_on_aws_says_how_to_find_what_bills(write_notebook, tmp_path, targets, capfd):
    cell = "raise RuntimeError('The endpoint is Failed.')"
    write_notebook("01_data", [cell], parameters="TARGET = 'local'\nPREFIX = 'mine'")
    assert run(tmp_path / "out", "-p", "TARGET", "aws", "-p", "PREFIX", "team/series") == 1
    assert targets == ["aws", "left"]
    command = "python -m series.orphaned_resources list --target aws --prefix team/series"
    assert f"See what bills:  {command}" in capfd.readouterr().err
    assert command in html.unescape((tmp_path / "out" / "index.html").read_text())


def test_a_kernel_that_dies_is_a_failure_with_its_last_words(write_notebook, tmp_path, targets):
    die = "import os\nos.write(2, b'Illegal instruction')\nos._exit(9)"
    write_notebook("01_data", [die])
    output = tmp_path / "out"
    assert run(output) == 1
    error = summary(output)["notebooks"][0]["error"]
    assert error["name"] == "DeadKernelError"
    assert "Illegal instruction" in error["message"]
    assert list(output.glob("*.log")) == []


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("-p", "CIFAR_EPOCH", "1"), "No notebook declares a parameter CIFAR_EPOCH. Did you mean CIFAR_EPOCHS?"),
        (("-p", "CIFAR_EPOCHS", "many"), "CIFAR_EPOCHS takes a whole number of at least 1, not the text 'many'."),
        (("-p", "CIFAR_EPOCHS", ""), "CIFAR_EPOCHS takes a whole number of at least 1, not the text ''."),
        (("--only", "07"), "No notebook 07. The series has 01_data."),
        (("--parameters", "none.yaml"), "No parameter file at none.yaml."),
    ],
)
def test_bad_arguments_end_before_anything_runs(write_notebook, tmp_path, targets, capsys, arguments, message):
    write_notebook("01_data", ["1"], parameters="CIFAR_EPOCHS = 5")
    assert run(tmp_path / "out", *arguments) == 2
    assert message in capsys.readouterr().err
    assert not (tmp_path / "out").exists()
    assert targets == []


def test_an_output_that_cannot_be_a_folder_is_named(write_notebook, tmp_path, capsys):
    write_notebook("01_data", ["1"])
    (tmp_path / "file").touch()
    assert run(tmp_path / "file") == 2
    assert f"error: [Errno 17] File exists: '{tmp_path / 'file'}'" in capsys.readouterr().err


def test_only_may_be_given_several_times():
    options = series._commands().parse_args(["run", "--only", "01", "--only", "02", "03"])
    assert options.only == ["01", "02", "03"]


def test_the_list_shows_titles_and_parameters(write_notebook, capsys):
    write_notebook("01_data", ["1"], parameters="EPOCHS = 5  # passes\nSOURCE = 'auto'  # of the images")
    assert series.main(["list"]) == 0
    listed = "01_data: 01_data\n    EPOCHS = 5  # passes\n    SOURCE = 'auto'  # of the images\n"
    assert capsys.readouterr().out == listed


@pytest.mark.slow
def test_the_outputs_of_a_run_are_kept_and_their_picture_is_drawn(write_notebook, tmp_path, capsys):
    cell = "from helpers.plots import style\nfigure, _ = style.new_figure(1, 1, width=4, height=2)\nfigure"
    path = write_notebook("01_data", [cell], keep=[0])
    notebook = nbformat.read(path, as_version=4)
    notebook.cells[-1].metadata.tags.append("picture")
    nbformat.write(notebook, path)
    output = tmp_path / "out"
    output.mkdir()
    subprocess.run([sys.executable, "-m", "papermill", str(path), str(output / path.name)], check=True)
    assert series.main(["keep", str(output)]) == 0
    picture = path.parent / "pictures" / "01_data.png"
    drawn = picture.read_bytes()
    assert capsys.readouterr().out.startswith("01_data.ipynb: 1 outputs kept\npictures/01_data.png: ")
    # Without a run, from what is kept already.
    picture.unlink()
    assert series.main(["keep"]) == 0
    assert picture.read_bytes() == drawn


def test_notebooks_are_chosen_by_number_or_name_and_run_in_series_order(write_notebook):
    for name in ("03_deploy", "02_train", "01_data"):
        write_notebook(name, [])
    assert series.select(["03_deploy", "01"]) == ["01_data", "03_deploy"]
    assert series.select([]) == ["01_data", "02_train", "03_deploy"]


SCRIPT = """
import contextlib, pathlib, sys, types
stand_in = types.ModuleType("helpers.session")
stand_in.running = lambda target: contextlib.nullcontext()
sys.modules["helpers.session"] = stand_in
import helpers
helpers.session = stand_in
from series import __main__ as series
from series import runner
runner.NOTEBOOKS = pathlib.Path(sys.argv.pop(1))
sys.exit(series.main(sys.argv[1:]))
"""


# Alone: on a starved machine the interrupt was lost twice while papermill waited for the kernel; why is not known.
@pytest.mark.alone
@pytest.mark.skipif(sys.platform == "win32", reason="POSIX signals")
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_an_interrupt_stops_the_kernel_and_writes_the_summary(write_notebook, tmp_path, number):
    fifo = tmp_path / "kernel.pid"
    os.mkfifo(fifo)
    wait = f"import os, time\nwith open({str(fifo)!r}, 'w') as pipe:\n    pipe.write(str(os.getpid()))\ntime.sleep(600)"
    write_notebook("01_data", ["1", wait])
    write_notebook("02_train", ["1"])
    output = tmp_path / "out"
    command = [sys.executable, "-X", "faulthandler", "-c", SCRIPT, runner.NOTEBOOKS, "run", "--output", output]
    with subprocess.Popen(
        command,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
        # Whoever starts the tests in the background may have Ctrl-C ignored by all that they start.
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),
    ) as process:
        try:
            kernel = int(fifo.read_text())
            process.send_signal(number)
            _, message = process.communicate(timeout=120)
        except subprocess.TimeoutExpired:
            process.send_signal(signal.SIGABRT)  # so that the message tells where it hangs
            _, message = process.communicate(timeout=30)
        finally:
            process.kill()
    assert process.returncode == 130, message
    with pytest.raises(ProcessLookupError):
        os.kill(kernel, 0)
    written = summary(output)
    assert written["status"] == "interrupted"
    assert [entry["status"] for entry in written["notebooks"]] == ["interrupted"]
    assert "--only 01 02" in message
    assert "Traceback" not in message


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


def test_on_a_terminal_a_line_shows_the_section_and_how_far_the_running_cell_is(write_notebook, monkeypatch):
    monkeypatch.setattr("sys.stderr", Terminal())
    monkeypatch.setattr(progress, "_SHORT", 0)
    monkeypatch.setattr(progress, "_SECONDS_BETWEEN_LOOKS", 0.01)
    monkeypatch.setenv("COLUMNS", "200")
    cell = v4.new_code_cell("train")
    bar = {"text/plain": "job: 1 of 2 epochs, about 3 s left\nepoch 1/2", "text/html": "<progress>"}
    cell.outputs = [v4.new_output("stream", text="not a step"), v4.new_output("display_data", bar)]
    with runner.NotebookStep(write_notebook("02_train", ["1", "2"])) as step:
        step.start_cell(v4.new_code_cell("1"))
        step.start_cell(v4.new_markdown_cell("## Train\nWhy."))
        step.start_cell(cell)
        shown = "█" * 12 + "░" * 12 + "  2/2  Train  job: 1 of 2 epochs, about 3 s left, 0 s"
        deadline = time.monotonic() + 60
        while shown not in sys.stderr.getvalue():
            assert time.monotonic() < deadline
            time.sleep(0.01)
        step.complete()
    assert sys.stderr.getvalue().count("\n") == 1
    assert sys.stderr.getvalue().split("\r")[-1].startswith("02_train: 2 cells, 0.")
