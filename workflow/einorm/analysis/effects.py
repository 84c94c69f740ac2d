"""Effects of statements and comparisons: from runs to a difference, a level or a trend with its 95 % interval."""

from typing import Any

import numpy as np
import pandas as pd
from pandas import DataFrame

from . import stats
from .selection import metric_values, selected
from .statements import Statement

NUMBERS = ("effect", "low", "high", "median_difference", "median_low", "median_high", "low_rates", "high_rates")
NO_EFFECT = dict.fromkeys(NUMBERS, np.nan) | {"n_x": 0, "n_y": 0, "n_pairs": 0, "method": "none"}
KEY = ["epsilon", "config", "seed"]  # what matched runs share


def effect(statement: Statement, runs: DataFrame, selection: str) -> dict[str, Any]:
    """Effect of a statement with its 95 % interval, and what is shown next to it.

    Parameters
    ----------
    statement : `statements.Statement`
    runs : DataFrame, table "runs"
    selection : one of `selection.SELECTIONS`

    Returns
    -------
    dict
        effect, low, high (unit of the metric), n_x, n_y (runs), n_pairs, method (`method_of`); median_difference,
        median_low, median_high: the median of the paired differences, which assumes no symmetry, with the interval of
        the sign test; low_rates, high_rates: the effect among the third of the configurations with the lowest and
        with the highest learning rates. For differences also those of `stats.compare` and `stats.paired`.
    """
    groups, pooled = groups_of(statement, runs, selection), statement.epsilon == "pooled"
    sizes = {"n_x": len(groups[0]), "n_y": len(groups[1]) if len(groups) > 1 else 0}
    if any(not len(group) for group in groups):
        return NO_EFFECT | sizes
    method = method_of(groups, pooled)
    result = NO_EFFECT | sizes | {"method": method}
    if len(groups) == 2:
        x, y = groups
        result |= difference(x, y, pooled)
    result |= dict(zip(("effect", "low", "high"), estimate(groups, method, pooled), strict=True))
    result |= at_rates(groups, method, pooled)
    if method in ("paired", "trend"):
        d = paired_differences(groups, pooled)["d"]
        result |= dict(zip(("median_difference", "median_low", "median_high"), stats.median_interval(d), strict=True))
        result["n_pairs"] = len(d)
    return result


def groups_of(statement: Statement, runs: DataFrame, selection: str) -> list[DataFrame]:
    """Groups of runs (`defined_values`) of a statement: x; x and y; or, of a trend, both here and both from where."""
    epsilons = [statement.epsilon] + ([statement.from_epsilon] if statement.of == "trend" else [])
    return [
        defined_values(runs, condition, epsilon, statement.metric, selection)
        for epsilon in epsilons
        for condition in statement.conditions
    ]


def method_of(groups: list[DataFrame], pooled: bool) -> str:
    """How an effect is estimated: the median of one group, a trend of four, of two paired or, failing that, unpaired.

    Two groups are paired where every run of the smaller one has its match, and there are pairs enough for an interval.
    """
    if len(groups) != 2:
        return "median" if len(groups) == 1 else "trend"
    matched = len(groups[0].merge(groups[1], on=KEY)) == min(map(len, groups))
    enough = matched and len(paired_differences(groups, pooled)) >= stats.MIN_PAIRS
    return "paired" if enough else "unpaired"


def estimate(groups: list[DataFrame], method: str, pooled: bool, level: float = stats.LEVEL) -> stats.Estimate:
    """Effect, low and high of groups of runs by a method (`method_of`).

    Where epsilons are pooled, the unit is the configuration, with the mean over its epsilons: one configuration at
    several epsilons is not several independent ones.
    """
    if method in ("paired", "trend"):
        return stats.walsh(paired_differences(groups, pooled)["d"], level)
    values = [(by_configuration(group) if pooled else group)["value"] for group in groups]
    if method == "median":
        (x,) = values
        return stats.median_interval(x, level)
    x, y = values
    return stats.hodges_lehmann(x, y, level)


def paired_differences(groups: list[DataFrame], pooled: bool) -> Any:
    """Differences between matched runs as column d, a row per configuration, seed and, unless pooled, epsilon.

    Of four groups: the difference of the first two minus that of the last two, within configurations.
    """
    if len(groups) == 4:
        both = [paired_differences(pair, pooled)[["config", "seed", "d"]] for pair in (groups[:2], groups[2:])]
        pairs = both[0].merge(both[1], on=["config", "seed"], suffixes=("_here", "_from"))
        return pairs.assign(d=pairs["d_here"] - pairs["d_from"])
    pairs = groups[0].merge(groups[1], on=KEY, suffixes=("_x", "_y"))
    pairs = by_configuration(pairs) if pooled else pairs
    return pairs.assign(d=pairs["value_x"] - pairs["value_y"])


def by_configuration(frame: DataFrame) -> DataFrame:
    """Means over the epsilons of every configuration and seed."""
    return frame.groupby(["config", "seed"], as_index=False).mean()


def at_rates(groups: list[DataFrame], method: str, pooled: bool) -> dict[str, float]:
    """The effect among the configurations with the lowest and with the highest learning rates, a third each."""
    rates = pd.concat(groups).drop_duplicates("config").sort_values(["lr", "config"])["config"]
    third, found = len(rates) // 3, {}
    for name, chosen in (("low_rates", rates[:third]), ("high_rates", rates[len(rates) - third :])):
        parts = [group[group["config"].isin(chosen)] for group in groups]
        found[name] = estimate(parts, method, pooled)[0] if all(map(len, parts)) else np.nan
    return found


def difference(x: DataFrame, y: DataFrame, pooled: bool = False) -> dict[str, Any]:
    """Difference of two groups of runs (`defined_values`): paired where there are pairs enough, unpaired below that.

    Returns
    -------
    dict
        effect, low, high, method, and the entries of `stats.compare` and `stats.paired`. Medians, U and p are of the
        runs, as the paper prints them; intervals of pooled epsilons are of configurations (`estimate`).
    """
    tested = stats.compare(x["value"], y["value"])
    means = stats.compare(*(by_configuration(group)["value"] for group in (x, y))) if pooled else tested
    pairs = paired_differences([x, y], pooled)
    result = means | {name: tested[name] for name in ("n_x", "n_y", "median_x", "median_y", "U", "p")}
    result |= stats.paired(pairs["value_x"], pairs["value_y"])
    method = method_of([x, y], pooled)
    prefix = "difference" if method == "paired" else "shift"
    limits = {name: result[f"{prefix}{end}"] for name, end in (("effect", ""), ("low", "_low"), ("high", "_high"))}
    return NO_EFFECT | result | limits | {"method": method}


def best_lambda(runs: DataFrame) -> DataFrame:
    """Of runs of one condition and configuration that differ in lambda (the sweep), the one of the best accuracy."""
    if not runs.duplicated(KEY).any():  # no sweep, as nearly always
        return runs
    ranked = runs.sort_values("test_acc", ascending=False, kind="stable")
    return runs[~ranked.duplicated(KEY)[runs.index]]


def defined_values(
    runs: DataFrame, condition: str, epsilon: float | str | None, metric: str, selection: str
) -> DataFrame:
    """Runs of one condition and epsilon (or pooled) with the metric as `value`; runs without a value are left out."""
    chosen = runs[runs["condition"] == condition]
    chosen = chosen if epsilon == "pooled" else chosen[chosen["epsilon"] == epsilon]
    chosen = best_lambda(selected(chosen, selection))
    values = chosen[[*KEY, "lr"]].assign(value=metric_values(chosen, metric))
    return values[np.isfinite(values["value"])]
