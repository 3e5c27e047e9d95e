import nbformat
import pytest

from helpers.runs import kept_outputs


def _notebook(path, *, source="1 + 1", outputs=()):
    cells = [
        nbformat.v4.new_code_cell(source, metadata={"tags": ["keep_output"]}, id="kept", outputs=list(outputs)),
        nbformat.v4.new_code_cell("2 + 2", id="other", outputs=list(outputs)),
    ]
    nbformat.write(nbformat.v4.new_notebook(cells=cells), path)
    return path


def _result(text):
    metadata = {"isolated": True, "noise": {"started": 1}, "image/png": {"alt": "a cat", "width": 9}}
    return nbformat.v4.new_output("execute_result", {"text/plain": text}, execution_count=7, metadata=metadata)


def test_outputs_of_a_run_are_stored_where_they_are_kept(tmp_path):
    notebook = _notebook(tmp_path / "a.ipynb")
    executed = _notebook(tmp_path / "run.ipynb", outputs=[_result("2"), nbformat.v4.new_output("stream", text="noise")])
    assert kept_outputs.refresh(notebook, executed) == 1
    kept, other = nbformat.read(notebook, as_version=4).cells
    assert [output.data["text/plain"] for output in kept.outputs] == ["2"]
    assert kept.outputs[0].execution_count is None
    assert kept.outputs[0].metadata == {"image/png": {"alt": "a cat"}}
    assert other.outputs == []


def test_outputs_of_other_code_are_refused(tmp_path):
    notebook = _notebook(tmp_path / "a.ipynb")
    executed = _notebook(tmp_path / "run.ipynb", source="1 + 2", outputs=[_result("3")])
    with pytest.raises(ValueError, match="another version"):
        kept_outputs.refresh(notebook, executed)


def test_a_cell_without_the_output_it_keeps_is_refused(tmp_path):
    notebook = _notebook(tmp_path / "a.ipynb")
    with pytest.raises(ValueError, match="has none"):
        kept_outputs.refresh(notebook, _notebook(tmp_path / "run.ipynb"))


def test_a_missing_run_is_named(tmp_path):
    with pytest.raises(FileNotFoundError, match="Run the series"):
        kept_outputs.refresh(_notebook(tmp_path / "a.ipynb"), tmp_path / "absent.ipynb")
