"""Archives of finished runs, as they are read: released tables with a manifest that says what made them.

`artifact.archiving` makes them.
"""

import json
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import pandas as pd
import pyarrow.parquet as pq
from pandas import DataFrame

from ..runtime import UserError, checksum
from ..settings import Settings, describe_difference
from ..tasks import PAPER_TASK
from ..variants import QUESTIONS
from . import lineage, provenance, tables
from .runs import CELL, Run, cell_runs, cells, run_digest
from .tables import MANIFEST, RESTORE, TABLES, layer_mean

#: Presets, and archives of the same names, that answer a question each: do the published runs come out again, does a
#: finding hold with other random numbers, does it depend on how the networks are trained.
KINDS = {
    "reproduction": ["paper"],
    "replication": ["replication"],
    "robustness": [f"robustness_{question}" for question in QUESTIONS],
}
#: The archive that README, pages, notebook and bundle show: until the reproduction is complete at epsilon 0 and 0.75,
#: the replication.
SHOWN = "replication"
PAPER_DATASET = "fashion_mnist"
TO_READ = "take the preset as it is, name another with archive=FOLDER, or compute with results=computed"


def published_numbers(settings: dict[str, Any]) -> bool:
    """Whether runs draw the random numbers of the published ones, which have seed 0, by their tables' settings."""
    return settings.get("randomness") == "release" and settings["seed"] == 0


def kind_of(settings: dict[str, Any]) -> str:
    """Which question runs answer, by their tables' settings: one of `KINDS`, or extension, to data or tasks of ours."""
    if settings["dataset"] != PAPER_DATASET or PAPER_TASK not in settings["tasks"]:
        return "extension"
    if settings["variants"] != ["paper"]:
        return "robustness"
    return "reproduction" if published_numbers(settings) else "replication"


def count_rows(found: list[DataFrame], runs: list[Run], epochs: int) -> tuple[DataFrame, list[dict[str, Any]]]:
    """Rows of a cell that count, each run once, and what does not: code, commits, number of runs, why; a dict each.

    Parameters
    ----------
    found : list of DataFrames, rows of shards or archives
    runs : specifications of the cell's runs
    epochs : of every run
    """
    wanted = [run_digest(run) for run in runs]
    found = [part[part["digest"].isin(wanted)] for part in found]
    rows = pd.concat(found, ignore_index=True) if found else pd.DataFrame(columns=tables.SHARD.names)
    classes = lineage.counting_codes(runs[0])
    kept = lineage.choose_rows(rows, wanted, classes).drop_duplicates(["digest", "epoch"])
    rest = rows[~rows["digest"].isin(kept["digest"]) & (rows["epoch"] == epochs)]
    others = []
    for code, part in rest.groupby("code"):
        known = any(code in codes for codes in classes)
        why = "rounds differently, and its cell is not complete" if known else "not known to give today's results"
        others.append({"code": code, "commits": tables.commits(part), "runs": part["digest"].nunique(), "why": why})
    return kept, others


def check(folder: Path | str, settings: Settings | None = None, mend: str = TO_READ) -> dict[str, Any]:
    """Check an archive: every file's sha256 and, if given, that it was made with these settings.

    Parameters
    ----------
    folder : of the archive
    settings : Settings or None
    mend : str, what a user can do if the settings differ

    Returns
    -------
    dict, the manifest

    Raises
    ------
    UserError
        One line: what is missing, changed or different.
    """
    folder = Path(folder)
    try:
        manifest: dict[str, Any] = json.loads((folder / MANIFEST).read_text(encoding="utf-8"))
        files = {f"{name}.parquet": manifest["files"][f"{name}.parquet"]["sha256"] for name in TABLES}
        made_with, digest = manifest["settings"], manifest["digest"]
    except FileNotFoundError:
        raise UserError(
            f"there is no archive in {folder.absolute()}: name another folder (of a workflow: archive=FOLDER), "
            "or compute with results=computed"
        ) from None
    except (ValueError, KeyError, TypeError, OSError):
        raise UserError(f"{folder / MANIFEST} is damaged: {RESTORE}") from None
    for name, sha256 in files.items():
        path = folder / name
        if not path.is_file():
            raise UserError(f"{path} is missing: {RESTORE}")
        if checksum(path) != sha256:
            raise UserError(f"{path} was changed since it was archived: {RESTORE}")
        if tables.made_with(pq.read_schema(path))["digest"] != digest:
            raise UserError(f"{path} was made with other settings than its manifest says: {RESTORE}")
    if settings is not None and digest != tables.settings_digest(settings.science()):
        difference = describe_difference(made_with, settings.science())
        raise UserError(f"the archive {folder} was made with other settings ({difference}): {mend}")
    return manifest


def cell_rows(folder: Path | str, run: Run, codes: Iterable[str]) -> DataFrame:
    """Rows of an archive in the cell of a run that count today.

    Of a complete cell they are also those that round differently, else those of the given codes (`lineage.equal_codes`
    of the step that trains the rest), so that no cell mixes roundings.
    """
    folder = Path(folder)
    cell = tuple(run.get(name, "paper") for name in CELL)
    settings = Settings(**check(folder)["settings"])
    planned = cell_runs(settings, *cell) if cell in cells(settings) else []
    rows = all_rows(folder)
    here = rows[(rows[list(CELL)] == pd.Series(cell, CELL)).all(axis=1)]
    kept = count_rows([here], planned, settings.epochs)[0] if planned else here.iloc[:0]
    whole = {run_digest(run) for run in planned} <= set(kept["digest"])
    return kept if whole else here[here["code"].isin(codes)]


def load(folder: Path | str) -> dict[str, DataFrame]:
    """All tables of a folder, an archive (then checked) or results/tables: see `einorm.load`."""
    folder = Path(folder)
    if (folder / MANIFEST).exists():
        check(folder)
    frames = {name: tables.read(folder / f"{name}.parquet", name) for name in TABLES}
    for name in ("runs", "epochs"):
        frames[name] = frames[name].assign(**{m: layer_mean(frames[name], m) for m in tables.LAYERED})
    return frames


def read_runs(folder: Path | str) -> DataFrame:
    """The table of runs of a folder, an archive (then checked) or results/tables.

    Raises UserError as `check` and `tables.read`.
    """
    if (Path(folder) / MANIFEST).exists():
        check(folder)
    return tables.read(Path(folder) / "runs.parquet", "runs")


def read_runs_and_settings(folder: Path | str) -> tuple[DataFrame, Settings]:
    """The table of runs of a folder, `read_runs`, and the settings that made it. Raises UserError as that."""
    return read_runs(folder), tables.settings_of(Path(folder) / "runs.parquet")


def all_rows(folder: Path | str) -> DataFrame:
    """All rows of an archive, as the shards of its jobs had them: a row per run and epoch."""
    runs, epochs, costs = (tables.read(Path(folder) / f"{name}.parquet", name) for name in ("runs", "epochs", "costs"))
    facts = [name for name in tables.SHARD.names if name in runs and name not in epochs]
    runs = runs[[*tables.KEYS, *facts]].merge(costs, on=[*tables.KEYS], validate="1:1")
    return epochs.merge(runs, on=[*tables.KEYS], validate="m:1")[tables.SHARD.names]


def trainings(folder: Path) -> list[dict[str, Any]]:
    """What trained the runs of a folder of tables (`provenance.trainings`).

    An archive's manifest names the machine of runs that did not record theirs.
    """
    runs, costs = (tables.read(folder / f"{name}.parquet", name) for name in ("runs", "costs"))
    machine = check(folder)["machine"] if (folder / MANIFEST).exists() else None
    return provenance.trainings(runs.merge(costs, on=[*tables.KEYS], validate="1:1"), machine)
