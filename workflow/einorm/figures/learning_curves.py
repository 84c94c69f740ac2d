"""Learning curves of every condition (not in the paper)."""

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from pandas import DataFrame

from ..conditions import CONDITIONS, label
from .panels import collapsed_note, note, say_missing
from .style import Drawn, Tables, curve_look, epoch_axis, grid

COLUMNS = 5


def draw(tables: Tables) -> Drawn:
    """Test accuracy over epochs, a panel per condition that has runs: runs thin, their median thick, look = epsilon."""
    epochs, runs = tables["epochs"], tables["runs"]
    present = [condition for condition in CONDITIONS if (epochs["condition"] == condition).any()]
    columns, rows = min(COLUMNS, len(present)) or 1, -(-len(present) // COLUMNS) or 1
    figure, axes = grid(rows, columns, 1.6 * rows + 0.5, sharex=True, sharey=True)
    if not present:
        return figure, say_missing(axes[0, 0], list(CONDITIONS)[:1], " and all others")
    for ax in axes.flat[len(present) :]:
        ax.axis("off")
    parts = [panel(ax, epochs, runs, condition) for ax, condition in zip(axes.flat, present, strict=False)]
    drawn = pd.concat(parts)
    low = np.percentile(drawn["test_acc"], 5)
    epoch_axis(axes[0, 0].xaxis)
    axes[0, 0].set_ylim(min(low, 75) - 2, drawn["test_acc"].max() + 1)
    handles = {text: handle for ax in axes.flat for handle, text in zip(*ax.get_legend_handles_labels(), strict=True)}
    names = sorted(handles, key=float)
    figure.legend([handles[name] for name in names], names, title="ε", loc="outside right upper")
    figure.supxlabel("epoch")
    figure.supylabel("test accuracy (%)")
    return figure, drawn


def panel(ax: Axes, epochs: DataFrame, runs: DataFrame, condition: str) -> DataFrame:
    """The curves of one condition; its plotted points."""
    chosen = epochs[epochs["condition"] == condition]
    for epsilon, group in chosen.groupby("epsilon"):
        curves = group.pivot_table(index="epoch", columns=["config", "seed", "lambda_"], values="test_acc")
        look = curve_look(epsilon, len(curves))
        ax.plot(curves.index, curves, **look | {"linestyle": "-"}, linewidth=0.4, alpha=0.5, markersize=2)
        ax.plot(curves.index, curves.median(axis=1), **look, linewidth=1.6, label=f"{epsilon:g}")
    ax.set_title(label(condition).replace("GradNorm: ", "GradNorm:\n"))
    note(ax, collapsed_note(runs[runs["condition"] == condition]))
    return chosen
