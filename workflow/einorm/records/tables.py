"""Tables: schemas, checked read, atomic and deterministic write.

Everything left of these tables trains, everything right of them draws. A table carries the settings
that made it, and their digest, in its metadata.
"""

import json
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
from pandas import DataFrame, Series

from ..runtime import UserError, atomic_path, digest
from ..settings import Settings


class DamagedError(UserError):
    """A file that cannot be read as a table."""


MANIFEST = "manifest.json"  # of an archive
RESTORE = "restore the archive from the project's release"
#: Columns that identify a run.
KEYS = ("task", "dataset", "variant", "randomness", "condition", "epsilon", "lambda_", "config", "seed")
LAYERED = ("mu", "var", "output_alignment", "gradient_alignment", "local_loss")
LAYERS = (0, 1)  # hidden layers that are measured
SHARES = ("g_common", "g_along", "h_common", "h_along", "update_common")  # `metrics.error_shares`
SCHEMA_VERSION = "5"
METRICS = (
    *("train_loss", "test_loss", "test_acc", "validation_acc"),
    *(f"{metric}{layer}" for metric in (*LAYERED, *SHARES) for layer in LAYERS),
)

_KEY_FIELDS = [
    ("task", pa.string()),
    ("dataset", pa.string()),
    ("variant", pa.string()),  # key of `variants.VARIANTS`; "paper": as published
    ("randomness", pa.string()),  # own, or release: initial weights and shifts of the published runs
    ("condition", pa.string()),
    ("epsilon", pa.float64()),  # half-range of the shift, in units of the pixel range [0, 1]
    ("lambda_", pa.float64()),  # weight of the local loss; 0 where there is none
    ("config", pa.int64()),  # row of hyperparameters.csv
    ("seed", pa.int64()),
]
_METRIC_FIELDS = [(m, pa.float64()) for m in METRICS]  # test_acc in %; NaN: not defined
_RUN_FIELDS = [
    ("lr", pa.float64()),
    ("lr_wei", pa.float64()),
    ("lr_wix", pa.float64()),
    ("hidden_width", pa.int64()),
    ("status", pa.string()),  # finished | collapsed
    ("collapsed_step", pa.int64()),  # first step whose loss was not finite; -1: none
    ("collapsed_in", pa.string()),  # which tensor was not finite first; empty: none, or not looked for (in float32)
    ("device", pa.string()),
    ("threads", pa.int64()),
    ("versions", pa.string()),  # JSON of what trained: python, torch, numpy, einorm; machine (since 2026-11-26)
    ("code", pa.string()),  # fingerprint of the training code
    ("digest", pa.string()),  # digest of the run's specification
]

EPOCHS = pa.schema([*_KEY_FIELDS, ("epoch", pa.int64()), *_METRIC_FIELDS])
RUNS = pa.schema([*_KEY_FIELDS, *_RUN_FIELDS, ("epochs", pa.int64()), *_METRIC_FIELDS])
# Times stand apart: they are all that differs between two computations of the same runs on one machine.
_COST_FIELDS = [
    ("seconds", pa.float64()),  # wall time of the run's batch divided by its number of runs
    ("cpu_seconds", pa.float64()),  # CPU time, which pauses and other processes do not add to; NaN: not recorded
]
COSTS = pa.schema([*_KEY_FIELDS, *_COST_FIELDS])
SHARD = pa.schema([*_KEY_FIELDS, *_RUN_FIELDS, *_COST_FIELDS, ("epoch", pa.int64()), *_METRIC_FIELDS])
SAMPLES = pa.schema(
    [
        ("task", pa.string()),
        ("dataset", pa.string()),
        ("epsilon", pa.float64()),
        ("image", pa.int64()),  # index in the test set
        ("label", pa.int64()),
        ("shift", pa.float64()),
        ("pixels", pa.list_(pa.float32())),  # shifted image, row by row, in [0, 1]
    ]
)
#: What is computed, and what an archive holds: a file each.
TABLES = ("runs", "epochs", "costs", "samples")
SCHEMAS = {"epochs": EPOCHS, "runs": RUNS, "costs": COSTS, "samples": SAMPLES, "shard": SHARD}
SORT = {"runs": [*KEYS], "costs": [*KEYS], "epochs": [*KEYS, "epoch"], "shard": [*KEYS, "epoch"]}
SORT |= {"samples": ["task", "dataset", "epsilon", "image"]}


def write(frame: DataFrame, table: str, path: Path | str, settings: dict[str, Any]) -> None:
    """Write one table: columns of its schema, sorted by its keys, atomically; equal input, equal bytes.

    Parameters
    ----------
    frame : DataFrame with the columns of the schema, in any order
    table : key of `SCHEMAS`
    path : of the Parquet file
    settings : JSON-like value kept in the file's metadata, with its digest and the git commits of the rows

    Raises
    ------
    UserError
        If the file cannot be written.
    """
    schema = SCHEMAS[table]
    frame = frame.sort_values(SORT[table])
    metadata = {b"einorm.table": table, b"einorm.settings": json.dumps(settings, sort_keys=True)}
    metadata[b"einorm.schema"] = SCHEMA_VERSION
    metadata[b"einorm.digest"] = settings_digest(settings)
    metadata[b"einorm.commits"] = json.dumps(commits(frame) if "versions" in frame else [])
    data = pa.Table.from_pandas(frame[schema.names], schema=schema, preserve_index=False)
    with atomic_path(path) as temporary:
        data = data.replace_schema_metadata(metadata)
        pq.write_table(data, temporary, compression="gzip", write_page_checksum=True)


def commits(rows: DataFrame) -> list[str]:
    """The git commits that trained the rows (`provenance.commit`), sorted; none where it was not recorded."""
    found = {json.loads(versions).get("commit") for versions in rows["versions"].unique()}
    return sorted(found - {None})


def read(path: Path | str, table: str) -> DataFrame:
    """Read one table and check its schema and keys.

    Returns
    -------
    DataFrame; ``attrs`` holds the settings that made it and their digest

    Raises
    ------
    UserError
        If the file is missing, of another schema, has a key twice or values out of range; DamagedError if it cannot be
        read as a table at all.
    """
    with reading(path):
        data, schema = upgraded(pq.read_table(path, page_checksum_verification=True)), SCHEMAS[table]
        if not data.schema.equals(schema):
            wrong = [f.name for f in schema if f.name not in data.schema.names or data.schema.field(f.name) != f]
            wrong += [name for name in data.schema.names if name not in schema.names]
            raise UserError(f"{path} is no {table} table (columns {', '.join(wrong)}): {remedy(path)}")
        frame = data.to_pandas()
        frame.attrs = made_with(data.schema)
    check(frame, table, path)
    return frame


@contextmanager
def reading(path: Path | str) -> Iterator[None]:
    """Name a file in the error where it is missing (UserError) or its bytes make no sense (DamagedError)."""
    try:
        yield
    except FileNotFoundError:
        raise UserError(f"{path} is missing: run snakemake to make it") from None
    except MemoryError:  # Arrow's is one of its exceptions, too
        raise UserError(f"there is not enough memory to read {path}") from None
    except (pa.ArrowException, OSError, ValueError, LookupError) as error:  # of text and JSON, ValueError
        raise DamagedError(f"{path} is damaged ({str(error).splitlines()[0]}): {remedy(path)}") from None


def remedy(path: Path | str) -> str:
    """What a user can do about a table that is wrong: an archive is not made again."""
    return RESTORE if Path(path).with_name(MANIFEST).exists() else "delete it and run again"


def upgraded(data: pa.Table) -> pa.Table:
    """A pyarrow table of an earlier schema version as one of today's; any other as it is.

    Version 1 calls the column ``lambda_`` by a word that SQL and Python reserve, and knows our own random numbers only.
    Versions 1 and 2 do not say in which tensor a run collapsed, versions 1 to 3 nothing of CPU time, versions 1 to 4
    nothing of where error signals point.
    """
    later = data
    if "lambda" in later.schema.names:
        later = _filled(later.rename_columns({"lambda": "lambda_"}), "randomness", pa.scalar("own"), after="variant")
    if "collapsed_step" in later.schema.names and "collapsed_in" not in later.schema.names:
        later = _filled(later, "collapsed_in", pa.scalar(""), after="collapsed_step")
    if "seconds" in later.schema.names and "cpu_seconds" not in later.schema.names:
        later = _filled(later, "cpu_seconds", pa.scalar(np.nan), after="seconds")
    if f"{LAYERED[-1]}1" in later.schema.names and f"{SHARES[0]}0" not in later.schema.names:
        for before, name in pairwise(METRICS[METRICS.index(f"{SHARES[0]}0") - 1 :]):
            later = _filled(later, name, pa.scalar(np.nan), after=before)
    return later.replace_schema_metadata(data.schema.metadata)


def _filled(data: pa.Table, name: str, value: pa.Scalar, after: str) -> pa.Table:
    """The table with one more column, the same value in every row, after the column of that name."""
    column = pa.repeat(value, data.num_rows)
    return data.add_column(data.schema.get_field_index(after) + 1, pa.field(name, value.type), column)


def made_with(schema: pa.Schema) -> dict[str, Any]:
    """The settings that made a table, their digest, and the git commits that trained, from its schema (pyarrow)."""
    metadata = schema.metadata or {}
    return {
        "settings": json.loads(metadata.get(b"einorm.settings", b"{}")),
        "digest": metadata.get(b"einorm.digest", b"").decode(),
        "commits": json.loads(metadata.get(b"einorm.commits", b"[]")),
    }


def settings_of(path: Path | str) -> Settings:
    """The checked settings (`settings.Settings`) that made a table.

    Raises
    ------
    UserError
        If the file is missing or does not name the settings, without which nobody knows which runs are missing;
        DamagedError if it cannot be read as a table.
    """
    with reading(path):
        made = made_with(pq.read_schema(path))["settings"]
    try:
        return Settings(**made)
    except (ValueError, TypeError):
        why = (
            "names settings that are not known here" if made else f"does not say which settings made it: {remedy(path)}"
        )
        raise UserError(f"{path} {why}") from None


def check(frame: DataFrame, table: str, path: Path | str) -> None:
    """Raise UserError for a key that stands twice or an accuracy, epsilon or status that cannot be."""
    twice = frame.duplicated(SORT[table])
    if twice.any():
        key = dict(frame.loc[twice.idxmax(), SORT[table]])
        raise UserError(f"{path}: a {table} row stands twice, {key}")
    in_range = {"epsilon": (0, 1), "test_acc": (0, 100), "lambda_": (0, np.inf)}
    for column, (low, high) in in_range.items():
        if column in frame and not frame[column].between(low, high).all():
            raise UserError(f"{path}: {column} must lie from {low} to {high}")
    if "status" in frame and not frame["status"].isin(["finished", "collapsed"]).all():
        raise UserError(f"{path}: status must be finished or collapsed")


def settings_digest(settings: dict[str, Any]) -> str:
    """Digest of the settings that decide results; the order of keys and of lists does not matter."""
    ordered = {k: sorted(v, key=str) if isinstance(v, list) else v for k, v in settings.items()}
    return digest(ordered)[:16]


def collect(
    shards: Iterable[Path],
    specifications: list[str],
    out: Path,
    settings: dict[str, Any],
    check_rows: Callable[[DataFrame], None] = lambda rows: None,
) -> None:
    """Put the shards of all jobs together into epochs.parquet, runs.parquet and costs.parquet.

    Parameters
    ----------
    shards : list of Path, the jobs' shards
    specifications : digests of the runs that must be there, neither more nor fewer
    out : Path, folder of the tables
    settings : JSON-like settings that the specifications come from
    check_rows : raises UserError where the rows may not stand in one table (`lineage.check_unmixed`)

    Raises
    ------
    UserError
        If runs are missing, `check_rows` refuses them, or a shard is damaged: it is put aside, so that the next start
        trains its runs again.
    """
    rows = pd.concat(read_shards(shards), ignore_index=True)
    rows = rows[rows["digest"].isin(specifications)]
    missing = set(specifications) - set(rows["digest"])
    if missing:
        raise UserError(f"{len(missing)} runs are in no shard below results/runs: run snakemake again to train them")
    check_rows(rows)
    write_all(rows, out, settings)


def read_shards(paths: Iterable[Path]) -> list[DataFrame]:
    """Rows of shards, a DataFrame each; damaged ones are put aside and named in the UserError."""
    found, damaged = [], []
    for path in paths:
        try:
            found.append(read(path, "shard"))
        except DamagedError:
            path.replace(path.with_suffix(".damaged"))
            damaged.append(path)
    if damaged:
        more = f" and {len(damaged) - 1} more" if damaged[1:] else ""
        raise UserError(f"{damaged[0]}{more}: damaged, put aside as .damaged; run again to train its runs again")
    return found


def write_all(rows: DataFrame, out: Path, settings: dict[str, Any]) -> None:
    """Write shard rows as epochs.parquet, runs.parquet, costs.parquet to a folder (Path). Raises as `write`."""
    last = rows.loc[rows.groupby("digest")["epoch"].idxmax()].rename(columns={"epoch": "epochs"})
    write(rows, "epochs", out / "epochs.parquet", settings)
    write(last, "runs", out / "runs.parquet", settings)
    write(last, "costs", out / "costs.parquet", settings)


def layer_mean(runs: DataFrame, metric: str) -> Series:
    """Mean of a metric over the two hidden layers, as in the paper's figures."""
    return (runs[f"{metric}0"] + runs[f"{metric}1"]) / 2
