"""Does a finding depend on how the networks are trained? One figure per question of `variants.QUESTIONS`."""

from collections.abc import Callable, Iterator, Sequence
from functools import partial
from typing import Any

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from pandas import DataFrame

from ..analysis.robustness import REFERENCE, answers, groups
from ..conditions import CONDITIONS, label
from .panels import accuracy_limits, points, say_missing
from .style import GREY, PALETTE, Drawn, Tables, area, grid, letter

Group = tuple[str, str]  # of runs: variant, selection
NameOf = Callable[[str, str], str]  # of a group, in the legend
Look = dict[str, Any]
#: Of the groups, side by side: shapes tell them apart without colours.
LOOKS: list[Look] = [{"color": PALETTE[i % len(PALETTE)], "marker": "osD^vPX*"[i % 8]} for i in range(8 * len(PALETTE))]
SPREAD = 0.8  # of the room of a condition, for its groups side by side
REACH = 6  # points below the lowest distance that an axis shows of intervals
# What the paper's way to train (of these networks: in float32) is called beside a question's other ways.
PAPERS_WAY = {
    "precision": "float32",
    "order": "file order",
    "smoothing": "label smoothing 0.1",
    "depth": "two layers (paper)",
    "seed": "seed 0 (paper)",
}
# Variants whose ids alone would mislead.
NAMES = {kind: f"products and gradients rounded to {kind}" for kind in ("float16", "bfloat16")}


def draw(tables: Tables, question: str) -> Drawn:
    """Panels (a) test accuracy of every run by condition and group; (b) distance from LN+, or from the paper's way.

    Parameters
    ----------
    question : key of `variants.QUESTIONS`; a row of panels per epsilon
    """
    runs = tables["runs"]
    epsilons = sorted(runs["epsilon"].unique())
    figure, axes = grid(max(1, len(epsilons)), 2, 2.9 * max(1, len(epsilons)), width_ratios=(1.7, 1))
    if not epsilons:
        axes[0, 1].remove()
        return figure, say_missing(axes[0, 0], [], "runs that learn the paper's task")
    parts = []
    name_of = partial(group_name, PAPERS_WAY.get(question, "as in the paper"))
    for (left, right), epsilon in zip(axes, epsilons, strict=True):
        here = runs[runs["epsilon"] == epsilon]
        parts.append(accuracies(left, here, groups(question, here), name_of))
        table = pd.DataFrame(answers(question, here))
        parts.append(distances(right, table, name_of))
        left.set_title(f"ε = {epsilon:g}, {epochs_of(here)}")
    for ax, text in zip(axes[0], "ab", strict=True):
        letter(ax, text)
    figure.legend(*axes[0, 0].get_legend_handles_labels(), loc="outside lower center", ncols=4)
    return figure, pd.concat(parts)


def epochs_of(runs: DataFrame) -> str:
    """Epochs of training, in words."""
    epochs = "/".join(map(str, sorted(runs["epochs"].unique())))
    return f"{epochs} epochs"


def group_name(papers_way: str, variant: str, selection: str) -> str:
    """A group of runs in the legend."""
    name = papers_way if variant == "paper" else NAMES.get(variant, variant.replace("_", " "))
    return name if selection == "all" else f"{name}, {selection}"


def places(conditions: list[str], names: list[Group]) -> dict[tuple[str, Group], float]:
    """Where on the axis a condition's groups stand: (condition, group) -> x."""
    offsets = SPREAD * ((np.arange(len(names)) + 0.5) / len(names) - 0.5)
    return {(c, g): i + offset for i, c in enumerate(conditions) for g, offset in zip(names, offsets, strict=True)}


def columns(table: DataFrame) -> Iterator[tuple[list[float], DataFrame, Look]]:
    """Of each group of a table of answers: where its conditions stand on the axis, its rows and its look."""
    conditions = list(table["condition"].unique())
    parts = dict(list(table.groupby(["variant", "selection"], sort=False)))
    at = places(conditions, list(parts))
    for (group, part), look in zip(parts.items(), LOOKS, strict=False):
        yield [at[condition, group] for condition in part["condition"]], part, look


def name_conditions(ax: Axes, conditions: Sequence[str]) -> None:
    """The conditions' names below their places."""
    ax.set_xticks(range(len(conditions)), [label(condition) for condition in conditions])


def accuracies(ax: Axes, runs: DataFrame, compared: dict[Group, DataFrame], name_of: NameOf) -> DataFrame:
    """Every run's accuracy, its median per group, and lines between runs of one configuration."""
    conditions = [condition for condition in CONDITIONS if (runs["condition"] == condition).any()]
    at = places(conditions, list(compared))
    low, high = accuracy_limits(runs)
    rows = []
    for condition in conditions:
        columns = {g: part[part["condition"] == condition].set_index("config") for g, part in compared.items()}
        together = pd.DataFrame({at[condition, g]: part["test_acc"] for g, part in columns.items()}).clip(lower=low)
        ax.plot(together.columns, together.T, color=GREY, linewidth=0.4, alpha=0.5, zorder=1)
        for (g, part), look in zip(columns.items(), LOOKS, strict=False):
            x, shown = np.full(len(part), at[condition, g]), part["test_acc"].clip(lower=low)
            text = name_of(*g) if condition == conditions[0] else None
            ax.scatter(x, shown, s=area(0.7), **look, edgecolor="white", linewidth=0.3, zorder=2, label=text)
            reach = SPREAD / len(compared) / 3
            median = part["test_acc"].median()
            if median >= low:
                ax.hlines(median, x[:1] - reach, x[:1] + reach, color="black", linewidth=1.6, zorder=3, clip_on=False)
            below = int((part["test_acc"] < low).sum())
            if below:
                where: dict[str, Any] = {"transform": ax.get_xaxis_transform(), "ha": "center", "va": "bottom"}
                ax.text(at[condition, g], 0.01, f"{below} ▾", **where)
            rows.append(points("a", part.reset_index(), part["test_acc"], g[1], group=name_of(*g)))
    ax.set(ylim=(low - 0.1 * (high - low), high), ylabel="test accuracy (%)")
    name_conditions(ax, conditions)
    return pd.concat(rows)


def distances(ax: Axes, table: DataFrame, name_of: NameOf) -> DataFrame:
    """Distance from LN+ trained the same way or, where there is none, from the paper's way, with its 95 % interval."""
    with_ln = (table["condition"] == REFERENCE).any()
    value, said = ("versus_ln", f"points above {label(REFERENCE)}") if with_ln else ("change", "change (points)")
    ends = {f"{value}{end}": name for end, name in (("", "value"), ("_low", "low"), ("_high", "high"))}
    rows = table[table["condition"] != REFERENCE].rename(columns=ends)
    rows = rows.replace([np.inf, -np.inf], np.nan)  # too few runs for an interval
    reach = rows["value"].min() - REACH  # where a run collapsed an interval reaches far down
    cut = rows["low"].min() < reach
    for x, part, look in columns(rows):
        ax.scatter(x, part["value"], s=area(1), **look, zorder=2)
        ax.vlines(x, *part[["low", "high"]].to_numpy().T, color=look["color"])
        for place in np.asarray(x)[part["low"] < reach]:
            ax.plot(place, reach, "v", color=look["color"], zorder=3)
    if cut:
        ax.set_ylim(bottom=reach)
    ax.axhline(0, color=GREY, linewidth=0.7, linestyle=":")
    ax.set_xlim(-0.6, rows["condition"].nunique() - 0.4)
    ax.set(ylabel=said, title="Hodges-Lehmann, 95 % interval")
    name_conditions(ax, rows["condition"].unique())
    named = rows.assign(panel="b", group=list(map(name_of, rows["variant"], rows["selection"])))
    return named[["panel", "condition", "epsilon", "group", "value", "low", "high", "n"]]
