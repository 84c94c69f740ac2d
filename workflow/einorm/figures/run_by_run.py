"""Published against reproduced accuracy, run by run (`einorm.analysis.run_by_run`)."""

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.lines import Line2D
from matplotlib.patches import Patch
from pandas import DataFrame

from ..analysis.run_by_run import JUDGED, JUDGED_CONDITIONS, OWN, RELEASE
from ..analysis.selection import CHANCE
from ..conditions import label
from .panels import note, say_missing
from .style import GREY, Drawn, Tables, area, colour, size

NAMES = {RELEASE: "the published runs' random numbers", OWN: "our own random numbers"}
BESIDE = {RELEASE: -0.15, OWN: 0.15}  # where each stands at its place
BAND = 0.25  # points on either side of equality
BEYOND = 4  # points by which a panel reaches beyond the published accuracies at most; what is further is on its edge
BEST = {judged: " and ".join(by) for by, judged in JUDGED}  # the last way to judge a condition


def draw(tables: Tables) -> Drawn:
    """A panel per condition and epsilon, published (x) against here (y), and below the medians of the differences.

    Draws ``tables["run_by_run"]``: DataFrames "points" and "agreement" of `run_by_run.compare`.
    """
    runs, found = (best(tables.get("run_by_run", {}).get(name)) for name in ("points", "agreement"))
    epsilons = sorted(runs["epsilon"].unique())
    if not epsilons:
        figure, ax = plt.subplots(figsize=size(2), layout="constrained")
        return figure, say_missing(ax, JUDGED_CONDITIONS, "\nwith the published runs' random numbers or our own")
    height = 1.6 * len(epsilons)
    figure = plt.figure(figsize=size(height + 2.3), layout="constrained")
    above, below = figure.subfigures(2, 1, squeeze=False, height_ratios=(height, 2.3))[:, 0]
    axes, parts = above.subplots(len(epsilons), len(JUDGED_CONDITIONS), squeeze=False), []
    for row, epsilon in zip(axes, epsilons, strict=True):
        for ax, condition in zip(row, JUDGED_CONDITIONS, strict=True):
            here = (runs["judged"] == condition) & (runs["epsilon"] == epsilon)
            parts.append(scatter(ax, runs[here], condition, epsilon))
        row[0].set_ylabel(f"ε = {epsilon:g}\nhere (%)")
    for ax, condition in zip(axes[0], JUDGED_CONDITIONS, strict=True):
        by = ", ".join(label(name) for name in BEST[condition].split(" and "))
        ax.set_title(f"{label(condition)}\nassigned by\n{by}")
    for ax in axes[-1]:
        ax.set_xlabel("published (%)")
    marks = [*(marker(name, GREY) for name in NAMES), Patch(color="0.9")]
    above.legend(marks, [*NAMES.values(), f"within {BAND:g} points"], loc="outside upper center", ncols=3)
    parts.append(medians(below.subplots(), found[found["verdict"] != "not computed"], epsilons))
    return figure, pd.concat(parts, ignore_index=True)


def best(rows: DataFrame | None) -> DataFrame:
    """Rows of the last way to judge each condition."""
    columns = ["randomness", "by", "judged", "epsilon", "point", "config", "published", "here", "verdict"]
    rows = pd.DataFrame(columns=columns) if rows is None else rows
    return rows[rows["by"] == rows["judged"].map(BEST)]


def marker(name: str, shade: str) -> Line2D:
    """The mark of a series: filled with the published runs' random numbers, hollow with our own."""
    face = shade if name == RELEASE else "none"
    return Line2D([], [], linestyle="", marker="o", color=shade, markerfacecolor=face)


def scatter(ax: Axes, runs: DataFrame, condition: str, epsilon: float) -> DataFrame:
    """Accuracies of one condition and epsilon: those with the published runs' random numbers filled, our own hollow."""
    runs = runs[runs["published"] > CHANCE]
    if runs.empty:
        return say_missing(ax, [condition])
    low, high = runs["published"].min(), runs["published"].max()
    low, high = max(low - BEYOND, min(low, runs["here"].min())), min(high + BEYOND, max(high, runs["here"].max()))
    margin = 0.05 * (high - low)
    ends = low, high = np.array([low - margin, high + margin])
    ax.fill_between(ends, ends - BAND, ends + BAND, color="0.9", linewidth=0)
    ax.plot(ends, ends, color=GREY, linewidth=0.7, linestyle=":")
    words = []
    for name in (OWN, RELEASE):  # the filled ones on top
        group = runs[runs["randomness"] == name]
        if len(group):
            face = colour(condition) if name == RELEASE else "none"
            inside = group["here"].clip(low, high)
            ax.scatter(group["published"], inside, s=area(0.7), linewidth=0.7, edgecolor=colour(condition),
                       facecolor=face, clip_on=False, zorder=3)  # fmt: skip
            beyond = int((group["here"] != inside).sum())
            words += [f"{name}: {beyond} on the edge"] if beyond else []
    note(ax, "\n".join(words), x=0.02, y=0.98, ha="left", va="top")
    ax.set(xlim=(low, high), ylim=(low, high), aspect="equal", box_aspect=1)
    ax.locator_params(nbins=3)
    shown = runs.rename(columns={"published": "x", "here": "y"})[["randomness", "epsilon", "point", "config", "x", "y"]]
    return shown.assign(panel=f"{label(condition)}, epsilon {epsilon:g}")


def medians(ax: Axes, found: DataFrame, epsilons: list[float]) -> DataFrame:
    """Median absolute difference of every condition and epsilon, between what equal runs give and what chance gives."""
    groups = [(condition, epsilon) for condition in JUDGED_CONDITIONS for epsilon in epsilons]
    parts = []
    for i, (condition, epsilon) in enumerate(groups):
        rows = found[(found["judged"] == condition) & (found["epsilon"] == epsilon)]
        for row in rows.to_dict("records"):
            ends, at = (row["expected_low"], row["expected_high"]), i + BESIDE[row["randomness"]]
            ax.plot([at, at], ends, color="0.8", linewidth=5, solid_capstyle="butt", zorder=1)
            ax.plot(at, row["chance_median_difference"], color=GREY, marker="_", markersize=7, zorder=2)
            mark = marker(row["randomness"], colour(condition))
            mark.set_data([at], [row["median_difference"]])
            ax.add_line(mark)
            values = {row["randomness"]: row["median_difference"], "chance": row["chance_median_difference"]}
            values |= {"expected, low": ends[0], "expected, high": ends[1]}
            parts += [{"condition": condition, "epsilon": epsilon, "series": k, "value": v} for k, v in values.items()]
    ax.set_yscale("log")
    ticks = [0.03, 0.1, 0.3, 1, 3]
    ax.set_yticks(ticks, [f"{tick:g}" for tick in ticks])
    ax.minorticks_off()
    ax.set_ylabel("median of absolute\ndifferences (points)")
    ax.set_xticks(range(len(groups)), [f"{epsilon:g}" for _, epsilon in groups])
    ax.set_xlim(-0.6, len(groups) - 0.4)
    for i, condition in enumerate(JUDGED_CONDITIONS):
        middle = (i + 0.5) * len(epsilons) - 0.5
        ax.text(middle, -0.16, label(condition), transform=ax.get_xaxis_transform(), ha="center", va="top")
        ax.axvline((i + 1) * len(epsilons) - 0.5, color="0.9", linewidth=0.7)
    ax.text(-0.005, -0.075, "ε", transform=ax.transAxes, ha="right", va="top")
    bar, dash = Line2D([], [], color="0.8", linewidth=7), Line2D([], [], color=GREY, linestyle="", marker="_")
    ax.legend(
        [bar, dash], ["expected of equal runs (95 %)", "random order"], loc="lower left", bbox_to_anchor=(0, 1), ncols=2
    )
    return pd.DataFrame(parts).assign(panel="median of absolute differences").drop_duplicates()
