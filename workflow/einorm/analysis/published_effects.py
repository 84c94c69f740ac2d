"""The published counterpart of an effect, by the estimator and the selection that it has here; and ours by theirs."""

from collections.abc import Callable, Iterable
from typing import Any

import numpy as np
from pandas import DataFrame

from . import published, stats
from .effects import estimate, groups_of, method_of
from .published import Values
from .selection import at_chance, selected
from .statements import Statement

NOTHING = {"effect": np.nan, "low": np.nan, "high": np.nan, "method": "none", "n_x": 0, "n_y": 0, "approximate": False}
DISTANCES: dict[str, tuple[str, Callable[[Any], Any]]] = {
    "mu_distance": ("mu", lambda v: v),
    "var_distance": ("var", np.log10),
}  # |mu|, |log10 var|
# Methods: those of `effects.method_of` where every run was published; "independent trend", since configurations are
# not named; of binned histograms; and of boxes, by their quartiles.
APPROXIMATE = ("independent trend", "bins", "boxes")


def published_effect(
    statement: Statement, values: Values, selection: str, level: float = stats.LEVEL
) -> dict[str, Any]:
    """The effect of a statement in the published runs, histograms or boxes.

    Parameters
    ----------
    statement : `statements.Statement`
    values : `published.load`
    selection : one of `selection.SELECTIONS`; nothing is published of another than the figure's own where it shows
        boxes or bins only
    level : of the interval

    Returns
    -------
    dict
        effect, low, high (unit of the metric; NaN: not published), method, n_x, n_y, approximate
    """
    found: stats.Estimate | None
    counts: list[float]
    groups = published_groups(statement, values, selection)
    if groups:
        method = "independent trend" if statement.of == "trend" else method_of(groups, False)
        found, counts = by_method(groups, method, level), [len(group) for group in groups]
    elif statement.panel.startswith("hist"):
        groups, method = [binned(statement, values, c) for c in statement.conditions], "bins"
        counts = [len(group) for group in groups]
        found = from_bins(groups, level) if selection != "top10" and all(counts) else None
    else:
        boxes = [box(statement, values, c, selection) for c in statement.conditions]
        method, found, counts = "boxes", from_boxes(boxes, level), [n for *_, n in boxes]
    if found is None or not np.isfinite(found[0]):
        return NOTHING
    pooled = statement.epsilon == "pooled"  # configurations are not named: no clusters
    sizes = {"n_x": counts[0], "n_y": counts[1] if len(counts) > 1 else 0}
    limits = dict(zip(("effect", "low", "high"), map(float, found), strict=True))
    return NOTHING | limits | sizes | {"method": method, "approximate": method in APPROXIMATE or pooled}


def same_way(
    statement: Statement, method: str, runs: DataFrame, selection: str, level: float = stats.LEVEL
) -> stats.Estimate:
    """Effect, low and high of our runs by the method of a published effect.

    Parameters
    ----------
    statement, selection, level : as in `published_effect`
    method : its method
    runs : DataFrame, table "runs"
    """
    groups = groups_of(statement, runs, selection)
    if not all(map(len, groups)):
        return np.nan, np.nan, np.nan
    if method == "boxes":
        quartiles = [np.percentile(group["value"], [25, 50, 75]) for group in groups]
        sizes = [group["config"].nunique() if statement.epsilon == "pooled" else len(group) for group in groups]
        boxes = [(middle, q3 - q1, n) for (q1, middle, q3), n in zip(quartiles, sizes, strict=True)]
        return from_boxes(boxes, level)
    if method == "bins":
        method = "unpaired" if len(groups) == 2 else "median"
    return by_method(groups, method, level)


def by_method(groups: list[DataFrame], method: str, level: float) -> stats.Estimate:
    """Effect, low and high of groups of runs (`effects.groups_of`); of a trend, of two independent differences."""
    if method != "independent trend":
        return estimate(groups, method, False, level)
    here, there = (estimate(pair, "paired", False, level) for pair in (groups[:2], groups[2:]))
    return stats.mover(here, there)


def published_groups(statement: Statement, values: Values, selection: str) -> list[DataFrame]:
    """Groups of published runs (`effects.groups_of`), if every run of the statement's conditions was published."""
    runs = values["complete"]
    known = set(runs["condition"])
    if statement.metric != "test_acc" or not known.issuperset(statement.conditions):
        return []
    return groups_of(statement, runs, selection)


def binned(statement: Statement, values: Values, condition: str) -> DataFrame:
    """Middles of the bins of a published histogram, one per run, and half a bin: DataFrame value, half."""
    where = (statement.figure.capitalize(), statement.panel, condition, statement.epsilon)
    bins = published.bins(values, *where)
    rows = bins.loc[bins.index.repeat(bins["value"].astype(int))]
    middle = rows[["bin_left", "bin_right"]].mean(axis=1)
    return rows.assign(value=middle, half=(rows["bin_right"] - rows["bin_left"]) / 2)[["value", "half"]]


def from_bins(groups: list[DataFrame], level: float) -> stats.Estimate:
    """Effect, low and high of binned runs: a run may lie anywhere in its bin, so the limits are half a bin further."""
    samples = [group["value"] for group in groups]
    if len(samples) == 1:
        middle, low, high = stats.median_interval(samples[0], level)
    else:
        x, y = samples
        middle, low, high = stats.hodges_lehmann(x, y, level)
    reach = sum(group["half"].max() for group in groups)
    return middle, low - reach, high + reach


def box(statement: Statement, values: Values, condition: str, selection: str) -> tuple[float, float, float]:
    """Median, interquartile range and number of runs of a published box; NaN where it does not tell.

    Of a box that leaves runs at chance out, the median of all runs is not known; where runs were at chance, no range
    is given, since which configurations they are is not known either.
    """
    runs = values["complete"]
    chosen = runs[(runs["condition"] == condition) & (runs["epsilon"] == statement.epsilon)]
    if len(chosen) and statement.metric == "test_acc":
        accuracies = selected(chosen, selection)["test_acc"]
        q1, middle, q3 = np.percentile(accuracies, [25, 50, 75])
        return middle, np.nan if at_chance(chosen).any() else q3 - q1, len(accuracies)
    metric, transform = DISTANCES.get(statement.metric, (statement.metric, None))
    at = (statement.figure.capitalize(), statement.panel)

    def read(name: str) -> Any:
        return published.statistic(values, condition, statement.epsilon, metric, name, *at)

    middle, q1, q3 = (read(name) for name in ("median", "q1", "q3"))
    if statement.metric == "test_acc":
        n, lost = read("n_in_box"), read("n_at_chance")
        of_all = selection == "all" and (lost == 0 or n == read("n"))
        shown = of_all or selection == "above_chance"
        return (middle, np.nan if lost else q3 - q1, n) if shown else (np.nan, np.nan, np.nan)
    if selection != "top10":  # the rule of Fig. 3, the only other one with boxes
        return np.nan, np.nan, np.nan
    n = read("n_distinct_runs")
    n = n if np.isfinite(n) else read("n")
    if transform:
        middle, q1, q3 = map(transform, (middle, q1, q3))
        one_sided = q1 * q3 >= 0
        middle, iqr = abs(middle), abs(q3 - q1) if one_sided else np.nan
        return middle, iqr, n
    return middle, q3 - q1, n


def from_boxes(boxes: list[tuple[float, float, float]], level: float) -> stats.Estimate:
    """Effect, low and high from (median, interquartile range, n) of one or two boxes (`stats.quartile_interval`)."""
    limits = [stats.quartile_interval(*box, level) for box in boxes]
    if len(limits) == 1:
        return limits[0]
    x, y = limits
    return stats.mover(x, y)


def published_at_chance(values: Values, condition: str, epsilons: Iterable[float]) -> tuple[float, ...]:
    """Published runs at chance, and all published runs, of a condition at some epsilons; NaN where not told."""
    runs = values["complete"]
    counts = []
    for epsilon in epsilons:
        chosen = runs[(runs["condition"] == condition) & (runs["epsilon"] == epsilon)]
        if len(chosen):
            counts.append((int(at_chance(chosen).sum()), len(chosen)))
        else:
            counts.append(
                tuple(published.statistic(values, condition, epsilon, "test_acc", n) for n in ("n_at_chance", "n"))
            )
    return tuple(float(sum(column)) for column in zip(*counts, strict=True))
