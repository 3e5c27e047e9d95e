"""The outputs that stay in the notebooks of the repository, for readers who run nothing.

Cells tagged ``keep_output`` keep theirs, all others have none. ``refresh`` takes them from a run, so that what readers
see is what the code gives.
"""

from pathlib import Path

import nbformat

TAG = "keep_output"


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
            cell.outputs = [_stored(output) for output in copy.outputs if output.output_type != "stream"]
            if not cell.outputs:
                raise ValueError(f"The cell {cell.id} of {executed} keeps its output and has none.")
            kept += 1
    nbformat.write(document, notebook)
    return kept


def _stored(output: nbformat.NotebookNode) -> nbformat.NotebookNode:
    stored = nbformat.from_dict(dict(output))
    # The alternative texts of pictures stay; what a tool leaves there, such as times, goes.
    described = {kind: said for kind, said in stored.get("metadata", {}).items() if isinstance(said, dict)}
    stored.metadata = nbformat.from_dict({kind: {"alt": said["alt"]} for kind, said in described.items() if "alt" in said})
    if "execution_count" in stored:
        stored.execution_count = None
    return stored
