"""Are the I-Norm runs that collapse here the published ones? Points of the published figures get configurations first.

The configurations come from LN+ and GradNorm of the reproduction, which were published for the same points
(`run_by_run.assign`); no I-Norm run takes part. Predictions are in paper_artifact/predictions_same_runs.md.
"""

from typing import Any

import numpy as np
import pandas as pd
from pandas import DataFrame, Series
from scipy import stats

from . import distributions, run_by_run
from .collapses import PUBLISHED_WAY
from .selection import CHANCE, as_published

BY, JUDGED = ("e_only_ln", "gradnorm_full"), "inorm"
LEVEL = 0.05


def same_runs(theirs: DataFrame, float32: DataFrame, casts: DataFrame, epsilon: float) -> dict[str, Any]:
    """Runs of I-Norm with the release's casts against the published ones of the same configurations.

    Parameters
    ----------
    theirs : DataFrame of the published runs (`published.as_runs`)
    float32 : DataFrame, table "runs" of the reproduction
    casts : DataFrame, table "runs" of the preset collapse
    epsilon : of the runs

    Returns
    -------
    dict
        Empty where a cell is incomplete. points, near_ties (points whose configuration is uncertain), published, here
        and both (numbers of runs at chance), by_chance (what both would be), p (Fisher's exact test, one-sided);
        by_chance_at_rates and p_at_rates (`at_equal_rates`); the entries of `run_by_run.agreement` for the runs above
        chance on both sides; R1 and R2: met, or not met.
    """
    points = distributions.together(theirs, epsilon, (*BY, JUDGED))
    own = casts[(casts["variant"] == PUBLISHED_WAY) & (casts["condition"] == JUDGED)]
    ours = pd.concat([as_published(float32).query("condition in @BY"), own])
    ours = distributions.together(ours, epsilon, (*BY, JUDGED), len(points))
    if not len(points) or len(ours) < len(points):
        return {}
    matched = run_by_run.match(points, ours, BY, JUDGED)
    lost = {side: matched[side] <= CHANCE for side in ("published", "here")}
    counts = {side: int(chosen.sum()) for side, chosen in lost.items()}
    found: dict[str, Any] = {"points": len(matched), **counts}
    found |= {"near_ties": int((matched["odds"] < run_by_run.NEAR_TIE).sum())}
    found |= {"both": int((lost["published"] & lost["here"]).sum())}
    found |= {"by_chance": counts["published"] * counts["here"] / len(matched)}
    table = pd.crosstab(*lost.values()).reindex(index=[True, False], columns=[True, False], fill_value=0)
    found |= {"p": float(stats.fisher_exact(table, alternative="greater").pvalue)}
    rates = matched["config"].map(float32.drop_duplicates("config").set_index("config")["lr"])
    found |= at_equal_rates(lost["published"], lost["here"], rates >= rates.median())
    above = matched[~lost["published"] & ~lost["here"]]
    found |= run_by_run.agreement(above["published"], above["here"])
    kept = {"R1": found["p"] < LEVEL, "R2": found["p_chance"] >= LEVEL}
    return found | {name: "met" if holds else "not met" for name, holds in kept.items()}


def at_equal_rates(published: Series, here: Series, high: Series) -> dict[str, float]:
    """How many runs would be at chance on both sides if only the half of the learning rates counted.

    High rates collapse on both sides, so that some overlap says nothing about single runs.

    Parameters
    ----------
    published, here : Series of bool, whether each run is at chance
    high : Series of bool, whether its learning rate is in the upper half

    Returns
    -------
    dict
        by_chance_at_rates; p_at_rates, how often random orders within both halves have as many on both sides
    """
    chances, mean = np.ones(1), 0.0
    for half in (high, ~high):
        n, k, m = int(half.sum()), int(published[half].sum()), int(here[half].sum())
        chances = np.convolve(chances, stats.hypergeom.pmf(range(n + 1), n, k, m))
        mean += k * m / n if n else 0
    return {"by_chance_at_rates": mean, "p_at_rates": float(chances[int((published & here).sum()) :].sum())}
