"""Three answers to every statement of claims.yaml, side by side: reproduction, replication, robustness.

Reproduction and replication are judged by the rules. Robustness has no verdict, since its runs are few and short. It
says whether a statement gets the same answer when one thing about the training is changed.
"""

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from pandas import DataFrame

from ..records.archive import published_numbers, read_runs_and_settings
from ..runtime import UserError, write_csv
from ..settings import Settings
from . import published
from .claims import judged
from .completeness import incomplete_cells
from .effects import estimate, groups_of, method_of
from .judging import missing_runs, outside, within
from .published import Values
from .same_size import compare_sizes
from .selection import as_published, of_task
from .statements import Rules, Statement, load_rules

Folders = Mapping[str, Path | str | None]  # of tables; None: there is none
Change = tuple[str, DataFrame, DataFrame, Settings]  # a changed way to train, see `ways`
FILE = "side_by_side.csv"
KINDS = ("reproduction", "replication")
SHOWN = ("verdict", "reason", "effect", "low", "high", "size_verdict")
NOTHING = dict.fromkeys(SHOWN, np.nan) | {"verdict": "not computed", "size_verdict": "not computed"}
NO_ARCHIVE = "there are no runs yet"
COLUMNS = ["id", "claim", "text", "published_effect", "published_low", "published_high"]
COLUMNS += [f"{kind}_{name}" for kind in KINDS for name in SHOWN] + ["ways", "unchanged", "short", "changed"]


def write(
    folders: Folders,
    robustness_folders: Iterable[Path | str],
    rules_path: Path | str,
    published_folder: Path | str,
    out: Path | str,
) -> None:
    """Write the answers (`side_by_side`) to side_by_side.csv in a folder.

    Parameters
    ----------
    folders : mapping of `KINDS` to a folder of tables, or to None where there is none
    robustness_folders : folders of the tables of presets robustness_*
    rules_path, published_folder : claims.yaml, folder of the published values
    out : folder of side_by_side.csv

    Raises
    ------
    UserError
        If a table, the rules or the published values cannot be read.
    """
    table = answers(load_rules(rules_path), published.load(published_folder), folders, robustness_folders)
    write_csv(table, Path(out) / FILE)
    for kind in KINDS:
        counts = table[f"{kind}_verdict"].value_counts()
        print(f"{kind}: " + ", ".join(f"{count} {verdict}" for verdict, count in counts.items()))


def answers(rules: Rules, values: Values, folders: Folders, robustness_folders: Iterable[Path | str]) -> DataFrame:
    """The table of `side_by_side` from folders of tables, as of `write`; values: `published.load`."""
    judgements = {kind: judgement(rules, values, folder) for kind, folder in folders.items()}
    changes = [change for folder in robustness_folders for change in ways(*runs_of(folder))]
    return side_by_side(rules, judgements, changes)


def runs_of(folder: Path | str) -> tuple[DataFrame, Settings]:
    """Runs of a folder of tables on the paper's task, and the settings that made them."""
    runs, settings = read_runs_and_settings(folder)
    return of_task(runs), settings


def judgement(rules: Rules, values: Values, folder: Path | str | None) -> dict[str, dict[str, Any]]:
    """Id of a statement -> its verdicts on all runs of a folder of tables; of none where there is no folder."""
    if folder is None:
        return {}
    runs, settings = runs_of(folder)
    incomplete, seed = incomplete_cells(runs, settings), published_numbers(settings.science())
    return {
        statement.id: judged(statement, rules, as_published(runs), incomplete, "all", np.nan)
        | compare_sizes(statement, rules, values, "all", runs, incomplete, seed)
        for statement in rules.statements
    }


def side_by_side(rules: Rules, judgements: Mapping[str, dict[str, dict[str, Any]]], changes: list[Change]) -> DataFrame:
    """A row per statement.

    Parameters
    ----------
    rules : `statements.Rules`
    judgements : mapping of `KINDS` to the verdicts of `judgement`
    changes : list of `ways`, of all archives

    Returns
    -------
    DataFrame
        Columns `COLUMNS`: the published effect; verdict, reason, effect with its 95 % interval and verdict on the size
        of reproduction and replication; ways, how many changed ways to train have the runs that the statement needs;
        unchanged, in how many of them its answer is that of the paper's way, trained as short; short, the answers of
        the paper's way; changed, the others in words
    """
    rows = []
    for statement in rules.statements:
        row = {"id": statement.id, "claim": statement.id.split(".")[0], "text": statement.text}
        for kind in KINDS:
            found = judgements[kind].get(statement.id, NOTHING | {"reason": NO_ARCHIVE})
            row |= {f"{kind}_{name}": found[name] for name in SHOWN}
            row |= {name: value for name, value in found.items() if name in COLUMNS and name not in row}
        rows.append(row | robustness(statement, rules, changes))
    return pd.DataFrame(rows, columns=COLUMNS)


def ways(runs: DataFrame, settings: Settings) -> list[Change]:
    """The changed ways to train of an archive that has the paper's way, too: (name, their runs, its runs, settings)."""
    paper = as_published(runs)
    changed = [name for name in settings.variants if name != "paper"] if len(paper) else []
    return [(name, runs[runs["variant"] == name], paper, settings) for name in changed]


def robustness(statement: Statement, rules: Rules, changes: list[Change]) -> dict[str, Any]:
    """How many ways to train there are for a statement, and which change its answer; see `side_by_side`."""
    answers = []
    for name, changed, paper, settings in changes:
        pair = answer(statement, rules, changed, settings), answer(statement, rules, paper, settings)
        answers += [(name, *pair)] if all(pair) else []
    return {
        "ways": len(answers),
        "unchanged": sum(changed == paper for _, changed, paper in answers),
        "short": " or ".join(dict.fromkeys(paper for *_, paper in answers)),
        "changed": "; ".join(f"{name}: {changed}" for name, changed, paper in answers if changed != paper),
    }


def answer(statement: Statement, rules: Rules, runs: DataFrame, settings: Settings) -> str:
    """What the interval of a statement's effect says in some runs, however short; empty where runs are missing."""
    variants = set(runs["variant"])
    incomplete = [cell for cell in incomplete_cells(runs, settings) if cell["variant"] in variants]
    if missing_runs(statement, rules, runs, incomplete):
        return ""
    groups, pooled = groups_of(statement, runs, "all"), statement.epsilon == "pooled"
    if not all(map(len, groups)):
        return "unclear"
    _, low, high = estimate(groups, method_of(groups, pooled), pooled)
    if within(low, high, statement.holds):
        return "holds"
    return "does not hold" if outside(low, high, statement.holds) else "unclear"


def in_words(row: dict[str, Any]) -> str:
    """The robustness of a statement in words, from its row of `side_by_side`, texts empty where there is none."""
    if not row["ways"]:
        return "not computed"
    same = f"same answer ({row['short']}) in {row['unchanged']} of {row['ways']} ways to train"
    return f"{same}; {row['changed']}" if row["changed"] else same


def read(folder: Path | str) -> list[dict[str, Any]]:
    """Rows of the file that `write` wrote to a folder, as dicts, with the robustness in words.

    Raises UserError if the file is missing.
    """
    try:
        table = pd.read_csv(Path(folder) / FILE, dtype={"short": str, "changed": str})
    except FileNotFoundError:
        raise UserError(f"{Path(folder) / FILE} is missing: make it with snakemake side_by_side") from None
    return as_rows(table)


def as_rows(table: DataFrame) -> list[dict[str, Any]]:
    """Rows of the table of `side_by_side` as dicts, with the robustness in words."""
    rows = table.fillna({"short": "", "changed": ""}).to_dict("records")
    return [row | {"robustness": in_words(row)} for row in rows]
