"""Figure 6: which part of the error signal's normalization matters."""

from typing import Any

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.gridspec import SubplotSpec
from pandas import DataFrame
from scipy.stats import mannwhitneyu

from ..analysis.comparisons import corrected, identity
from ..analysis.selection import LN
from ..conditions import label
from ..records.tables import layer_mean
from .panels import accuracy_limits, alignment_histogram, boxes, choose, missing, points, say_missing
from .style import REFERENCE, Drawn, Tables, colour, grid, letter, marker

PARTS = ("gradnorm_scale", "gradnorm_decorrelate", "gradnorm_center", "gradnorm_full")
SHORT = {"gradnorm_full": "full", "lateral_inhibition": "lateral"}


def draw(tables: Tables) -> Drawn:
    """Panels (a) gradient alignment of each part, epsilons pooled; (b) test accuracy per epsilon against LN+."""
    runs = tables["runs"]
    figure, axes = grid(2, 1, 5.2, height_ratios=(1, 1.25))
    gs = axes[1, 0].get_subplotspec()
    axes[1, 0].remove()
    trio = ("gradnorm_center", "gradnorm_decorrelate", "gradnorm_scale")
    if missing(runs, trio):
        parts = [say_missing(axes[0, 0], missing(runs, trio))]
    else:
        chosen = {condition: choose(runs, condition) for condition in trio}
        series = {part_name(c): (part, layer_mean(part, "gradient_alignment"), colour(c)) for c, part in chosen.items()}
        parts = [alignment_histogram(axes[0, 0], series, "a", "gradient alignment (cosine)")]
    letter(axes[0, 0], "a")
    parts += against_ln(figure, gs, tables, PARTS, "b")
    return figure, pd.concat(parts)


def against_ln(
    figure: Figure, place: SubplotSpec, tables: Tables, conditions: tuple[str, ...], panel: str
) -> list[DataFrame]:
    """Boxes of test accuracy, a panel per epsilon, with the median of LN+ and Mann-Whitney tests against its runs.

    Parameters
    ----------
    place : SubplotSpec that the panels share
    tables : as `draw` gets them
    conditions : ids, a box each
    panel : letter of the panel

    Returns
    -------
    list of DataFrames, the plotted points of each epsilon
    """
    runs = tables["runs"]
    epsilons, p_holm = sorted(runs["epsilon"].unique()), corrected(tables["rules"], tables["complete"], "all")
    inner = place.subgridspec(1, max(1, len(epsilons)))
    if not epsilons:
        return [say_missing(figure.add_subplot(inner[0]), conditions)]
    parts = []
    for i, epsilon in enumerate(epsilons):
        ax = figure.add_subplot(inner[i])
        if i == 0:
            letter(ax, panel)
        chosen = runs[runs["epsilon"] == epsilon]
        absent = missing(chosen, (LN, *conditions))
        parts.append(say_missing(ax, absent) if absent else one_epsilon(ax, chosen, conditions, panel, p_holm))
        ax.set_ylabel("test accuracy (%)" if i == 0 else "")
        ax.set_title(f"ε = {epsilon:g}" + ("" if absent else f", n = {group_sizes(chosen, conditions)}"))
    figure.supxlabel(
        f"Red: median of {label(LN)}. ▾: number of runs below the axis, which count in boxes and tests.\n"
        f"Mann-Whitney against LN+, Holm's correction of all {len(p_holm)} tests. The axes differ between epsilons.\n"
        "*** p < 0.001, ** p < 0.01, * p < 0.05, n.s.: not detected by this unpaired test; the claims compare pairs.",
    )
    return parts


def part_name(condition: str) -> str:
    """A part of the normalization, as short as a tick has to be."""
    return SHORT.get(condition, condition.removeprefix("gradnorm_"))


def group_sizes(runs: DataFrame, conditions: tuple[str, ...]) -> str:
    """Number of runs per group, LN+ included, as one number or a range."""
    sizes = [len(choose(runs, condition)) for condition in (LN, *conditions)]
    return f"{min(sizes)}" if min(sizes) == max(sizes) else f"{min(sizes)}–{max(sizes)}"


def one_epsilon(
    ax: Axes, runs: DataFrame, conditions: tuple[str, ...], panel: str, p_holm: dict[Any, float]
) -> DataFrame:
    """One panel of `against_ln`. Runs at chance count, in boxes and in tests; p_holm as `comparisons.corrected`."""
    reference = choose(runs, LN)["test_acc"]
    groups, parts = {}, []
    for condition in conditions:
        chosen = choose(runs, condition)
        test = mannwhitneyu(chosen["test_acc"], reference, alternative="two-sided")
        name = part_name(condition)
        groups[name, colour(condition), marker(condition)] = chosen["test_acc"]
        tested = {"U": test.statistic, "p": test.pvalue, "n_reference": len(reference)}
        tested["p_holm"] = p_holm.get(identity("test_acc", condition, LN, chosen["epsilon"].iloc[0]), np.nan)
        parts.append(points(panel, chosen, chosen["test_acc"], **tested))
    low, high = accuracy_limits(runs[runs["condition"].isin([LN, *conditions])])
    boxes(ax, groups, (low, high + 0.12 * (high - low)))
    ax.tick_params(axis="x", labelrotation=35)
    ax.axhline(reference.median(), color=REFERENCE, linestyle=":", linewidth=1.3)
    where: dict[str, Any] = {"transform": ax.get_xaxis_transform(), "ha": "center", "va": "top"}
    for i, part in enumerate(parts):
        ax.text(i, 0.99, stars(part["p_holm"].iloc[0]), **where)
    return pd.concat(parts)


def stars(p: float) -> str:
    """Significance as the paper prints it; nothing for a test that the rules do not name."""
    if np.isnan(p):
        return ""
    return next((text for limit, text in ((0.001, "***"), (0.01, "**"), (0.05, "*")) if p < limit), "n.s.")
