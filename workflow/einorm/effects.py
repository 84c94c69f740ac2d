"""Effects of statements and comparisons: from runs to a difference, a level or a trend with its 95 % interval."""

import numpy as np

from . import stats
from .selection import metric_values, select_runs

NO_EFFECT = {"effect": np.nan, "low": np.nan, "high": np.nan, "n_x": 0, "n_y": 0, "n_pairs": 0, "method": "none"}
KEY = ["epsilon", "config", "seed"]  # what matched runs share


def effect(statement, runs, selection):
    """Effect of a statement with its 95 % interval.

    Parameters
    ----------
    statement : `statements.Statement`
    runs : DataFrame, table "runs"
    selection : one of `selection.SELECTIONS`

    Returns
    -------
    dict
        effect, low, high (unit of the metric), n_x, n_y, n_pairs, method; for differences also those of
        `stats.compare` and, where runs match, `stats.paired`.
    """
    groups = [
        defined_values(runs, condition, statement.epsilon, statement.metric, selection)
        for condition in (statement.x, statement.y)
        if condition
    ]
    if any(not len(group) for group in groups):
        return NO_EFFECT | {"n_x": len(groups[0]), "n_y": len(groups[-1]) if len(groups) > 1 else 0}
    if statement.of == "level":
        middle, low, high = stats.median_interval(groups[0]["value"])
        return NO_EFFECT | {"effect": middle, "low": low, "high": high, "n_x": len(groups[0]), "method": "median"}
    if statement.of == "trend":
        return trend(statement, runs, selection, groups)
    return difference(*groups)


def difference(x, y):
    """Difference of two groups of runs (`defined_values`): paired where there are pairs enough, unpaired below that."""
    result = stats.compare(x["value"], y["value"])
    pairs = x.merge(y, on=KEY, suffixes=("_x", "_y"))
    result |= stats.paired(pairs["value_x"], pairs["value_y"])
    kind = "paired" if len(pairs) >= stats.MIN_PAIRS and len(pairs) == min(len(x), len(y)) else "unpaired"
    prefix = "difference" if kind == "paired" else "shift"
    limits = {
        name: result[f"{prefix}{ending}"] for name, ending in (("effect", ""), ("low", "_low"), ("high", "_high"))
    }
    return NO_EFFECT | result | limits | {"method": kind}


def trend(statement, runs, selection, groups):
    """How much larger the difference is at `epsilon` than at `from_epsilon`, within configurations."""
    per_epsilon = []
    for epsilon in (statement.epsilon, statement.from_epsilon):
        x, y = (defined_values(runs, c, epsilon, statement.metric, selection) for c in (statement.x, statement.y))
        pairs = x.merge(y, on=["config", "seed"])
        per_epsilon.append(pairs.assign(d=pairs["value_x"] - pairs["value_y"])[["config", "seed", "d"]])
    both = per_epsilon[0].merge(per_epsilon[1], on=["config", "seed"], suffixes=("_here", "_from"))
    result = stats.paired(both["d_here"], both["d_from"])
    sizes = {"n_x": len(groups[0]), "n_y": len(groups[1]), "method": "paired"}
    limits = {"effect": result["difference"], "low": result["difference_low"], "high": result["difference_high"]}
    return NO_EFFECT | result | limits | sizes


def defined_values(runs, condition, epsilon, metric, selection):
    """Runs of one condition and epsilon (or pooled) with the metric as `value`; runs without a value are left out."""
    chosen = runs[runs["condition"] == condition]
    chosen = chosen if epsilon == "pooled" else chosen[chosen["epsilon"] == epsilon]
    chosen = select_runs(chosen, selection)
    values = chosen[KEY].assign(value=metric_values(chosen, metric))
    return values[np.isfinite(values["value"])]
