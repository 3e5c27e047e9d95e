"""What a person sees of a long step, in a notebook and outside; test_in_jupyterlab.py looks at it in a browser."""

import io
import time

import nbclient
import nbformat
import pytest
from nbformat import v4

from helpers.display import progress
from helpers.display.progress import Step


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


@pytest.fixture
def quick(monkeypatch):
    """Show a step from its first moment on, and look often."""
    monkeypatch.setattr(progress, "_SHORT", 0)
    monkeypatch.setattr(progress, "_SECONDS_BETWEEN_LOOKS", 0.01)


def wait_for(shown) -> None:
    deadline = time.monotonic() + 60
    while not shown():
        assert time.monotonic() < deadline
        time.sleep(0.01)


@pytest.mark.usefixtures("quick")
def test_on_a_terminal_one_line_is_rewritten_and_ends_as_what_came_out(monkeypatch):
    stream = Terminal()
    monkeypatch.setattr("sys.stderr", stream)
    with Step("Upload", total=3_000_000, unit="B") as step:
        step.advance(1_000_000)
        wait_for(lambda: "Upload: 1.0 of 3.0 MB, 0 s, about 1 s left" in stream.getvalue())
        step.advance(2_000_000)
    assert stream.getvalue().count("\n") == 1
    assert stream.getvalue().split("\r")[-1].startswith("Upload: 3.0 MB, 0.")


@pytest.mark.usefixtures("quick")
def test_a_narrow_terminal_shows_all_of_what_still_bills(monkeypatch):
    stream = Terminal()
    monkeypatch.setattr("sys.stderr", stream)
    monkeypatch.setenv("COLUMNS", "20")
    with pytest.raises(KeyboardInterrupt), Step("Endpoint many-models", if_stopped="It stays, and bills."):
        raise KeyboardInterrupt
    assert "It stays, and bills." in stream.getvalue()


@pytest.mark.usefixtures("quick")
def test_in_a_log_only_what_stays_is_written(monkeypatch):
    stream = io.StringIO()
    monkeypatch.setattr("sys.stderr", stream)
    with Step("job", unit="epochs") as step:
        wait_for(lambda: step._output is not None)
        step.reach(1)
        step.say("epoch 1/1 loss=0.5")
        step.name, step.note = "Completed", "validation 0.965"
    epoch, line = stream.getvalue().splitlines()
    assert epoch == "    epoch 1/1 loss=0.5"
    assert line.startswith("Completed: 1 epochs, 0.") and line.endswith(" s, validation 0.965")


def test_what_is_over_at_once_shows_nothing(capsys):
    with Step("Reading", total=2, unit="images") as step:
        step.advance(2)
    assert capsys.readouterr().err == ""


def test_an_interrupt_is_answered_with_what_becomes_of_it_even_at_once(capsys):
    with pytest.raises(KeyboardInterrupt), Step("Calls", if_stopped="The endpoint stays."):
        raise KeyboardInterrupt
    assert capsys.readouterr().err == "Interrupted after 0.0 s: Calls. The endpoint stays.\n"


@pytest.mark.usefixtures("quick")
def test_a_failure_leaves_no_bar(capsys):
    with pytest.raises(ValueError, match="no"), Step("Reading") as step:
        wait_for(lambda: step._output is not None)
        raise ValueError("no")

    [failed] = capsys.readouterr().err.splitlines()
    assert failed.startswith("Failed after 0.") and failed.endswith(": Reading")


def test_the_time_left_is_told_from_what_was_done_since_the_first_of_it(monkeypatch):
    now = [0.0]
    monkeypatch.setattr(progress.time, "monotonic", lambda: now[0])
    step = Step("job", total=5)
    step._began = 0.0
    assert step._seconds_left(0) is None
    now[0] = 20.0  # the first epoch comes after a long preparation, the others take ten seconds each
    step.reach(1)
    now[0] = 40.0
    step.reach(3)
    assert step._seconds_left(40.0) == pytest.approx(20)
    assert step._text() == "job: 3 of 5, 40 s, about 20 s left"


def test_counting_in_several_threads_loses_nothing():
    from concurrent.futures import ThreadPoolExecutor

    step = Step("Upload")
    with ThreadPoolExecutor(8) as pool:
        list(pool.map(step.advance, [1] * 5000))
    assert step.done == 5000


# Shown at once and often; `seen` waits until what was done by then is shown, however busy the machine is.
NOTEBOOK = """
import time
from helpers.display import progress
progress._SHORT, progress._SECONDS_BETWEEN_LOOKS = 0, 0.01
looks = []
def seen(step):
    step.look = lambda: looks.append(step.done)
    while looks.count(step.done) < 2:
        time.sleep(0.01)
"""
NOTEBOOK_STEP = """
with progress.Step("<job>", total=2, unit="epochs") as step:
    seen(step)
    step.reach(1)
    step.say("epoch 1/2 <loss>")
    seen(step)
    step.name, step.note = "Completed", "validation 0.965"
"""


def test_in_a_notebook_a_bar_runs_and_one_plain_line_stays_that_needs_no_widget(project):
    shown = []

    class Client(nbclient.NotebookClient):
        def process_message(self, message, cell, cell_index):
            if message["msg_type"] in ("display_data", "update_display_data"):
                shown.append(message["content"]["data"])
            return super().process_message(message, cell, cell_index)

    notebook = v4.new_notebook(cells=[v4.new_code_cell(NOTEBOOK + NOTEBOOK_STEP)])
    Client(notebook, kernel_name="python3", resources={"metadata": {"path": str(project)}}).execute()
    [output] = notebook.cells[0].outputs
    assert list(output.data) == ["text/plain"]
    assert output.data["text/plain"].startswith("Completed: 1 epochs, ")
    assert output.data["text/plain"].endswith(" s, validation 0.965")
    assert "widgets" not in notebook.metadata
    nbformat.validate(notebook)
    assert '<progress value="0" max="2"' in shown[0]["text/html"]
    assert "&lt;job&gt;: 0 of 2 epochs" in shown[0]["text/html"]
    assert '<progress value="1" max="2"' in shown[-2]["text/html"]
    assert "epoch 1/2 &lt;loss&gt;</pre>" in shown[-2]["text/html"]
