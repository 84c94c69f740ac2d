"""Do runs trained here meet the published runs one by one? Published against reproduced accuracy, run by run.

Published runs have no configuration, but a point of a published figure ties two or three conditions of one
configuration. So a point is given a configuration by some conditions (`assign`), and another condition judges, which
the assignment never saw. Yardsticks are the published runs themselves with a little noise, assigned and judged in the
same way (`expected`), and configurations in random order (`agreement`). docs/reproduction.md has the rule, written down
before the runs of the reproduction.
"""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike, NDArray
from pandas import DataFrame
from scipy import optimize
from scipy import stats as tests

from ..records.archive import read_runs
from ..runtime import write_csv
from . import published
from .distributions import compare_cells, compare_pairs, together
from .selection import CHANCE, as_published
from .stats import FloatArray

#: By which conditions points are given configurations, and which one judges; the best known way is a condition's last.
JUDGED = (
    (("gradnorm_full",), "e_only_ln"),
    (("gradnorm_full", "inorm"), "e_only_ln"),
    (("e_only_ln",), "gradnorm_full"),
    (("e_only_ln", "inorm"), "gradnorm_full"),
    (("e_only_ln",), "inorm"),
    (("e_only_ln", "gradnorm_full"), "inorm"),
    (("ei_none",), "ei_ln"),
    (("ei_ln",), "ei_none"),
)
JUDGED_CONDITIONS = tuple(dict.fromkeys(judged for _, judged in JUDGED))
#: Standard deviation (points) of a published accuracy around the same run trained here: how much conditions weigh in an
#: assignment, and the noise of `expected`. From trials of single runs, before the runs of the reproduction.
NOISE = {"e_only_ln": 0.05, "gradnorm_full": 0.1, "inorm": 0.2, "ei_ln": 0.2, "ei_none": 0.2}
NEAR_TIE = 20  # a point is nearly tied if an assignment that changes it is more than 1 / 20 as likely
WITHIN = (0.1, 0.25)  # points of accuracy
PERMUTATIONS = 2000
SIMULATIONS = 200
QUANTILES = (0.025, 0.5, 0.975)  # of the simulations
RELEASE, OWN = SERIES = ("release", "own")  # random numbers of the runs; own: what equal configurations alone give
VERDICTS = ("met", "not met", "cannot tell", "not computed")


def write(folders: Mapping[str, Path | str | None], published_folder: Path | str, out: Path | str) -> None:
    """Write run_by_run.csv (how near), run_by_run_points.csv, _cells.csv and _pairs.csv to a folder.

    Parameters
    ----------
    folders : mapping of `SERIES` to a folder of tables, or to None where there is none
    published_folder : of the published values
    out : folder

    Raises
    ------
    UserError
        If a table or a published value cannot be read.
    """
    theirs = published.load(published_folder)["complete"]
    series = {name: finished(folder) for name, folder in folders.items()}
    points, found = compare(theirs, series)
    made = {"": found, "_points": points, "_cells": compare_cells(theirs, series)}
    made["_pairs"] = compare_pairs(theirs, series)
    for name, table in made.items():
        write_csv(table, Path(out) / f"run_by_run{name}.csv")
    counts = found["verdict"][found["randomness"] == RELEASE].value_counts()
    print("; ".join(f"{verdict}: {counts.get(verdict, 0)}" for verdict in VERDICTS))


def finished(folder: Path | str | None) -> DataFrame:
    """Runs of a folder of tables, trained as published; none without a folder."""
    columns = ["condition", "epsilon", "config", "test_acc"]
    if folder is None:
        return pd.DataFrame(columns=columns).astype({"epsilon": float, "test_acc": float})
    return as_published(read_runs(folder))[columns]


def compare(theirs: DataFrame, series: Mapping[str, DataFrame]) -> tuple[DataFrame, DataFrame]:
    """Every way to judge (`JUDGED`) at every published epsilon, for every series of runs.

    Parameters
    ----------
    theirs : DataFrame of the published runs (`published.as_runs`)
    series : mapping of `SERIES` to DataFrames of runs with condition, epsilon, config and test_acc (%)

    Returns
    -------
    tuple of DataFrames
        points, a row per series, way to judge, epsilon and point: point, config, odds (`assign`), published, here (%);
        agreement, a row per series, way to judge and epsilon: near_ties (points), at_chance (published runs, which
        judge nothing), the entries of `agreement` and `expected`, p_nearer (one-sided signed-rank test of the
        differences against those of own random numbers), verdict
    """
    rows, found = [], []
    for epsilon in sorted(theirs["epsilon"].unique()):
        for by, judged in JUDGED:
            points = together(theirs, epsilon, (*by, judged))
            usual, matched = expected(points, by, judged), {}
            for name, runs in series.items():
                key = {"randomness": name, "by": " and ".join(by), "judged": judged, "epsilon": epsilon}
                ours = together(runs, epsilon, (*by, judged), len(points))
                if len(ours):
                    matched[name] = match(points, ours, by, judged)
                    rows.append(matched[name].assign(**key))
                found.append(key | usual | judge(matched.get(name), usual))
            found[-len(series) :] = against_own(found[-len(series) :], matched)
    columns = ["randomness", "by", "judged", "epsilon", "point", "config", "odds", "published", "here"]
    return pd.concat([pd.DataFrame(columns=columns), *rows])[columns], pd.DataFrame(found)


def match(points: DataFrame, ours: DataFrame, by: Sequence[str], judged: str) -> DataFrame:
    """Points with the configurations that are assigned to them: DataFrame point, config, odds, published, here."""
    chosen, odds = assign(points[[*by]], ours[[*by]], [NOISE[condition] for condition in by])
    here = ours.iloc[chosen]
    columns = {"point": points.index % 1000, "config": here.index, "odds": odds}
    return pd.DataFrame(columns | {"published": points[judged].to_numpy(), "here": here[judged].to_numpy()})


def assign(theirs: ArrayLike, ours: ArrayLike, noise: ArrayLike) -> tuple[NDArray[np.intp], FloatArray]:
    """Give every published point the configuration that makes the whole most likely, each configuration once.

    With normal noise this is the assignment of the smallest sum of squares; by one condition it sorts both sides.

    Parameters
    ----------
    theirs, ours : (n, k) arrays, accuracies (%) of n points and of n configurations under k conditions; a published run
        at chance says nothing of its point
    noise : (k,), standard deviations (points)

    Returns
    -------
    tuple
        (n,) positions in `ours`; (n,) odds: how many times as likely the assignment is as the best one that gives this
        point another configuration
    """
    cost = minus_log_likelihood(theirs, ours, noise)
    points, chosen = optimize.linear_sum_assignment(cost)
    best, odds = cost[points, chosen].sum(), np.full(len(cost), np.inf)
    for i in points if len(points) > 1 else []:
        other = cost.copy()
        other[i, chosen[i]] = np.inf
        second = other[points, optimize.linear_sum_assignment(other)[1]].sum()
        odds[i] = np.exp(min(second - best, 700))
    return chosen, odds


def minus_log_likelihood(theirs: ArrayLike, ours: ArrayLike, noise: ArrayLike) -> FloatArray:
    """(n, n): of every point (row) being a run of every configuration (column); arguments as of `assign`."""
    theirs, ours = np.asarray(theirs, float)[:, None], np.asarray(ours, float)[None]
    return np.where(theirs > CHANCE, ((theirs - ours) / noise) ** 2 / 2, 0).sum(axis=2)


def agreement(theirs: ArrayLike, ours: ArrayLike) -> dict[str, Any]:
    """How near accuracies are, run by run, and how near they are by chance: with the configurations in random order.

    Parameters
    ----------
    theirs, ours : (n,) arrays (%), matched

    Returns
    -------
    dict
        n; median_difference (of the absolute differences, points), within_0.1 and within_0.25 (shares of the runs), and
        with the prefix ``chance_`` their means over random orders; p_chance, how often these have as small a median;
        rank_correlation
    """
    theirs, ours = np.asarray(theirs, float), np.asarray(ours, float)
    orders = np.random.default_rng(0).permuted(np.tile(ours, (PERMUTATIONS, 1)), axis=1)
    here, chance = (np.abs(theirs - values).round(6) for values in (ours, orders))  # accuracies have two decimals
    medians, found = np.median(chance, axis=1), {"n": len(here), "median_difference": np.median(here)}
    found |= {f"within_{limit}": (here <= limit).mean() for limit in WITHIN}
    found |= {"rank_correlation": tests.spearmanr(theirs, ours).statistic, "chance_median_difference": medians.mean()}
    found |= {f"chance_within_{limit}": (chance <= limit).mean() for limit in WITHIN}
    return found | {"p_chance": (1 + (medians <= found["median_difference"]).sum()) / (1 + PERMUTATIONS)}


def expected(points: DataFrame, by: Sequence[str], judged: str) -> dict[str, float]:
    """Median difference (points) that a way to judge finds where the runs here are the published ones with `NOISE`.

    Published runs at chance stand for runs that end anywhere here: their accuracies are drawn from the others'.

    Returns
    -------
    dict: expected_low, expected_median, expected_high, the `QUANTILES` of simulations
    """
    rng, medians, conditions = np.random.default_rng(0), [], [*by, judged]
    theirs, noise = points[conditions].to_numpy(), np.array([NOISE[condition] for condition in conditions])
    judges = theirs[:, -1] > CHANCE
    for _ in range(SIMULATIONS):
        ours = theirs.copy()
        for column in ours.T:
            lost = column <= CHANCE
            column[lost] = rng.choice(column[~lost], lost.sum())
        ours = (ours + rng.normal(size=ours.shape) * noise).round(2)
        cost = minus_log_likelihood(theirs[:, :-1], ours[:, :-1], noise[:-1])
        chosen = optimize.linear_sum_assignment(cost)[1]
        medians.append(np.median(np.abs(theirs[:, -1] - ours[chosen, -1])[judges]))
    names = ("expected_low", "expected_median", "expected_high")
    return dict(zip(names, np.quantile(medians, QUANTILES).round(4), strict=True))


def judge(matched: DataFrame | None, usual: dict[str, float]) -> dict[str, Any]:
    """What one way to judge finds, with its verdict: runs are met if their median difference is as expected of them."""
    if matched is None:
        return {"verdict": "not computed"}
    judges = matched["published"] > CHANCE
    counts = {"near_ties": int((matched["odds"] < NEAR_TIE).sum()), "at_chance": int((~judges).sum())}
    found = counts | agreement(*matched.loc[judges, ["published", "here"]].to_numpy().T)
    return found | {"verdict": "met" if found["median_difference"] <= usual["expected_high"] else "not met"}


def against_own(found: list[dict[str, Any]], matched: dict[str, DataFrame]) -> list[dict[str, Any]]:
    """Rows of all series with how the release's differences compare with those of own random numbers.

    Where own random numbers meet the published runs, too, or are not computed, nothing follows from the release's.
    """
    rows = {row["randomness"]: row for row in found}
    if RELEASE in matched:
        release = rows[RELEASE]
        if OWN in matched:
            judges = matched[RELEASE]["published"] > CHANCE
            near, far = (np.abs(m["published"] - m["here"]).round(6)[judges] for m in (matched[RELEASE], matched[OWN]))
            release["p_nearer"] = tests.wilcoxon(near, far, alternative="less").pvalue if any(near != far) else 1.0
        if release["verdict"] == "met" and rows.get(OWN, {}).get("verdict") != "not met":
            release["verdict"] = "cannot tell"
    return list(rows.values())
