"""Moments of the activity and alignments over epochs (not in the paper)."""

from typing import Any

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from numpy.typing import NDArray
from pandas import DataFrame

from ..analysis.selection import defined, metric_values
from ..conditions import CONDITIONS, label
from .panels import say_missing
from .style import GREY, Drawn, Tables, alignment_axis, curve_look, epoch_axis, grid, spread, unspread

METRICS = {
    "mu0": "mean,\nlayer 0",
    "mu1": "mean,\nlayer 1",
    "var0": "variance,\nlayer 0",
    "var1": "variance,\nlayer 1",
    "output_alignment": "output\nalignment\n(cosine)",
    "gradient_alignment": "gradient\nalignment\n(cosine)",
}
TARGETS = {"mu0": 0, "mu1": 0, "var0": 1, "var1": 1}  # what I-Norm's local loss aims at
FAR = 8  # networks without normalization can drift far: beyond this an axis is logarithmic


def draw(tables: Tables) -> Drawn:
    """A row per condition, a column per metric, a line per epsilon: medians over the runs.

    Moments are drawn layer by layer, since the layers differ; alignments are means of both hidden layers, as in the
    paper. All panels of a column have the same axis. Where a condition has LN, all but gradients is measured before it.
    """
    epochs = tables["epochs"]
    present = [condition for condition in CONDITIONS if (epochs["condition"] == condition).any()]
    figure, axes = grid(max(1, len(present)), len(METRICS), 0.85 * len(present) + 1.2, sharex=True, sharey="col")
    if not present:
        return figure, say_missing(axes[0, 0], list(CONDITIONS)[:1], " and all others")
    parts = [column(axes[:, i], epochs, present, metric) for i, metric in enumerate(METRICS)]
    for row, condition in zip(axes, present, strict=True):
        name = label(condition).replace(": ", ":\n").replace(" (", "\n(").replace(" inhibition", "\ninhibition")
        name += "\n(before LN)" if CONDITIONS[condition].normalization == "ln" else ""
        row[0].set_ylabel(name, rotation=0, ha="right", va="center")
    epoch_axis(axes[0, 0].xaxis)
    drawn = pd.concat(parts)
    without = drawn[drawn["metric"] == "mu0"].groupby(["condition", "epsilon"])["without_value"].max().sum()
    figure.align_ylabels()
    figure.supxlabel("epoch (medians" + (f"; {without} runs have no values, since they collapsed)" if without else ")"))
    found = {text: handle for ax in axes[:, 0] for handle, text in zip(*ax.get_legend_handles_labels(), strict=True)}
    names = sorted(found, key=float)
    figure.legend([found[name] for name in names], names, title="ε", loc="outside right upper")
    return figure, drawn


def column(axes: NDArray[Any], epochs: DataFrame, conditions: list[str], metric: str) -> DataFrame:
    """One metric of all conditions; its plotted points."""
    parts = []
    for ax, condition in zip(axes, conditions, strict=True):
        chosen = epochs[epochs["condition"] == condition]
        curves = {epsilon: medians(group, metric) for epsilon, group in chosen.groupby("epsilon")}
        parts += [curve.assign(panel=METRICS[metric].replace("\n", " "), epsilon=e) for e, curve in curves.items()]
        empty = [curve["measured"].iloc[0] for curve in curves.values() if not curve["n"].any()]
        if len(empty) == len(curves):
            say_empty(ax, empty[0])
            continue
        if metric in TARGETS:
            ax.axhline(TARGETS[metric], color=GREY, linestyle=":", linewidth=0.8)
        for epsilon, curve in curves.items():
            look = curve_look(epsilon, len(curve)) | {"clip_on": len(curve) > 1}
            ax.plot(curve["epoch"], curve["value"], **look, label=f"{epsilon:g}")
    drawn = pd.concat(parts)
    if metric == "gradient_alignment":  # far from 1 in most conditions, which is what it is about
        lowest = min(0, drawn["value"].fillna(0).min())
        axes[0].set(ylim=(lowest - 0.05, 1.05), yticks=(0, 0.5, 1))
    elif metric not in TARGETS:
        alignment_axis(axes[0].yaxis, (0, 0.9, 0.99, 0.999))
        highest = spread(max(0.9, drawn["value"].fillna(0).max()))  # fillna: no run may have an alignment
        axes[0].set_ylim(unspread(-0.1), unspread(highest + 0.2))
    elif drawn["value"].abs().max() > FAR:
        axes[0].set_yscale("symlog", linthresh=1)
        axes[0].set_yticks([-1, 0, 1, 10], ["−1", "0", "1", "10"])
    axes[0].set_title(METRICS[metric])
    return drawn


def say_empty(ax: Axes, why: str) -> None:
    """Say in a panel why it has no curve; its axes stay, which other panels share."""
    ax.text(0.5, 0.5, why.replace(" ", "\n"), transform=ax.transAxes, ha="center", va="center", color=GREY)


def medians(epochs: DataFrame, metric: str) -> DataFrame:
    """Median of a condition's runs per epoch, with the number of runs that have a value, and of those that do not.

    The column "measured" says where the condition has LN: "before LN". Without values it says why: "not defined" (for
    this condition) or "collapsed" (every run).
    """
    condition = epochs["condition"].iloc[0]
    values = metric_values(epochs, metric) if defined(condition, metric) else pd.Series(np.nan, epochs.index)
    groups = epochs.assign(value=values).groupby(["condition", "epoch"])["value"]
    table = groups.agg(value="median", n="count", without_value=lambda v: int(v.isna().sum()))
    measured = "before LN" if CONDITIONS[condition].normalization == "ln" else ""
    if values.isna().all():
        measured = "not defined" if epochs["mu0"].notna().any() else "collapsed"
    return table.reset_index().assign(metric=metric, measured=measured)
