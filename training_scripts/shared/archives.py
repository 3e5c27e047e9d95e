"""Archives: one exported model packed for each user, each time with another head.

An export traces the network anew, and takes far longer than the head took to train. But all personal models are one
graph with other numbers. So it is exported once, and each archive holds that graph beside a checkpoint of its own.
"""

import json
import tarfile
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import keras
import numpy as np
import tensorflow as tf

from shared.exporting import VERSION, export_classifier

SHARED = "shared"
# TensorFlow Serving ignores `assets.extra`; a later job reads the network from it.
KERAS_FILE = f"{VERSION}/assets.extra/shared.keras"
# Stored, not compressed: gzip would save 7 % of the size of weights, at 32 MB a second.
_COMPRESSION = 0


def write_archives(
    model: keras.Model,
    folder: Path,
    *,
    head: keras.layers.Dense,
    heads: Mapping[str, np.ndarray],
    class_names: list[str],
    provenance: dict[str, Any],
    with_shared: bool,
) -> list[Path]:
    """Write ``<name>.tar.gz`` for each head, and ``shared.tar.gz`` for the model as it is; return the paths.

    `heads` has for each user what takes the place of the weights of `head`, the last layer of the model: float32 (E +
    1, C), the bias as the last row. Model, class names and provenance are those of `export_classifier`. The shared
    model is left out unless `with_shared`.
    """
    folder.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory() as workplace:
        exported = export_classifier(model, Path(workplace), class_names=class_names, provenance=provenance)
        written = []
        if with_shared:
            model.save(Path(workplace, KERAS_FILE))
            written.append(_pack(exported, folder / f"{SHARED}.tar.gz"))
            Path(workplace, KERAS_FILE).unlink()
        # It names the checkpoint of the shared model, and none is better than a wrong one.
        (exported / "fingerprint.pb").unlink()
        checkpoint = str(exported / "variables" / "variables")
        reader = tf.train.load_checkpoint(checkpoint)
        tensors = {name: reader.get_tensor(name) for name in reader.get_variable_to_shape_map()}
        kernel, bias = (_find(tensors, weight) for weight in head.get_weights())
        for number, (name, weights) in enumerate(heads.items(), start=1):
            _write_checkpoint(checkpoint, tensors | {kernel: weights[:-1], bias: weights[-1]})
            _name_user(exported, name)
            written.append(_pack(exported, folder / f"{name}.tar.gz"))
            if number % 20 == 0 or number == len(heads):
                print(f"archive {number}/{len(heads)}", flush=True)
    return written


def read_shared(folder: Path) -> keras.Model:
    """Read the network out of ``shared.tar.gz`` in a folder, as `write_archives` left it.

    Raises:
        FileNotFoundError: There is no such archive.
        ValueError: The archive is damaged or holds no network.
    """
    path = folder / f"{SHARED}.tar.gz"
    if not path.is_file():
        raise FileNotFoundError(
            f"No {path.name} in {folder}. Run 08_one_model_per_user, or pass the folder by --shared-dir."
        )
    with tempfile.TemporaryDirectory() as workplace:
        try:
            with tarfile.open(path) as archive:
                content = archive.extractfile(KERAS_FILE)
                network = Path(workplace, Path(KERAS_FILE).name)
                network.write_bytes(content.read() if content else b"")
        except (KeyError, tarfile.TarError, OSError, EOFError) as error:
            raise ValueError(f"{path} holds no network ({error}). Run 08_one_model_per_user again.") from error
        return keras.models.load_model(network, compile=False)


def _find(tensors: Mapping[str, np.ndarray], weight: np.ndarray) -> str:
    """Return the name of a variable: Keras numbers them in an order of its own, so only its content tells."""
    found = [name for name, value in tensors.items() if np.array_equal(value, weight)]
    if len(found) != 1:
        raise ValueError(f"{len(found)} variables of the export hold the head's weights of shape {weight.shape}.")
    return found[0]


def _write_checkpoint(prefix: str, tensors: Mapping[str, np.ndarray]) -> None:
    tf.raw_ops.SaveV2(
        prefix=prefix,
        tensor_names=list(tensors),
        shape_and_slices=[""] * len(tensors),
        tensors=[tf.constant(value) for value in tensors.values()],
    )


def _name_user(exported: Path, name: str) -> None:
    path = exported / "assets.extra" / "model.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | {"user": name}, indent=2) + "\n")


def _pack(exported: Path, path: Path) -> Path:
    with tarfile.open(path, "w:gz", compresslevel=_COMPRESSION) as archive:
        archive.add(exported, arcname=VERSION)
    return path
