"""Draw one image of each class as PNG files: `python -m generated_sample tests/data/drawings`."""

import argparse
from pathlib import Path

from PIL import Image

from generated_sample import hand_image, object_image, objects

SEED = 4


def main() -> None:
    """Write `cifar/<class>.png` and `sign-language/<digit>.png` into the folder named on the command line."""
    parser = argparse.ArgumentParser(description="Draw one image of each class as PNG files.")
    parser.add_argument("folder", type=Path, help="where the files go; made if missing")
    folder = parser.parse_args().folder
    for name, classes, draw in (("cifar", objects.SUBJECTS, object_image), ("sign-language", "0123456789", hand_image)):
        (folder / name).mkdir(parents=True, exist_ok=True)
        for number, class_name in enumerate(classes):
            Image.fromarray(draw(number, seed=SEED)).save(folder / name / f"{class_name}.png", optimize=True)


if __name__ == "__main__":
    main()
