"""Vehicles of the generated sample: airplane, automobile, ship and truck, all heading right.

Each is drawn on a canvas that is placed already, `behind` being the leading color of the background.
"""

import numpy as np

from generated_sample.canvas import Canvas, Color, pick, shade

PAINTS: list[Color] = [
    (200, 40, 40), (40, 80, 170), (235, 235, 235), (160, 165, 170), (35, 35, 40),
    (225, 190, 50), (50, 120, 80), (220, 120, 40), (120, 40, 60), (130, 185, 215),
]  # fmt: skip
GLASS: Color = (70, 95, 115)
TYRE: Color = (25, 25, 28)


def _wheel(canvas: Canvas, x: float, y: float, radius: float) -> None:
    canvas.ellipse((x, y), (radius, radius), TYRE)
    canvas.ellipse((x, y), (radius * 0.5, radius * 0.5), (150, 150, 155))


def draw_airplane(canvas: Canvas, rng: np.random.Generator, behind: Color) -> None:
    """Draw an airplane from the side or from above."""
    body = pick([(240, 240, 240), (200, 205, 210), (230, 230, 235), *PAINTS], rng, unlike=behind)
    mark = pick(PAINTS, rng, unlike=body)
    wing = shade(body, 0.72)
    if rng.random() < 0.5:
        _airplane_from_above(canvas, rng, body, mark)
        return
    canvas.polygon([(-0.62, -0.08), (-0.95, -0.5), (-0.72, -0.5), (-0.38, -0.08)], mark)
    canvas.stroke([(-0.88, -0.04), (-0.55, 0.0), (0.6, 0.0), (0.86, 0.05)], [0.06, 0.24, 0.26, 0.1], body)
    canvas.stroke([(-0.5, 0.09), (0.62, 0.09)], 0.06, shade(body, 0.8))
    for x in np.arange(-0.45, 0.5, 0.16):
        canvas.ellipse((float(x), -0.04), (0.035, 0.035), GLASS)
    canvas.polygon([(0.66, -0.1), (0.8, -0.03), (0.68, -0.02)], GLASS)
    canvas.polygon([(0.25, 0.04), (-0.1, 0.04), (-0.5, rng.uniform(0.4, 0.55)), (-0.3, 0.5)], wing)
    canvas.polygon([(0.12, -0.1), (-0.1, -0.1), (-0.3, -0.38), (-0.18, -0.38)], shade(body, 0.85))
    canvas.stroke([(-0.02, 0.28), (0.14, 0.28)], 0.12, shade(body, 0.55))
    canvas.polygon([(-0.6, 0.0), (-0.82, 0.0), (-0.98, 0.16), (-0.86, 0.16)], wing)


def _airplane_from_above(canvas: Canvas, rng: np.random.Generator, body: Color, mark: Color) -> None:
    sweep, span = rng.uniform(0.1, 0.45), rng.uniform(0.75, 0.95)
    wing = shade(body, 0.8)
    for side in (-1, 1):
        canvas.polygon([(0.28, 0), (0.16 - sweep, side * span), (-0.06 - sweep, side * span), (-0.14, 0)], wing)
        canvas.polygon([(-0.6, 0), (-0.78, side * 0.36), (-0.94, side * 0.36), (-0.84, 0)], mark)
        canvas.stroke([(-0.05 - sweep / 3, side * 0.4), (0.2 - sweep / 3, side * 0.4)], 0.1, shade(body, 0.5))
    canvas.stroke([(-0.9, 0), (-0.5, 0), (0.6, 0), (0.92, 0)], [0.1, 0.2, 0.22, 0.08], body)
    canvas.polygon([(0.66, -0.08), (0.8, -0.05), (0.8, 0.05), (0.66, 0.08)], GLASS)


def draw_automobile(canvas: Canvas, rng: np.random.Generator, behind: Color) -> None:
    """Draw a car from the side or from the front."""
    paint = pick(PAINTS, rng, unlike=behind)
    canvas.ellipse((0, 0.5), (0.95, 0.09), shade(behind, 0.5))
    if rng.random() < 0.3:
        _automobile_from_front(canvas, paint)
        return
    roof = rng.uniform(-0.42, -0.3)
    back = rng.uniform(-0.72, -0.5)
    canvas.polygon([(back, 0.02), (back + 0.16, roof), (0.16, roof), (0.46, 0.02)], paint)
    canvas.polygon([(back + 0.08, 0.0), (back + 0.2, roof + 0.07), (-0.18, roof + 0.07), (-0.18, 0.0)], GLASS)
    canvas.polygon([(-0.1, 0.0), (-0.1, roof + 0.07), (0.13, roof + 0.07), (0.36, 0.0)], GLASS)
    canvas.stroke([(-0.84, 0.2), (-0.78, 0.1), (0.5, 0.08), (0.84, 0.2)], 0.16, paint)
    canvas.polygon([(-0.92, 0.14), (0.92, 0.18), (0.92, 0.4), (-0.92, 0.4)], paint)
    canvas.box(-0.92, 0.32, 0.92, 0.42, shade(paint, 0.6))
    canvas.ellipse((0.86, 0.2), (0.07, 0.06), (255, 240, 190))
    canvas.ellipse((-0.89, 0.2), (0.04, 0.06), (200, 30, 30))
    for x in (-0.52, 0.52):
        _wheel(canvas, x, 0.4, 0.2)


def _automobile_from_front(canvas: Canvas, paint: Color) -> None:
    for side in (-1, 1):
        canvas.box(side * 0.6 - 0.12, 0.3, side * 0.6 + 0.12, 0.56, TYRE)
    canvas.polygon([(-0.62, 0.0), (-0.44, -0.44), (0.44, -0.44), (0.62, 0.0)], paint)
    canvas.polygon([(-0.5, -0.03), (-0.37, -0.36), (0.37, -0.36), (0.5, -0.03)], GLASS)
    canvas.stroke([(-0.66, 0.12), (0.66, 0.12)], 0.3, paint)
    canvas.box(-0.78, 0.12, 0.78, 0.4, paint)
    canvas.box(-0.36, 0.12, 0.36, 0.24, shade(paint, 0.4))
    canvas.box(-0.8, 0.32, 0.8, 0.42, shade(paint, 0.6))
    for side in (-1, 1):
        canvas.ellipse((side * 0.58, 0.17), (0.13, 0.09), (255, 245, 205))


def draw_truck(canvas: Canvas, rng: np.random.Generator, behind: Color) -> None:
    """Draw a truck with a box, a tank or an open load."""
    paint = pick(PAINTS, rng, unlike=behind)
    load = pick(PAINTS, rng, unlike=behind)
    canvas.ellipse((0, 0.6), (1.0, 0.08), shade(behind, 0.5))
    canvas.box(-0.96, 0.3, 0.9, 0.44, (50, 50, 55))
    top = rng.uniform(-0.72, -0.58)
    kind = rng.random()
    if kind < 0.65:
        canvas.box(-0.96, top, 0.3, 0.32, load)
        canvas.box(-0.96, 0.22, 0.3, 0.32, shade(load, 0.65))
        if rng.random() < 0.5:
            canvas.box(-0.96, (top + 0.32) / 2 - 0.09, 0.3, (top + 0.32) / 2 + 0.05, pick(PAINTS, rng, unlike=load))
    elif kind < 0.82:
        canvas.stroke([(-0.74, -0.1), (0.1, -0.1)], 0.62, load)
        canvas.stroke([(-0.74, -0.26), (0.1, -0.26)], 0.1, shade(load, 1.4))
        canvas.box(-0.9, 0.2, 0.28, 0.32, shade(load, 0.5))
    else:
        canvas.polygon([(-0.96, -0.3), (0.28, -0.3), (0.22, 0.3), (-0.86, 0.3)], load)
        canvas.ellipse((-0.36, -0.3), (0.5, 0.22), (125, 95, 65))
        canvas.polygon([(-0.96, -0.3), (0.28, -0.3), (0.27, -0.2), (-0.95, -0.2)], shade(load, 0.7))
    canvas.polygon([(0.38, -0.44), (0.74, -0.44), (0.92, -0.02), (0.94, 0.42), (0.38, 0.42)], paint)
    canvas.polygon([(0.5, -0.34), (0.7, -0.34), (0.84, -0.02), (0.5, -0.02)], GLASS)
    canvas.box(0.38, 0.34, 0.96, 0.44, shade(paint, 0.5))
    canvas.ellipse((0.91, 0.24), (0.05, 0.06), (255, 240, 190))
    for x in (-0.72, -0.36, 0.64):
        _wheel(canvas, x, 0.46, 0.18)


def draw_ship(canvas: Canvas, rng: np.random.Generator, behind: Color) -> None:
    """Draw a steamer, a container ship or a sailing boat."""
    hull = pick(PAINTS, rng, unlike=behind)
    kind = rng.random()
    if kind < 0.35:
        sail = pick([(245, 245, 240), (235, 225, 205), *PAINTS], rng, unlike=behind)
        canvas.box(-0.03, -0.95, 0.03, 0.3, (90, 65, 45))
        canvas.polygon([(0.06, -0.88), (0.7, 0.14), (0.06, 0.14)], sail)
        canvas.polygon([(-0.06, -0.78), (-0.06, 0.14), (-0.55, 0.14)], shade(sail, 0.85))
    elif kind < 0.7:
        white = pick([(240, 240, 240), (225, 220, 205), (190, 195, 200)], rng, unlike=behind)
        canvas.box(-0.5, -0.12, 0.45, 0.2, white)
        canvas.box(-0.36, -0.32, 0.28, -0.12, shade(white, 0.88))
        for x in (-0.2, 0.08):
            canvas.polygon([(x - 0.09, -0.32), (x - 0.12, -0.66), (x + 0.06, -0.66), (x + 0.09, -0.32)], hull)
            canvas.box(x - 0.12, -0.66, x + 0.06, -0.57, TYRE)
        for x in np.arange(-0.4, 0.4, 0.16):
            canvas.box(float(x), -0.02, float(x) + 0.08, 0.06, GLASS)
    else:
        canvas.box(-0.78, -0.5, -0.48, 0.2, (235, 235, 230))
        canvas.box(-0.74, -0.42, -0.5, -0.32, GLASS)
        for x in np.arange(-0.42, 0.56, 0.25):
            for level in range(rng.integers(1, 4)):
                canvas.box(float(x), 0.02 - 0.17 * level, float(x) + 0.23, 0.18 - 0.17 * level, pick(PAINTS, rng))
        canvas.box(0.62, -0.2, 0.66, 0.2, (60, 60, 60))
    canvas.polygon([(-0.9, 0.14), (0.96, 0.08), (0.7, 0.52), (-0.76, 0.52)], hull)
    canvas.polygon([(-0.8, 0.42), (0.76, 0.42), (0.7, 0.52), (-0.76, 0.52)], shade(hull, 0.55))
    canvas.stroke([(-0.9, 0.54), (0.85, 0.54)], 0.05, (225, 235, 240))
