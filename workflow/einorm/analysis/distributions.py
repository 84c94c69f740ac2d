"""Accuracies as a whole, published against ours: of cells and of pairs, without giving a published run a configuration.

`run_by_run` compares single runs, which need one.
"""

from collections.abc import Mapping, Sequence
from itertools import product

import numpy as np
import pandas as pd
from pandas import DataFrame
from scipy import stats as tests

from .selection import CHANCE

PUBLISHED = ("e_only_ln", "gradnorm_full", "inorm", "ei_ln", "ei_none")  # conditions of which every run was published
#: Pairs of conditions that a published point ties: it has their difference in one configuration.
TIED = (("gradnorm_full", "e_only_ln"), ("inorm", "e_only_ln"), ("ei_ln", "ei_none"))


def compare_cells(theirs: DataFrame, series: Mapping[str, DataFrame]) -> DataFrame:
    """Accuracies of every published condition and epsilon as a whole, without configurations.

    Returns
    -------
    DataFrame
        randomness, condition, epsilon, n (finished runs), published_at_chance, at_chance, published_median, median,
        median_difference (of medians, ours minus theirs), sorted_difference (mean absolute difference of the sorted
        accuracies; NaN where runs at chance differ in number: then like is not compared with like)
    """
    rows = []
    for name, runs in series.items():
        for condition in PUBLISHED:
            for epsilon, published_runs in theirs[theirs["condition"] == condition].groupby("epsilon"):
                ours = runs[(runs["condition"] == condition) & (runs["epsilon"] == epsilon)]["test_acc"].sort_values()
                x = published_runs["test_acc"].sort_values()
                key = {"randomness": name, "condition": condition, "epsilon": epsilon, "n": len(ours)}
                key |= {"published_at_chance": (x <= CHANCE).sum(), "published_median": x.median()}
                if len(ours) == len(x):
                    key |= {"at_chance": (ours <= CHANCE).sum(), "median": ours.median()}
                    key["median_difference"] = ours.median() - x.median()
                    if key["at_chance"] == key["published_at_chance"]:
                        key["sorted_difference"] = np.abs(ours.to_numpy() - x.to_numpy()).mean()
                rows.append(key)
    columns = ["randomness", "condition", "epsilon", "n", "published_at_chance", "at_chance", "published_median",
               "median", "median_difference", "sorted_difference"]  # fmt: skip
    return pd.DataFrame(rows, columns=columns)


def compare_pairs(theirs: DataFrame, series: Mapping[str, DataFrame]) -> DataFrame:
    """Differences between two tied conditions (`TIED`) of one configuration, which need no assignment.

    Returns
    -------
    DataFrame
        randomness, x, y, epsilon, and of the differences x - y of test accuracy (points) where neither run is at
        chance: published_n and n, published_median and median, published_sd and sd (standard deviations), p (two-sample
        Kolmogorov-Smirnov test)
    """
    rows = []
    for (x, y), epsilon, name in product(TIED, sorted(theirs["epsilon"].unique()), series):
        both = [together(runs, epsilon, (x, y)) for runs in (theirs, series[name])]
        if len(both[0]) == len(both[1]):
            sides = [(pairs[x] - pairs[y])[(pairs > CHANCE).all(axis=1)] for pairs in both]
            key = {"randomness": name, "x": x, "y": y, "epsilon": epsilon, "p": tests.ks_2samp(*sides).pvalue}
            for prefix, d in zip(("published_", ""), sides, strict=True):
                key |= {f"{prefix}n": len(d), f"{prefix}median": d.median(), f"{prefix}sd": d.std()}
            rows.append(key)
    columns = [
        "randomness",
        "x",
        "y",
        "epsilon",
        "published_n",
        "n",
        "published_median",
        "median",
        "published_sd",
        "sd",
    ]
    return pd.DataFrame(rows, columns=[*columns, "p"])


def together(runs: DataFrame, epsilon: float, conditions: Sequence[str], n: int | None = None) -> DataFrame:
    """Accuracies at an epsilon, a row per configuration and a column per condition; empty unless all have n runs."""
    groups = [runs[(runs["epsilon"] == epsilon) & (runs["condition"] == condition)] for condition in conditions]
    if any(len(group) != (n or len(group)) for group in groups):
        return pd.DataFrame(columns=list(conditions))
    frames = [group.set_index("config")["test_acc"] for group in groups]
    return pd.concat(frames, axis=1, keys=conditions, join="inner").sort_index()
