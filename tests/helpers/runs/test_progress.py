import io

import nbformat
import pytest
from nbformat import v4

from helpers.progress import duration
from helpers.runs.progress import Progress


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


@pytest.mark.parametrize(
    ("seconds", "text"), [(0.04, "0.0 s"), (8.25, "8.2 s"), (42.4, "42 s"), (59.6, "1 min 00 s"), (187, "3 min 07 s")]
)
def test_durations_read_as_people_say_them(seconds, text):
    assert duration(seconds) == text


def play(path, stream, monkeypatch):
    monkeypatch.setattr("sys.stdout", stream)
    progress = Progress("01_data", path)
    for index, cell in enumerate(
        [v4.new_markdown_cell("# 01_data"), v4.new_markdown_cell("## Train\nWhy."), v4.new_code_cell("1")]
    ):
        progress.cell_started(cell, cell_index=index)
    return progress.section, progress.end("completed")


def test_without_a_terminal_each_section_is_a_line(write_notebook, monkeypatch):
    stream = io.StringIO()
    section, seconds = play(write_notebook("01_data", ["1", "2"]), stream, monkeypatch)
    assert section == "Train"
    assert seconds >= 0
    lines = stream.getvalue().splitlines()
    assert lines[:2] == ["01_data   0/2  01_data", "01_data   0/2  Train"]
    assert lines[-1].startswith("01_data  completed after ")


def test_on_a_terminal_one_line_is_rewritten_and_ends_as_the_outcome(write_notebook, monkeypatch):
    stream = Terminal()
    play(write_notebook("01_data", ["1", "2"]), stream, monkeypatch)
    text = stream.getvalue()
    assert "Train" in text
    assert text.count("\n") == 1
    assert text.split("\r")[-1].startswith("01_data  completed after ")


def step_output(*lines: str, running: bool) -> nbformat.NotebookNode:
    data = {"text/plain": "\n".join(lines)} | ({"text/html": "<progress>"} if running else {})
    return v4.new_output("display_data", data=data)


@pytest.mark.parametrize("stream", [io.StringIO(), Terminal()], ids=["log", "terminal"])
def test_the_epochs_of_a_cell_that_trains_are_shown_while_it_does(write_notebook, monkeypatch, stream):
    monkeypatch.setattr("sys.stdout", stream)
    progress = Progress("02_train", write_notebook("02_train", ["1"]))
    cell = v4.new_code_cell("train")
    progress.cell_started(cell, cell_index=0)
    cell.outputs = [v4.new_output("stream", text="not a step"), step_output("job: 1 of 2", "epoch 1/2", running=True)]
    progress._look()
    cell.outputs[1] = step_output("job: 2 of 2", "epoch 1/2", "epoch 2/2", running=True)
    progress._look()
    cell.outputs[1] = step_output("Completed: 2 epochs", running=False)
    progress.end("completed")
    shown = stream.getvalue()
    if stream.isatty():
        assert shown.index("job: 1 of 2") < shown.index("job: 2 of 2")
        assert shown.count("\n") == 1
    else:
        assert shown.splitlines()[:3] == ["    epoch 1/2", "    epoch 2/2", "    Completed: 2 epochs"]
