"""Where error signals point, with Dale's principle and without it (not in the paper)."""

from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.lines import Line2D
from pandas import DataFrame

from ..analysis.error_shares import MEANING, medians
from ..conditions import CONDITIONS, label
from ..records.tables import LAYERS
from ..variants import DALE
from .panels import say_missing
from .style import GREY, Drawn, Tables, colour, epoch_axis, grid, marker

PAPER, WITHOUT = DALE
TICKS = (0, 0.01, 0.1, 0.3, 0.6, 1)


def draw(tables: Tables) -> Drawn:
    """A row per layer and epsilon, a column per share: medians over epochs, and at the right edge those without Dale's.

    All panels have the same axes, from 0 to 1, which spread out small shares: their square roots have equal steps.
    """
    epochs = tables["epochs"]
    shares = medians(epochs)
    epsilons = sorted(shares["epsilon"].unique())
    rows = [(layer, epsilon) for layer in LAYERS for epsilon in epsilons]
    figure, axes = grid(max(1, len(rows)), len(MEANING), 1.5 * len(rows) + 1.4, sharex=True, sharey=True)
    if shares.empty:
        return figure, say_missing(axes[0, 0], [*epochs["condition"].unique()], "\n(shares of error signals)")
    last = int(shares["epoch"].max())
    for (layer, epsilon), line in zip(rows, axes, strict=True):
        here = shares[(shares["layer"] == layer) & (shares["epsilon"] == epsilon)]
        for ax, share in zip(line, MEANING, strict=True):
            panel(ax, here[here["share"] == share], last)
        line[0].set_ylabel(f"layer {layer}\nε = {epsilon:g}", rotation=0, ha="right", va="center")
    for ax, text in zip(axes[0], MEANING.values(), strict=True):
        ax.set_title(text)
    axes[0, 0].set_yscale("function", functions=(lambda share: np.sqrt(np.clip(share, 0, None)), np.square))
    axes[0, 0].set(ylim=(0, 1))
    axes[0, 0].set_yticks(TICKS, [f"{tick:g}" for tick in TICKS])
    axes[0, 0].minorticks_off()
    epoch_axis(axes[0, 0].xaxis)
    figure.supylabel("share of squared length")
    for ax in axes[-1]:
        ax.set_xlabel("epoch")
    figure.legend(handles=handles(shares), loc="outside lower center", ncols=3)
    drawn = shares[shares["share"].isin(MEANING)]
    return figure, drawn.assign(panel=drawn["share"].map(MEANING).str.replace("\n", " "))


def panel(ax: Axes, shares: DataFrame, last: int) -> None:
    """One share of one layer and epsilon; without Dale's principle only its value after the last epoch."""
    for condition, group in shares.groupby("condition", sort=False):
        curve = group[group["variant"] == PAPER]
        end = group[(group["variant"] == WITHOUT) & (group["epoch"] == last)]
        if len(curve):  # what is empty and not clipped leaves a layout no room
            ax.plot(curve["epoch"], curve["value"], **look(condition), markevery=max(1, last // 4), clip_on=False)
        if len(end):
            ax.plot(end["epoch"] + 0.04 * last, end["value"], **look(condition) | OPEN)


OPEN: dict[str, Any] = {"linestyle": "", "markerfacecolor": "none", "markersize": 4, "clip_on": False}


def look(condition: str) -> dict[str, Any]:
    """Colour, width and marks of a condition's line."""
    return {"color": colour(condition), "linewidth": 1.2, "marker": marker(condition), "markersize": 3}


def handles(shares: DataFrame) -> list[Line2D]:
    """What the legend shows."""
    present = [condition for condition in CONDITIONS if (shares["condition"] == condition).any()]
    lines = [Line2D([], [], label=label(condition), **look(condition)) for condition in present]
    if (shares["variant"] == WITHOUT).any():
        lines.append(Line2D([], [], color=GREY, label="without Dale's principle, last epoch", **OPEN, marker="o"))
    return lines
