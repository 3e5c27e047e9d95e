"""The outputs that stay in the notebooks of the repository, for readers who run nothing.

Cells tagged ``keep_output`` keep theirs, all others have none. ``refresh`` takes them from a run, so that what readers
see is what the code gives. The figure of the cell tagged ``picture`` stands for its notebook in the project's README.

The module is an extension of Jupyter Server, too. JupyterLab writes the kernel's name and the version of Python into
every notebook that it saves, and git would show each notebook that was only looked at as modified. And it takes the
alternative text of a picture from HTML only, which holds the picture once more: JupyterLab gets that, files do not.
"""

import base64
import io
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import nbformat
from jupyter_core.utils import ensure_async
from PIL import Image

from helpers.images import as_html

TAG, PICTURE = "keep_output", "picture"
# A picture is as wide, and has as many colours, as fits into a file that a page of several loads at once.
WIDTHS, COLOURS, LARGEST = (640, 560, 480, 400, 320), (128, 64), 60_000
# What the notebooks say of their kernel, whichever Python runs it.
KERNEL = {
    "kernelspec": {"display_name": "Python 3 (ipykernel)", "language": "python", "name": "python3"},
    "language_info": {"name": "python"},
}


def _jupyter_server_extension_points() -> list[dict[str, str]]:
    return [{"module": __name__}]


def _load_jupyter_server_extension(server: Any) -> None:
    # An upload over Tornado's 10 MiB closes the connection to the kernel, and the button of the gallery goes dead. The
    # settings of files in jupyter_server_config.d do not reach Tornado; only extensions are read there.
    server.web_app.settings["websocket_max_message_size"] = 100 * 1024 * 1024
    manager = server.contents_manager
    read = manager.get

    async def get(*arguments: Any, **options: Any) -> dict[str, Any]:
        return describe_pictures(await ensure_async(read(*arguments, **options)))

    manager.get = get
    manager.register_pre_save_hook(plain)


def describe_pictures(model: dict[str, Any]) -> dict[str, Any]:
    """Give a notebook that JupyterLab is about to show its pictures' alternative texts.

    Args:
        model: The notebook, as Jupyter Server has it; changed in place.
    """
    for data, described in _pictures(model):
        data.setdefault("text/html", described)
    return model


def plain(*, model: dict[str, Any], path: str, contents_manager: Any, **_: object) -> None:
    """Leave out of a notebook that is about to be saved what JupyterLab adds, or needs twice.

    What JupyterLab says of the kernel is left out where the file does so: notebooks of others keep what they have.

    Args:
        model: The notebook, as Jupyter Server has it; changed in place.
        path: Of the notebook, below the server's folder.
        contents_manager: Knows that folder.
        **_: Nothing more so far.
    """
    for data, described in _pictures(model):
        if data.get("text/html") == described:
            del data["text/html"]
    saved = Path(getattr(contents_manager, "root_dir", ""), path.strip("/"))
    if model.get("type") == "notebook" and model.get("content") and saved.is_file():
        before = json.loads(saved.read_text(encoding="utf-8") or "{}").get("metadata", {})
        metadata = model["content"]["metadata"]
        same_kernel = (metadata.get("kernelspec") or {}).get("name") == KERNEL["kernelspec"]["name"]
        if same_kernel and {name: before.get(name) for name in KERNEL} == KERNEL:
            metadata |= KERNEL


def _pictures(model: dict[str, Any]) -> Iterator[tuple[dict[str, str], str]]:
    """Yield the data of each picture in a notebook that has an alternative text, and the HTML that says it."""
    if model.get("type") == "notebook" and model.get("content"):
        for output in (output for cell in model["content"]["cells"] for output in cell.get("outputs", ())):
            about, png = output.get("metadata", {}).get("image/png"), output.get("data", {}).get("image/png")
            alt = about.get("alt") if isinstance(about, dict) else None
            if isinstance(alt, str) and isinstance(png, str):
                yield output["data"], as_html(png.replace("\n", ""), alt)


def refresh(notebook: Path, executed: Path) -> int:
    """Store the outputs of an executed copy in a notebook's cells that keep theirs, and clear all others.

    Args:
        notebook: The notebook of the repository; rewritten.
        executed: Its executed copy, which may have further cells, such as injected parameters.

    Returns:
        The number of cells that now hold outputs.

    Raises:
        FileNotFoundError: If there is no executed copy.
        ValueError: If the copy was made from other cells, or a cell that keeps its output has none.
    """
    if not executed.is_file():
        raise FileNotFoundError(f"No {executed.name} in {executed.parent}. Run the series into that folder first.")
    document = nbformat.read(notebook, as_version=4)
    copies = {cell.id: cell for cell in nbformat.read(executed, as_version=4).cells}
    kept = 0
    for cell in document.cells:
        if cell.cell_type != "code":
            continue
        copy = copies.get(cell.id)
        if copy is None or copy.source != cell.source:
            raise ValueError(f"{executed} was made from another version of {notebook.name}. Run the series again.")
        cell.execution_count = None
        cell.outputs = []
        if TAG in cell.metadata.get("tags", []):
            cell.outputs = [_stored(output) for output in copy.outputs if not _is_said(output)]
            if not cell.outputs:
                raise ValueError(f"The cell {cell.id} of {executed} keeps its output and has none.")
            kept += 1
    nbformat.write(document, notebook)
    return kept


def picture(notebook: Path) -> bytes | None:
    """Return the figure that stands for a notebook: the first picture kept in its cell tagged `picture`, made small.

    Args:
        notebook: A notebook with its kept outputs.

    Returns:
        A PNG file of at most `LARGEST` bytes, or None if no cell has the tag.

    Raises:
        ValueError: The cell keeps no picture.
    """
    cells = nbformat.read(notebook, as_version=4).cells
    cell = next((cell for cell in cells if PICTURE in cell.metadata.get("tags", [])), None)
    if cell is None:
        return None
    image = next((output.data["image/png"] for output in cell.outputs if "image/png" in output.get("data", {})), None)
    if image is None:
        raise ValueError(f"The cell {cell.id} of {notebook.name} is its picture and keeps none. Tag it {TAG}, and run.")
    return _small(base64.b64decode(image))


def draw_picture(notebook: Path, folder: Path) -> Path | None:
    """Write the picture of a notebook into a folder, and return its path, or None if the notebook has none."""
    encoded = picture(notebook)
    path = folder / f"{notebook.stem}.png"
    if encoded is None:
        path.unlink(missing_ok=True)
        return None
    folder.mkdir(exist_ok=True)
    path.write_bytes(encoded)
    return path


def _small(png: bytes) -> bytes:
    with Image.open(io.BytesIO(png)) as opened:
        image = opened.convert("RGB")
    for width in (min(width, image.width) for width in WIDTHS):
        scaled = image.resize((width, round(image.height * width / image.width)), Image.Resampling.LANCZOS)
        for colours in COLOURS:
            buffer = io.BytesIO()
            scaled.quantize(colours, dither=Image.Dither.NONE).save(buffer, "PNG", optimize=True)
            if buffer.tell() <= LARGEST:
                return buffer.getvalue()
    raise ValueError(f"A picture does not get below {LARGEST:,} bytes. Tag another figure `{PICTURE}`.")


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
