import io

import pytest
from nbformat import v4

from helpers.runs.progress import Progress, duration


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
