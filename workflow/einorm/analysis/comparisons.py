"""Every pair of conditions that the figures compare, and one correction of all tests, the same wherever it is shown."""

from collections.abc import Callable
from functools import cache, partial
from typing import Any

import numpy as np
import pandas as pd
from pandas import DataFrame

from . import published, stats
from .effects import defined_values, difference
from .judging import equivalence
from .published import Values
from .selection import SELECTIONS
from .statements import Rules


def corrected(rules: Rules, runs: DataFrame, selection: str) -> dict[Any, float]:
    """p of every Mann-Whitney test of the statements and comparisons, with Holm's correction over all of them.

    Parameters
    ----------
    rules : `statements.Rules`
    runs : DataFrame, table "runs" of one task and variant, complete cells only (`completeness.complete_rows`)
    selection : one of `selection.SELECTIONS`; each has a correction of its own

    Returns
    -------
    dict: `identity` -> p after correction
    """
    pairs = [pair for pairs in rules.comparisons.values() for pair in pairs]
    asked = [("test_acc", x, y, epsilon) for x, y in pairs for epsilon in places(runs)]
    asked += [(s.metric, s.x, s.y, s.epsilon) for s in rules.statements if s.of == "difference" and s.y]
    found, there, group = {}, trained_at(runs), groups(runs, selection)
    for metric, x, y, epsilon in asked:
        if identity(metric, x, y, epsilon) in found or not computed(rules, there, (x, y), epsilon):
            continue
        values = [group(c, epsilon, metric)["value"] for c in (x, y)]
        if all(map(len, values)):
            found[identity(metric, x, y, epsilon)] = stats.compare_p(*values)
    return dict(zip(found, map(float, stats.holm(list(found.values()))), strict=True))


def identity(metric: str, x: str, y: str | None, epsilon: float | str) -> Any:
    """What identifies a test: its metric, its two conditions in either order, and epsilon (or "pooled")."""
    return metric, frozenset((x, y)), epsilon if epsilon == "pooled" else float(epsilon)


def places(runs: DataFrame) -> list[float | str]:
    """Epsilons of the runs, and "pooled"."""
    return [*sorted(runs["epsilon"].unique()), "pooled"]


def groups(runs: DataFrame, selection: str) -> Callable[..., DataFrame]:
    """Function of condition, epsilon and metric: `effects.defined_values`, which it finds once. Pairs share groups."""
    return cache(partial(defined_values, runs, selection=selection))


def trained_at(runs: DataFrame) -> dict[str, set[float]]:
    """Condition -> epsilons of its runs."""
    return {condition: set(epsilons) for condition, epsilons in runs.groupby("condition")["epsilon"]}


def computed(rules: Rules, there: dict[str, set[float]], conditions: Any, epsilon: float | str) -> bool:
    """Whether all conditions have runs (`trained_at`) at an epsilon; pooled, at each of those that are pooled."""
    wanted = rules.pooled_epsilons if epsilon == "pooled" else [epsilon]
    return all(set(wanted) <= there.get(c, set()) for c in conditions)


def compare_all(rules: Rules, runs: DataFrame, values: Values) -> DataFrame:
    """Every pair of the figures per epsilon and pooled, by every selection: statistics, published test, equality.

    Parameters are those of `corrected`; values as `published.load` gives them.
    """
    rows, tests, there = [], values["tests"], trained_at(runs)
    for selection in SELECTIONS:
        p_holm, group = corrected(rules, runs, selection), groups(runs, selection)
        for figure, pairs in rules.comparisons.items():
            for x, y in pairs:
                for epsilon in places(runs):
                    left, right = (group(c, epsilon, "test_acc") for c in (x, y))
                    if not computed(rules, there, (x, y), epsilon) or not len(left) or not len(right):
                        continue
                    result = difference(left, right, epsilon == "pooled")
                    printed = tests[
                        (tests["figure"] == figure.capitalize())
                        & (tests["epsilon"] == published.epsilon_name(epsilon))
                        & (tests["group_x"] == x)
                        & (tests["group_y"] == y)
                    ]
                    keys = {"figure": figure, "selection": selection, "x": x, "y": y, "epsilon": str(epsilon)}
                    both = {"published_U": printed["U"].max(), "published_p": printed["p"].max()}
                    both |= {"p_holm": p_holm[identity("test_acc", x, y, epsilon)]}
                    both |= {
                        "equivalent": equivalence(result, rules.margin),
                        "smallest_margin": smallest_margin(result),
                    }
                    rows.append(keys | result | both)
    return pd.DataFrame(rows) if rows else pd.DataFrame(columns=["figure", "selection", "x", "y", "epsilon"])


def smallest_margin(result: dict[str, Any]) -> float:
    """The smallest margin within which the interval of a difference would show equality."""
    return float(np.max(np.abs([result["low"], result["high"]])))
