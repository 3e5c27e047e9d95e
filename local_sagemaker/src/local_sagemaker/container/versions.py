"""The models of an archive on disk: base paths with folders named by a number, all of which are served."""

import os
from collections.abc import Iterator
from pathlib import Path

from local_sagemaker.settings import SAVED_MODEL_FILES

_SHOWN = 10  # of the names in a message


class BasePathError(FileNotFoundError):
    """There is no folder named by a number; the message tells what there is."""


class NeverLoadedError(TimeoutError):
    """A folder named by a number has no SavedModel, for which AWS's container waits in vain."""


def versions(base_path: Path, name: str) -> dict[int, Path]:
    """Return the folders of all versions below a base path, the highest first.

    Raises:
        BasePathError: If no folder, however deep, is named by a number.
        NeverLoadedError: If one of them has no SavedModel, or if they lie deeper than at the top.
    """
    if not any(_is_version(folder) for _, folders, _ in os.walk(base_path) for folder in folders):
        raise BasePathError(f"Could not find valid base path {base_path} for servable {name}. {_needs(base_path)}")
    found = {int(path.name): path for path in base_path.iterdir() if _is_version(path.name) and path.is_dir()}
    if not found or not all(map(_is_saved_model, found.values())):
        raise NeverLoadedError(_needs(base_path))
    return dict(sorted(found.items(), reverse=True))


def models(folder: Path) -> dict[str, dict[int, Path]]:
    """Return the models of an archive, wherever they lie, by the names of their base paths, or a ``BasePathError``."""
    found: dict[str, dict[int, Path]] = {}
    for path in _saved_models(folder):
        if _is_version(path.name):
            # The archive's own folder has the name that it has in AWS's container: /opt/ml/model.
            name = "model" if path.parent == folder else path.parent.name
            found.setdefault(name, {})[int(path.name)] = path
    if not found:
        raise BasePathError(f"no SavedModel bundles found! {_needs(folder)}")
    return {name: dict(sorted(each.items(), reverse=True)) for name, each in found.items()}


def saved_bytes(version_folder: Path) -> int:
    """Return the size of a SavedModel's weights on disk, a forecast of its footprint, in bytes."""
    return sum(path.stat().st_size for path in version_folder.glob("variables/variables.data-*"))


def _saved_models(folder: Path) -> Iterator[Path]:
    for place, folders, _ in os.walk(folder):
        folders.sort()
        if _is_saved_model(Path(place)):
            yield Path(place)


def _is_version(name: str) -> bool:
    return name.isascii() and name.isdigit()


def _is_saved_model(folder: Path) -> bool:
    return any((folder / name).is_file() for name in SAVED_MODEL_FILES)


def _needs(folder: Path) -> str:
    """Say what a folder holds and what it needs."""
    wanted = "At its top, a model needs a folder named by a number, such as 1, with a saved_model.pb in it"
    if not folder.is_dir():
        return f"{wanted}; there is no such folder."
    names = sorted(str(path.relative_to(folder)) for path in folder.rglob("*") if path.is_file())
    more = f" and {len(names) - _SHOWN} more" if len(names) > _SHOWN else ""
    return f"{wanted}; the archive holds {', '.join(names[:_SHOWN]) or 'nothing'}{more}."
