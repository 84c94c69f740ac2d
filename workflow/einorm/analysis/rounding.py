"""What rounding alone does to a run: runs of two tables with equal random numbers, which were batched differently.

Sums are rounded in another order where runs share a job with others. How far apart two trainings of one run end is how
near a reproduced run can come to a published one.
"""

from pandas import DataFrame

from ..records.tables import KEYS

SPANS = ((1, 5), (6, 10), (11, 20))  # first and last epoch


def apart(one: DataFrame, other: DataFrame) -> DataFrame:
    """Absolute differences of test accuracy between two trainings of the same runs, epoch by epoch.

    Parameters
    ----------
    one, other : DataFrame, tables "epochs" of two presets that differ in the number of configurations and epochs only

    Returns
    -------
    DataFrame
        condition, epsilon; runs, the number of configurations that both have and that are not equal in all epochs, as
        those are that were batched alike; one column per span of `SPANS`, "1 to 5": the median over runs and epochs,
        in points of test accuracy; sd, the standard deviation (around 0) of the differences in the last span
    """
    names = [*KEYS, "epoch"]
    both = one[[*names, "test_acc"]].merge(other[[*names, "test_acc"]], on=names, validate="1:1")
    both["apart"] = (both["test_acc_x"] - both["test_acc_y"]).abs()
    both["squared"] = both["apart"] ** 2
    both = both[both.groupby(list(KEYS))["apart"].transform("max") > 0]
    groups = both.groupby(["condition", "epsilon"], sort=False)
    found = groups["config"].nunique().rename("runs").to_frame()
    for first, last in SPANS:
        chosen = both[both["epoch"].between(first, last)].groupby(["condition", "epsilon"])
        found[f"{first} to {last}"] = chosen["apart"].median()
    found["sd"] = chosen["squared"].mean() ** 0.5
    return found.reset_index()
