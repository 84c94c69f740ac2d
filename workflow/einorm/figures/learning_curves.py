"""Learning curves of every condition (not in the paper)."""

import numpy as np
import pandas as pd

from ..conditions import CONDITIONS
from .panels import collapsed_note, note, say_missing
from .style import epsilon_style, grid, label

COLUMNS = 5


def draw(tables):
    """Test accuracy over epochs, a panel per condition: runs thin, their median thick, colour = epsilon."""
    epochs, runs = tables["epochs"], tables["runs"]
    rows = -(-len(CONDITIONS) // COLUMNS)
    figure, axes = grid(rows, COLUMNS, 1.75 * rows, sharex=True, sharey=True)
    parts = []
    for ax, condition in zip(axes.flat, CONDITIONS, strict=False):
        ax.set_title(label(condition))
        chosen = epochs[epochs["condition"] == condition]
        if chosen.empty:
            note(ax, "not computed", x=0.5, y=0.5, ha="center", va="center")
            continue
        for epsilon, group in chosen.groupby("epsilon"):
            curves = group.pivot_table(index="epoch", columns=["config", "seed", "lambda_"], values="test_acc")
            shade = epsilon_style(epsilon, epochs["epsilon"].unique())["color"]
            ax.plot(curves.index, curves, color=shade, linewidth=0.4, alpha=0.5)
            ax.plot(curves.index, curves.median(axis=1), color=shade, linewidth=1.6, label=f"{epsilon:g}")
        note(ax, collapsed_note(runs[runs["condition"] == condition]))
        parts.append(chosen)
    if not parts:
        return figure, say_missing(axes[0, 0], list(CONDITIONS)[:1], " and all others")
    for ax in axes.flat[len(CONDITIONS) :]:
        ax.axis("off")
    drawn = pd.concat(parts)
    low = np.percentile(drawn["test_acc"], 5)
    axes[0, 0].xaxis.get_major_locator().set_params(integer=True)
    axes[0, 0].set_ylim(min(low, 75) - 2, drawn["test_acc"].max() + 1)
    handles = {text: handle for ax in axes.flat for handle, text in zip(*ax.get_legend_handles_labels(), strict=True)}
    figure.legend(handles.values(), handles.keys(), title="ε", loc="outside right upper")
    figure.supxlabel("epoch", fontsize=8)
    figure.supylabel("test accuracy (%); the axis starts near the 5 % quantile", fontsize=8)
    return figure, drawn
