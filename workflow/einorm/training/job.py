"""A training job: from prepared images to one shard of rows. Finished runs are taken over from other shards."""

import json
import platform
import time
from collections.abc import Callable
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import torch

from .. import __version__
from ..data import check_images, load, load_shifts
from ..records import archive, lineage, provenance, tables
from ..records.codes import code_of
from ..records.runs import Run, run_digest, share_shifts
from ..runtime import UserError
from ..variants import check_trained
from .device import choose_device, keep_freed_memory
from .gpu import step_on
from .train import draw_shifts_of, train


def print_progress(epoch: int, epochs: int, rows: list[dict[str, Any]], seconds: float) -> None:
    """One line per epoch: medians over the runs of the job, and the time left."""
    loss, accuracy = (np.median([row[name] for row in rows]) for name in ("train_loss", "test_acc"))
    left = int(seconds / epoch * (epochs - epoch))
    print(
        f"epoch {epoch}/{epochs}  loss {loss:.4f}  accuracy {accuracy:.2f} %  time left {left // 60}:{left % 60:02d}",
        flush=True,
    )


def run(
    runs: list[Run],
    images_path: Path | str,
    shifts_path: Path | str | None,
    out: Path | str,
    device: str = "auto",
    threads: int = 1,
    archived: Path | str | None = None,
    report: Callable[..., object] | None = None,
) -> None:
    """Train a job's runs and write their shard; runs finished in another shard of the cell are taken over.

    Parameters
    ----------
    runs : list of run specifications (`runs.cell_runs`) of one task, variant, condition and epsilon
    images_path : prepared images (`data.prepare`)
    shifts_path : shift table (`data.write_shifts`); None for runs that share none (`runs.share_shifts`) and draw theirs
    out : path of the shard; its folder holds the shards of the cell
    device : auto (CUDA when there is one), cpu or cuda
    threads : of the maths
    archived : folder of an archive whose finished runs are taken over, too
    report : called after every epoch, see `train.train`; None: `print_progress`

    Raises
    ------
    UserError
        If the variant is only archived; if shifts are given where the runs draw their own, or the reverse; if CUDA is
        asked for and absent, data or the archive are missing or damaged, images are of another data set or too few, or
        the shard cannot be written.
    """
    check_trained(run.get("variant", "paper") for run in runs)
    if share_shifts(runs[0]) != (shifts_path is not None):
        raise UserError("these runs share a table of shifts: name it with --shifts" if shifts_path is None else
                        "these runs draw their own shifts: leave --shifts out")  # fmt: skip
    torch.set_num_threads(threads)
    keep_freed_memory()
    device = choose_device(device)
    step = step_on(device, runs)
    code = code_of(runs[0], step)
    finished = finished_rows(Path(out).parent, runs, archived, code)
    left = [run for run in runs if run_digest(run) not in set(finished["digest"])]
    print(f"{len(runs)} runs: {len(runs) - len(left)} finished before, {len(left)} to train on {device}", flush=True)
    parts = [finished]
    if left:
        check_images(images_path, *(runs[0][name] for name in ("dataset", "train_images", "test_images")))
        shifts = load_shifts(shifts_path) if shifts_path else draw_shifts_of(left)
        clock = time.thread_time if threads == 1 else time.process_time  # jobs may share a process, each in a thread
        started = clock()
        rows = train(left, prepared(images_path), shifts, device, report or print_progress, step)
        facts = {"cpu_seconds": (clock() - started) / len(left), "device": device, "threads": threads}
        parts.append(rows.assign(**facts, versions=versions(device), code=code))
    shard = pd.concat([part for part in parts if len(part)], ignore_index=True)
    tables.write(shard, "shard", out, {"runs": runs})


prepared = lru_cache(1)(load)  # images: jobs of one process share them


def versions(device: str = "cpu") -> str:
    """What trains here and can matter to a result, as JSON: versions, git commit, machine, its GPU if that trains."""
    names: dict[str, Any] = {"python": platform.python_version(), "torch": torch.__version__, "numpy": np.__version__}
    machine = provenance.machine() | ({"gpu": torch.cuda.get_device_name()} if device == "cuda" else {})
    names |= {"einorm": __version__, "commit": provenance.commit(), "machine": machine}
    return json.dumps(names, sort_keys=True)


def finished_rows(
    folder: Path | str, runs: list[Run], archived: Path | str | None = None, code: str | None = None
) -> pd.DataFrame:
    """Rows of the given runs that count (`lineage`), from the shards of a folder and from an archive.

    code is that of the step which would train them, `codes.code_of`; by default the CPU's.

    Where the archive's cell is complete and rounds differently, all runs come from it: no cell mixes roundings.

    Raises UserError if the archive is missing or damaged; a damaged shard is passed over.
    """
    equal = lineage.equal_codes(code or code_of(runs[0]))
    found = [archive.cell_rows(archived, runs[0], equal)] if archived else []
    if not found or found[0]["code"].isin(equal).all():
        shards = [shard_rows(path) for path in sorted(Path(folder).glob("*.parquet"))]
        found += [part[part["code"].isin(equal)] for part in shards]
    found = [part[part["digest"].isin([run_digest(run) for run in runs])] for part in found]
    found = [part for part in found if len(part)]
    if not found:
        return pd.DataFrame(columns=tables.SHARD.names)
    return pd.concat(found, ignore_index=True).drop_duplicates(["digest", "epoch"])


def shard_rows(path: Path | str) -> pd.DataFrame:
    """Rows of a shard; none if it is damaged, for then its runs are not finished."""
    try:
        return tables.read(path, "shard")
    except tables.DamagedError as error:
        print(f"not taken over: {error}", flush=True)
        return pd.DataFrame(columns=tables.SHARD.names)
