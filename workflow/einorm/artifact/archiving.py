"""Archives are made: every finished run of some settings, from shards and other archives, in a folder of its own."""

import json
import shutil
import tempfile
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

import pandas as pd
from pandas import DataFrame

from .. import __version__
from ..analysis.selection import collapsed
from ..records import costs, provenance, tables
from ..records.archive import all_rows, check, count_rows
from ..records.runs import CELL, Cell, cell_folder, cell_runs, cells, run_digest
from ..records.samples import make_samples
from ..records.tables import MANIFEST, TABLES
from ..runtime import UserError, checksum
from ..settings import Settings, describe_difference

TO_WRITE = "archive to another folder with --out FOLDER, or give the settings of this one"


def write(
    settings: Settings,
    preset: str,
    shards: Path | str,
    samples: Path | str,
    out: Path | str,
    images: Path | str | None = None,
    others: Sequence[Path | str] = (),
) -> dict[str, Any]:
    """Archive every finished run of the settings: below `shards`, in other archives, and what `out` already holds.

    Parameters
    ----------
    settings : Settings
    preset : str, name of the preset, for the manifest
    shards : folder of the shards, one folder per cell
    samples : path of samples.parquet; where it is missing or of other settings, the archive's own is kept
    out : folder of the archive; replaced as a whole
    images : path of the prepared images, to make the samples from where neither has them
    others : folders of archives, of these settings or of a part of them, whose runs are taken in

    Returns
    -------
    dict, the manifest; `left_out` names the runs of other training code that do not count (`lineage`), and why

    Raises
    ------
    UserError
        If there is no finished run, the samples are nowhere, or `out` is no archive or holds runs of other settings or
        training code.
    """
    out, shards = Path(out).resolve(), Path(shards)
    if out.exists() and not (out / MANIFEST).exists() and not (out.is_dir() and not any(out.iterdir())):
        raise UserError(f"{out} is no archive, and would be lost: archive to a new folder with --out FOLDER")
    if _beside(out, "old").exists() and not out.exists():  # it was replaced when the process was killed
        _beside(out, "old").rename(out)
    before = check(out, settings, TO_WRITE) if (out / MANIFEST).exists() else None
    earlier = [all_rows(out)] if before else []
    archived = [*earlier, *_rows_of(others, settings)]
    found = [_of_cell(settings, cell, shards, archived) for cell in cells(settings)]
    rows = [kept for kept, _, _ in found if len(kept)]
    if not rows:
        where = " or in ".join(map(str, [f"below {shards}", *others]))
        raise UserError(f"no finished run of these settings {where}: run snakemake first")
    shard = pd.concat(rows, ignore_index=True)
    if earlier and not set(earlier[0]["digest"]) <= set(shard["digest"]):
        raise UserError(f"{out} holds runs of other training code, which would be lost: archive to another folder")
    shown = _samples(Path(samples), out, settings, preset, images)
    machine = before["machine"] if before else provenance.machine()
    facts = {"cells": [counts for _, counts, _ in found], "left_out": [other for _, _, left in found for other in left]}
    return _replace(out, shard, shown, settings, preset, facts, machine)


def _rows_of(folders: Iterable[Path | str], settings: Settings) -> list[DataFrame]:
    """Rows of archives, each of which holds runs of these settings."""
    planned = {run_digest(run) for cell in cells(settings) for run in cell_runs(settings, *cell)}
    found = []
    for folder in folders:
        difference = describe_difference(check(folder)["settings"], settings.science())
        found.append(all_rows(folder))
        if planned.isdisjoint(found[-1]["digest"]):
            raise UserError(f"the archive {folder} holds no run of these settings ({difference}): give those that fit")
    return found


def _of_cell(
    settings: Settings, cell: Cell, shards: Path, archived: list[DataFrame]
) -> tuple[DataFrame, dict[str, Any], list[dict[str, Any]]]:
    """Rows of a cell that count, how many runs they are, and the runs that do not count."""
    runs, names = cell_runs(settings, *cell), dict(zip(CELL, cell, strict=True))
    found = [tables.read(path, "shard") for path in sorted((shards / cell_folder(runs[0])).glob("*.parquet"))]
    kept, left = count_rows([*found, *archived], runs, settings.epochs)
    finished = kept[kept["epoch"] == settings.epochs]
    lost = int(collapsed(finished).sum())
    counts = {"planned": len(runs), "finished": len(finished), "collapsed": lost}
    counts |= {"codes": finished["code"].value_counts(sort=False).to_dict()}
    return kept, names | counts, [names | other for other in left]


def _samples(path: Path, out: Path, settings: Settings, preset: str, images: Path | str | None) -> DataFrame:
    """The sample images of these settings: those of the path, the archive's own, or made from the prepared images."""
    for candidate in (path, out / "samples.parquet"):
        if candidate.exists():
            samples = tables.read(candidate, "samples")
            if samples.attrs["digest"] == tables.settings_digest(settings.science()):
                return samples
    if images is None or not Path(images).exists():
        raise UserError(
            f"the images of figure 1 with these settings are not in {path}: make them: "
            f"snakemake {path} --cores 1 --config preset={preset}, and the keys that you gave here"
        )
    with tempfile.TemporaryDirectory() as folder:
        made = Path(folder) / "samples.parquet"
        make_samples(settings, images, made)
        return tables.read(made, "samples")


def _replace(
    out: Path,
    shard: DataFrame,
    samples: DataFrame,
    settings: Settings,
    preset: str,
    facts: dict[str, Any],
    machine: provenance.Facts,
) -> dict[str, Any]:
    """Write a new folder beside the old one and put it in its place: an interruption leaves one of the two whole.

    Between the two renames the old one has another name; `write` finds it.
    """
    fresh, old = (_beside(out, kind) for kind in ("new", "old"))
    for folder in (fresh, old):
        shutil.rmtree(folder, ignore_errors=True)
    science = settings.science()
    tables.write_all(shard, fresh, science)
    tables.write(samples, "samples", fresh / "samples.parquet", science)
    last = shard[shard["epoch"] == settings.epochs]
    manifest = {
        "preset": preset,
        "settings": science,
        "digest": tables.settings_digest(science),
        "version": __version__,
        "machine": machine,  # where it was first written: stands for that of runs that did not record theirs
        "trainings": provenance.trainings(last, machine),
        "commits": tables.commits(shard),
        **{unit: round(spent, 3) for unit, spent in costs.hours(last).items()},
        "complete": all(cell["finished"] == cell["planned"] for cell in facts["cells"]),
        **facts,
        "files": {f"{name}.parquet": _facts(fresh / f"{name}.parquet") for name in TABLES},
    }
    (fresh / MANIFEST).write_text(json.dumps(manifest, indent=1, sort_keys=True) + "\n", encoding="utf-8")
    if out.exists():
        out.rename(old)
    fresh.rename(out)
    shutil.rmtree(old, ignore_errors=True)
    return manifest


def _beside(out: Path, kind: str) -> Path:
    """A hidden folder beside an archive: its new content, or its old one."""
    return out.with_name(f".{out.name}.{kind}")


def _facts(path: Path) -> dict[str, Any]:
    return {"sha256": checksum(path), "bytes": path.stat().st_size}
