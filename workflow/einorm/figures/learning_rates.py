"""Test accuracy against the learning rate, a panel per condition and epsilon (not in the paper)."""

from typing import Any

import matplotlib.pyplot as plt
import pandas as pd
from matplotlib.axes import Axes
from numpy.typing import NDArray
from pandas import DataFrame

from ..analysis.selection import LN
from ..conditions import CONDITIONS, label
from .panels import accuracy_limits, choose, mark_below, points, say_missing
from .style import GREY, Drawn, Tables, area, colour, grid, marker, size

COLUMNS = 5
HEIGHT = 1.45  # inches of a row of panels


def draw(tables: Tables) -> Drawn:
    """A block of panels per epsilon, a panel per condition: every run (mark), and LN+ of all configurations (grey)."""
    runs = tables["runs"]
    present = [condition for condition in CONDITIONS if (runs["condition"] == condition).any()]
    epsilons = sorted(runs["epsilon"].unique())
    if not present:
        figure, axes = grid(1, 1, 2.0)
        return figure, say_missing(axes[0, 0], list(CONDITIONS)[:1], " and all others")
    rows, columns = -(-len(present) // COLUMNS), min(COLUMNS, len(present))
    figure = plt.figure(figsize=size(HEIGHT * rows * len(epsilons) + 0.6), layout="constrained")
    blocks = figure.subfigures(len(epsilons), 1, squeeze=False)[:, 0]
    parts = [
        block_of(block.subplots(rows, columns, squeeze=False, sharex=True, sharey=True), runs, present, epsilon)
        for block, epsilon in zip(blocks, epsilons, strict=True)
    ]
    for block, epsilon in zip(blocks, epsilons, strict=True):
        block.supylabel(f"ε = {epsilon:g}: test accuracy (%)")
    blocks[-1].supxlabel(f"learning rate lr; grey: {label(LN)}")
    return figure, pd.concat(parts)


def block_of(axes: NDArray[Any], runs: DataFrame, conditions: list[str], epsilon: float) -> DataFrame:
    """The panels of one epsilon; their plotted points."""
    here = runs[runs["epsilon"] == epsilon]
    limits = accuracy_limits(here)
    for ax in axes.flat[len(conditions) :]:
        ax.axis("off")
    return pd.concat([
        panel(ax, here, condition, epsilon, limits) for ax, condition in zip(axes.flat, conditions, strict=False)
    ])  # fmt: skip


def panel(ax: Axes, runs: DataFrame, condition: str, epsilon: float, limits: tuple[float, float]) -> DataFrame:
    """One condition at one epsilon; runs below the axis are counted on its edge."""
    reference, chosen = choose(runs, LN), choose(runs, condition)
    ax.scatter(reference["lr"], reference["test_acc"], s=area(0.3), color=GREY, alpha=0.5, linewidth=0)
    ax.scatter(chosen["lr"], chosen["test_acc"], s=area(0.7), color=colour(condition), marker=marker(condition),
               edgecolor="white", linewidth=0.3)  # fmt: skip
    ax.set(xscale="log", ylim=limits, title=label(condition).replace("GradNorm: ", "GradNorm:\n"))
    mark_below(ax, chosen["test_acc"], limits[0])
    return points(f"epsilon {epsilon:g}", chosen, chosen["test_acc"], lr=chosen["lr"])
