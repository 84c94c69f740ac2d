"""Published values and ours side by side: panels of the published figures, on one scale, with their distance.

Distances between distributions: Wasserstein (the mean shift of ordered values, in the unit of the axis) where runs or
histograms were published; where only a box was, the mean shift of its quartiles.
"""

from collections.abc import Callable
from typing import Any

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.cbook import boxplot_stats
from matplotlib.figure import Figure
from matplotlib.gridspec import SubplotSpec
from numpy.typing import NDArray
from pandas import DataFrame
from scipy.stats import wasserstein_distance

from ..analysis import published
from ..analysis.published import Values
from ..analysis.selection import above_chance, at_chance, metric_values
from ..conditions import label
from ..records.tables import layer_mean
from .panels import ABOVE_EDGE, SPAN, choose, epsilon_legend, missing, note, say_missing
from .style import GREY, Tables, area, colour, epsilon_style

FIELDS = ("source", "panel", "condition", "epsilon", "kind", "value", "x", "runs", "distance")
BOX = {"med": "median", "q1": "q1", "q3": "q3", "whislo": "whisker_low", "whishi": "whisker_high"}


def rows(**columns: Any) -> DataFrame:
    """Rows of the points file: plotted values with where they come from."""
    return pd.DataFrame(columns).reindex(columns=FIELDS)


def scatters(axes: NDArray[Any], tables: Tables, figure: str, panel: str, x: str, y: str) -> DataFrame:
    """Matched configurations under two conditions: published runs in the left axes, ours in the right."""
    runs = tables["runs"]
    if missing(runs, (x, y)):
        return pd.concat([say_missing(ax, missing(runs, (x, y))) for ax in axes])
    here = choose(runs, x).merge(choose(runs, y), on=["epsilon", "config", "seed"], suffixes=("_x", "_y"))
    here = pd.DataFrame({"x": here["test_acc_x"], "y": here["test_acc_y"], "epsilon": here["epsilon"]})
    theirs = published.matched_runs(tables["published"], figure, panel, None)
    everything = pd.concat([here, theirs])
    values = everything[["x", "y"]].to_numpy().ravel()
    low = values[values >= np.median(values) - SPAN].min() - 0.7
    high = values.max() + 0.7
    parts, distances = scatter_distances(here, theirs, panel, x, y)
    for ax, points, source in ((axes[0], theirs, "published"), (axes[1], here, "here")):
        ax.axline((low, low), slope=1, color=GREY, linewidth=0.7, linestyle=":")
        words = distances if source == "here" else {}
        for epsilon, group in points.groupby("epsilon"):
            at = group[["x", "y"]].clip(lower=low + 0.3)
            style = epsilon_style(epsilon)
            name = f"{epsilon:g}" + words.get(epsilon, "")
            ax.scatter(at["x"], at["y"], s=area(1), zorder=5, linewidth=0.3, edgecolor="white", label=name, **style)
        below = int((points[["x", "y"]] < low).any(axis=1).sum())
        note(
            ax, f"{len(points)} pairs" + (f", {below} below the axis" if below else ""), y=ABOVE_EDGE if below else 0.02
        )
        ax.set(xlim=(low, high), ylim=(low, high), aspect="equal")
        ax.set_title(source + ("\nWasserstein distance (points)" if words else ""))
        ax.set(xlabel=f"{label(x)}: test accuracy (%)", ylabel=f"{label(y)} (%)")
        epsilon_legend(ax, "ε: of x and y" if words else "ε")
        parts.append(rows(source=source, panel=panel, condition=y, epsilon=points["epsilon"], kind="run", x=points["x"],
                          value=points["y"]))  # fmt: skip
    return pd.concat(parts)


def scatter_distances(
    here: DataFrame, theirs: DataFrame, panel: str, x: str, y: str
) -> tuple[list[DataFrame], dict[float, str]]:
    """Wasserstein distance per epsilon and condition: rows of the points file, and words per epsilon for the legend."""
    parts, words = [], {}
    for epsilon in sorted(set(here["epsilon"]) & set(theirs["epsilon"])):
        a, b = here[here["epsilon"] == epsilon], theirs[theirs["epsilon"] == epsilon]
        d = [wasserstein_distance(a[name], b[name]) for name in ("x", "y")]
        words[epsilon] = f": {d[0]:.1f} and {d[1]:.1f}"
        parts += [rows(source="distance", panel=panel, condition=c, epsilon=[epsilon], kind="Wasserstein", distance=v)
                  for c, v in ((x, d[0]), (y, d[1]))]  # fmt: skip
    return parts, words


def boxes(
    ax: Axes,
    tables: Tables,
    figure: str,
    panel: str,
    conditions: tuple[str, ...],
    epsilon: float | str,
    metric: str,
    rule: Callable[[DataFrame], DataFrame],
) -> DataFrame:
    """Boxes of published quartiles (open) and of ours (coloured), pair by pair, and how far apart their quartiles are.

    Parameters
    ----------
    tables : as `draw` of a figure gets them
    figure, panel : of the published values, e.g. "Fig3", "mu_box"
    epsilon : float, or "pooled"
    rule : function of a frame of runs, those that the published figure shows

    Returns
    -------
    DataFrame of the plotted points
    """
    runs = tables["runs"]
    runs = runs if epsilon == "pooled" else runs[runs["epsilon"] == epsilon]
    if missing(runs, conditions):
        return say_missing(ax, missing(runs, conditions))
    parts, names = [], []
    for i, condition in enumerate(conditions):
        theirs = published_box(tables["published"], figure, panel, condition, epsilon, metric)
        everyone = choose(runs, condition)
        shown = rule(everyone)
        values = metric_values(shown, metric)
        values = values[np.isfinite(values)]
        ours = {**boxplot_stats(values)[0], "fliers": []} if len(values) else None
        draw_box(ax, theirs, i - 0.19, "white")
        if ours:
            draw_box(ax, ours, i + 0.19, colour(condition))
            ax.scatter(np.full(len(values), i + 0.19), values, s=area(0.3), color="0.15", linewidth=0, zorder=3)
        distance = np.mean([abs(ours[q] - theirs[q]) for q in ("q1", "med", "q3")]) if ours else np.nan
        left_out = int(at_chance(everyone).sum() - at_chance(shown).sum())
        count = f"n = {len(values)}" + (f"\n{left_out} at chance" if left_out else "")
        names.append(f"{label(condition).removeprefix('GradNorm: ')}\nΔ {distance:.2f}\n{count}")
        keys = {"panel": panel, "condition": condition, "epsilon": [str(epsilon)]}
        for source, box in (("published", theirs), ("here", ours)):
            parts += [rows(source=source, kind=BOX[q], value=box[q], **keys) for q in BOX if box]
        parts.append(
            rows(source="here", panel=panel, condition=condition, epsilon=str(epsilon), kind="run", value=values)
        )
        parts.append(rows(source="distance", kind="quartiles", distance=distance, **keys))
    ax.set_xticks(range(len(conditions)), names)
    ax.set_xlim(-0.5, len(conditions) - 0.5)
    return pd.concat(parts)


def published_box(
    values: Values, figure: str, panel: str, condition: str, epsilon: float | str, metric: str
) -> dict[str, Any]:
    """A published box as matplotlib's `bxp` wants it."""
    box = {q: published.statistic(values, condition, epsilon, metric, name, figure, panel) for q, name in BOX.items()}
    fliers = [published.statistic(values, condition, epsilon, metric, f"flier_{i}", figure, panel) for i in range(1, 5)]
    return box | {"fliers": [value for value in fliers if np.isfinite(value)]}


def draw_box(ax: Axes, box: dict[str, Any], at: float, shade: str) -> None:
    """Draw a box, as matplotlib's `bxp` wants it, at a place of the x axis."""
    look: dict[str, Any] = {
        "boxprops": {"facecolor": shade, "alpha": 0.6, "linewidth": 0.8},
        "medianprops": {"color": "black"},
    }
    ax.bxp(
        [box], positions=[at], widths=0.32, patch_artist=True, manage_ticks=False, flierprops={"markersize": 3}, **look
    )


def accuracy_boxes(
    figure: Figure, place: SubplotSpec, tables: Tables, number: str, conditions: tuple[str, ...]
) -> list[DataFrame]:
    """Test accuracy per epsilon as in Figs. 6 and 7, by their rule (`selection.above_chance`)."""
    epsilons = sorted(tables["runs"]["epsilon"].unique())
    if not epsilons:
        return [say_missing(figure.add_subplot(place), conditions)]
    inner = place.subgridspec(-(-len(epsilons) // 2), min(2, len(epsilons)))
    parts = []
    for i, epsilon in enumerate(epsilons):
        ax = figure.add_subplot(inner[i // 2, i % 2])
        parts.append(boxes(ax, tables, number, f"box_eps{epsilon:g}", conditions, epsilon, "test_acc", above_chance))
        ax.set(title=f"ε = {epsilon:g}", ylabel="test accuracy (%)")
        cut_off(ax, parts[-1])
    figure.supxlabel("Open: published. Δ: mean distance of the quartiles (points). The axes differ between epsilons.")
    return parts


def cut_off(ax: Axes, points: DataFrame) -> None:
    """Let an accuracy axis reach `SPAN` below the medians.

    An arrow with the number of our runs, and the names of the boxes, say what lies below it.
    """
    if points.empty:
        return
    low = points.loc[points["kind"] == "median", "value"].median() - SPAN
    for i, (_, group) in enumerate(points.groupby("condition", sort=False)):
        below = group[group["value"] < low]
        boxes = sorted(set(below.loc[below["kind"] != "run", "source"]))
        if len(below):
            ax.set_ylim(bottom=low)
            words = [f"{(below['kind'] == 'run').sum()} ▾"] if (below["kind"] == "run").any() else []
            words = [f"{source} ▾" for source in boxes if source == "published"] + words
            ax.text(i, 0.01, "\n".join(words), transform=ax.get_xaxis_transform(), ha="center", va="bottom")


def histogram(
    ax: Axes, tables: Tables, figure: str, panel: str, condition: str, epsilon: float | str, metric: str
) -> DataFrame:
    """A published histogram (grey) and our runs in bins of the same width, as shares of the runs shown."""
    runs = tables["runs"]
    if missing(runs, (condition,)):
        return say_missing(ax, (condition,))
    chosen = choose(runs, condition)
    chosen = chosen if epsilon == "pooled" else chosen[chosen["epsilon"] == epsilon]
    values = layer_mean(chosen, metric)
    values = values[np.isfinite(values)]
    theirs = published.bins(tables["published"], figure, panel, condition, epsilon)
    if theirs.empty or not len(values):
        return say_missing(ax, (condition,), f"\nat ε = {epsilon}")
    middles = theirs[["bin_left", "bin_right"]].mean(axis=1)
    width = float((theirs["bin_right"] - theirs["bin_left"]).iloc[0])
    left, right = theirs["bin_left"].iloc[0], theirs["bin_right"].iloc[-1]
    before, after = (max(0, int(np.ceil(gap / width))) for gap in (left - values.min(), values.max() - right))
    edges = left + width * np.arange(-before, len(theirs) + after + 1)
    edges = np.unique(edges.clip(-1, 1))  # the last bin may be narrower: no cosine is beyond 1
    ax.bar(
        middles,
        theirs["value"] / theirs["value"].sum(),
        width=width,
        color="0.75",
        label=f"published (n = {theirs['value'].sum():.0f})",
    )
    ours, _ = np.histogram(values.clip(*edges[[0, -1]]), edges)  # clip: rounding, of cosines and of edges
    ax.stairs(ours / len(values), edges, color=colour(condition), linewidth=1.5, label=f"here (n = {len(values)})")
    distance = wasserstein_distance(middles, values, theirs["value"])
    ax.set(
        xlabel=f"{metric.replace('_', ' ')} (cosine)",
        ylabel="share of runs",
        title=f"{label(condition)}\ndistance {distance:.3f}",
    )
    ax.set_ylim(0, 1.5 * ax.get_ylim()[1])
    ax.legend(loc="upper left")
    keys = {"panel": panel, "condition": condition, "epsilon": str(epsilon)}
    return pd.concat([
        rows(source="published", kind="bin", x=middles, runs=theirs["value"], **keys),
        rows(source="here", kind="run", value=values, **keys),
        rows(source="distance", kind="Wasserstein", distance=[distance], **keys),
    ])  # fmt: skip
