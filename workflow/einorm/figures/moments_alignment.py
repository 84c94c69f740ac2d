"""Moments of the activity and alignments over epochs (not in the paper)."""

import pandas as pd

from ..analysis.selection import metric_values
from ..conditions import CONDITIONS
from .panels import say_missing
from .style import GREY, grid, label, letter, line

METRICS = {
    "mu0": "μ,\nlayer 0",
    "mu1": "μ,\nlayer 1",
    "var0": "variance,\nlayer 0",
    "var1": "variance,\nlayer 1",
    "output_alignment": "output\nalignment",
    "gradient_alignment": "gradient\nalignment",
}
TARGETS = {"mu0": 0, "mu1": 0, "var0": 1, "var1": 1}  # what I-Norm's local loss aims at
FAR = 8  # networks without normalization can drift far: beyond this an axis is logarithmic


def draw(tables):
    """A row per metric, a column per epsilon: medians over the runs of every condition.

    Moments are drawn layer by layer, since the layers differ; alignments are means of both hidden layers, as in the
    paper.
    """
    epochs = tables["epochs"]
    epsilons = sorted(epochs["epsilon"].unique())
    figure, axes = grid(len(METRICS), max(1, len(epsilons)), 10, sharex=True, sharey="row")
    if not epsilons:
        return figure, say_missing(axes[0, 0], list(CONDITIONS)[:1], " and all others")
    present = [condition for condition in CONDITIONS if (epochs["condition"] == condition).any()]
    parts = []
    for row, (metric, name), panel in zip(axes, METRICS.items(), "abcdef", strict=True):
        row[0].set_ylabel(name)
        letter(row[0], panel)
        for ax, epsilon in zip(row, epsilons, strict=True):
            curves = medians(epochs[epochs["epsilon"] == epsilon], metric)
            for condition in present:
                curve = curves[curves["condition"] == condition]
                ax.plot(curve["epoch"], curve["value"], **line(condition), label=label(condition))
            if metric in TARGETS:
                ax.axhline(TARGETS[metric], color=GREY, linestyle=":", linewidth=0.8)
            if metric in TARGETS and curves["value"].abs().max() > FAR:
                ax.set_yscale("symlog", linthresh=1)
            parts.append(curves.assign(panel=panel, epsilon=epsilon))
    for ax, epsilon in zip(axes[0], epsilons, strict=True):
        ax.set_title(f"ε = {epsilon:g}")
        ax.xaxis.get_major_locator().set_params(integer=True)
    drawn = pd.concat(parts)
    without = drawn[drawn["metric"] == "mu0"].groupby(["condition", "epsilon"])["without_value"].max().sum()
    figure.align_ylabels()
    figure.supxlabel(f"epoch (medians; {without} runs have no values, since they collapsed)", fontsize=8)
    figure.legend(*axes[0, 0].get_legend_handles_labels(), loc="outside right center")
    return figure, drawn


def medians(epochs, metric):
    """Median over runs per condition and epoch, with the number of runs that have a value, and of those that do not."""
    values = epochs.assign(value=metric_values(epochs, metric)).groupby(["condition", "epoch"])["value"]
    table = values.agg(value="median", n="count", without_value=lambda v: int(v.isna().sum()))
    return table.reset_index().assign(metric=metric)
