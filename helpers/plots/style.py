"""The look that all figures share: colors, fonts, title above, source below.

The colors are those of Okabe and Ito, which people with any color vision can tell apart, and two grays; the background
is white, so that a figure reads the same on light and dark pages.
"""

import base64
import io
import textwrap
from collections.abc import Callable, Sequence
from pathlib import Path

import matplotlib.style
import numpy as np
from matplotlib.axis import Axis
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.layout_engine import ConstrainedLayoutEngine
from matplotlib.ticker import LogLocator, NullLocator, PercentFormatter

from helpers.display.pictures import as_html

BLUE, ORANGE, GREEN = "#0072b2", "#d55e00", "#009e73"
GREY, STEEL, INK = "#b9bfc7", "#7b838e", "#24292f"
# For several lines in one picture, in this order.
SERIES = (BLUE, ORANGE, GREEN, "#cc79a7", "#e69f00", "#56b4e9", INK)

# Puts the house style in force while a function draws: @styled.
styled = matplotlib.style.context(Path(__file__).with_name("house.mplstyle"))


class Picture(Figure):
    """A figure that a notebook shows without pyplot, which would show it twice and keep it in memory."""

    def _repr_mimebundle_(self, **_: object) -> tuple[dict[str, str], dict[str, dict[str, str]]]:
        encoded, alt = base64.b64encode(png(self)).decode(), str(self.get_label())
        # nbconvert, and with it GitHub, take the alternative text from the metadata; JupyterLab 4.6 only from HTML.
        return {"image/png": encoded, "text/html": as_html(encoded, alt)}, {"image/png": {"alt": alt}}


def png(figure: Figure) -> bytes:
    """Return a figure as a PNG file."""
    buffer = io.BytesIO()
    figure.savefig(buffer, format="png", dpi=110)
    return buffer.getvalue()


def new_figure(
    rows: int, columns: int, *, width: float, height: float, ratios: Sequence[float] | None = None, shared: bool = False
) -> tuple[Figure, np.ndarray]:
    """Return an empty figure, and its axes as an array of shape (rows, columns).

    Width and height are in inches; title and source come on top. `ratios` are widths of the columns, and `shared` gives
    all axes the same scales.
    """
    figure = Picture(figsize=(width, height + 0.8), layout=ConstrainedLayoutEngine(w_pad=0.05, h_pad=0.06))
    FigureCanvasAgg(figure)
    return figure, figure.subplots(rows, columns, squeeze=False, width_ratios=ratios, sharex=shared, sharey=shared)


def finished(figure: Figure, title: str, source: str, *, seen: str) -> Figure:
    """Write the title above and the source below, both at the left edge and wrapped to the figure's width.

    For people who do not see the figure, both are its label, too, and between them what is `seen`: what the figure
    shows, with its main numbers, without a full stop.
    """
    width = figure.get_figwidth()
    heading = textwrap.fill(title, max(20, int(width / 0.125)))
    stamp = textwrap.fill(f"Source: {source}", max(30, int(width / 0.072)))
    figure.set_figheight(figure.get_figheight() + 0.2 * heading.count("\n") + 0.13 * stamp.count("\n"))
    figure.suptitle(heading, x=0.01, ha="left", fontsize=13, fontweight="bold")
    figure.supxlabel(stamp, x=0.01, ha="left", fontsize=8, color="#5c6370")
    figure.set_label(f"{title}. {seen}. Source: {source}")
    return figure


def set_round_ticks(axis: Axis, write: Callable[[float], str]) -> None:
    """Give a logarithmic axis of known limits ticks at 1, 2 and 5 in each power of ten.

    Where it spans much they are at 1 alone, and where it spans little, at every digit.
    """
    low, high = axis.get_view_interval()
    digits = (1,) if high >= 1000 * low else (1, 2, 5) if high >= 5 * low else range(1, 10)
    axis.set_major_locator(LogLocator(subs=digits))
    axis.set_major_formatter(lambda value, _: write(value))
    axis.set_minor_locator(NullLocator())


def show_percent(axis: Axis) -> None:
    """Label an axis of shares, 0 to 1, with whole percents, or with tenths where it spans little."""
    low, high = axis.get_view_interval()
    axis.set_major_formatter(PercentFormatter(1, decimals=0 if high - low >= 0.05 else 1))
