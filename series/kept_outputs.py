"""The outputs that stay in the notebooks of the repository, for readers who run nothing.

Cells tagged `keep_output` keep theirs, all others have none. `refresh` takes them from a run, so that what readers
see is what the code gives. The figure of the cell tagged `picture` stands for its notebook in the project's README.
"""

import base64
import io
from pathlib import Path

import nbformat
from PIL import Image

TAG, PICTURE = "keep_output", "picture"
# A picture is as wide as fits into a file that a page of several loads at once.
WIDTHS, LARGEST = (640, 480, 320), 60_000


def refresh(notebook: Path, executed: Path) -> int:
    """Store the outputs of an executed copy in a notebook's cells that keep theirs, and clear all others.

    The copy may have further cells, such as injected parameters. Returns the number of cells that now hold outputs.

    Raises:
        FileNotFoundError: If there is no executed copy.
        ValueError: If the copy was made from other cells, or a cell that keeps its output has none.
    """
    if not executed.is_file():
        raise FileNotFoundError(f"No {executed.name} in {executed.parent}. Run the series into that folder first.")
    document = nbformat.read(notebook, as_version=4)
    copies = {cell.id: cell for cell in nbformat.read(executed, as_version=4).cells}
    kept = 0
    for cell in (cell for cell in document.cells if cell.cell_type == "code"):
        copy = copies.get(cell.id)
        if copy is None or copy.source != cell.source:
            raise ValueError(f"{executed} was made from another version of {notebook.name}. Run the series again.")
        cell.execution_count, cell.outputs = None, []
        if TAG in cell.metadata.get("tags", []):
            cell.outputs = [_stored(output) for output in copy.outputs if not _is_said(output)]
            if not cell.outputs:
                raise ValueError(f"The cell {cell.id} of {executed} keeps its output and has none.")
            kept += 1
    nbformat.write(document, notebook)
    return kept


def _stored(output: nbformat.NotebookNode) -> nbformat.NotebookNode:
    stored: nbformat.NotebookNode = nbformat.from_dict(dict(output))
    if "image/png" in stored.get("data", {}):
        stored.data.pop("text/html", None)
    # The alternative texts of pictures stay; what a tool leaves there, such as times, goes.
    said = {kind: said for kind, said in stored.get("metadata", {}).items() if isinstance(said, dict)}
    stored.metadata = nbformat.from_dict({kind: {"alt": said[kind]["alt"]} for kind in said if "alt" in said[kind]})
    if "execution_count" in stored:
        stored.execution_count = None
    return stored


def _is_said(output: nbformat.NotebookNode) -> bool:
    """Return whether an output is what a cell prints, or the line of a long step: news of one run."""
    is_line = output.output_type == "display_data" and set(output.data) <= {"text/plain"}
    return output.output_type == "stream" or is_line


def picture(notebook: Path) -> bytes | None:
    """Return the first picture kept in a notebook's cell tagged `picture`, as a PNG file of at most `LARGEST` bytes.

    Without such a cell there is none.

    Raises:
        ValueError: The cell keeps no picture, or one that does not get small enough.
    """
    cells = nbformat.read(notebook, as_version=4).cells
    cell = next((cell for cell in cells if PICTURE in cell.metadata.get("tags", [])), None)
    if cell is None:
        return None
    png = next((output.data["image/png"] for output in cell.outputs if "image/png" in output.get("data", {})), None)
    if png is None:
        raise ValueError(f"The cell {cell.id} of {notebook.name} is its picture and keeps none. Tag it {TAG}, and run.")
    image = Image.open(io.BytesIO(base64.b64decode(png))).convert("RGB")
    for width in (min(width, image.width) for width in WIDTHS):
        buffer = io.BytesIO()
        scaled = image.resize((width, round(image.height * width / image.width)), Image.Resampling.LANCZOS)
        scaled.quantize(128, dither=Image.Dither.NONE).save(buffer, "PNG", optimize=True)
        if buffer.tell() <= LARGEST:
            return buffer.getvalue()
    raise ValueError(f"The picture of {notebook.name} has more than {LARGEST:,} bytes. Tag another figure `{PICTURE}`.")


def draw_picture(notebook: Path) -> Path | None:
    """Write the picture of a notebook into the folder beside it; return its path, or None if there is none."""
    encoded = picture(notebook)
    path = notebook.parent / "pictures" / f"{notebook.stem}.png"
    if encoded is None:
        path.unlink(missing_ok=True)
        return None
    path.parent.mkdir(exist_ok=True)
    path.write_bytes(encoded)
    return path
