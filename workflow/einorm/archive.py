"""Archives of finished runs: released tables with a manifest that says what made them and what they hold."""

import hashlib
import json
import shutil
from pathlib import Path

import pandas as pd
import pyarrow.parquet as pq

from . import __version__, provenance, tables
from .config import describe_difference
from .runs import cell_folder, cell_runs, cells, run_digest, training_code
from .runtime import UserError
from .selection import layer_mean
from .tables import TABLES

MANIFEST = "manifest.json"


def write(settings, preset, shards, samples, out):
    """Archive every finished run of the settings: those below `shards`, and those that `out` already holds.

    Parameters
    ----------
    settings : Settings
    preset : str, name of the preset, for the manifest
    shards : folder of the shards, one folder per cell
    samples : path of samples.parquet; where it is missing or of other settings, the archive's own is kept
    out : folder of the archive; replaced as a whole

    Returns
    -------
    dict, the manifest

    Raises
    ------
    UserError
        If there is no finished run, the samples are nowhere, or `out` holds runs of other settings or training code.
    """
    out, shards = Path(out), Path(shards)
    before = check(out, settings) if (out / MANIFEST).exists() else None
    earlier = shard_rows(out) if before else None
    rows, counts = [], []
    for cell in cells(settings):
        task, variant, condition, epsilon = cell
        runs = cell_runs(settings, *cell)
        wanted = {run_digest(run) for run in runs}
        found = [tables.read(path, "shard") for path in sorted((shards / cell_folder(runs[0])).glob("*.parquet"))]
        found += [] if earlier is None else [earlier]
        code = training_code(condition, task)
        kept = pd.concat([part[part["digest"].isin(wanted)] for part in found], ignore_index=True) if found else None
        kept = kept[kept["code"] == code].drop_duplicates(["digest", "epoch"]) if kept is not None else pd.DataFrame()
        finished = kept[kept["epoch"] == settings.epochs] if len(kept) else kept
        collapsed = int((finished["status"] == "collapsed").sum()) if len(kept) else 0
        counts.append(
            {"task": task, "variant": variant, "condition": condition, "epsilon": epsilon, "planned": len(wanted),
             "finished": len(finished), "collapsed": collapsed, "code": code}
        )  # fmt: skip
        rows += [kept] if len(kept) else []
    if not rows:
        raise UserError(f"no finished run of these settings below {shards}: run snakemake first")
    shard = pd.concat(rows, ignore_index=True)
    if earlier is not None and not set(earlier["digest"]) <= set(shard["digest"]):
        raise UserError(f"{out} holds runs of other training code, which would be lost: archive to another folder")
    images = _samples(Path(samples), out, tables.settings_digest(settings.science()))
    machine = before["machine"] if before else provenance.machine()
    return _replace(out, shard, images, settings, preset, counts, machine)


def _samples(path, out, digest):
    """The sample images made with the settings of this digest: those of the path, or the archive's own."""
    for candidate in (path, out / "samples.parquet"):
        if candidate.exists():
            samples = tables.read(candidate, "samples")
            if samples.attrs["digest"] == digest:
                return samples
    raise UserError(f"the images of figure 1 with these settings are not in {path}: make them with snakemake {path}")


def _replace(out, shard, samples, settings, preset, counts, machine):
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
        **{unit: round(spent, 3) for unit, spent in tables.hours(last).items()},
        "complete": all(cell["finished"] == cell["planned"] for cell in counts),
        "cells": counts,
        "files": {f"{name}.parquet": _facts(fresh / f"{name}.parquet") for name in TABLES},
    }
    (fresh / MANIFEST).write_text(json.dumps(manifest, indent=1, sort_keys=True) + "\n", encoding="utf-8")
    if out.exists():
        out.rename(old)
    fresh.rename(out)
    shutil.rmtree(old, ignore_errors=True)
    return manifest


def check(folder, settings=None):
    """Check an archive: every file's sha256 and, if given, that it was made with these settings.

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
            f"there is no archive in {folder}: name one with archive=FOLDER, or compute with results=computed"
        ) from None
    except (ValueError, KeyError, TypeError, OSError):
        raise UserError(f"{folder / MANIFEST} is damaged: restore the archive from the project's release") from None
    for name, sha256 in files.items():
        path = folder / name
        if not path.is_file():
            raise UserError(f"{path} is missing: restore the archive from the project's release")
        if _facts(path)["sha256"] != sha256:
            raise UserError(f"{path} was changed since it was archived: restore the archive from the project's release")
        if tables.made_with(pq.read_schema(path))["digest"] != digest:
            raise UserError(f"{path} was made with other settings than its manifest says: restore the archive")
    if settings is not None and digest != tables.settings_digest(settings.science()):
        difference = describe_difference(made_with, settings.science())
        raise UserError(
            f"the archive {folder} was made with other settings ({difference}): "
            "take the preset as it is, name another with archive=FOLDER, or compute with results=computed"
        )
    return manifest


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
    return {"sha256": hashlib.sha256(path.read_bytes()).hexdigest(), "bytes": path.stat().st_size}
