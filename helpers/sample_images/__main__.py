"""Draw one picture of each class as PNG files: `python -m helpers.sample_images data/sample_images`."""

import argparse
from pathlib import Path

import numpy as np
from PIL import Image

from helpers.sample_images import hand_images, hands, object_images, objects

SEED = 4


def main() -> None:
    """Write `cifar/<class>.png` and `sign-language/<digit>.png` into the folder named on the command line."""
    parser = argparse.ArgumentParser(description="Draw one picture of each class as PNG files.")
    parser.add_argument("folder", type=Path, help="where the files go; made if missing")
    folder = parser.parse_args().folder
    numbers = np.arange(10)
    for name, class_names, images in (
        ("cifar", objects.CLASS_NAMES, object_images(numbers, seed=SEED)),
        ("sign-language", hands.CLASS_NAMES, hand_images(numbers, seed=SEED)),
    ):
        (folder / name).mkdir(parents=True, exist_ok=True)
        for class_name, image in zip(class_names, images, strict=True):
            Image.fromarray(image).save(folder / name / f"{class_name}.png", optimize=True)


if __name__ == "__main__":
    main()
