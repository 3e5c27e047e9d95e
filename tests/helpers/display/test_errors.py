"""An error that is a sentence is shown as one; programs that run the notebook see it as before."""

import nbclient
import pytest
from nbformat import v4

CONNECT = "from helpers.display.errors import show_as_sentences\nshow_as_sentences()\n"


MINE = "raise ValueError('mine')"
UNFORESEEN = "from helpers import s3\ns3.split_uri(1)"  # a fault that the helper did not foresee
INTERRUPTED = """
import _thread, threading
from helpers import datasets
threading.Timer(0.3, _thread.interrupt_main).start()
datasets.load_cifar('sample')
"""


@pytest.fixture(scope="module")
def fail(project):
    """A function that runs a cell that fails, and returns its last output and what a program is told."""
    notebook = v4.new_notebook(cells=[v4.new_code_cell(CONNECT)])
    client = nbclient.NotebookClient(notebook, kernel_name="python3", resources={"metadata": {"path": str(project)}})

    def run(code: str) -> tuple[dict, nbclient.exceptions.CellExecutionError]:
        cell = notebook.cells[0] = v4.new_code_cell(code)  # where the client updates what a cell displays
        with pytest.raises(nbclient.exceptions.CellExecutionError) as failure:
            client.execute_cell(cell, 0)
        return cell.outputs[-1], failure.value

    with client.setup_kernel():
        client.execute_cell(notebook.cells[0], 0)
        yield run


def test_what_a_helper_raises_is_a_sentence_without_a_traceback(fail):
    output, told = fail("from helpers import session\nsession.connect('cloud')")
    sentence = "The target 'cloud' is unknown. Set TARGET to one of: local, aws."
    assert output.traceback == [f"ValueError: {sentence}"]
    assert (output.ename, output.evalue) == (told.ename, told.evalue) == ("ValueError", sentence)


@pytest.mark.parametrize("code", [MINE, UNFORESEEN, "1 +", "int('x')"])
def test_every_other_error_keeps_its_traceback(fail, code):
    output, _ = fail(code)
    assert len("\n".join(output.traceback).splitlines()) >= 3


def test_an_interrupted_helper_says_one_line_and_shows_no_traceback(fail):
    output, told = fail(INTERRUPTED)
    assert told.ename == "KeyboardInterrupt"
    assert output.traceback == ["KeyboardInterrupt"]


def test_a_fault_in_the_parameters_is_one_too_before_anything_else_has_run(project):
    """In a kernel of its own, in which nobody has asked for sentences yet."""
    notebook = v4.new_notebook(cells=[v4.new_code_cell("from helpers import parameters\nCLEAN_UP = 'no'")])
    notebook.cells.append(v4.new_code_cell("parameters.check(globals())"))
    client = nbclient.NotebookClient(notebook, kernel_name="python3", resources={"metadata": {"path": str(project)}})
    with pytest.raises(nbclient.exceptions.CellExecutionError):
        client.execute()
    [line] = notebook.cells[1].outputs[-1].traceback
    assert line.startswith("ValueError: CLEAN_UP takes True or False, not the text 'no'.")
