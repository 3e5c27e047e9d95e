"""The CIFAR-like pictures: ten classes of vehicles and animals at 32x32 pixels."""

from collections.abc import Callable, Sequence

import numpy as np

from generated_sample import animals, vehicles
from generated_sample.backgrounds import Background, forest, meadow, road, room, sky, water
from generated_sample.canvas import Canvas, Color, photograph

SIZE = 32
# Drawn this many times larger, then averaged: smooth edges at little cost.
SCALE = 4

Drawing = Callable[[Canvas, np.random.Generator, Color], None]

# What is drawn, where it is usually seen, and how far it turns (degrees either way).
# Most backgrounds are shared, so that color alone does not give the class away.
SUBJECTS: dict[str, tuple[Drawing, Sequence[Background], float]] = {
    "airplane": (vehicles.draw_airplane, (sky, sky, road, meadow), 35),
    "automobile": (vehicles.draw_automobile, (road, road, meadow, room), 8),
    "bird": (animals.draw_bird, (sky, forest, meadow, water), 14),
    "cat": (animals.draw_cat, (room, room, meadow, road), 10),
    "deer": (animals.draw_deer, (meadow, forest, meadow, road), 7),
    "dog": (animals.draw_dog, (room, meadow, meadow, road), 10),
    "frog": (animals.draw_frog, (forest, water, meadow, room), 18),
    "horse": (animals.draw_horse, (meadow, meadow, road, forest), 7),
    "ship": (vehicles.draw_ship, (water, water, water, sky), 7),
    "truck": (vehicles.draw_truck, (road, road, meadow, meadow), 6),
}


def draw_object(label: int, rng: np.random.Generator) -> np.ndarray:
    """Draw a picture of a class, 0-9 in the order of `SUBJECTS`: uint8 (32, 32, 3), RGB.

    The same state of `rng` gives the same pixels.
    """
    draw, scenes, turn = list(SUBJECTS.values())[label]
    canvas, behind = scenes[int(rng.integers(len(scenes)))](rng, SIZE * SCALE)
    size = rng.uniform(0.68, 1.0)
    space = 1.06 - size
    canvas.place(
        angle=rng.uniform(-turn, turn),
        size=size,
        shift=(rng.uniform(-space, space), rng.uniform(-space, space)),
        mirrored=bool(rng.random() < 0.5),
    )
    draw(canvas, rng, behind)
    return photograph(canvas.image, rng, scale=SCALE, noise=7.5)
