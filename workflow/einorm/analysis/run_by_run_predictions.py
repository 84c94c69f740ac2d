"""What came of the predictions on run by run, 1 to 5 of docs/reproduction.md, by rules that state them as numbers."""

from typing import Any

from pandas import DataFrame

from .collapse_predictions import Checks, told
from .published import EPSILONS
from .run_by_run import OWN, RELEASE

#: Prediction -> when it is met, in words; a prediction of several epsilons needs all of them.
PREDICTIONS = {
    "1": "epsilon 0.75, sorted: LN+ within 0.1, E-I LN and E-I within 0.2; medians within 0.15",
    "2": "LN+ and GradNorm, assigned by two: met, and the median difference is 0.15 or less, at all epsilons",
    "3": "I-Norm, assigned by two: met at epsilon 0; the median difference is below 0.5 elsewhere",
    "4": "own random numbers, assigned by two: not met at epsilon 0.25 and 0.5",
    "5": "E-I LN and E-I: cannot tell, at most epsilons; GradNorm assigned by LN+: 0.2 or less at all epsilons",
}
SORTED = {"e_only_ln": 0.1, "ei_ln": 0.2, "ei_none": 0.2}  # points; the medians' limit is the next
MEDIAN = "median_difference"
MEDIANS, BY_TWO, INORM, BY_ONE = 0.15, 0.15, 0.5, 0.2


def predictions(found: DataFrame, cells: DataFrame) -> list[dict[str, str]]:
    """What came of every prediction, with the numbers that decide it.

    Parameters
    ----------
    found : DataFrame, agreement of `run_by_run.compare`
    cells : DataFrame of `run_by_run.compare_cells`

    Returns
    -------
    list of dict
        id; met_if and found, in words; outcome: met, not met, or not computed where no check failed and one is missing.
    """
    found = found[found["verdict"] != "not computed"]
    release, own = (found[found["randomness"] == name] for name in (RELEASE, OWN))
    by_two = {name: part[part["by"].str.contains(" and ")] for name, part in ((RELEASE, release), (OWN, own))}
    by_one = release[release["by"] == "e_only_ln"]
    paired = release[release["judged"].isin(["ei_ln", "ei_none"])]
    checks: dict[str, Checks] = {
        "1": [sorted_near(cells, condition, limit) for condition, limit in SORTED.items()],
        "2": [
            check(by_two[RELEASE], condition, e, lambda row: met(row) and row[MEDIAN] <= BY_TWO)
            for condition in ("e_only_ln", "gradnorm_full")
            for e in EPSILONS
        ],
        "3": [
            check(by_two[RELEASE], "inorm", e, lambda row: row[MEDIAN] < INORM if row["epsilon"] else met(row))
            for e in EPSILONS
        ],
        "4": [
            check(by_two[OWN], condition, e, lambda row: row["verdict"] == "not met")
            for condition in ("e_only_ln", "gradnorm_full", "inorm")
            for e in (0.25, 0.5)
        ],
        "5": [
            mostly_untold(paired),
            *(check(by_one, "gradnorm_full", e, lambda row: row[MEDIAN] <= BY_ONE) for e in EPSILONS),
        ],
    }
    return told(checks, PREDICTIONS)


def met(row: dict[str, Any]) -> bool:
    """Whether runs are met, by the verdict of `run_by_run`."""
    return bool(row["verdict"] == "met")


def check(rows: DataFrame, judged: str, epsilon: float, holds: Any) -> tuple[bool | None, str]:
    """Whether the row of a condition and epsilon is as predicted (None: there is none), and its numbers in words."""
    row = rows[(rows["judged"] == judged) & (rows["epsilon"] == epsilon)]
    if row.empty:
        return None, ""
    facts = row.iloc[0].to_dict()
    return bool(holds(facts)), f"{judged}, {epsilon:g}: {facts[MEDIAN]:.2f}, {facts['verdict']}"


def mostly_untold(rows: DataFrame) -> tuple[bool | None, str]:
    """Whether E-I LN and E-I cannot tell at most of the epsilons; None while the missing ones may decide."""
    planned, told = 2 * len(EPSILONS), int((rows["verdict"] != "cannot tell").sum())
    untold = len(rows) - told
    text = f"cannot tell: {untold} of {len(rows)}" if len(rows) else ""
    if 2 * untold > planned:
        return True, text
    return (False if 2 * told >= planned else None), text


def sorted_near(cells: DataFrame, condition: str, limit: float) -> tuple[bool | None, str]:
    """Whether the sorted accuracies and the medians of a condition at epsilon 0.75 are as near as predicted."""
    chosen = (cells["randomness"] == RELEASE) & (cells["condition"] == condition) & (cells["epsilon"] == 0.75)
    row = cells[chosen & cells["median_difference"].notna()]
    if row.empty:
        return None, ""
    apart, medians = row.iloc[0][["sorted_difference", "median_difference"]]
    return bool(apart <= limit and abs(medians) <= MEDIANS), f"{condition}: {apart:.2f}, medians {medians:+.2f}"
