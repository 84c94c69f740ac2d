"""Do the findings depend on how the networks are trained? The answers of `variants.QUESTIONS`, a row per group of runs.

Descriptive: sizes with intervals, no verdicts, since the presets of these questions are too small for the rules of
claims.yaml.
"""

from typing import Any

import pandas as pd
from pandas import DataFrame

from ..conditions import CONDITIONS
from ..variants import QUESTIONS, VARIANTS, asked
from .effects import NO_EFFECT, defined_values, difference
from .selection import LN, at_chance, collapsed, top_runs

REFERENCE = LN
BY_TEST, BY_VALIDATION = "top 10 by test set", "top 10 by held-out images"
INTERVAL = ("", "_low", "_high")
COLUMNS = ["question", "variant", "selection", "condition", "epsilon", "n", "collapsed",
           "at_chance", "median_test_acc",
           *(f"{name}{part}" for name in ("change", "versus_ln") for part in INTERVAL), "overlap"]  # fmt: skip


def robustness(runs: DataFrame) -> DataFrame:
    """A row per question, variant, selection, condition and epsilon.

    Parameters
    ----------
    runs : DataFrame, table "runs", of one task and any variants

    Returns
    -------
    DataFrame
        Columns `COLUMNS`: test_acc in %; collapsed, runs whose loss was no longer finite; at_chance, those and all
        others at 10 % or below; change from the paper's way to train the same configurations, and distance from LN+
        trained the same way (points, Hodges-Lehmann, 95 % interval; NaN or infinite where there is nothing to compare);
        overlap, the number of chosen runs that the test set would have chosen, too.
    """
    rows = [row for question in asked(runs["variant"].unique()) for row in answers(question, runs)]
    return pd.DataFrame(rows, columns=COLUMNS)


def groups(question: str, runs: DataFrame) -> dict[tuple[str, str], DataFrame]:
    """Groups of runs that a question compares: (variant, selection) -> runs, in the order in which they are drawn."""
    found = {}
    for variant in QUESTIONS[question]:
        chosen = runs[runs["variant"] == variant]
        if len(chosen):
            found[variant, "all"] = chosen
            if "validation_images" in VARIANTS[variant]:
                found[variant, BY_TEST] = top_runs(chosen)
                found[variant, BY_VALIDATION] = top_runs(chosen, by="validation_acc")
    return found


def answers(question: str, runs: DataFrame) -> list[dict[str, Any]]:
    """Rows of one question, see `robustness`."""
    rows, compared = [], groups(question, runs)
    paper = runs[runs["variant"] == "paper"]
    for (variant, selection), chosen in compared.items():
        by_test: Any = compared.get((variant, BY_TEST))
        order = chosen["condition"].map(list(CONDITIONS).index).sort_values(kind="stable").index
        for (condition, epsilon), part in chosen.loc[order].groupby(["condition", "epsilon"], sort=False):
            row = {"question": question, "variant": variant, "selection": selection, "condition": condition}
            row |= {"epsilon": epsilon, "n": len(part), "collapsed": int(collapsed(part).sum())}
            row["at_chance"] = int(at_chance(part).sum())
            row["median_test_acc"] = part["test_acc"].median()
            row |= interval("change", part, paper, condition) if variant != "paper" else {}
            row |= interval("versus_ln", part, chosen, REFERENCE) if condition != REFERENCE else {}
            row["overlap"] = int(part["digest"].isin(by_test["digest"]).sum()) if selection != "all" else pd.NA
            rows.append(NOTHING | row)
    return rows


def interval(name: str, part: Any, others: Any, condition: str) -> dict[str, Any]:
    """Difference in test accuracy of runs of one condition and epsilon from those of `condition` among `others`."""
    own, epsilon = part[["condition", "epsilon"]].iloc[0]
    # pairs are runs of one configuration, though a variant may have changed the seed
    x = defined_values(part.assign(seed=0), own, epsilon, "test_acc", "all")
    y = defined_values(others.assign(seed=0), condition, epsilon, "test_acc", "all")
    return limits(name, difference(x, y) if len(y) else NO_EFFECT)


def limits(name: str, result: Any) -> dict[str, Any]:
    """Columns of an effect and its interval."""
    return {f"{name}{ending}": result[key] for ending, key in zip(INTERVAL, ("effect", "low", "high"), strict=True)}


NOTHING = limits("change", NO_EFFECT) | limits("versus_ln", NO_EFFECT)  # where there is nothing to compare with
