"""How a model learns, and what it costs."""

import textwrap
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from helpers.plots.style import BLUE, GREY, ORANGE, STEEL, finished, new_figure, set_round_ticks, show_percent, styled


@styled
def learning_curves(history: Mapping[str, Sequence[float]], *, title: str, source: str) -> Figure:
    """Show loss and accuracy by epoch, for training and validation, and mark the best validation value of each.

    `history` has lists of equal length: epoch (from 1), loss, accuracy (0 to 1), val_loss, val_accuracy and, if the
    figure shall say how long an epoch takes, seconds.
    """
    epochs = np.asarray(history["epoch"])
    figure, ((left, right),) = new_figure(1, 2, width=9.0, height=3.4)
    for axis, name, best in ((left, "loss", np.argmin), (right, "accuracy", np.argmax)):
        validation = np.asarray(history[f"val_{name}"], dtype=float)
        line: dict[str, Any] = {"linewidth": 2, "marker": "o", "markersize": 4}
        axis.plot(epochs, history[name], color=STEEL, label="training", **line)
        axis.plot(epochs, validation, color=BLUE, label="validation", **line)
        index = int(best(validation))
        value = f"{validation[index]:.1%}" if name == "accuracy" else f"{validation[index]:.3f}"
        ring: dict[str, Any] = {"markersize": 10, "markerfacecolor": "none", "color": ORANGE}
        label = f"best: {value} in epoch {epochs[index]}"
        axis.plot(epochs[index], validation[index], "o", label=label, **ring)
        axis.set_title(name.capitalize())
        axis.set_xlabel(f"epoch ({np.median(history['seconds']):.3g} s each)" if "seconds" in history else "epoch")
        axis.xaxis.set_major_locator(MaxNLocator(integer=True, min_n_ticks=1))
        # A single epoch is a single point: room to its right for the legend.
        axis.set_xlim(epochs.min() - 0.5, epochs.max() + (0.5 if len(epochs) > 1 else 1.5))
        axis.grid(axis="y")
        axis.legend(loc="best")
    left.set_ylim(0, 1.08 * max(*history["loss"], *history["val_loss"]))
    show_percent(right.yaxis)
    accuracies = history["val_accuracy"]
    seen = (
        f"Loss and accuracy over {len(epochs)} epochs: validation accuracy begins at {accuracies[0]:.1%}, "
        f"ends at {accuracies[-1]:.1%} and is best at {max(accuracies):.1%}"
    )
    return finished(figure, title, source, seen=seen)


@styled
def accuracy_over_time(runs: Sequence[Mapping[str, Any]], *, title: str, source: str) -> Figure:
    """Compare recipes by the accuracy that they reach in the time that they take.

    Each recipe has a panel of its own, with the others in gray. A line is the mean over the seeds of a recipe, the band
    around it reaches from the lowest to the highest. A run, of one seed, has the name of its `recipe`, the `seconds` of
    each epoch, and its `val_accuracy`, 0 to 1.
    """
    recipes = {run["recipe"]: [other for other in runs if other["recipe"] == run["recipe"]] for run in runs}
    longest = max(sum(run["seconds"]) for run in runs)
    unit, length = ("minutes", 60) if longest >= 180 else ("seconds", 1)
    lines = {}
    for name, repeated in recipes.items():
        times = np.mean([np.cumsum(run["seconds"]) for run in repeated], axis=0) / length
        lines[name] = (times, np.array([run["val_accuracy"] for run in repeated], dtype=float))
    columns = min(3, len(recipes))
    rows = -(-len(recipes) // columns)
    figure, axes = new_figure(rows, columns, width=9.6, height=0.6 + 1.7 * rows, shared=True)
    for axis in axes.flat[len(recipes) :]:
        axis.set_axis_off()
    ends = []
    for (name, (times, accuracies)), axis in zip(lines.items(), axes.flat, strict=False):
        for others, their_accuracies in lines.values():
            axis.plot(others, their_accuracies.mean(axis=0), color=GREY, linewidth=1, zorder=1)
        mean = accuracies.mean(axis=0)
        axis.fill_between(times, accuracies.min(axis=0), accuracies.max(axis=0), color=BLUE, alpha=0.25, linewidth=0)
        axis.plot(times, mean, color=BLUE, linewidth=2, marker="o", markersize=3.5)
        axis.set_title(textwrap.fill(name, 34), fontsize=9)
        end = f"{mean[-1]:.1%} after {times[-1]:.3g} {unit}"
        seeds = "1 seed" if len(accuracies) == 1 else f"{len(accuracies)} seeds"
        axis.text(0.98, 0.04, f"{end} ({seeds})", transform=axis.transAxes, ha="right", fontsize=8)
        ends.append(f"{name}, {end}")
        _show_accuracies(axis)
    axes[0, 0].set_xlim(left=0)
    axes[-1, 0].set_xlabel(f"training time in {unit}; gray: the other recipes", loc="left")
    axes[0, 0].set_ylabel("validation accuracy")
    return finished(figure, title, source, seen=f"Validation accuracy at the end: {'; '.join(ends)}")


@styled
def cost_and_accuracy(
    settings: Mapping[str, Mapping[str, float | Sequence[float]]],
    *,
    title: str,
    source: str,
    cost_label: str = "seconds per epoch",
) -> Figure:
    """Set what each of several settings costs against the accuracy that it brings, with its uncertainty.

    A setting has `seconds`, which `cost_label` explains, `accuracy` (0 to 1) and `accuracy_interval`. Other entries are
    left alone, so that a part of an evaluation will do: `{"seconds": 12.3, **result.evaluation["validation"]}`.
    """
    seconds, accuracies, intervals = (
        np.array([setting[name] for setting in settings.values()], dtype=float)
        for name in ("seconds", "accuracy", "accuracy_interval")
    )
    figure, ((axis,),) = new_figure(1, 1, width=8.0, height=3.8)
    axis.plot(seconds, accuracies, color=GREY, linewidth=1.5, zorder=1)
    axis.errorbar(seconds, accuracies, np.abs(intervals.T - accuracies), color=BLUE, fmt="o", markersize=7, capsize=3)
    points = list(zip(settings, seconds, accuracies, strict=True))
    for name, second, accuracy in points:
        # Below and to the right, where a line that climbs does not pass.
        axis.annotate(name, (second, accuracy), xytext=(7, -13), textcoords="offset points", fontsize=9)
    low, high = seconds.min() / 1.25, seconds.max() * 1.6
    if seconds.max() > 5 * seconds.min():
        axis.set_xscale("log")
        cost_label += " (logarithmic)"
    axis.set(xlim=(low, high), xlabel=cost_label, ylabel="validation accuracy")
    if axis.get_xscale() == "log":
        set_round_ticks(axis.xaxis, "{:g}".format)
    _show_accuracies(axis)
    seen = "; ".join(f"{name}: {accuracy:.1%} for {second:.3g}" for name, second, accuracy in points)
    return finished(figure, title, source, seen=f"Validation accuracy against {cost_label}: {seen}")


def _show_accuracies(axis: Axes) -> None:
    """Label the y-axis in percent, which ends at 100."""
    axis.set_ylim(top=min(axis.get_ylim()[1], 1.004))
    show_percent(axis.yaxis)
    axis.grid()
