"""Proofs for `lineage`: an earlier commit and today's code train the same runs, and every number is compared.

Three networks of unlike widths per condition, task and variant learn real images for some two hundred steps, with
evaluation and metrics, in one thread; a further case has learning rates so high that layers fall silent and runs
collapse. What differs in float32 is trained again in float64, to tell another order of operations from another rule.
"""

import csv
import io
import itertools
import json
import os
import pickle
import subprocess
import sys
import tarfile
import tempfile
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from ..conditions import CONDITIONS
from ..records import lineage
from ..records.codes import code_of
from ..records.runs import RANDOMNESS, Run, cell_runs
from ..runtime import PACKAGE, PROJECT, UserError, atomic_path
from ..settings import Settings
from ..tasks import TASKS
from ..variants import how, specification, trained

Cases = dict[str, list[Run]]  # what is trained, by name
Outcome = tuple[str, str]  # of a proof: its kind, empty where it is refused, and a note
CONFIGS = [97, 39, 8]  # 111, 128 and 197 hidden units
EPOCHS, TRAIN_IMAGES, TEST_IMAGES = 2, 3208, 500  # 202 steps, the last of an epoch on 8 images
EXTREME = (30, 100, 1000)  # times the learning rate: silent layers, collapses
TOLERANCE = 1e-9  # of float64
SILENT = "alignments of silent layers: NaN then, 0 now"


def prove_and_enter(
    commit: str,
    images: Path | str,
    conditions: Iterable[str] | None = None,
    epochs: int = EPOCHS,
    table: Path | str = lineage.TABLE,
) -> int:
    """Compare a commit's training code with today's and enter what is proved in the table.

    Parameters
    ----------
    commit : git's name of the commit
    images : path of the prepared images (`data.prepare`)
    conditions : ids to look at; None: all that today's code and the commit's have
    epochs : of every run
    table : path of lineage.csv

    Returns
    -------
    int
        Number of conditions that are refused; a line per condition is printed.

    Raises
    ------
    UserError
        If the commit or the images are not there, or the commit's code cannot be run.
    """
    if not Path(images).is_file():
        raise UserError(f"{images} is missing: make it with snakemake {images}, or name another with --images")
    proved = refused = 0
    with tempfile.TemporaryDirectory() as folder:
        full = check_out(commit, Path(folder))
        trees = (Path(folder) / "workflow", PACKAGE.parent)
        then, now = (codes for codes, _ in drive(trees, {}, images))
        for condition in CONDITIONS if conditions is None else conditions:
            known = lineage.entries(table)
            keys = [key for key in now if key in then and key.split()[0] == condition]
            keys = [key for key in keys if then[key] not in lineage.linked_codes(now[key], known)]
            rows = []
            for key, (kind, note) in compare(trees, keys, images, epochs).items():
                _, task, randomness, precision = key.split()
                verdict = (f"is {kind}" if kind else "REFUSED") + (f": {note}" if note else "")
                name = f"{condition} on {task}, {randomness} random numbers, precision {precision}"
                print(f"{name}: {then[key]} {verdict}", flush=True)
                row = (condition, task, then[key], now[key], kind, full[:12], note)
                rows += [dict(zip(lineage.COLUMNS, row, strict=True))] if kind else []
                refused += not kind
            if rows:
                enter([*known, *rows], table)
            proved += len(rows)
    print(f"{commit}: {proved} entered, {refused} refused, the others have today's code")
    return refused


def check_out(commit: str, folder: Path) -> str:
    """Unpack the package of a commit into a folder; the commit's full name. Raises UserError if there is none."""

    def git(*arguments: str) -> subprocess.CompletedProcess[bytes]:
        return subprocess.run(["git", "-C", str(PROJECT), *arguments], capture_output=True)

    found = git("rev-parse", "--verify", "--quiet", f"{commit}^{{commit}}")
    if found.returncode:
        raise UserError(f"{commit} is no commit of the git repository in {PROJECT}: name one of `git log`")
    name = found.stdout.decode().strip()
    packed = git("archive", "--format=tar", name, "workflow/einorm")
    if packed.returncode:
        raise UserError(f"{commit} holds no workflow/einorm: name a later commit")
    with tarfile.open(fileobj=io.BytesIO(packed.stdout)) as tar:
        tar.extractall(folder, filter="data")
    return name


def cases_of(key: str, epochs: int, double: bool) -> Cases:
    """Runs to train for a condition, task, randomness and precision, by variant: name -> run specifications."""
    condition, task, randomness, precision = key.split()
    ways = {tuple(how(specification(v)).items()): v for v in reversed(trained())}  # seeds are no other way to train
    first, *others = [v for v in reversed(ways.values()) if how(specification(v))["precision"] == precision]
    cases = {}
    for variant in [first, *others] if (task, randomness) == ("luminosity", "own") else [first]:
        held_out = how(specification(variant))["validation_images"]
        science: dict[str, Any] = {
            "conditions": [condition], "epsilons": [0.75], "configs": CONFIGS, "epochs": epochs,
            "randomness": randomness,
            "train_images": TRAIN_IMAGES + held_out, "test_images": max(TEST_IMAGES, held_out),
        }  # fmt: skip
        cases[variant] = cell_runs(Settings(**science), task, variant, condition, 0.75)[: len(CONFIGS)]
    # in float64 without the highest rate and for one epoch: there rounding grows beyond any tolerance
    changes = [{"lr": run["lr"] * factor} for run, factor in zip(cases[first], EXTREME, strict=True)]
    changes = [change | {"epochs": 1} for change in changes[:-1]] if double else changes
    cases["extreme"] = [run | change for run, change in zip(cases[first], changes, strict=False)]
    return {f"{key} {name}": runs for name, runs in cases.items()}


def compare(trees: Sequence[Path], keys: list[str], images: Path | str, epochs: int) -> dict[str, Outcome]:
    """What the proofs say: "condition task randomness precision" -> (kind or "", note).

    What the casts to float16 round is no matter of float64: in the release's precision there is the kind equal only.
    """
    outcomes: dict[str, Outcome] = {}
    for double, kind in ((False, "equal"), (True, "rounding")):
        left = [key for key in keys if not outcomes.get(key, ("", ""))[0] and not (double and key.endswith(" release"))]
        cases = {name: runs for key in left for name, runs in cases_of(key, epochs, double).items()}
        if not cases:
            break
        then, now = (rows for _, rows in drive(trees, cases, images, double))
        for key in left:
            names = [name for name in cases if name.startswith(f"{key} ")]
            found = [difference(name, then[name], now[name], double) for name in names if name in then]
            reasons = [reason for reason, _ in found if reason]
            notes = dict.fromkeys(note for _, note in found if note)
            outcomes[key] = ("", reasons[0]) if reasons else (kind, "; ".join(notes))
    return {key: golden_too(key, outcome) for key, outcome in outcomes.items()}


def golden_too(key: str, outcome: Outcome) -> Outcome:
    """The outcome; a proof of rounding holds only where today's code still meets the golden vectors."""
    from .golden import TOLERANCE as LIMIT
    from .golden import replay

    path = PROJECT / "tests" / "golden" / f"{key.split()[0]}.npz"
    if outcome[0] != "rounding" or not path.exists():
        return outcome
    worst = max(replay(path).values())
    return outcome if worst <= LIMIT else ("", f"today's code misses its golden vector by {worst:.1e}")


def drive(
    trees: Sequence[Path], cases: Cases, images: Path | str, double: bool = False
) -> list[tuple[dict[str, str], dict[str, Any]]]:
    """Train cases with the package of each folder, side by side; a list of (fingerprints, case -> rows) for each.

    Raises UserError if the code of a folder cannot be run.
    """
    with tempfile.TemporaryDirectory() as folder:
        plan = {"images": str(Path(images).resolve()), "cases": cases, "double": double}
        plan |= {"syntax": str(PACKAGE / "runtime.py")}
        (Path(folder) / "plan.json").write_text(json.dumps(plan), encoding="utf-8")
        driver = [sys.executable, "-P", str(PACKAGE / "tools" / "lineage_driver.py"), f"{folder}/plan.json"]
        processes = [
            subprocess.Popen(
                [*driver, f"{folder}/{i}"], env=environment(tree), stderr=subprocess.PIPE, encoding="utf-8"
            )
            for i, tree in enumerate(trees)
        ]
        errors = [process.communicate()[1] for process in processes]
        for process, error, tree in zip(processes, errors, trees, strict=True):
            if process.returncode:
                raise UserError(f"the code in {tree} cannot be run: {error.strip().splitlines()[-1]}")
        results = [pickle.loads((Path(folder) / str(i)).read_bytes()) for i in range(len(trees))]
    return [(result["codes"], result["rows"]) for result in results]


def environment(tree: Path) -> dict[str, str]:
    """Environment of a driver that imports the package in this folder."""
    return os.environ | {"PYTHONPATH": str(tree), "OMP_NUM_THREADS": "1", "MKL_NUM_THREADS": "1"}


def difference(name: str, then: Any, now: Any, double: bool) -> Outcome:
    """The first difference of two tables of a case in words, empty where there is none, and a note on what is allowed.

    Where the commit does not know a case, there is nothing to compare: no run of its code can be of that kind.
    """
    if isinstance(then, str):
        return "", ""
    note = ""
    for column in [name for name in now if name in then]:  # columns that have been added or renamed are no results
        a, b = then[column].to_numpy(), now[column].to_numpy()
        if not np.issubdtype(b.dtype, np.floating):
            wrong = a != b
        else:
            limit = TOLERANCE * np.maximum(1, np.abs(a)) if double else 0
            with np.errstate(invalid="ignore"):
                wrong = ~((np.abs(a - b) <= limit) | (a == b) | (np.isnan(a) & np.isnan(b)))
            silent = np.isnan(a) & (b == 0) & ("alignment" in column)
            note = SILENT if silent.any() else note
            wrong &= ~silent
        if wrong.any():
            row = now.iloc[int(wrong.argmax())]
            where = f"{name}, configuration {row['config']}, epoch {row['epoch']}"
            return f"{where}: {column} is {b[wrong][0]!r}, was {a[wrong][0]!r}", ""
    return "", note


def enter(rows: Iterable[dict[str, str]], table: Path | str = lineage.TABLE) -> None:
    """Write the table of proofs."""
    text = io.StringIO()
    writer = csv.DictWriter(text, lineage.COLUMNS, lineterminator="\n")
    writer.writeheader()
    writer.writerows(rows)
    with atomic_path(table) as temporary:
        temporary.write_text(text.getvalue(), encoding="utf-8")


def print_lineage() -> None:
    """Print which fingerprints count today, per condition and task."""
    commits = {row["code"]: row["commit"] for row in lineage.entries()}
    for randomness, task, condition in itertools.product(RANDOMNESS, TASKS, CONDITIONS):
        run = {"condition": condition, "task": task, "randomness": randomness}
        today = code_of(run)
        others = [code for codes in lineage.counting_codes(run) for code in codes if code != today]
        listed = [f"{code} ({lineage.relation(run, code)}, commit {commits.get(code, '?')})" for code in others]
        print(f"{condition:21} {task:10} {randomness:7} " + "; ".join([f"{today} (today)", *listed]))
