"""The models that the serving benchmarks ask, and the requests of each case."""

import base64
import io
import json
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

PROGRAMS = Path(__file__).resolve().parent / "programs"


@dataclass(frozen=True)
class Example:
    """An image for a model."""

    model: str  # name of the model that it fits
    pixels: np.ndarray  # uint8 array of shape (H, W, 3)
    as_file: bool = False  # whether it travels as a JPEG file

    @property
    def base64(self) -> str:
        """The image as a JPEG file, in base64."""
        file = io.BytesIO()
        Image.fromarray(self.pixels).save(file, "JPEG", quality=95)
        return base64.b64encode(file.getvalue()).decode()

    def named(self) -> dict[str, Any]:
        """The instances under the name of the signature's argument, for servers that leave the form to their user."""
        return {"image_bytes": [self.base64]} if self.as_file else {"instances": [self.pixels.tolist()]}

    def rest(self) -> bytes:
        """The request of TensorFlow Serving's REST API."""
        if self.as_file:
            return json.dumps({"signature_name": "serving_bytes", "instances": [{"b64": self.base64}]}).encode()
        return json.dumps({"instances": [self.pixels.tolist()]}).encode()


def create_examples() -> dict[str, Example]:
    """Return an example for each case of a single call."""
    generator = np.random.default_rng(0)

    def noise(size: int) -> np.ndarray:
        return generator.integers(0, 256, (size, size, 3), dtype=np.uint8)

    return {
        "json": Example("small", noise(32)),
        "jpeg": Example("small", noise(32), as_file=True),
        "vgg100": Example("vgg16-100", noise(100)),
        "vgg224": Example("vgg16-224", noise(224)),
    }


def build_models(folder: Path, *models: str) -> None:
    """Write the named models of `build_models.py`, as folders below ``folder``."""
    command = [sys.executable, str(PROGRAMS / "build_models.py"), str(folder), *models]
    completed = subprocess.run(command, stderr=subprocess.PIPE, text=True, check=False)
    if completed.returncode:
        raise RuntimeError(f"The models could not be built: {completed.stderr[-2000:]}")


def copy_model(model: Path, folder: Path, *, copies: int) -> list[Path]:
    """Write models of the architecture of another, each with weights of its own, and return their folders."""
    folder.mkdir(parents=True, exist_ok=True)
    build_models(folder, "--copy", str(model), "--copies", str(copies))
    return [folder / str(index) for index in range(copies)]


def weight_bytes(model: Path) -> int:
    """Return the bytes of a model's weights: the data files of its checkpoint."""
    return sum(path.stat().st_size for path in model.glob("1/variables/*.data-*"))
