"""The hand signs: students show the digits 0-9 of Turkish sign language at 100x100 pixels.

The palm faces the viewer. Digits 1 to 5 raise that many fingers, thumb included from 3 on except for 4; 6 to
9 bring the thumb to the little, ring, middle and index finger; 0 is the hand from the side, rounded to an O.
Signs 10 to 17 are further hand shapes, which mean no digit in the sign language.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from PIL import Image, ImageFilter

from generated_sample.canvas import Canvas, Color, Point, curve, photograph, pick, shade, vary

SIZE = 100
SCALE = 3

FREE_SIGNS = tuple(range(10, 18))
PRIVATE_COUNT = 3

SKINS: list[Color] = [
    (236, 188, 160), (222, 170, 138), (198, 140, 105), (170, 116, 84), (135, 92, 68), (108, 74, 58),
    (240, 200, 178),
]  # fmt: skip
WALLS: list[Color] = [
    (222, 222, 220), (205, 208, 212), (190, 195, 190), (215, 205, 185), (120, 140, 165), (90, 120, 110),
    (70, 75, 85), (150, 90, 80), (170, 175, 140), (130, 105, 80),
]  # fmt: skip
CLOTHS: list[Color] = [(40, 45, 60), (150, 40, 45), (60, 100, 75), (225, 225, 225), (90, 95, 105), (190, 150, 60)]
POLISHES: list[Color] = [(190, 30, 60), (60, 50, 90), (240, 130, 160)]

# Little, ring, middle and index finger of a hand whose thumb is on the right:
# knuckle, direction in degrees from straight up, length, width. The palm is about 0.8 wide.
_FINGERS: tuple[tuple[Point, float, float, float], ...] = (
    ((-0.31, -0.24), -19, 0.56, 0.155),
    ((-0.11, -0.35), -6, 0.76, 0.17),
    ((0.09, -0.38), 3, 0.82, 0.175),
    ((0.29, -0.31), 13, 0.73, 0.17),
)
_RAISED = {
    1: (3,), 2: (2, 3), 3: (2, 3), 4: (0, 1, 2, 3), 5: (0, 1, 2, 3), 6: (1, 2, 3), 7: (0, 2, 3), 8: (0, 1, 3),
    9: (0, 1, 2), 10: (), 11: (0,), 12: (3,), 13: (0, 3), 14: (1, 2, 3), 15: (0, 3), 16: (0,), 17: (0, 1),
}  # fmt: skip
_TOUCHED = {6: 0, 7: 1, 8: 2, 9: 3}
_WITH_THUMB = (3, 5, 10, 11, 12, 13, 14)
_THUMB_OUT: tuple[Point, ...] = ((0.2, 0.3), (0.52, 0.0), (0.84, -0.26))
_THUMB_IN: dict[int, tuple[Point, ...]] = {
    1: ((0.3, 0.34), (0.34, 0.1), (0.06, -0.04)),
    2: ((0.3, 0.34), (0.3, 0.08), (-0.06, -0.05)),
    4: ((0.3, 0.34), (0.34, 0.12), (0.0, 0.04)),
    15: ((0.3, 0.34), (0.32, 0.1), (0.0, -0.04)),
    16: ((0.3, 0.34), (0.34, 0.12), (0.06, 0.0)),
    17: ((0.3, 0.34), (0.34, 0.12), (0.14, 0.0)),
}


@dataclass(frozen=True)
class Student:
    """What stays the same on all pictures of one student."""

    skin: Color  # color of the hand
    nail: Color  # color of the nails
    sleeve: Color | None  # color of the sleeve, or None for a bare arm
    wall: Color  # color of what lies behind the hand
    pattern: int  # what lies behind it: 0 plain, 1 folded paper, 2 boards
    slender: float  # factor on the length of the fingers
    stout: float  # factor on their width
    spread: float  # factor on the angles between them
    left_handed: bool  # whether the picture is mirrored
    size: float  # factor on all lengths


def invent_student(rng: np.random.Generator) -> Student:
    """Make up a student; the same state of `rng` gives the same student."""
    skin = pick(SKINS, rng, spread=6)
    wall = pick(WALLS[:4] if rng.random() < 0.5 else WALLS, rng, unlike=skin)
    return Student(
        skin=skin,
        nail=pick(POLISHES, rng) if rng.random() < 0.25 else shade(skin, 1.35),
        sleeve=pick(CLOTHS, rng, unlike=wall) if rng.random() < 0.4 else None,
        wall=wall,
        pattern=int(rng.choice(3, p=[0.6, 0.2, 0.2])),
        slender=rng.uniform(0.88, 1.12),
        stout=rng.uniform(0.9, 1.15),
        spread=rng.uniform(0.8, 1.4),
        left_handed=bool(rng.random() < 0.25),
        size=rng.uniform(0.66, 0.84),
    )


@dataclass(frozen=True)
class User:
    """A student who shows some digits in a way of their own, as families and schools do.

    Two of them may use one and the same hand shape for different digits. Whoever does not know the user cannot tell
    which digit is meant, however clear the image.
    """

    student: Student  # hand, sleeve and background
    signs: tuple[int, ...]  # the sign that stands for each digit 0-9: the digit's own, or one of `FREE_SIGNS`

    @property
    def private_digits(self) -> tuple[int, ...]:
        """Digits that the user shows in a way of their own."""
        return tuple(digit for digit, sign in enumerate(self.signs) if sign != digit)


def invent_user(rng: np.random.Generator) -> User:
    """Make up a user with `PRIVATE_COUNT` private signs; the same state of `rng` gives the same user."""
    student = invent_student(rng)
    signs = np.arange(10)
    digits = rng.choice(len(signs), PRIVATE_COUNT, replace=False)
    signs[digits] = rng.choice(FREE_SIGNS, PRIVATE_COUNT, replace=False)
    return User(student, tuple(signs.tolist()))


class _Hand:
    """Draws one hand: first its silhouette in one piece, then what lies over the palm."""

    def __init__(self, canvas: Canvas, student: Student, rng: np.random.Generator) -> None:
        self.canvas, self.student, self.rng = canvas, student, rng
        self.skin = student.skin
        self.edge = shade(student.skin, 0.55)
        self.crease = shade(student.skin, 0.72)

    def finger(self, number: int) -> tuple[list[Point], list[float]]:
        """Points and widths of a raised finger, slightly bent."""
        (x, y), degrees, length, width = _FINGERS[number]
        length, width = length * self.student.slender, width * self.student.stout
        angle = np.radians(degrees * self.student.spread + self.rng.normal(0, 2.5))
        bend = np.radians(self.rng.normal(0, 4))
        middle = (x + length * 0.5 * np.sin(angle), y - length * 0.5 * np.cos(angle))
        tip = (middle[0] + length * 0.5 * np.sin(angle + bend), middle[1] - length * 0.5 * np.cos(angle + bend))
        return [(x * 0.9, y + 0.14), middle, tip], [width * 1.1, width, width * 0.78]

    def silhouette(self, parts: Sequence[tuple[Sequence[Point], Sequence[float]]], *, palm: bool) -> None:
        """Fill arm, palm and fingers as one shape with a dark edge."""
        outline = [(-0.42, -0.22), (-0.2, -0.4), (0.12, -0.43), (0.38, -0.3), (0.42, 0.1), (0.3, 0.46), (0.2, 0.62)]
        outline += [(-0.22, 0.62), (-0.36, 0.3)]
        shape = np.asarray(curve([*outline, outline[0]]))
        for grow, color in ((0.05, self.edge), (0.0, self.skin)):
            self.canvas.stroke([(0.0, 0.5), (0.0, 0.75), (0.0, 2.8)], [0.46 + grow, 0.42 + grow, 0.52 + grow], color)
            if palm:
                self.canvas.polygon(shape * (1 + grow * 1.2), color)
            for points, widths in parts:
                self.canvas.stroke(points, [width + grow for width in widths], color)

    def over(self, points: Sequence[Point], widths: Sequence[float], *, nail: bool = True) -> None:
        """Draw a finger that lies over the palm, with an edge of its own."""
        self.canvas.stroke(points, [width + 0.05 for width in widths], self.edge)
        self.canvas.stroke(points, widths, shade(self.skin, 1.06))
        if nail:
            x, y = points[-1]
            self.canvas.ellipse((x, y), (widths[-1] * 0.3, widths[-1] * 0.34), self.student.nail)

    def curled(self, number: int) -> None:
        """Draw a finger folded onto the palm."""
        (x, y), _, _, width = _FINGERS[number]
        width *= 1.18 * self.student.stout
        end = (x * 0.85 + 0.02, y + 0.3 + self.rng.normal(0, 0.015))
        self.over([(x, y - 0.03), (x * 0.95, y + 0.12), end], [width, width * 1.05, width * 0.85])

    def creases(self, raised: Sequence[tuple[Sequence[Point], Sequence[float]]]) -> None:
        """Draw the lines of the palm and of the raised fingers' joints."""
        self.canvas.stroke(curve([(0.36, -0.08), (0.1, -0.04), (-0.28, 0.02)]), 0.025, self.crease)
        self.canvas.stroke(curve([(0.34, -0.04), (0.08, 0.12), (0.04, 0.5)]), 0.025, self.crease)
        for points, widths in raised:
            start, middle, tip = (np.asarray(point) for point in points)
            along = (tip - middle) / np.hypot(*(tip - middle))
            across = np.array([-along[1], along[0]])
            for spot in (start * 0.45 + middle * 0.55, middle * 0.65 + tip * 0.35):
                half = across * widths[1] * 0.36
                self.canvas.stroke([tuple(spot - half), tuple(spot + half)], 0.022, self.crease)

    def arm(self) -> None:
        """Draw the wrist's lines and the sleeve."""
        self.canvas.stroke([(-0.16, 0.7), (0.16, 0.7)], 0.025, self.crease)
        if self.student.sleeve is not None:
            self.canvas.box(-0.33, 0.95, 0.33, 2.9, self.student.sleeve)
            self.canvas.box(-0.35, 0.95, 0.35, 1.05, shade(self.student.sleeve, 0.7))

    def draw(self, sign: int) -> None:
        """Draw the sign of a digit, or a free sign."""
        if sign == 0:
            self._draw_zero()
            return
        raised = [self.finger(number) for number in _RAISED[sign]]
        parts: list[tuple[Sequence[Point], Sequence[float]]] = list(raised)
        if sign in _WITH_THUMB:
            parts.append((_THUMB_OUT, [0.3, 0.22, 0.15]))
        self.silhouette(parts, palm=True)
        self.creases(raised)
        self.arm()
        touched = _TOUCHED.get(sign)
        for number in range(4):
            if number not in _RAISED[sign] and number != touched:
                self.curled(number)
        if touched is not None:
            self._touch(touched)
        elif sign in _THUMB_IN:
            self.over(_jitter(_THUMB_IN[sign], self.rng), [0.24, 0.21, 0.15])

    def _touch(self, number: int) -> None:
        """Bend a finger until its tip meets the thumb's."""
        (x, y), _, _, width = _FINGERS[number]
        if number == 3:
            bent, meeting = [(0.24, -0.2), (0.37, -0.5), (0.6, -0.44), (0.62, -0.2)], (0.58, -0.16)
            thumb = [(0.26, 0.3), (0.56, 0.1), meeting]
        else:
            meeting = (x * 0.85 + 0.06, y + 0.2)
            bent = [(x, y + 0.05), (x + 0.01, y - 0.17), meeting]
            thumb = [(0.3, 0.34), (0.32 + 0.25 * meeting[0], 0.16), meeting]
        widths = np.linspace(width * 1.15, width * 0.95, len(bent)).tolist()
        self.over(_jitter(bent, self.rng), widths, nail=False)
        self.over(_jitter(thumb, self.rng), [0.25, 0.21, 0.15])

    def _draw_zero(self) -> None:
        """Draw the hand from the side, fingers and thumb rounded to an O."""
        back = [(-0.02, 0.62), (-0.2, 0.12), (-0.2, -0.4), (0.1, -0.74), (0.46, -0.68), (0.6, -0.44)]
        fingers = curve(_jitter(back, self.rng), steps=4)
        widths = np.interp(np.linspace(0, 5, len(fingers)), range(6), [0.44, 0.46, 0.36, 0.3, 0.25, 0.17])
        thumb = curve(_jitter([(0.04, 0.45), (0.34, 0.12), (0.55, -0.14), (0.6, -0.36)], self.rng), steps=4)
        thumb_widths = np.interp(np.linspace(0, 3, len(thumb)), range(4), [0.3, 0.25, 0.2, 0.15])
        self.silhouette([(fingers, widths.tolist()), (thumb, thumb_widths.tolist())], palm=False)
        for shift in (-0.07, 0.07):
            self.canvas.stroke([(x - shift * 0.6, y + shift) for x, y in fingers[9:-1]], 0.022, self.crease)
        x, y = thumb[-1]
        self.canvas.ellipse((x + 0.03, y), (0.05, 0.06), self.student.nail)
        self.arm()


def _jitter(points: Sequence[Point], rng: np.random.Generator) -> list[Point]:
    return [(x + rng.normal(0, 0.012), y + rng.normal(0, 0.012)) for x, y in points]


def _paint_wall(student: Student, rng: np.random.Generator) -> Image.Image:
    """Paint what lies behind the hand."""
    image = Image.new("RGB", (SIZE * SCALE, SIZE * SCALE), student.wall)
    canvas = Canvas(image)
    if student.pattern == 1:
        for _ in range(3):
            x, y, slope = rng.uniform(-1, 1), rng.uniform(-1, 1), rng.normal(0, 0.4)
            line = [(x - 2, y - 2 * slope), (x + 2, y + 2 * slope)]
            if rng.random() < 0.5:
                line = [(v, u) for u, v in line]
            canvas.stroke(line, 0.015, shade(student.wall, float(rng.choice([0.93, 1.2]))))
    elif student.pattern == 2:
        offset = rng.uniform(0, 0.4)
        for top in np.arange(-1 - offset, 1, 0.4):
            canvas.box(-1, top, 1, top + 0.4, vary(student.wall, rng, spread=3))
            canvas.box(-1, top, 1, top + 0.02, shade(student.wall, 0.9))
    return image


def draw_hand(sign: int, student: Student, rng: np.random.Generator) -> np.ndarray:
    """Draw a digit, 0-9, or one of `FREE_SIGNS`, uint8 (100, 100, 3), RGB.

    The same state of `rng` gives the same pixels.
    """
    wall = _paint_wall(student, rng)
    # A color no part of the hand has, yet so close to its edge that the border shows no fringe.
    red, green, blue = shade(student.skin, 0.55)
    key = (red, green, blue + 1)
    layer = Image.new("RGB", wall.size, key)
    canvas = Canvas(layer)
    size = student.size * rng.uniform(0.94, 1.06)
    canvas.place(
        angle=rng.normal(0, 7),
        size=size,
        shift=(rng.uniform(-0.25, 0.25), 0.45 * size - 0.08 + rng.uniform(-0.1, 0.1)),
        mirrored=student.left_handed,
    )
    _Hand(canvas, student, rng).draw(sign)
    r, g, b = np.moveaxis(np.asarray(layer), 2, 0)
    drawn = (r != key[0]) | (g != key[1]) | (b != key[2])
    mask = Image.fromarray(drawn.astype(np.uint8) * 255)
    soft = mask.reduce(SCALE).filter(ImageFilter.GaussianBlur(4)).resize(mask.size)
    aside = (int(rng.integers(-16, 17)), int(rng.integers(2, 14)))
    shadow = Image.new("L", mask.size)
    shadow.paste(soft, aside)
    # A hand is lighter in the middle than towards its edges, and throws a shadow on what lies behind it.
    lit = Image.composite(layer, Image.new("RGB", layer.size), soft.point(lambda value: 184 + value * 71 // 255))
    dark = Image.composite(Image.new("RGB", wall.size), wall, shadow.point(lambda value: value * 2 // 5))
    return photograph(Image.composite(lit, dark, mask), rng, scale=SCALE, noise=4)
