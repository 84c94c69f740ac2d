"""What is odd about the published figures: the number by their rule beside the one without it, theirs and ours."""

from collections.abc import Iterator
from typing import Any

import numpy as np
import pandas as pd
from pandas import DataFrame

from ..records.tables import layer_mean
from ..runtime import UserError
from . import published, stats
from .published import Values
from .selection import CHANCE, at_chance, metric_values, selected
from .statements import Rules

Rows = Iterator[dict[str, Any]]


def oddities(rules: Rules, runs: DataFrame, values: Values) -> DataFrame:
    """One row per oddity and quantity.

    Returns
    -------
    DataFrame
        id, figure, oddity, undone (both in words), quantity, epsilon; published_as_is, published_undone (NaN: cannot be
        told from what was published), here_as_is, here_undone (NaN: not computed).

    Raises
    ------
    UserError
        If an oddity is one that `QUANTITIES` does not know.
    """
    rows = []
    for name, entry in rules.oddities.items():
        words = {"id": name, "figure": entry.figure, "oddity": entry.text, "undone": entry.undone}
        if name not in QUANTITIES:
            raise UserError(f"claims.yaml, oddities: nothing computes the numbers of {name}: add it to {__name__}")
        rows += [words | row for row in QUANTITIES[name](runs, values)]
    return pd.DataFrame(rows)


def row(quantity: str, epsilon: Any, as_published: Any, undone: Any, here: Any, here_undone: Any) -> dict[str, Any]:
    """A row of the table: the published number as it is and undone, and the same of ours."""
    return {
        "quantity": quantity,
        "epsilon": str(epsilon),
        "published_as_is": as_published,
        "published_undone": undone,
        "here_as_is": here,
        "here_undone": here_undone,
    }


def pooled(runs: DataFrame, condition: str) -> str:
    """What pooled epsilons are called: with those of the paper and of the runs of a condition, where they differ."""
    here = sorted(runs.loc[runs["condition"] == condition, "epsilon"].unique())
    if here == published.EPSILONS:
        return "pooled"
    theirs, ours = (
        ", ".join(f"{epsilon:g}" for epsilon in epsilons) or "none" for epsilons in (published.EPSILONS, here)
    )
    return f"pooled (published: {theirs}; here: {ours})"


def of(runs: DataFrame, condition: str, epsilon: float | None = None, selection: str = "all") -> DataFrame:
    """Runs of a condition, at one epsilon or all."""
    chosen = runs[runs["condition"] == condition]
    return selected(chosen if epsilon is None else chosen[chosen["epsilon"] == epsilon], selection)


def middle(values: Any) -> float:
    """Median of the finite values; NaN if there is none."""
    values = values[np.isfinite(values)]
    return float(values.median()) if len(values) else np.nan


def mislabelled_network(runs: DataFrame, values: Values) -> Rows:
    """O1: what the label LN- of Fig. 2 is, and what it suggests."""
    for epsilon in sorted(runs["epsilon"].unique()):
        accuracy = [middle(of(runs, c, epsilon)["test_acc"]) for c in ("ei_none", "ei_ln_detached")]
        theirs = published.statistic(values, "ei_none", epsilon, "test_acc", "median", "Fig2")
        yield row("median test accuracy (%)", epsilon, theirs, np.nan, *accuracy)


def hidden_runs(runs: DataFrame, values: Values) -> Rows:
    """O2: collapsed I-Norm runs outside the axes of Fig. 4."""
    for epsilon in sorted(runs["epsilon"].unique()):
        chosen = of(runs, "inorm", epsilon)
        number = published.statistic(values, "inorm", epsilon, "test_acc", "n_at_chance", "Fig4")
        lost = float(at_chance(chosen).sum()) if len(chosen) else np.nan
        inside = [0.0 if np.isfinite(count) else np.nan for count in (number, lost)]  # of the axes
        yield row("I-Norm runs at chance", epsilon, inside[0], number, inside[1], lost)
        without, every = (
            published.statistic(values, "inorm", epsilon, "test_acc", name, "Fig4")
            for name in ("median_excluding_chance", "median")
        )
        kept = of(runs, "inorm", epsilon, "above_chance")
        here = middle(kept["test_acc"]), middle(chosen["test_acc"])
        yield row("median I-Norm test accuracy (%)", epsilon, without, every, here[0], here[1])


def best_runs_only(runs: DataFrame, values: Values) -> Rows:
    """O3: Fig. 3 on the ten best runs."""
    for condition in ("ei_none", "inorm_sub", "inorm"):
        for metric in ("mu", "var"):
            theirs = published.statistic(values, condition, "pooled", metric, "median", "Fig3")
            ours = [middle(layer_mean(of(runs, condition, None, s), metric)) for s in ("top10", "all")]
            yield row(f"median {metric} of {condition}", pooled(runs, condition), theirs, np.nan, *ours)


def boxes_without_chance(runs: DataFrame, values: Values) -> Rows:
    """O4: boxes of Figs. 6 and 7 without the runs at chance, where their median stays above 50."""
    for condition in ("gradnorm_scale", "gradnorm_decorrelate"):
        for epsilon in sorted(runs["epsilon"].unique()):
            theirs = published.statistic(values, condition, epsilon, "test_acc", "median", "Fig6")
            everyone, boxed = (of(runs, condition, epsilon, rule)["test_acc"] for rule in ("all", "above_chance"))
            undone = theirs if theirs <= CHANCE else np.nan  # a box that keeps all runs has nothing to undo
            yield row(
                f"median test accuracy (%) of {condition}", epsilon, theirs, undone, middle(boxed), middle(everyone)
            )


def selected_and_pooled(runs: DataFrame, values: Values) -> Rows:
    """O5: p of Fig. 2b on the ten best runs, pooled, and on all runs per epsilon."""
    pair = ("ei_ln", "e_only_ln")
    test = values["tests"].query("figure == 'Fig2' and kind == 'printed'")["p"].iloc[0]
    both = stats.compare(*(of(runs, c, None, "top10")["test_acc"] for c in pair))["p"]
    for epsilon in sorted(runs["epsilon"].unique()):
        theirs = stats.compare(*(published.complete_runs(values, c, epsilon) for c in pair))["p"]
        ours = stats.compare(*(of(runs, c, epsilon)["test_acc"] for c in pair))["p"]
        yield row(
            f"Mann-Whitney p, E-I LN v E-only LN; as it is: {pooled(runs, 'ei_ln')}", epsilon, test, theirs, both, ours
        )


def pooled_alignments(runs: DataFrame, values: Values) -> Rows:
    """O6: Fig. 6a pools epsilons and drops runs without a finite alignment."""
    for condition in ("gradnorm_center", "gradnorm_decorrelate", "gradnorm_scale"):
        theirs = published.median(values, "Fig6", "hist_gradient", condition, "pooled", "gradient_alignment")
        every, top = (metric_values(of(runs, condition, e), "gradient_alignment") for e in (None, 0.75))
        yield row(
            f"median gradient alignment of {condition}",
            f"{pooled(runs, condition)} v 0.75",
            theirs,
            np.nan,
            middle(every),
            middle(top),
        )
        shown = published.statistic(values, condition, "pooled", "gradient_alignment", "n", "Fig6")
        yield row(
            f"runs shown of {condition}",
            pooled(runs, condition),
            shown,
            120.0,
            float(np.isfinite(every).sum()) if len(every) else np.nan,
            float(len(every)) if len(every) else np.nan,
        )


QUANTITIES = {
    "O1": mislabelled_network,
    "O2": hidden_runs,
    "O3": best_runs_only,
    "O4": boxes_without_chance,
    "O5": selected_and_pooled,
    "O6": pooled_alignments,
}
