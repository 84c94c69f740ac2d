"""Which runs count, and what is measured of a run: selection rules of the figures, metrics derived from the tables."""

import numpy as np
from pandas import DataFrame, Series

from ..conditions import CONDITIONS
from ..records.tables import layer_mean
from ..tasks import PAPER_TASK

TOP = 10  # the published rule: the best runs per epsilon, by test accuracy
SELECTIONS = ("all", "top10", "above_chance")
LN = "e_only_ln"  # LN+, the reference of Figs. 4 to 7
CHANCE = 10.0  # test accuracy (%) up to which a run is at chance
BOX_MEDIAN = 50.0  # median test accuracy (%) of a group from which the paper leaves its runs at chance out


def of_task(rows: DataFrame, task: str = PAPER_TASK) -> DataFrame:
    """Rows of a table of one task, without the table's `attrs`: pandas would copy them deeply in every operation."""
    rows = rows[rows["task"] == task]
    rows.attrs = {}
    return rows


def as_published(rows: DataFrame, task: str = PAPER_TASK) -> DataFrame:
    """Rows of a table of one task, trained as in the paper: the rows of its figures and claims."""
    rows = of_task(rows, task)
    return rows[rows["variant"] == "paper"] if "variant" in rows else rows


def top_runs(runs: DataFrame, by: str = "test_acc") -> DataFrame:
    """The published rule of Figs. 2b and 3: the `TOP` best runs of every condition and epsilon by test accuracy.

    Parameters
    ----------
    by : column to choose by, "validation_acc" for images that were held out
    """
    best = runs.sort_values([by, "config"], ascending=[False, True])
    return best.groupby(["condition", "epsilon"]).head(TOP)


def at_chance(runs: DataFrame) -> Series:
    """Whether each run is at chance: its test accuracy is 10 % or less. Collapsed runs (`collapsed`) are among them."""
    return runs["test_acc"] <= CHANCE


def collapsed(runs: DataFrame) -> Series:
    """Whether each run has collapsed: its loss was no longer finite, so that training stopped."""
    return runs["status"] == "collapsed"


def above_chance(runs: DataFrame) -> DataFrame:
    """The published rule of Figs. 4 to 7 about runs at chance.

    They are left out of a group (condition and epsilon) whose median test accuracy is 50 % or more, and kept in any
    other group.
    """
    medians = runs.groupby(["condition", "epsilon"])["test_acc"].transform("median")
    return runs[~at_chance(runs) | (medians < BOX_MEDIAN)]


def selected(runs: DataFrame, selection: str) -> DataFrame:
    """Runs by one of the `SELECTIONS`."""
    rules = {"all": lambda runs: runs, "top10": top_runs, "above_chance": above_chance}
    return rules[selection](runs)


def defined(condition: str, metric: str) -> bool:
    """Whether a metric of the tables says something about a condition.

    The alignment of gradients is measured as if a layer had no LN. So it says nothing about a condition with LN, and it
    is 0 in LN+, whose units are all active.
    """
    ln = condition in CONDITIONS and CONDITIONS[condition].normalization == "ln"
    return not (ln and metric.startswith("gradient_alignment"))


def metric_values(runs: DataFrame, metric: str) -> Series:
    """A metric of every run: a column, the layers' mean of one, or the distance of mu or of log10 var from 0.

    The distances are called mu_distance and var_distance.
    """
    if metric == "mu_distance":
        return layer_mean(runs, "mu").abs()
    if metric == "var_distance":
        return np.log10(layer_mean(runs, "var")).abs()
    return runs[metric] if metric in runs else layer_mean(runs, metric)
