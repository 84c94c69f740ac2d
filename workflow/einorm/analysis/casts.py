"""Whether E-I networks are nearer to the published runs with the release's casts than in float32.

And what came of T1 to T5 of paper_artifact/predictions_casts.md, by rules that state them as numbers.
"""

import numpy as np
from pandas import DataFrame

from .collapse_predictions import Checks, told
from .distributions import compare_cells, together
from .run_by_run import match
from .selection import at_chance

#: Prediction -> when it is met, in words.
PREDICTIONS = {
    "T1": "E-I, sorted: nearer to the published runs than in float32, by 0.02 points or more",
    "T2": "E-I LN, sorted: the same",
    "T3": "E-I LN, assigned by E-I: a smaller median difference than in float32",
    "T4": "E-I, assigned by E-I LN: the same",
    "T5": "no run at chance",
}
EPSILON, NEARER = 0.75, 0.02
FLOAT32, CASTS = "float32", "casts"
Series = dict[str, DataFrame]


def predictions(theirs: DataFrame, float32: DataFrame, casts: DataFrame) -> list[dict[str, str]]:
    """What came of every prediction: a dict each, in their order.

    Parameters
    ----------
    theirs : DataFrame of the published runs (`published.as_runs`)
    float32, casts : DataFrames, tables "runs" with the published random numbers, without the release's casts and with
        them

    Returns
    -------
    list of dict
        id; met_if and found, in words; outcome: met, not met, or not computed, where a cell lacks runs.
    """
    series = {FLOAT32: float32, CASTS: casts}
    cells = compare_cells(theirs, series)
    found: dict[str, Checks] = {
        "T1": [sorted_nearer(cells, "ei_none")],
        "T2": [sorted_nearer(cells, "ei_ln")],
        "T3": [runs_nearer(theirs, series, "ei_none", "ei_ln")],
        "T4": [runs_nearer(theirs, series, "ei_ln", "ei_none")],
        "T5": [none_lost(theirs, casts)],
    }
    return told(found, PREDICTIONS)


def sorted_nearer(cells: DataFrame, condition: str) -> tuple[bool | None, str]:
    """Whether the sorted accuracies of a condition are nearer with the casts, and both differences in words."""
    chosen = cells[(cells["condition"] == condition) & (cells["epsilon"] == EPSILON)].set_index("randomness")
    before, after = chosen["sorted_difference"][[FLOAT32, CASTS]]
    return in_words(before, after, before - after >= NEARER)


def runs_nearer(theirs: DataFrame, series: Series, by: str, judged: str) -> tuple[bool | None, str]:
    """Whether single runs of a condition, assigned by another, are nearer, and both median differences in words."""
    points = together(theirs, EPSILON, (by, judged))
    medians = {}
    for name, runs in series.items():
        ours = together(runs, EPSILON, (by, judged), len(points))
        pairs = match(points, ours, (by,), judged) if len(ours) else None
        medians[name] = np.nan if pairs is None else (pairs["published"] - pairs["here"]).abs().median()
    return in_words(medians[FLOAT32], medians[CASTS], medians[CASTS] < medians[FLOAT32])


def none_lost(theirs: DataFrame, casts: DataFrame) -> tuple[bool | None, str]:
    """Whether no run with the casts is at chance, of as many as were published."""
    wanted, here = (
        runs[runs["condition"].isin(["ei_none", "ei_ln"]) & (runs["epsilon"] == EPSILON)] for runs in (theirs, casts)
    )
    lost = int(at_chance(here).sum())
    if lost:
        return False, f"{lost} of {len(here)}"
    return (True, f"0 of {len(here)}") if len(here) == len(wanted) else (None, "")


def in_words(before: float, after: float, holds: bool) -> tuple[bool | None, str]:
    """A difference from the published runs in float32, and with the casts; no outcome where one is missing."""
    if not np.isfinite([before, after]).all():
        return None, ""
    return bool(holds), f"{after:.2f} points, in float32 {before:.2f}"
