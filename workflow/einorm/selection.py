"""Which runs count, and what is measured of a run: selection rules of the figures, metrics derived from the tables."""

import numpy as np

PAPER_TASK = "luminosity"
TOP = 10  # the published rule: the best runs per epsilon, by test accuracy
SELECTIONS = ("all", "top10", "without_collapsed")
CHANCE = 10.0  # test accuracy (%) up to which the paper calls a run at chance


def of_task(rows, task=PAPER_TASK):
    """Rows of a table of one task."""
    return rows[rows["task"] == task]


def as_published(rows, task=PAPER_TASK):
    """Rows of a table of one task, trained as in the paper: the rows of its figures and claims."""
    rows = of_task(rows, task)
    return rows[rows["variant"] == "paper"] if "variant" in rows else rows


def top_runs(runs, by="test_acc"):
    """The published rule of Figs. 2b and 3: the `TOP` best runs of every condition and epsilon by test accuracy.

    Parameters
    ----------
    by : column to choose by, "validation_acc" for images that were held out
    """
    best = runs.sort_values([by, "config"], ascending=[False, True])
    return best.groupby(["condition", "epsilon"]).head(TOP)


def select_runs(runs, selection):
    """Runs by one of the `SELECTIONS`."""
    if selection == "top10":
        return top_runs(runs)
    return runs[runs["test_acc"] > CHANCE] if selection == "without_collapsed" else runs


def layer_mean(runs, metric):
    """Mean of a metric over the two hidden layers, as in the paper's figures."""
    return (runs[f"{metric}0"] + runs[f"{metric}1"]) / 2


def metric_values(runs, metric):
    """A metric of every run: a column, the layers' mean of one, or the distance of mu or of log10 var from 0.

    The distances are called mu_distance and var_distance.
    """
    if metric == "mu_distance":
        return layer_mean(runs, "mu").abs()
    if metric == "var_distance":
        return np.log10(layer_mean(runs, "var")).abs()
    return runs[metric] if metric in runs else layer_mean(runs, metric)
