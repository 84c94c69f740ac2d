"""Is an effect that of the last epoch only? Effects of single epochs, and of the mean accuracy over the last ten.

The release draws new test shifts at every evaluation, and I-Norm networks see other shifts than E and E-I networks
(`release_randomness`). So at a large epsilon one draw moves all runs of a condition together, and a difference between
conditions changes from epoch to epoch by more than its interval says, which is about configurations. The published
values are those of one epoch, the last.
"""

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import pandas as pd
from pandas import DataFrame, Series

from ..conditions import CONDITIONS
from ..records import tables
from ..records.archive import read_runs_and_settings
from ..runtime import write_csv
from . import published, stats
from .completeness import incomplete_cells
from .judging import missing_runs
from .published import Values
from .published_effects import published_effect
from .run_by_run import SERIES
from .selection import as_published
from .statements import Rules, Statement, load_rules

LAST = 10  # epochs over which a run's accuracy is averaged
SHOWN = 30  # epochs whose effects are written, the last ones
RUN = ["config", "seed"]  # what matched runs share
NAMED = ["randomness", "id", "x", "y", "epsilon"]
EFFECT = ("effect", "low", "high")
COLUMNS = {
    "effects_by_epoch": [*NAMED, "epoch", *EFFECT],
    "late_effects": [*NAMED, *(f"{when}{name}" for when in ("published_", "", "late_") for name in EFFECT), "spread"],
}


def write(
    folders: Mapping[str, Path | str | None], rules_path: Path | str, published_folder: Path | str, out: Path | str
) -> None:
    """Write late_effects.csv and effects_by_epoch.csv (`COLUMNS`) to a folder.

    Parameters
    ----------
    folders : mapping of `run_by_run.SERIES` to a folder of tables, or to None where there is none
    rules_path, published_folder : claims.yaml, folder of the published values
    out : folder

    Raises
    ------
    UserError
        If a table, the rules or the published values cannot be read.
    """
    rules, values = load_rules(rules_path), published.load(published_folder)
    made: dict[str, list[dict[str, Any]]] = {file: [] for file in COLUMNS}
    for name in SERIES:
        folder = folders.get(name)
        for file, rows in of_folder(folder, rules, values).items() if folder else ():
            made[file] += [{"randomness": name} | row for row in rows]
    for file, rows in made.items():
        write_csv(pd.DataFrame(rows, columns=COLUMNS[file]), Path(out) / f"{file}.csv")
    print(f"{len(made['late_effects'])} effects")


def of_folder(folder: Path | str, rules: Rules, values: Values) -> dict[str, list[dict[str, Any]]]:
    """The rows of both files (`COLUMNS`) from a folder of tables; they do not say whose the random numbers are."""
    runs, settings = read_runs_and_settings(folder)
    incomplete = [cell for cell in incomplete_cells(runs, settings) if cell["variant"] == "paper"]
    epochs = as_published(tables.read(Path(folder) / "epochs.parquet", "epochs"))
    runs, found = as_published(runs), dict[str, list[dict[str, Any]]]({file: [] for file in COLUMNS})
    for statement in distinct(rules.statements):
        if missing_runs(statement, rules, runs, incomplete):
            continue
        key = {"id": statement.id, "x": statement.x, "y": statement.y, "epsilon": statement.epsilon}
        x, y = (accuracies(runs, epochs, condition, statement.epsilon) for condition in statement.conditions)
        differences = (x - y).dropna()
        theirs = named("published_", published_effect(statement, values, "all"))
        found["late_effects"].append(key | theirs | late(differences))
        found["effects_by_epoch"] += [key | {"epoch": epoch} | effect(differences[epoch]) for epoch in differences]
    return found


def distinct(statements: Iterable[Statement]) -> list[Statement]:
    """Statements on a difference of test accuracy at one epsilon, the first of those on equal conditions.

    Without the lambda sweep, whose best lambda would be another in every epoch.
    """
    asked = [
        s for s in statements
        if (s.of, s.metric) == ("difference", "test_acc") and s.epsilon != "pooled"
        and all(len(CONDITIONS[condition].lambdas) == 1 for condition in s.conditions)
    ]  # fmt: skip
    return list({(s.x, s.y, s.epsilon): s for s in reversed(asked)}.values())[::-1]


def accuracies(runs: DataFrame, epochs: DataFrame, condition: str, epsilon: float | str) -> DataFrame:
    """Test accuracies (%) of a cell, a row per run and a column per epoch, the last `SHOWN`.

    A run that has collapsed keeps the accuracy that it ended with, 10 %.
    """
    here, courses = (rows[(rows["condition"] == condition) & (rows["epsilon"] == epsilon)] for rows in (runs, epochs))
    last = int(here["epochs"].max())
    wide = courses.pivot(index=RUN, columns="epoch", values="test_acc")
    wide = wide.reindex(columns=range(max(1, last - SHOWN + 1), last + 1))
    return wide.T.fillna(here.set_index(RUN)["test_acc"]).T


def late(differences: DataFrame) -> dict[str, float]:
    """Effects of paired differences of accuracy, a row per pair and a column per epoch.

    Returns
    -------
    dict
        effect, low, high (points), at the last epoch; late_effect, late_low, late_high, of the means over the last
        epochs (`LAST`); spread, the standard deviation of the effect over these epochs
    """
    last = differences.iloc[:, -LAST:]
    spread = pd.Series([effect(last[epoch])["effect"] for epoch in last]).std()
    return effect(last.iloc[:, -1]) | named("late_", effect(last.mean(axis=1))) | {"spread": spread}


def effect(differences: Series) -> dict[str, float]:
    """Effect, low and high of paired differences, as `effects.estimate` of paired runs."""
    return dict(zip(EFFECT, stats.walsh(differences), strict=True))


def named(prefix: str, found: Mapping[str, float]) -> dict[str, float]:
    """Effect, low and high under names with a prefix."""
    return {f"{prefix}{name}": found[name] for name in EFFECT}
