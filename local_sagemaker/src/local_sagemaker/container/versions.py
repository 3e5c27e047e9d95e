"""The versions of a model on disk: folders named by a number, of which the highest is served."""

from pathlib import Path


class BasePathError(FileNotFoundError):
    """There is no numeric version folder with a SavedModel."""


def saved_bytes(base_path: Path, name: str) -> int:
    """Return the size of a SavedModel's weights on disk, a forecast of its footprint, in bytes."""
    _, folder = highest_version(name, base_path)
    return sum(path.stat().st_size for path in folder.glob("variables/variables.data-*"))


def highest_version(name: str, base_path: Path) -> tuple[str, Path]:
    """Return the highest version below a base path, without leading zeros, and its folder.

    Raises:
        BasePathError: If there is none.
    """
    candidates = [
        path
        for path in (base_path.iterdir() if base_path.is_dir() else [])
        if path.name.isascii() and path.name.isdigit() and (path / "saved_model.pb").is_file()
    ]
    if not candidates:
        raise BasePathError(f"Could not find valid base path {base_path} for servable {name}")
    best = max(candidates, key=lambda path: int(path.name))
    return str(int(best.name)), best
