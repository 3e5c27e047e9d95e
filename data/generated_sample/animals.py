"""Animals of the generated sample: bird, cat, deer, dog, frog and horse, all looking right.

Each is drawn on a canvas that is placed already, `behind` being the leading color of the background.
"""

from collections.abc import Sequence

import numpy as np

from generated_sample.canvas import Canvas, Color, curve, pick, shade

FURS: list[Color] = [
    (110, 75, 45), (165, 120, 75), (60, 45, 38), (215, 195, 165), (140, 130, 125),
    (190, 110, 55), (40, 38, 40), (232, 228, 220), (130, 90, 65),
]  # fmt: skip
FEATHERS: list[Color] = [
    (190, 60, 45), (60, 100, 170), (225, 190, 60), (90, 70, 55), (50, 50, 55), (235, 235, 235),
    (110, 130, 90),
]  # fmt: skip
SKINS: list[Color] = [(95, 150, 50), (70, 120, 60), (130, 170, 60), (140, 120, 60), (60, 150, 110)]
EYE: Color = (20, 18, 18)


def _legs(
    canvas: Canvas, rng: np.random.Generator, xs: Sequence[float], top: float, foot: float, width: float, color: Color
) -> None:
    """Draw four legs, the two far ones darker, with a step that differs every time."""
    step = rng.uniform(-0.12, 0.12)
    for number, x in enumerate(xs):
        far = number % 2 == 0
        knee = (x + (step if far else -step) * 0.4, (top + foot) / 2)
        end = (x + (step if far else -step), foot)
        canvas.stroke([(x, top), knee, end], [width * 1.5, width, width * 0.9], shade(color, 0.7 if far else 0.95))


def draw_bird(canvas: Canvas, rng: np.random.Generator, behind: Color) -> None:
    """Draw a bird, perched or in flight."""
    body = pick(FEATHERS, rng, unlike=behind)
    wing = shade(body, rng.uniform(0.55, 0.75))
    breast = shade(body, 1.45)
    beak: Color = (235, 160, 40)
    if rng.random() < 0.4:
        lift = rng.uniform(0.5, 0.85)
        far = curve([(-0.05, 0.0), (-0.2, -lift * 0.9), (-0.55, -lift)])
        canvas.polygon([*far, (-0.35, -0.3), (-0.3, 0.05)], shade(wing, 0.8))
        canvas.polygon([(-0.3, 0.02), (-0.9, -0.05), (-0.85, 0.22)], wing)
        canvas.ellipse((0.05, 0.08), (0.42, 0.19), body, angle=-8)
        canvas.ellipse((0.08, 0.16), (0.3, 0.1), breast, angle=-8)
        near = curve([(0.22, 0.02), (0.2, -lift * 0.8), (0.02, -lift - 0.1)])
        canvas.polygon([*near, (-0.2, -lift * 0.55), (-0.3, 0.08)], wing)
        head = (0.48, -0.06)
    else:
        canvas.stroke([(-0.9, 0.66), (0.9, 0.6)], 0.1, (95, 70, 50))
        for x in (-0.02, 0.14):
            canvas.stroke([(x, 0.35), (x + 0.02, 0.62)], 0.045, beak)
        canvas.polygon([(-0.25, 0.05), (-0.92, 0.42), (-0.8, 0.58), (-0.1, 0.35)], wing)
        canvas.ellipse((0.03, 0.08), (0.45, 0.32), body, angle=-30)
        canvas.ellipse((0.18, 0.16), (0.24, 0.24), breast)
        canvas.polygon(curve([(0.12, -0.08), (-0.1, 0.28), (-0.55, 0.36), (-0.3, 0.0), (0.12, -0.08)]), wing)
        head = (0.38, -0.32)
    x, y = head
    canvas.ellipse(head, (0.22, 0.21), body)
    canvas.polygon([(x + 0.16, y - 0.09), (x + 0.48, y + 0.03), (x + 0.16, y + 0.11)], beak)
    canvas.ellipse((x + 0.08, y - 0.05), (0.055, 0.055), EYE)


def _cat_head(canvas: Canvas, x: float, y: float, size: float, fur: Color) -> None:
    dark, light = shade(fur, 0.6), shade(fur, 1.5)
    for side in (-1, 1):
        ear = [
            (x + side * size * 0.95, y),
            (x + side * size * 0.92, y - size * 1.5),
            (x + side * size * 0.1, y - size * 0.7),
        ]
        canvas.polygon(ear, fur)
        middle = np.mean(ear, axis=0)
        canvas.polygon(middle + 0.5 * (np.asarray(ear) - middle), (215, 150, 145))
    canvas.ellipse((x, y), (size * 1.08, size * 0.9), fur)
    for stripe in (-0.3, 0.0, 0.3):
        canvas.stroke([(x + stripe * size, y - size * 0.8), (x + stripe * size, y - size * 0.45)], size * 0.12, dark)
    canvas.ellipse((x, y + size * 0.42), (size * 0.5, size * 0.36), light)
    for side in (-1, 1):
        canvas.ellipse((x + side * size * 0.45, y - size * 0.05), (size * 0.26, size * 0.22), (190, 205, 70))
        canvas.ellipse((x + side * size * 0.45, y - size * 0.05), (size * 0.09, size * 0.2), EYE)
        for tilt in (-0.15, 0.15):
            whisker = [(x + side * size * 0.4, y + size * 0.4), (x + side * size * 1.4, y + size * (0.4 + tilt))]
            canvas.stroke(whisker, size * 0.06, shade(fur, 0.4) if sum(fur) > 380 else (235, 235, 235))
    canvas.polygon(
        [(x - size * 0.15, y + size * 0.22), (x + size * 0.15, y + size * 0.22), (x, y + size * 0.4)], (200, 110, 110)
    )


def draw_cat(canvas: Canvas, rng: np.random.Generator, behind: Color) -> None:
    """Draw a cat: sitting, walking, or its face."""
    fur = pick(FURS, rng, unlike=behind, spread=8)
    kind = rng.random()
    if kind < 0.4:
        canvas.stroke(curve([(-0.3, 0.75), (-0.75, 0.7), (-0.8, 0.2), (-0.62, 0.0)]), 0.15, shade(fur, 0.75))
        canvas.ellipse((0, 0.45), (0.42, 0.45), fur)
        canvas.ellipse((0, 0.4), (0.2, 0.34), shade(fur, 1.35))
        for side in (-1, 1):
            canvas.stroke([(side * 0.14, 0.3), (side * 0.15, 0.85)], 0.17, shade(fur, 0.9))
        _cat_head(canvas, 0, -0.22, 0.4, fur)
    elif kind < 0.7:
        canvas.stroke(curve([(-0.55, 0.1), (-0.85, -0.1), (-0.82, -0.5), (-0.65, -0.75)]), 0.13, shade(fur, 0.75))
        _legs(canvas, rng, (-0.5, -0.36, 0.12, 0.28), 0.22, 0.72, 0.11, fur)
        canvas.stroke([(-0.5, 0.12), (0.3, 0.14)], 0.42, fur)
        for x in (-0.4, -0.2, 0.0):
            canvas.stroke([(x, -0.08), (x + 0.03, 0.16)], 0.06, shade(fur, 0.6))
        _cat_head(canvas, 0.48, -0.2, 0.31, fur)
    else:
        canvas.ellipse((0, 1.0), (0.75, 0.5), shade(fur, 0.85))
        _cat_head(canvas, 0, 0.22, 0.66, fur)


def draw_dog(canvas: Canvas, rng: np.random.Generator, behind: Color) -> None:
    """Draw a dog: standing, or its face with hanging ears."""
    fur = pick(FURS, rng, unlike=behind, spread=8)
    ear = shade(fur, float(rng.choice([0.5, 0.65]))) if sum(fur) > 200 else shade(fur, 1.35)
    tongue: Color = (225, 110, 120)
    if rng.random() < 0.45:
        canvas.ellipse((0, 1.0), (0.7, 0.45), shade(fur, 0.85))
        canvas.ellipse((0, -0.02), (0.55, 0.6), fur)
        for side in (-1, 1):
            canvas.stroke(curve([(side * 0.42, -0.4), (side * 0.68, -0.1), (side * 0.66, 0.4)]), 0.3, ear)
            canvas.ellipse((side * 0.24, -0.15), (0.12, 0.12), shade(fur, 1.5))
            canvas.ellipse((side * 0.24, -0.15), (0.09, 0.1), EYE)
        canvas.stroke([(0, 0.5), (0, 0.78)], 0.2, tongue)
        canvas.ellipse((0, 0.33), (0.36, 0.3), shade(fur, 1.4))
        canvas.ellipse((0, 0.18), (0.17, 0.12), EYE)
        canvas.stroke([(-0.2, 0.46), (0, 0.42), (0.2, 0.46)], 0.05, EYE)
        return
    canvas.stroke(curve([(-0.55, -0.05), (-0.8, -0.25), (-0.85, rng.uniform(-0.6, -0.3))]), 0.12, fur)
    _legs(canvas, rng, (-0.5, -0.38, 0.16, 0.3), 0.15, 0.75, 0.14, fur)
    canvas.stroke([(-0.46, 0.04), (0.26, 0.02)], [0.4, 0.46], fur)
    canvas.stroke([(0.25, 0.0), (0.46, -0.3)], 0.32, fur)
    canvas.stroke([(0.55, -0.24), (0.86, -0.2)], [0.3, 0.2], shade(fur, 1.15))
    canvas.stroke([(0.72, -0.1), (0.74, 0.06)], 0.1, tongue)
    canvas.ellipse((0.48, -0.36), (0.28, 0.25), fur)
    canvas.ellipse((0.92, -0.25), (0.08, 0.08), EYE)
    canvas.ellipse((0.58, -0.42), (0.06, 0.06), EYE)
    canvas.stroke(curve([(0.36, -0.5), (0.22, -0.25), (0.26, 0.02)]), 0.2, ear)


def draw_deer(canvas: Canvas, rng: np.random.Generator, behind: Color) -> None:
    """Draw a stag: slim, long-legged, with antlers."""
    fur = pick([(165, 110, 65), (140, 90, 55), (185, 140, 95), (110, 80, 60), (125, 110, 95)], rng, unlike=behind)
    horn = pick([(95, 70, 45), (215, 195, 160), (60, 45, 35)], rng, unlike=behind)
    _legs(canvas, rng, (-0.5, -0.4, 0.1, 0.2), 0.15, 0.92, 0.075, fur)
    canvas.stroke([(-0.46, 0.08), (0.18, 0.08)], [0.32, 0.36], fur)
    canvas.stroke([(-0.4, 0.2), (0.1, 0.22)], 0.1, shade(fur, 1.4))
    canvas.ellipse((-0.62, 0.04), (0.09, 0.14), (245, 240, 230))
    canvas.stroke([(0.2, 0.02), (0.36, -0.3)], [0.26, 0.15], fur)
    if rng.random() < 0.5:
        for x in (-0.45, -0.28, -0.1, 0.06):
            canvas.ellipse((x, -0.02 + rng.uniform(-0.04, 0.04)), (0.035, 0.035), (240, 230, 210))
    tall = rng.uniform(0.85, 1.0)
    for lean, tone in ((-0.12, 0.8), (0.12, 1.0)):
        tip = (0.36 + lean * 2.2, -tall)
        middle = (0.3 + lean * 2.4, -0.68)
        canvas.stroke([(0.36, -0.42), middle, tip], 0.065, shade(horn, tone))
        canvas.stroke([middle, (middle[0] + 0.18, middle[1] - 0.18)], 0.055, shade(horn, tone))
        canvas.stroke([((0.36 + middle[0]) / 2, -0.55), (middle[0] - 0.18, -0.72)], 0.055, shade(horn, tone))
    canvas.stroke([(0.3, -0.4), (0.12, -0.46)], [0.12, 0.04], shade(fur, 0.8))
    canvas.stroke([(0.38, -0.38), (0.66, -0.28)], [0.2, 0.12], fur)
    canvas.ellipse((0.7, -0.28), (0.055, 0.055), EYE)
    canvas.ellipse((0.44, -0.41), (0.045, 0.045), EYE)


def draw_horse(canvas: Canvas, rng: np.random.Generator, behind: Color) -> None:
    """Draw a horse with mane and long tail, its head high or grazing."""
    fur = pick(FURS, rng, unlike=behind, spread=8)
    mane = shade(fur, 0.4) if sum(fur) > 200 else shade(fur, 1.5)
    if rng.random() < 0.3:
        mane = (225, 210, 180) if sum(fur) < 450 else (90, 70, 55)
    canvas.stroke(curve([(-0.6, -0.12), (-0.82, 0.1), (-0.78, 0.55)]), [0.12] * 10 + [0.2], mane)
    _legs(canvas, rng, (-0.52, -0.4, 0.16, 0.28), 0.15, 0.85, 0.12, fur)
    canvas.stroke([(-0.42, -0.02), (-0.05, 0.04), (0.22, -0.02)], [0.5, 0.46, 0.5], fur)
    if rng.random() < 0.25:
        neck, nose, poll = (0.56, 0.2), (0.8, 0.66), (0.62, 0.28)
    else:
        neck, nose, poll = (0.52, -0.56), (0.9, -0.36), (0.56, -0.62)
    canvas.stroke([(0.22, -0.06), neck], [0.42, 0.26], fur)
    crest = np.array([-0.16, -0.04])
    canvas.stroke([tuple(np.array((0.2, -0.1)) + crest), tuple(np.asarray(neck) + crest)], [0.1, 0.17], mane)
    canvas.polygon(
        [(poll[0] - 0.08, poll[1] - 0.06), (poll[0] - 0.04, poll[1] - 0.34), (poll[0] + 0.1, poll[1] - 0.08)], fur
    )
    canvas.stroke([poll, nose], [0.27, 0.16], fur)
    canvas.ellipse(nose, (0.09, 0.08), shade(fur, 0.6))
    middle = (poll[0] * 0.75 + nose[0] * 0.25, poll[1] * 0.75 + nose[1] * 0.25 - 0.04)
    canvas.ellipse(middle, (0.045, 0.045), EYE)
    if rng.random() < 0.4:
        canvas.stroke([poll, tuple(0.3 * np.asarray(poll) + 0.7 * np.asarray(nose))], 0.07, (240, 238, 230))


def draw_frog(canvas: Canvas, rng: np.random.Generator, behind: Color) -> None:
    """Draw a frog that sits and looks at the viewer."""
    skin = pick(SKINS, rng, unlike=behind)
    dark, belly = shade(skin, 0.65), shade(skin, 1.5)
    for side in (-1, 1):
        canvas.ellipse((side * 0.62, 0.42), (0.32, 0.24), dark, angle=side * -25)
        canvas.stroke([(side * 0.6, 0.58), (side * 0.95, 0.66)], [0.2, 0.1], dark)
    canvas.ellipse((0, 0.3), (0.62, 0.42), skin)
    canvas.ellipse((0, 0.4), (0.4, 0.3), belly)
    for side in (-1, 1):
        canvas.stroke([(side * 0.4, 0.3), (side * 0.42, 0.66)], 0.16, skin)
        for toe in (-0.12, 0.0, 0.12):
            canvas.stroke([(side * 0.42, 0.66), (side * 0.44 + toe, 0.76)], 0.07, skin)
        canvas.ellipse((side * 0.36, -0.36), (0.24, 0.24), skin)
    canvas.ellipse((0, -0.06), (0.68, 0.36), skin)
    for _ in range(5):
        canvas.ellipse((rng.uniform(-0.5, 0.5), rng.uniform(-0.28, -0.05)), (0.06, 0.05), dark)
    iris = pick([(230, 200, 60), (200, 70, 40), (240, 240, 220)], rng)
    for side in (-1, 1):
        canvas.ellipse((side * 0.36, -0.38), (0.17, 0.17), iris)
        canvas.ellipse((side * 0.36, -0.38), (0.12, 0.07), EYE)
    canvas.stroke(curve([(-0.56, 0.0), (0, 0.14), (0.56, 0.0)]), 0.06, shade(skin, 0.35))
