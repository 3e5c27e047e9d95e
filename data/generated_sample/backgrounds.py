"""Backgrounds of the drawn pictures, of so many pixels, each with its leading color."""

from collections.abc import Callable

import numpy as np
from PIL import Image

from generated_sample.canvas import Canvas, Color, pick, shade, vary

SKIES: list[Color] = [(120, 170, 225), (170, 200, 230), (200, 205, 210), (235, 190, 150), (90, 120, 170), (60, 70, 110)]
GREENS: list[Color] = [(90, 140, 60), (120, 160, 80), (70, 105, 50), (165, 165, 90), (150, 130, 80)]
GROUNDS: list[Color] = [(120, 118, 115), (90, 90, 95), (150, 145, 135), (165, 140, 105)]
WATERS: list[Color] = [(50, 100, 140), (70, 130, 150), (40, 70, 100), (110, 140, 150), (90, 110, 90)]
WALLS: list[Color] = [
    (200, 185, 165), (170, 175, 185), (140, 160, 150), (190, 150, 130), (110, 100, 110), (225, 225, 220),
]  # fmt: skip


def _gradient(size: int, top: Color, bottom: Color) -> Canvas:
    ramp = np.linspace(0, 1, size)[:, None, None]
    pixels = (1 - ramp) * np.asarray(top) + ramp * np.asarray(bottom)
    return Canvas(Image.fromarray(np.broadcast_to(pixels, (size, size, 3)).astype(np.uint8)))


def _speckle(canvas: Canvas, rng: np.random.Generator, color: Color, *, top: float, count: int) -> None:
    for _ in range(count):
        x, y = rng.uniform(-1, 1), rng.uniform(top, 1)
        length, height = rng.uniform(0.05, 0.25), rng.uniform(0.02, 0.06)
        canvas.ellipse((x, y), (length, height), vary(color, rng, spread=16))


def sky(rng: np.random.Generator, size: int) -> tuple[Canvas, Color]:
    """Paint a sky, sometimes with clouds or a strip of land."""
    color = pick(SKIES, rng)
    canvas = _gradient(size, color, shade(color, rng.uniform(0.9, 1.5)))
    for _ in range(rng.integers(0, 4)):
        x, y = rng.uniform(-1, 1, 2)
        for _ in range(4):
            spot = (x + rng.normal(0, 0.2), y + rng.normal(0, 0.06))
            canvas.ellipse(spot, (rng.uniform(0.1, 0.35), rng.uniform(0.05, 0.13)), shade(color, 1.5))
    if rng.random() < 0.35:
        canvas.box(-1, rng.uniform(0.6, 0.85), 1, 1, pick(GREENS + GROUNDS, rng))
    return canvas, color


def _land(rng: np.random.Generator, size: int, grounds: list[Color]) -> tuple[Canvas, Color]:
    """Paint ground below a horizon, with sky, trees or a wall behind it."""
    behind = pick(SKIES + GREENS + WALLS, rng)
    canvas = _gradient(size, behind, shade(behind, rng.uniform(0.9, 1.3)))
    horizon = rng.uniform(-0.5, 0.45)
    if rng.random() < 0.5:
        trees = pick(GREENS, rng)
        for x in np.arange(-1, 1.2, 0.25):
            canvas.ellipse((x, horizon), (rng.uniform(0.15, 0.3), rng.uniform(0.1, 0.45)), vary(trees, rng))
    ground = pick(grounds, rng)
    canvas.box(-1, horizon, 1, 1, ground)
    _speckle(canvas, rng, ground, top=horizon + 0.05, count=8)
    red, green, blue = (int(value) for value in (np.asarray(behind) + ground) / 2)
    return canvas, (red, green, blue) if horizon > -0.2 else ground


def meadow(rng: np.random.Generator, size: int) -> tuple[Canvas, Color]:
    """Paint grass, fields or snow."""
    return _land(rng, size, [*GREENS, *GREENS, (225, 230, 235)])


def road(rng: np.random.Generator, size: int) -> tuple[Canvas, Color]:
    """Paint asphalt, gravel or sand, sometimes with grass."""
    return _land(rng, size, [*GROUNDS, *GROUNDS, *GREENS])


def water(rng: np.random.Generator, size: int) -> tuple[Canvas, Color]:
    """Paint water below a sky or a coast."""
    color = pick(SKIES, rng)
    canvas = _gradient(size, color, shade(color, rng.uniform(1.0, 1.4)))
    horizon = rng.uniform(-0.1, 0.4)
    if rng.random() < 0.4:
        canvas.box(-1, horizon - rng.uniform(0.1, 0.4), 1, horizon, pick(GREENS + GROUNDS, rng))
    sea = pick(WATERS, rng)
    canvas.box(-1, horizon, 1, 1, sea)
    _speckle(canvas, rng, shade(sea, 1.15), top=horizon + 0.05, count=10)
    return canvas, color


def forest(rng: np.random.Generator, size: int) -> tuple[Canvas, Color]:
    """Paint leaves, near and out of focus."""
    color = pick([*GREENS, (60, 60, 45), (130, 110, 85)], rng)
    canvas = _gradient(size, shade(color, rng.uniform(0.9, 1.4)), color)
    for _ in range(14):
        spot = (float(rng.uniform(-1, 1)), float(rng.uniform(-1, 1)))
        canvas.ellipse(spot, (rng.uniform(0.1, 0.4), rng.uniform(0.1, 0.3)), vary(color, rng, spread=12))
    return canvas, color


def room(rng: np.random.Generator, size: int) -> tuple[Canvas, Color]:
    """Paint a wall, a floor and perhaps a cushion."""
    wall = pick(WALLS, rng)
    canvas = _gradient(size, wall, shade(wall, rng.uniform(0.8, 1.1)))
    if rng.random() < 0.4:
        left = rng.uniform(-1, 0.4)
        canvas.box(left, -1, left + rng.uniform(0.3, 0.8), rng.uniform(-0.3, 0.4), pick(SKIES + WALLS, rng))
    if rng.random() < 0.7:
        canvas.box(-1, rng.uniform(0.2, 0.7), 1, 1, pick(GROUNDS + WALLS, rng))
    return canvas, wall


Background = Callable[[np.random.Generator, int], tuple[Canvas, Color]]
