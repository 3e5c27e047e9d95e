import base64
import io

import nbformat
import pytest
from PIL import Image

from series import kept_outputs


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
    steps = [nbformat.v4.new_output("display_data", data) for data in ({"text/plain": "Upload: 3 s"}, {})]
    noise = nbformat.v4.new_output("stream", text="noise")
    executed = _notebook(tmp_path / "run.ipynb", outputs=[*steps, _result("2"), noise])
    assert kept_outputs.refresh(notebook, executed) == 1
    kept, other = nbformat.read(notebook, as_version=4).cells
    assert [output.data["text/plain"] for output in kept.outputs] == ["2"]
    assert kept.outputs[0].execution_count is None
    assert kept.outputs[0].metadata == {"image/png": {"alt": "a cat"}}
    assert other.outputs == []


def test_a_picture_is_stored_once(tmp_path):
    data = {"image/png": "iVBO", "text/html": '<img alt="a cat" src="data:image/png;base64,iVBO">'}
    picture = nbformat.v4.new_output("display_data", data, metadata={"image/png": {"alt": "a cat"}})
    notebook = _notebook(tmp_path / "a.ipynb")
    kept_outputs.refresh(notebook, _notebook(tmp_path / "run.ipynb", outputs=[picture]))
    (kept,) = nbformat.read(notebook, as_version=4).cells[0].outputs
    assert kept.data == {"image/png": "iVBO"}
    assert kept.metadata == {"image/png": {"alt": "a cat"}}


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


def _png(size, *, noise=False):
    picture = Image.effect_noise(size, 80).convert("RGB") if noise else Image.new("RGB", size, "#0072b2")
    buffer = io.BytesIO()
    picture.save(buffer, "PNG")
    return base64.b64encode(buffer.getvalue()).decode()


def _pictured(path, *pngs):
    outputs = [nbformat.v4.new_output("display_data", {"image/png": png}) for png in pngs]
    _notebook(path, outputs=[_result("first"), *outputs])
    notebook = nbformat.read(path, as_version=4)
    notebook.cells[0].metadata.tags.append("picture")
    nbformat.write(notebook, path)
    return path


def test_the_picture_of_a_notebook_is_the_first_that_its_tagged_cell_keeps_in_small(tmp_path):
    path = _pictured(tmp_path / "01_a.ipynb", _png((1000, 500)), _png((10, 10)))
    drawn = kept_outputs.draw_picture(path)
    assert drawn == tmp_path / "pictures" / "01_a.png"
    with Image.open(drawn) as picture:
        assert picture.size == (640, 320)
        assert picture.convert("RGB").getpixel((5, 5)) == (0, 0x72, 0xB2)
    assert drawn.read_bytes() == kept_outputs.picture(path)


def test_a_small_figure_is_not_made_larger(tmp_path):
    encoded = kept_outputs.picture(_pictured(tmp_path / "a.ipynb", _png((300, 200))))
    assert Image.open(io.BytesIO(encoded)).size == (300, 200)


def test_a_busy_picture_becomes_narrower_until_it_fits(tmp_path):
    encoded = kept_outputs.picture(_pictured(tmp_path / "a.ipynb", _png((800, 200), noise=True)))
    assert len(encoded) <= 60_000
    assert Image.open(io.BytesIO(encoded)).width < 640


def test_a_picture_that_never_fits_is_refused(tmp_path):
    with pytest.raises(ValueError, match="Tag another figure"):
        kept_outputs.picture(_pictured(tmp_path / "a.ipynb", _png((320, 1000), noise=True)))


def test_a_notebook_without_the_tag_has_no_picture_and_loses_an_old_one(tmp_path):
    old = tmp_path / "pictures" / "a.png"
    old.parent.mkdir()
    old.write_bytes(b"old")
    assert kept_outputs.draw_picture(_notebook(tmp_path / "a.ipynb")) is None
    assert not old.exists()


def test_a_tagged_cell_without_a_picture_is_named(tmp_path):
    with pytest.raises(ValueError, match=r"The cell kept of a\.ipynb is its picture and keeps none"):
        kept_outputs.picture(_pictured(tmp_path / "a.ipynb"))
