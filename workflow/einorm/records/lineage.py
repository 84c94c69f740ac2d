"""Lineage of training code: which fingerprints (`codes.training_code`) stand for the results of today's code.

The table `lineage.csv` holds one proof per row, made by `python -m einorm lineage COMMIT` (`lineage_proof`) and by
nothing else: the training code `code` of a condition and task, at `commit`, gives the results of `same_as`, which was
today's at that time. There are two kinds of proof:

- equal: every number is equal, bit for bit, in float32
- rounding: another order of operations; float32 differs, float64 agrees to 1e-9, the golden vectors pass

The steps that train on a GPU (`codes.STEPS`) are of the second kind, too: there tests/test_fused.py is the proof.
Proofs chain. Runs of both kinds count as finished, but a cell never mixes codes that round differently.
"""

import csv
from collections.abc import Iterable
from functools import cache
from pathlib import Path
from typing import Any

from pandas import DataFrame

from ..runtime import PACKAGE, UserError
from ..variants import PAPER, how, specification
from .codes import STEPS, code_of
from .runs import Run, cell_folder
from .tables import commits

Proofs = list[dict[str, str]]  # rows of the table
TABLE = PACKAGE / "lineage.csv"
COLUMNS = ("condition", "task", "code", "same_as", "kind", "commit", "note")
#: How the code of a run relates to today's, in words: "its code ...".
RELATIONS = {
    "today": "is today's",
    "equal": "gives today's results, bit for bit (proved)",
    "rounding": "differs from today's in rounding only (proved)",
    "other": "is older; it is not known to give today's results",
}
CODE_CELL = ("task", "variant", "randomness", "condition", "epsilon")


def entries(path: Path | str = TABLE) -> Proofs:
    """Rows of the table, a dict of `COLUMNS` each, in the order in which they were proved."""
    with open(path, encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file))


@cache
def _table() -> Proofs:
    return entries()


def equal_codes(code: str, table: Proofs | None = None) -> list[str]:
    """All fingerprints that stand for exactly the same results as `code`, itself included, the earliest first."""
    proofs = [row for row in (_table() if table is None else table) if row["kind"] == "equal"]
    return linked_codes(code, proofs)


def counting_codes(run: Run, table: Proofs | None = None) -> list[list[str]]:
    """Fingerprints whose runs count today, of the cell of a run.

    Parameters
    ----------
    run : dict with condition and task, and variant and randomness where they are not the defaults (`runs.cell_runs`)

    Returns
    -------
    list of lists
        Classes of equal fingerprints: today's on a CPU and on a GPU first, then those that differ from it in rounding.
        For variants in another precision there is only today's: a proof of the kind rounding says nothing of them.
    """
    table, today = (_table() if table is None else table), code_of(run)
    classes = [equal_codes(code_of(run, step), table) for step in STEPS]
    if how(specification(run.get("variant", "paper")))["precision"] == PAPER["precision"]:
        for code in linked_codes(today, table):
            if not any(code in known for known in classes):
                classes.append(equal_codes(code, table))
    return classes


def representative(run: Run, step: str = "plain") -> str:
    """One name for all fingerprints equal to a run's of today, the earliest: proved changes make no job run again."""
    return equal_codes(code_of(run, step))[0]


def choose_rows(rows: DataFrame, wanted: Iterable[str], classes: list[list[str]]) -> DataFrame:
    """Finished rows of a cell that count: of one class of fingerprints, so that no cell mixes roundings.

    Parameters
    ----------
    rows : DataFrame with columns digest and code
    wanted : digests of the cell's runs
    classes : `counting_codes`

    Returns
    -------
    DataFrame
        The rows of the first class that has every run of the cell; if none has, those of today's class.
    """
    for codes in classes:
        chosen = rows[rows["code"].isin(codes)]
        if set(wanted) <= set(chosen["digest"]):
            return chosen
    return rows[rows["code"].isin(classes[0])]


def of_cells(runs: DataFrame) -> list[dict[str, Any]]:
    """Which code trained which cell, and how it relates to today's.

    Parameters
    ----------
    runs : DataFrame, table "runs"

    Returns
    -------
    list of dict
        For every cell and each of its codes: task, variant, randomness, condition, epsilon, code, commits (of the runs,
        or of a proof), runs (number), and relation: "today", "equal", "rounding", or "other" where nothing is known.
    """
    of_proofs = {row["code"]: row["commit"] for row in _table()}
    rows = []
    for names, part in runs.groupby([*CODE_CELL, "code"], sort=False):
        cell, code = dict(zip(CODE_CELL, names[:-1], strict=True)), names[-1]
        found = commits(part) or list(filter(None, [of_proofs.get(code)]))
        rows.append(cell | {"code": code, "commits": found, "runs": len(part), "relation": relation(cell, code)})
    return rows


def relation(run: Run, code: str) -> str:
    """How a fingerprint relates to today's of a run's cell: "today", "equal", "rounding" or "other"."""
    if code == code_of(run):
        return "today"
    equal, *others = counting_codes(run)
    if code in equal:
        return "equal"
    return "rounding" if any(code in codes for codes in others) else "other"


def check_unmixed(rows: DataFrame) -> None:
    """Raise UserError where a cell's rows (columns `CODE_CELL` and code) mix unequal codes."""
    for cell, codes in rows.groupby([*CODE_CELL])["code"]:
        if len({equal_codes(code)[0] for code in codes.unique()}) > 1:
            task, variant, randomness, condition, epsilon = cell
            run = {"task": task, "condition": condition, "epsilon": epsilon}
            run |= {"variant": variant} if variant != "paper" else {}
            run |= {"randomness": randomness} if randomness != "own" else {}
            raise UserError(
                f"runs of {condition} at epsilon {epsilon:g} ({variant}, {task}) were trained by codes that round "
                f"differently ({', '.join(sorted(codes.unique()))}): delete results/runs/{cell_folder(run)} to "
                "train them again, or run without reuse_archive"
            )


def linked_codes(code: str, proofs: Proofs) -> list[str]:
    """Fingerprints that a chain of proofs links to `code`, in the order of the table; `code` alone without a proof."""
    found, grown = {code}, True
    while grown:
        linked = {row[end] for row in proofs for end in ("code", "same_as") if found & {row["code"], row["same_as"]}}
        grown = not linked <= found
        found |= linked
    order = dict.fromkeys(row[end] for row in proofs for end in ("code", "same_as"))
    return [known for known in order if known in found] or [code]
