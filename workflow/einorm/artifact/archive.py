"""Archives of finished runs: released tables with a manifest that says what made them and what they hold."""

import json
import shutil
import tempfile
from pathlib import Path

import pandas as pd
import pyarrow.parquet as pq

from .. import __version__, lineage, tables
from ..analysis.selection import layer_mean
from ..config import Settings, describe_difference
from ..runs import cell_folder, cell_runs, cells, run_digest
from ..runtime import UserError, checksum
from ..samples import make_samples
from ..tables import TABLES
from ..variants import QUESTIONS
from . import provenance

MANIFEST = "manifest.json"
CELL = ("task", "variant", "condition", "epsilon")


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


def write(settings, preset, shards, samples, out, images=None, others=()):
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
        If there is no finished run, the samples are nowhere, or `out` holds runs of other settings or training code.
    """
    out, shards = Path(out), Path(shards)
    before = check(out, settings, TO_WRITE) if (out / MANIFEST).exists() else None
    earlier = shard_rows(out) if before else None
    archived = [earlier] if before else []
    planned = {run_digest(run) for cell in cells(settings) for run in cell_runs(settings, *cell)}
    for folder in others:
        difference = describe_difference(check(folder)["settings"], settings.science())
        archived.append(shard_rows(folder))
        if planned.isdisjoint(archived[-1]["digest"]):
            raise UserError(f"the archive {folder} holds no run of these settings ({difference}): give those that fit")
    rows, counts, left_out = [], [], []
    for cell in cells(settings):
        runs = cell_runs(settings, *cell)
        found = [tables.read(path, "shard") for path in sorted((shards / cell_folder(runs[0])).glob("*.parquet"))]
        kept, left = _counting([*found, *archived], runs, settings.epochs)
        finished = kept[kept["epoch"] == settings.epochs]
        names = dict(zip(CELL, cell, strict=True))
        collapsed = int((finished["status"] == "collapsed").sum())
        numbers = {"planned": len(runs), "finished": len(finished), "collapsed": collapsed}
        counts.append(names | numbers | {"codes": finished["code"].value_counts(sort=False).to_dict()})
        left_out += [names | other for other in left]
        rows += [kept] if len(kept) else []
    if not rows:
        where = " or in ".join(map(str, [f"below {shards}", *others]))
        raise UserError(f"no finished run of these settings {where}: run snakemake first")
    shard = pd.concat(rows, ignore_index=True)
    if earlier is not None and not set(earlier["digest"]) <= set(shard["digest"]):
        raise UserError(f"{out} holds runs of other training code, which would be lost: archive to another folder")
    shown = _samples(Path(samples), out, settings, images)
    machine = before["machine"] if before else provenance.machine()
    return _replace(out, shard, shown, settings, preset, {"cells": counts, "left_out": left_out}, machine)


def _counting(found, runs, epochs):
    """Rows of a cell that count, each run once, and what does not: code, commits, number of runs, why; a dict each."""
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


def _samples(path, out, settings, images):
    """The sample images of these settings: those of the path, the archive's own, or made from the prepared images."""
    for candidate in (path, out / "samples.parquet"):
        if candidate.exists():
            samples = tables.read(candidate, "samples")
            if samples.attrs["digest"] == tables.settings_digest(settings.science()):
                return samples
    if images is None or not Path(images).exists():
        raise UserError(f"the images of figure 1 with these settings are not in {path}: make them: snakemake {path}")
    with tempfile.TemporaryDirectory() as folder:
        made = Path(folder) / "samples.parquet"
        make_samples(settings, images, made)
        return tables.read(made, "samples")


def _replace(out, shard, samples, settings, preset, facts, machine):
    """Write a new folder beside the old one and put it in its place: an interruption leaves one of the two whole."""
    fresh, old = (out.with_name(f".{out.name}.{kind}") for kind in ("new", "old"))
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
        **{unit: round(spent, 3) for unit, spent in tables.hours(last).items()},
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


TO_READ = "take the preset as it is, name another with archive=FOLDER, or compute with results=computed"
TO_WRITE = "archive to another folder with --out FOLDER, or give the settings of this one"


def check(folder, settings=None, mend=TO_READ):
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
        manifest = json.loads((folder / MANIFEST).read_text(encoding="utf-8"))
        files = {f"{name}.parquet": manifest["files"][f"{name}.parquet"]["sha256"] for name in TABLES}
        made_with, digest = manifest["settings"], manifest["digest"]
    except FileNotFoundError:
        raise UserError(
            f"there is no archive in {folder.absolute()}: name one with archive=FOLDER, "
            "or compute with results=computed"
        ) from None
    except (ValueError, KeyError, TypeError, OSError):
        raise UserError(f"{folder / MANIFEST} is damaged: restore the archive from the project's release") from None
    for name, sha256 in files.items():
        path = folder / name
        if not path.is_file():
            raise UserError(f"{path} is missing: restore the archive from the project's release")
        if checksum(path) != sha256:
            raise UserError(f"{path} was changed since it was archived: restore the archive from the project's release")
        if tables.made_with(pq.read_schema(path))["digest"] != digest:
            raise UserError(f"{path} was made with other settings than its manifest says: restore the archive")
    if settings is not None and digest != tables.settings_digest(settings.science()):
        difference = describe_difference(made_with, settings.science())
        raise UserError(f"the archive {folder} was made with other settings ({difference}): {mend}")
    return manifest


def cell_rows(folder, run):
    """Rows of an archive in the cell of a run that count today: of complete cells also those that round differently."""
    folder = Path(folder)
    cell = tuple(run.get(name, "paper") for name in CELL)
    settings = Settings(**check(folder)["settings"])
    planned = cell_runs(settings, *cell) if cell in cells(settings) else []
    rows = shard_rows(folder)
    here = rows[(rows[list(CELL)] == pd.Series(cell, CELL)).all(axis=1)]
    return _counting([here], planned, settings.epochs)[0] if planned else here.iloc[:0]


def load(folder):
    """All tables of a folder, an archive (then checked) or results/tables: see `einorm.load`."""
    folder = Path(folder)
    if (folder / MANIFEST).exists():
        check(folder)
    frames = {name: tables.read(folder / f"{name}.parquet", name) for name in TABLES}
    for name in ("runs", "epochs"):
        frames[name] = frames[name].assign(**{m: layer_mean(frames[name], m) for m in tables.LAYERED})
    return frames


def shard_rows(folder):
    """All rows of an archive, as the shards of its jobs had them: a row per run and epoch."""
    runs, epochs, costs = (tables.read(Path(folder) / f"{name}.parquet", name) for name in ("runs", "epochs", "costs"))
    facts = [name for name in tables.SHARD.names if name in runs and name not in epochs]
    runs = runs[[*tables.KEYS, *facts]].merge(costs, on=[*tables.KEYS], validate="1:1")
    return epochs.merge(runs, on=[*tables.KEYS], validate="m:1")[tables.SHARD.names]


def trainings(folder):
    """What trained the runs of a folder of tables (`provenance.trainings`); an archive's manifest names the machine of
    runs that did not record theirs."""
    runs, costs = (tables.read(folder / f"{name}.parquet", name) for name in ("runs", "costs"))
    machine = check(folder)["machine"] if (folder / MANIFEST).exists() else None
    return provenance.trainings(runs.merge(costs, on=[*tables.KEYS], validate="1:1"), machine)


def _facts(path):
    return {"sha256": checksum(path), "bytes": path.stat().st_size}
