"""The CIFAR-like pictures: ten classes of vehicles and animals at 32x32 pixels."""

from collections.abc import Callable, Sequence

import numpy as np

from helpers.sample_images import animals, backgrounds, vehicles
from helpers.sample_images.backgrounds import Background
from helpers.sample_images.canvas import Canvas, Color, photograph

SIZE = 32
# Drawn this many times larger, then averaged: smooth edges at little cost.
SCALE = 4

CLASS_NAMES = ("airplane", "automobile", "bird", "cat", "deer", "dog", "frog", "horse", "ship", "truck")

Drawing = Callable[[Canvas, np.random.Generator, Color], None]

# What is drawn, where it is usually seen, and how far it turns (degrees either way).
# Most backgrounds are shared, so that colour alone does not give the class away.
_SUBJECTS: dict[str, tuple[Drawing, Sequence[Background], float]] = {
    "airplane": (
        vehicles.draw_airplane,
        (backgrounds.sky, backgrounds.sky, backgrounds.road, backgrounds.meadow),
        35,
    ),
    "automobile": (
        vehicles.draw_automobile,
        (backgrounds.road, backgrounds.road, backgrounds.meadow, backgrounds.room),
        8,
    ),
    "bird": (
        animals.draw_bird,
        (backgrounds.sky, backgrounds.forest, backgrounds.meadow, backgrounds.water),
        14,
    ),
    "cat": (animals.draw_cat, (backgrounds.room, backgrounds.room, backgrounds.meadow, backgrounds.road), 10),
    "deer": (
        animals.draw_deer,
        (backgrounds.meadow, backgrounds.forest, backgrounds.meadow, backgrounds.road),
        7,
    ),
    "dog": (
        animals.draw_dog,
        (backgrounds.room, backgrounds.meadow, backgrounds.meadow, backgrounds.road),
        10,
    ),
    "frog": (
        animals.draw_frog,
        (backgrounds.forest, backgrounds.water, backgrounds.meadow, backgrounds.room),
        18,
    ),
    "horse": (
        animals.draw_horse,
        (backgrounds.meadow, backgrounds.meadow, backgrounds.road, backgrounds.forest),
        7,
    ),
    "ship": (
        vehicles.draw_ship,
        (backgrounds.water, backgrounds.water, backgrounds.water, backgrounds.sky),
        7,
    ),
    "truck": (
        vehicles.draw_truck,
        (backgrounds.road, backgrounds.road, backgrounds.meadow, backgrounds.meadow),
        6,
    ),
}


def draw_object(label: int, rng: np.random.Generator) -> np.ndarray:
    """Draw one CIFAR-like picture.

    Args:
        label: Index into `CLASS_NAMES`, 0-9.
        rng: Source of randomness; the same state gives the same pixels.

    Returns:
        uint8 array (32, 32, 3), RGB.
    """
    draw, scenes, turn = _SUBJECTS[CLASS_NAMES[label]]
    image, behind = scenes[int(rng.integers(len(scenes)))](rng, SIZE * SCALE)
    canvas = Canvas(image)
    size = rng.uniform(0.68, 1.0)
    room = 1.06 - size
    canvas.place(
        angle=rng.uniform(-turn, turn),
        size=size,
        shift=(rng.uniform(-room, room), rng.uniform(-room, room)),
        mirrored=bool(rng.random() < 0.5),
    )
    draw(canvas, rng, behind)
    return photograph(image, rng, scale=SCALE, noise=7.5)
