"""A small canvas: shapes in object coordinates, drawn large with Pillow and shrunk to smooth their edges."""

import math
from collections.abc import Iterable, Sequence
from itertools import pairwise

import numpy as np
from PIL import Image, ImageDraw

Color = tuple[int, int, int]
Point = tuple[float, float]

_CIRCLE = [(math.cos(turn), math.sin(turn)) for turn in (2 * math.pi * step / 20 for step in range(20))]


def shade(color: Color, factor: float) -> Color:
    """Make a color darker, to black at a factor of 0, or lighter, to white at 2."""
    if factor <= 1:
        red, green, blue = (int(channel * max(factor, 0.0)) for channel in color)
    else:
        red, green, blue = (int(channel + (255 - channel) * min(factor - 1, 1.0)) for channel in color)
    return red, green, blue


def vary(color: Color, rng: np.random.Generator, *, spread: float = 14) -> Color:
    """Move a color at random; `spread` is the standard deviation, per channel and for all channels together."""
    together, *apart = rng.normal(0, spread, 4).tolist()
    red, green, blue = (
        int(min(max(channel + together + move, 0), 255)) for channel, move in zip(color, apart, strict=True)
    )
    return red, green, blue


def pick(
    colors: Sequence[Color], rng: np.random.Generator, *, unlike: Color | None = None, spread: float = 14
) -> Color:
    """Choose a color and vary it; it differs enough from one that it is to be `unlike` to be seen before it."""
    color = (0, 0, 0)
    for _ in range(12):
        color = vary(colors[int(rng.integers(len(colors)))], rng, spread=spread)
        if unlike is None or sum(abs(a - b) for a, b in zip(color, unlike, strict=True)) > 190:
            break
    return color


class Canvas:
    """An image, RGB, to draw on in object coordinates: x to the right and y down, about -1 to 1.

    Angles are in degrees, clockwise, and colors 0-255.
    """

    def __init__(self, image: Image.Image) -> None:
        """Draw on an existing square picture, which object coordinates span from -1 to 1."""
        self.image = image
        self._pen = ImageDraw.Draw(image)
        self._half = image.width / 2
        self.place()

    def place(
        self, *, angle: float = 0.0, size: float = 1.0, shift: Point = (0.0, 0.0), mirrored: bool = False
    ) -> None:
        """Set where the following shapes land.

        `size` is a factor on all coordinates, `shift` the place of the object's origin in coordinates of the picture.
        """
        cosine, sine = math.cos(math.radians(angle)), math.sin(math.radians(angle))
        self._scale = factor = size * self._half
        flip = -factor if mirrored else factor
        # Pixel coordinates of a point: plain numbers, because arrays this small are slower.
        self._x = (flip * cosine, -factor * sine, (shift[0] + 1) * self._half)
        self._y = (flip * sine, factor * cosine, (shift[1] + 1) * self._half)

    def polygon(self, points: Iterable[Point], color: Color) -> None:
        """Fill a polygon of at least three corners."""
        (a, b, c), (d, e, f) = self._x, self._y
        self._pen.polygon([(a * x + b * y + c, d * x + e * y + f) for x, y in points], fill=color)

    def ellipse(self, center: Point, radii: Point, color: Color, *, angle: float = 0.0) -> None:
        """Fill an ellipse; its radii are half its width and half its height."""
        (x, y), (width, height) = center, radii
        if width == height:
            self._circle(x, y, width, color)
            return
        cosine, sine = math.cos(math.radians(angle)), math.sin(math.radians(angle))
        a, b, d, e = width * cosine, -height * sine, width * sine, height * cosine
        self.polygon([(x + a * u + b * v, y + d * u + e * v) for u, v in _CIRCLE], color)

    def _circle(self, x: float, y: float, radius: float, color: Color) -> None:
        """Fill a circle, which looks the same at any angle."""
        (a, b, c), (d, e, f) = self._x, self._y
        across, down, reach = a * x + b * y + c, d * x + e * y + f, radius * self._scale
        self._pen.ellipse((across - reach, down - reach, across + reach, down + reach), fill=color)

    def box(self, left: float, top: float, right: float, bottom: float, color: Color) -> None:
        """Fill a rectangle given by its four sides."""
        self.polygon([(left, top), (right, top), (right, bottom), (left, bottom)], color)

    def stroke(self, points: Sequence[Point], widths: float | Sequence[float], color: Color) -> None:
        """Draw a rounded line through at least two points, of one width, or of one for each point."""
        radii = [widths / 2] * len(points) if isinstance(widths, int | float) else [w / 2 for w in widths]
        line = list(zip(points, radii, strict=True))
        for ((x, y), near), ((u, v), far) in pairwise(line):
            length = math.hypot(u - x, v - y) or 1.0
            right, down = (y - v) / length, (u - x) / length
            ends = (x, y, near), (u, v, far), (u, v, -far), (x, y, -near)
            self.polygon([(x + right * radius, y + down * radius) for x, y, radius in ends], color)
        for point, radius in line:
            self.ellipse(point, (radius, radius), color)


def curve(points: Sequence[Point], *, steps: int = 5) -> list[Point]:
    """Smooth a line through at least two points (Catmull-Rom), with so many steps between two of them."""

    def between(before: float, start: float, end: float, after: float, t: float) -> float:
        bend = 2 * before - 5 * start + 4 * end - after
        twist = 3 * start - before - 3 * end + after
        return 0.5 * (2 * start + (end - before) * t + bend * t**2 + twist * t**3)

    padded = [points[0], *points, points[-1]]
    smooth: list[Point] = []
    for before, start, end, after in zip(padded, padded[1:], padded[2:], padded[3:], strict=False):
        for step in range(steps):
            t = step / steps
            x, y = (between(*axis, t) for axis in zip(before, start, end, after, strict=True))
            smooth.append((x, y))
    return [*smooth, points[-1]]


def photograph(image: Image.Image, rng: np.random.Generator, *, scale: int, noise: float) -> np.ndarray:
    """Shrink a drawing, `scale` times too large, and add what a camera adds: exposure, color cast, uneven light, noise.

    `noise` is its largest standard deviation, in steps of 0-255. The result is uint8 (height, width, 3).
    """
    pixels = np.asarray(image.reduce(scale), dtype=np.float32)
    height, width, _ = pixels.shape
    x, y = np.linspace(-1, 1, width, dtype=np.float32), np.linspace(-1, 1, height, dtype=np.float32)[:, None]
    slope = rng.normal(0, 0.08, 2)
    light = rng.uniform(0.8, 1.15) + slope[0] * x + slope[1] * y
    cast = rng.normal(1, 0.04, 3)
    contrast = rng.uniform(0.8, 1.1)
    pixels = (pixels - 128) * contrast + 128
    pixels = pixels * light[:, :, None] * cast
    pixels += rng.normal(0, rng.uniform(0.25 * noise, noise), pixels.shape)
    photo: np.ndarray = pixels.clip(0, 255).astype(np.uint8)
    return photo
