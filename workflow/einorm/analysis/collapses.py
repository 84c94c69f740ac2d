"""Why published runs collapse: runs with the release's casts, counted and listed beside the published counts."""

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from pandas import DataFrame
from scipy import stats

from ..records.archive import read_runs_and_settings
from ..runtime import write_csv
from ..settings import Settings
from ..variants import COLLAPSE
from . import published
from .completeness import completeness
from .published import Values
from .published_effects import published_at_chance
from .selection import PAPER_TASK, at_chance
from .stats import LEVEL

PUBLISHED_WAY, *_, FIRST_READING = COLLAPSE
RUN_COLUMNS = ("variant", "randomness", "condition", "epsilon", "config", "lr", "lr_wix", "hidden_width", "test_acc",
               "status", "collapsed_step", "collapsed_epoch", "collapsed_in")  # fmt: skip


def write(folder: Path | str, published_folder: Path | str, out: Path | str) -> None:
    """Write collapses.csv (`counts`) and collapsed_runs.csv (`listed`) of the runs in a folder, and print the counts.

    Raises UserError as `tables.read`.
    """
    runs, settings = read_runs_and_settings(folder)
    counted = counts(runs, settings, published.load(published_folder))
    for name, table in (("collapses", counted), ("collapsed_runs", listed(runs, settings))):
        write_csv(table, Path(out) / f"{name}.csv")
    print(counted.to_string(index=False))


def counts(runs: DataFrame, settings: Settings, values: Values) -> DataFrame:
    """Runs at chance of every planned cell with the release's casts, beside the published number.

    Parameters
    ----------
    runs : DataFrame, table "runs"
    settings : Settings that made the table
    values : published values (`published.load`)

    Returns
    -------
    DataFrame
        variant, condition, epsilon; planned, finished, collapsed (loss not finite), at_chance (10 % or less; collapsed
        runs are); published_at_chance, published_runs, and low and high, the 95 % interval of the published share as
        numbers of runs; agrees: "within" or "outside" it, "not computed" where runs are missing or shorter than the
        published ones, empty in variants with other changes. Of these: chance_as_published, the number of finished
        configurations that are at chance with the published way to train; still_at_chance, those that are here, too.
    """
    chance = runs[at_chance(runs)]
    rows = []
    for cell in completeness(runs, settings):
        if cell["variant"] not in COLLAPSE or cell["task"] != PAPER_TASK:
            continue
        names = ["variant", "condition", "epsilon"]
        row = {name: cell[name] for name in (*names, "planned", "finished", "collapsed")}
        theirs, n = published_at_chance(values, cell["condition"], [cell["epsilon"]])
        low, high = share_interval(theirs, n)
        row |= {"at_chance": len(of(chance, *(cell[name] for name in names))), "published_at_chance": theirs}
        row |= {"published_runs": n, "low": low, "high": high}
        if cell["variant"] in (PUBLISHED_WAY, FIRST_READING):
            whole = cell["finished"] >= n and settings.epochs == published.TRAINED["epochs"]
            row["agrees"] = ("within" if low <= row["at_chance"] <= high else "outside") if whole else "not computed"
        else:
            row |= {"agrees": ""} | still_at_chance(runs, chance, *(cell[name] for name in names))
        rows.append(row)
    columns = ["variant", "condition", "epsilon", "planned", "finished", "collapsed", "at_chance",
               "published_at_chance", "published_runs", "low", "high", "agrees", "chance_as_published",
               "still_at_chance"]  # fmt: skip
    return pd.DataFrame(rows, columns=columns).astype(dict.fromkeys(columns[-2:], "Int64"))


def of(runs: DataFrame, variant: str, condition: str, epsilon: float) -> DataFrame:
    """Runs of a cell."""
    return runs[(runs["variant"] == variant) & (runs["condition"] == condition) & (runs["epsilon"] == epsilon)]


def still_at_chance(runs: DataFrame, chance: Any, variant: str, condition: str, epsilon: float) -> Any:
    """Of a variant's finished configurations: how many are at chance as published, and how many of these still are."""
    tried = set(of(runs, variant, condition, epsilon)["config"])
    lost = tried & set(of(chance, PUBLISHED_WAY, condition, epsilon)["config"])
    still = lost & set(of(chance, variant, condition, epsilon)["config"])
    return {"chance_as_published": len(lost), "still_at_chance": len(still)}


def share_interval(k: float, n: float) -> tuple[float, float]:
    """Exact binomial interval (Clopper and Pearson) of a share k / n, as numbers of n runs; NaN where there is no k."""
    if not np.isfinite([k, n]).all():
        return np.nan, np.nan
    interval = stats.binomtest(int(k), int(n)).proportion_ci(LEVEL)
    return n * interval.low, n * interval.high


def listed(runs: DataFrame, settings: Settings) -> DataFrame:
    """All runs with the release's casts, collapsed ones first: columns `RUN_COLUMNS`; collapsed_epoch counts from 1."""
    chosen = runs[runs["variant"].isin(COLLAPSE)]
    steps = -(-settings.train_images // settings.batch_size)
    epoch = (chosen["collapsed_step"] // steps + 1).clip(upper=settings.epochs).where(chosen["collapsed_step"] >= 0)
    order = chosen.assign(collapsed_epoch=epoch.astype("Int64"))
    return order.sort_values(["variant", "condition", "epsilon", "status", "config"])[[*RUN_COLUMNS]]
