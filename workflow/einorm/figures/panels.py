"""Kinds of panels that several figures share. Each draws into an axes and returns the plotted points.

No run is hidden: what lies below an axis is drawn on its edge and counted, what has no value is counted.
"""

import textwrap
from collections.abc import Callable, Iterable, Mapping
from typing import Any

import numpy as np
import pandas as pd
import seaborn as sns
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from numpy.typing import ArrayLike
from pandas import DataFrame, Series

from ..analysis.completeness import incomplete_cells
from ..analysis.selection import TOP, collapsed, top_runs
from ..conditions import label
from ..settings import Settings
from .style import GREY, LINES, REFERENCE, alignment_axis, area, colour, epsilon_style, marker, unspread

NO_RUN = "no run"
NOTE_WIDTH = 110  # characters of a line over a whole figure
SPAN = 25  # an accuracy axis reaches at most this far (points) below the median; runs below sit on its edge
ABOVE_EDGE = 0.05  # of the axis, where a remark is above marks that sit on the lower edge
NEAR_ONE = np.linspace(-0.25, 4, 35)  # edges of bins of alignments that are close to 1, as `style.spread`
POINT = ("condition", "epsilon", "lambda_", "config", "seed", "status")


def choose(runs: DataFrame, condition: str) -> DataFrame:
    """Runs of one condition, in the order of epsilon, configuration and lambda."""
    return runs[runs["condition"] == condition].sort_values(["epsilon", "config", "lambda_"])


def points(panel: str, runs: DataFrame, values: ArrayLike, rule: str = "all runs", **more: Any) -> DataFrame:
    """Rows of the points file: a run and its value each."""
    frame = runs[[*POINT]].assign(panel=panel, rule=rule, value=np.asarray(values, float), **more)
    return frame.reset_index(drop=True)


def say_missing(ax: Axes, conditions: Iterable[str], what: str = "") -> DataFrame:
    """Say on the panel's face that its data were not computed."""
    names = "\n".join(label(condition) for condition in conditions)  # wrap ends at the figure
    ax.text(0.5, 0.5, f"not computed:\n{names}{what}", transform=ax.transAxes, ha="center", va="center",
            color=GREY, wrap=True)  # fmt: skip
    ax.set(xticks=[], yticks=[])
    return pd.DataFrame()


def missing(runs: DataFrame, conditions: Iterable[str]) -> list[str]:
    """Conditions of which there is no run."""
    return [condition for condition in conditions if not (runs["condition"] == condition).any()]


def say_incomplete(figure: Figure, drawn: DataFrame, runs: DataFrame, settings: Settings) -> None:
    """Say above a figure which runs of its settings are still missing among the conditions that it draws.

    Parameters
    ----------
    drawn : DataFrame of the plotted points
    runs : table "runs" of the figure
    settings : Settings that made the table
    """
    conditions = {name for column in drawn.filter(regex="^condition") for name in drawn[column].dropna()}
    missing_of: dict[str, dict[str, list[str]]] = {}
    same: dict[tuple[str, str], list[str]] = {}
    for cell in incomplete_cells(runs, settings):
        if cell["condition"] in conditions:
            name = label(cell["condition"]) + (f" ({cell['variant']})" if cell["variant"] != "paper" else "")
            count = f"{cell['finished']} of {cell['planned']} runs" if cell["finished"] else NO_RUN
            missing_of.setdefault(name, {}).setdefault(count, []).append(f"{cell['epsilon']:g}")
    for name, counts in missing_of.items():
        for count, epsilons in counts.items():
            same.setdefault((count, ", ".join(epsilons)), []).append(name)
    if same:
        drawn_here = set(map(label, conditions))
        groups = "; ".join(
            f"{count}{of_conditions(names, drawn_here, count)} at ε\u00a0{epsilons}"
            for (count, epsilons), names in same.items()
        )
        text = textwrap.fill(f"Incomplete: {groups}.", NOTE_WIDTH)
        figure.suptitle(text, color=REFERENCE, ha="left", x=0.01)


def of_conditions(names: list[str], drawn: set[str], count: str) -> str:
    """Which conditions a count of runs is of, in words; empty for no run of any condition that is drawn."""
    if len(drawn) > 1 and set(names) == drawn:
        return "" if count == NO_RUN else " of each condition"
    listed, joined = (
        " of " if count == NO_RUN or len(names) == 1 else " each of ",
        " or " if count == NO_RUN else " and ",
    )
    return listed + joined.join(filter(None, [", ".join(names[:-1]), names[-1]]))


def accuracy_limits(runs: DataFrame) -> tuple[float, float]:
    """Limits of an accuracy axis: all runs that finished, but none further than `SPAN` below their median."""
    values = runs["test_acc"]
    finished = values[runs["status"] == "finished"] if (runs["status"] == "finished").any() else values
    low = finished[finished >= finished.median() - SPAN].min()
    margin = 0.08 * (finished.max() - low) + 0.3
    return low - margin, finished.max() + margin


def note(ax: Axes, text: str, **where: Any) -> None:
    """A small remark inside a panel."""
    corner: dict[str, Any] = {"x": 0.98, "y": 0.02, "ha": "right", "va": "bottom"}
    ground = {"facecolor": "white", "alpha": 0.7, "linewidth": 0, "pad": 0.5}
    ax.text(**corner | where, s=text, transform=ax.transAxes, color=GREY, bbox=ground)


def collapsed_note(runs: DataFrame) -> str:
    """How many runs collapsed, in words; empty if none did."""
    lost = int(collapsed(runs).sum())
    return f"{lost} of {len(runs)} runs\ncollapsed (10 %)" if lost else ""


def matched_scatter(ax: Axes, runs: DataFrame, x: str, y: str, panel: str) -> DataFrame:
    """Test accuracy of matched configurations under two conditions, colour and marker = epsilon."""
    if missing(runs, (x, y)):
        return say_missing(ax, missing(runs, (x, y)))
    key = ["epsilon", "config", "seed"]
    pairs = choose(runs, x).merge(choose(runs, y), on=key, suffixes=("_x", "_y"))
    low, high = accuracy_limits(runs[runs["condition"].isin([x, y])])
    ax.axline((low, low), slope=1, color=GREY, linewidth=0.7, linestyle=":")
    edge = low + 0.012 * (high - low)
    for epsilon, group in pairs.groupby("epsilon"):
        style = epsilon_style(epsilon)
        at = group[["test_acc_x", "test_acc_y"]].clip(lower=edge)
        off = ((group["test_acc_x"] < edge) | (group["test_acc_y"] < edge)).to_numpy()
        shown, edged = at[~off].to_numpy(), at[off].to_numpy()
        ax.scatter(shown[:, 0], shown[:, 1], s=area(1), linewidth=0.3, edgecolor="white", label=f"{epsilon:g}", **style)
        hollow = {"facecolor": "none", "edgecolor": style["color"], "marker": style["marker"]}
        ax.scatter(edged[:, 0], edged[:, 1], s=area(1.4), linewidth=1, clip_on=False, zorder=3, **hollow)
    remarks = []
    for axis, condition in (("x", x), ("y", y)):
        below = int((pairs[f"test_acc_{axis}"] < edge).sum())
        lost = int((pairs[f"status_{axis}"] == "collapsed").sum())
        if below:
            remarks.append(f"{label(condition)}: {below} of {len(pairs)} on the edge, {lost} collapsed (10 %)")
    note(ax, "\n".join([*remarks, f"{len(pairs)} pairs"]), y=ABOVE_EDGE if remarks else 0.02)
    ax.set(xlim=(low, high), ylim=(low, high), aspect="equal")
    ax.set(xlabel=f"{label(x)}: test accuracy (%)", ylabel=f"{label(y)}: test accuracy (%)")
    epsilon_legend(ax)
    return pairs.rename(columns={"test_acc_x": "x", "test_acc_y": "y"})[
        [*key, "x", "y", "status_x", "status_y"]
    ].assign(panel=panel, condition_x=x, condition_y=y)


def epsilon_legend(ax: Axes, title: str = "ε") -> None:
    """The legend of a scatter plot, in a frame: its marks are no runs."""
    where: dict[str, Any] = {"loc": "upper left", "handletextpad": 0.1, "borderaxespad": 0.1, "alignment": "left"}
    ax.legend(title=title, frameon=True, **where)


def boxes(
    ax: Axes, groups: Mapping[tuple[str, str, str], ArrayLike], limits: tuple[float, float] | None = None
) -> None:
    """Box and all points of each group; the box counts every value.

    Parameters
    ----------
    groups : mapping (tick label, colour, marker) -> values (n,)
    limits : of the axis; values below sit on its edge, with their number
    """
    frames = [pd.DataFrame({"x": i, "value": np.asarray(v, float)}) for i, v in enumerate(groups.values())]
    data = pd.concat(frames).dropna()
    colours, markers = ([group[i] for group in groups] for i in (1, 2))
    order = range(len(groups))
    look: dict[str, Any] = {
        "width": 0.6,
        "whis": (0, 100),
        "linewidth": 0.8,
        "boxprops": {"alpha": 0.45},
        "legend": False,
    }
    sns.boxplot(data, x="x", y="value", hue="x", order=order, hue_order=order, palette=colours, ax=ax, **look)
    low, high = limits or (-np.inf, np.inf)
    for i, frame in enumerate(frames):
        values = frame["value"].dropna().to_numpy()
        at = i + 0.32 * (np.arange(len(values)) * 0.618 % 1 - 0.5)  # spread without chance: equal bytes each time
        off = values < low
        look = {"color": colours[i], "marker": markers[i], "edgecolor": "0.2", "linewidth": 0.3}
        ax.scatter(at[~off], values[~off], s=area(0.5), zorder=3, **look)
        mark_below(ax, values, low, i)
    if limits:
        ax.set_ylim(low - 0.06 * (high - low), high)
    ax.set_xticks(range(len(groups)), [text for text, *_ in groups])
    ax.set_xlabel("")


def mark_below(ax: Axes, values: ArrayLike, low: float, x: float | None = None) -> None:
    """An arrow at the lower edge with the number of values below it, if there are any; x: place, None: on the right."""
    below = int((np.asarray(values) < low).sum())
    if below:
        where: dict[str, Any] = {"ha": "right", "x": 0.98, "transform": ax.transAxes}
        where = where if x is None else {"ha": "center", "x": x, "transform": ax.get_xaxis_transform()}
        ax.text(y=0.005, s=f"{below} ▾", va="bottom", **where)


def condition_boxes(
    ax: Axes,
    runs: DataFrame,
    conditions: tuple[str, ...],
    values: Callable[[DataFrame], Series],
    panel: str,
    rule: str,
    ylabel: str,
    accuracy: bool = False,
) -> DataFrame:
    """Boxes of one value per condition, runs of all epsilons pooled; n and collapsed runs under each box.

    Parameters
    ----------
    values : function of a frame of runs, the value of each
    panel, rule : of the points file, see `points`
    accuracy : whether the axis is one of accuracies, which leaves out what lies far below
    """
    if missing(runs, conditions):
        return say_missing(ax, missing(runs, conditions))
    groups, parts = {}, []
    for condition in conditions:
        chosen = choose(runs, condition)
        chosen = top_runs(chosen) if rule != "all runs" else chosen
        defined = int(values(chosen).notna().sum())
        lost = int(collapsed(chosen).sum())
        text = f"{label(condition)}\nn = {defined}" + (f"\n{lost} collapsed" if lost else "")
        groups[text, colour(condition), marker(condition)] = values(chosen)
        parts.append(points(panel, chosen, values(chosen), rule))
    boxes(ax, groups, accuracy_limits(runs[runs["condition"].isin(conditions)]) if accuracy else None)
    ax.set_ylabel(ylabel)
    ax.set_title(rule)
    return pd.concat(parts)


def top_rule(runs: DataFrame, conditions: tuple[str, ...]) -> str:
    """Name of the published rule, with how many runs it could choose from."""
    counts = runs[runs["condition"].isin(conditions)].groupby(["condition", "epsilon"]).size()
    available = int(counts.min()) if len(counts) else 0
    chosen = f"top {TOP} per ε by test accuracy" if available >= TOP else f"top {TOP} per ε (of only {available})"
    return f"published rule: {chosen}"


def alignment_histogram(
    ax: Axes, series: Mapping[str, tuple[DataFrame, Series, str]], panel: str, name: str, near_one: bool = False
) -> DataFrame:
    """Histograms of alignments: {legend: (runs, values, colour)}; runs without a finite value are counted.

    near_one: the axis spreads out what is near 1 (`style.alignment_axis`), with the same range in every such figure.
    """
    lowest = min([0, *(values.min() for _, values, _ in series.values() if values.notna().any())])
    edges = unspread(NEAR_ONE) if near_one else np.arange(np.floor(lowest * 40), 41) / 40
    parts = []
    for i, (text, (runs, values, shade)) in enumerate(series.items()):
        finite = values.dropna()
        lost = len(values) - len(finite)
        counts, _ = np.histogram(finite.clip(edges[0], edges[-1]), edges)
        text += f" (n = {len(finite)}" + (f", {lost} without value)" if lost else ")")
        ax.stairs(counts, edges, color=shade, fill=True, alpha=0.4)
        ax.stairs(counts, edges, color=shade, linewidth=1.2, linestyle=LINES[i], label=text)
        parts.append(points(panel, runs, values, series=text.split(" (n")[0]))
    if near_one:
        alignment_axis(ax.xaxis)
    ax.set(xlabel=name, ylabel="runs", xlim=edges[[0, -1]])
    ax.legend(loc="upper left" if near_one else "upper right")
    ax.set_ylim(0, ax.get_ylim()[1] * (1.15 + 0.14 * len(series)))
    ax.locator_params(axis="y", integer=True)
    return pd.concat(parts)
