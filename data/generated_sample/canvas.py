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
    """Make a color darker (factor below 1) or lighter (above 1, towards white).

    Args:
        color: Red, green and blue, 0-255.
        factor: 0 is black, 1 is unchanged, 2 is white.

    Returns:
        The new color, 0-255.
    """
    if factor <= 1:
        red, green, blue = (int(channel * max(factor, 0.0)) for channel in color)
    else:
        red, green, blue = (int(channel + (255 - channel) * min(factor - 1, 1.0)) for channel in color)
    return red, green, blue


def vary(color: Color, rng: np.random.Generator, *, spread: float = 14) -> Color:
    """Move a color at random.

    Args:
        color: Red, green and blue, 0-255.
        rng: Source of randomness.
        spread: Standard deviation of the move, per channel and for all channels together.

    Returns:
        The new color, 0-255.
    """
    together, *apart = rng.normal(0, spread, 4).tolist()
    red, green, blue = (
        int(min(max(channel + together + move, 0), 255)) for channel, move in zip(color, apart, strict=True)
    )
    return red, green, blue


def pick(
    colors: Sequence[Color], rng: np.random.Generator, *, unlike: Color | None = None, spread: float = 14
) -> Color:
    """Choose and vary a color, if asked one that stands out from another.

    Args:
        colors: Colors to choose from.
        rng: Source of randomness.
        unlike: Color of what lies behind; the choice differs from it enough to be seen.
        spread: How far the chosen color is moved, as for `vary`.

    Returns:
        The color, 0-255.
    """
    color = (0, 0, 0)
    for _ in range(12):
        color = vary(colors[int(rng.integers(len(colors)))], rng, spread=spread)
        if unlike is None or sum(abs(a - b) for a, b in zip(color, unlike, strict=True)) > 190:
            break
    return color


class Canvas:
    """An image to draw on in object coordinates: x to the right and y down, about -1 to 1.

    Attributes:
        image: The picture, RGB, `scale` times as wide and high as the finished one.
    """

    def __init__(self, image: Image.Image) -> None:
        """Draw on an existing picture, without any transformation yet.

        Args:
            image: Square picture to draw on; object coordinates span it from -1 to 1.
        """
        self.image = image
        self._pen = ImageDraw.Draw(image)
        self._half = image.width / 2
        self.place()

    def place(
        self, *, angle: float = 0.0, size: float = 1.0, shift: Point = (0.0, 0.0), mirrored: bool = False
    ) -> None:
        """Set where the following shapes land.

        Args:
            angle: Rotation in degrees, clockwise.
            size: Factor on all coordinates.
            shift: Where the object's origin lies, in coordinates of the picture (-1 to 1).
            mirrored: Whether left and right change places.
        """
        cosine, sine = math.cos(math.radians(angle)), math.sin(math.radians(angle))
        factor = size * self._half
        flip = -factor if mirrored else factor
        # Pixel coordinates of a point: plain numbers, because arrays this small are slower.
        self._x = (flip * cosine, -factor * sine, (shift[0] + 1) * self._half)
        self._y = (flip * sine, factor * cosine, (shift[1] + 1) * self._half)

    def polygon(self, points: Iterable[Point], color: Color) -> None:
        """Fill a polygon.

        Args:
            points: Corners, at least three.
            color: Fill color, 0-255.
        """
        (a, b, c), (d, e, f) = self._x, self._y
        self._pen.polygon([(a * x + b * y + c, d * x + e * y + f) for x, y in points], fill=color)

    def ellipse(self, center: Point, radii: Point, color: Color, *, angle: float = 0.0) -> None:
        """Fill an ellipse.

        Args:
            center: Its middle.
            radii: Half width and half height.
            color: Fill color, 0-255.
            angle: Rotation in degrees, clockwise.
        """
        (x, y), (width, height) = center, radii
        cosine, sine = math.cos(math.radians(angle)), math.sin(math.radians(angle))
        a, b, d, e = width * cosine, -height * sine, width * sine, height * cosine
        self.polygon([(x + a * u + b * v, y + d * u + e * v) for u, v in _CIRCLE], color)

    def box(self, left: float, top: float, right: float, bottom: float, color: Color) -> None:
        """Fill a rectangle given by its four sides.

        Args:
            left: Smallest x.
            top: Smallest y.
            right: Largest x.
            bottom: Largest y.
            color: Fill color, 0-255.
        """
        self.polygon([(left, top), (right, top), (right, bottom), (left, bottom)], color)

    def stroke(self, points: Sequence[Point], widths: float | Sequence[float], color: Color) -> None:
        """Draw a rounded line that may change its width on the way.

        Args:
            points: Points on the line, at least two.
            widths: One width, or one per point.
            color: Color, 0-255.
        """
        radii = [widths / 2] * len(points) if isinstance(widths, int | float) else [w / 2 for w in widths]
        line = list(zip(points, radii, strict=True))
        for ((x, y), near), ((u, v), far) in pairwise(line):
            length = math.hypot(u - x, v - y) or 1.0
            right, down = (y - v) / length, (u - x) / length
            self.polygon(
                [
                    (x + right * near, y + down * near),
                    (u + right * far, v + down * far),
                    (u - right * far, v - down * far),
                    (x - right * near, y - down * near),
                ],
                color,
            )
        for point, radius in line:
            self.ellipse(point, (radius, radius), color)


def curve(points: Sequence[Point], *, steps: int = 5) -> list[Point]:
    """Smooth a line through its points (Catmull-Rom).

    Args:
        points: Points the curve passes through, at least two.
        steps: Pieces between two points.

    Returns:
        The points of the smooth line.
    """

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
    """Shrink a drawing and give it what a camera adds: exposure, color cast, uneven light and noise.

    Args:
        image: The drawing, RGB, `scale` times too large.
        rng: Source of randomness.
        scale: How many times.
        noise: Largest standard deviation of the noise, in steps of 0-255.

    Returns:
        uint8 array (height, width, 3).
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
