"""Job files: training jobs as one JSON file, name -> run specifications; and a process that trains many of them.

Snakemake's rules name the jobs that they want of the file; without Snakemake, a machine trains all that is left of it.
"""

import json
import threading
import time
from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractContextManager, nullcontext
from pathlib import Path
from typing import Any

from ..records import archive, lineage
from ..records.codes import code_of, step_of
from ..records.jobs import cost, job_name, jobs
from ..records.runs import Run, cell_folder, run_digest, share_shifts, shift_table_of
from ..runtime import UserError, atomic_path
from ..settings import Settings

KEPT = ".kept.parquet"
Jobs = dict[str, list[Run]]  # name -> specifications


def left(settings: Settings, archived: Path | str | None = None) -> Jobs:
    """The jobs of the settings, name -> runs, those of the first epsilon first: they share what is drawn for them.

    Parameters
    ----------
    settings : Settings
    archived : folder of an archive; jobs whose runs are all finished there are left out

    Raises UserError if the archive is missing or damaged.
    """
    order = {float(epsilon): i for i, epsilon in enumerate(settings.epsilons)}
    planned = sorted(jobs(settings).items(), key=lambda job: order.get(job[1][0]["epsilon"], len(order)))
    if not archived:
        return dict(planned)
    first_of_cell = {cell_folder(runs[0]): runs[0] for _, runs in planned}
    device = settings.machine.device
    equal = {cell: lineage.equal_codes(code_of(run, step_of(run, device))) for cell, run in first_of_cell.items()}
    rows = {cell: archive.cell_rows(archived, run, equal[cell]) for cell, run in first_of_cell.items()}
    finished = {cell: set(part["digest"]) for cell, part in rows.items()}
    return {name: runs for name, runs in planned if not {*map(run_digest, runs)} <= finished[cell_folder(runs[0])]}


def write(planned: Jobs, out: Path | str) -> None:
    """Write jobs, name -> runs, as a job file. Raises UserError if it cannot be written."""
    with atomic_path(out) as temporary:
        temporary.write_text(json.dumps(planned) + "\n", encoding="utf-8")


def add(planned: Jobs, out: Path | str) -> None:
    """Add jobs, name -> runs, to a job file. Those of other settings stay: a workflow that is running may need them.

    Raises UserError if it cannot be written.
    """
    try:
        known = read(out)
    except UserError:
        known = {}
    if not planned.keys() <= known.keys():
        write(known | planned, out)


def read(path: Path | str, only: Iterable[str] | None = None) -> Jobs:
    """The jobs of a file, name -> runs; with `only`, these alone.

    Raises UserError if the file is missing or no job file, or holds no job of a name.
    """
    try:
        planned = json.loads(Path(path).read_text(encoding="utf-8"))
        wrong = [name for name, runs in planned.items() if job_name(runs) != name]
    except OSError as error:
        raise UserError(f"cannot read {path} ({error.strerror}): make it with python -m einorm jobs") from None
    except (ValueError, AttributeError, TypeError, LookupError):
        raise UserError(f"{path} is no job file: make it with python -m einorm jobs") from None
    if wrong:
        raise UserError(f"{path} was changed: {wrong[0]} is not the name of its runs; make it again")
    for name in only or ():
        if name not in planned:
            raise UserError(f"{path} holds no job {name}: delete the file and run again")
    return {name: planned[name] for name in only} if only else planned


def train(
    planned: Jobs,
    images: Path | str,
    shifts: Path | str,
    out: Path | str,
    device: str = "auto",
    threads: int = 1,
    archived: Path | str | None = None,
    at_once: int = 1,
    deadline: float | None = None,
    keep: bool = False,
) -> list[str]:
    """Train jobs in one process, each to its shard, which is written as soon as the job is finished.

    Parameters
    ----------
    planned : name -> runs, `read`
    images : path of the prepared images
    shifts : folder of the shift tables; one that is missing is drawn into it
    out : folder of the shards: name.parquet
    device, threads, archived : as in `job.run`
    at_once : jobs side by side, each in a thread, on a GPU on a stream
    deadline : seconds from now; a job that would not be finished by then is not started. None: there is none
    keep : write every shard twice, as name.kept.parquet, too: Snakemake removes what a failed job is known to write

    Returns
    -------
    list of str
        Names of the jobs that were not started.

    Raises
    ------
    UserError
        As `job.run`, of the first job that failed, when all others are finished.
    KeyboardInterrupt
        After Ctrl-C: at once if jobs follow one another, else when those that run end their epoch.
    """
    from . import job
    from .device import choose_device

    device = choose_device(device)
    job.prepared(images)
    tables, stop = threading.Lock(), threading.Event()

    def after_epoch(*_: object) -> None:
        if stop.is_set():
            raise KeyboardInterrupt

    def work(name: str, runs: list[Run]) -> None:
        table = Path(shifts) / f"{shift_table_of(runs[0])}.npz" if share_shifts(runs[0]) else None
        with tables:
            if table and not table.exists():
                draw_table(runs[0], table)
        shard = Path(out) / f"{name}.parquet"
        report = None if len(planned) == 1 else after_epoch
        for path in [shard.with_suffix(KEPT), shard] if keep else [shard]:
            with own_stream(device):
                job.run(runs, images, table, path, device, threads, archived, report)

    started = time.perf_counter()

    def say(name: str, runs: list[Run], seconds: float) -> None:
        if len(planned) > 1:
            so_far = time.perf_counter() - started
            print(f"{name}: {len(runs)} runs in {seconds:.1f} s, {so_far:.0f} s so far", flush=True)

    return run_queue(planned, work, at_once, deadline, say, interrupted=stop.set)


def draw_table(run: Run, path: Path | str) -> None:
    """Draw the shift table of a run (`data.write_shifts`)."""
    from ..data import write_shifts

    sizes = run["epochs"], run["train_images"], run["test_images"]
    write_shifts(run["task"], run["epsilon"], run["seed"], *sizes, path, run.get("randomness", "own"))


def own_stream(device: str) -> AbstractContextManager[Any]:
    """A context in which a GPU's work is queued on a stream of its own; on a CPU it does nothing."""
    import torch

    return torch.cuda.stream(torch.cuda.Stream()) if device == "cuda" else nullcontext()


def run_queue(
    planned: Jobs,
    work: Callable[[str, list[Run]], object],
    at_once: int = 1,
    deadline: float | None = None,
    say: Callable[..., object] = lambda *_: None,
    clock: Callable[[], float] = time.perf_counter,
    interrupted: Callable[[], object] = lambda: None,
) -> list[str]:
    """Work on jobs in their order, some at a time; of those that would not end by the deadline, none is started.

    The time of a job is taken from its cost (`jobs.cost`) and the slowest job so far; the first ones are started in any
    case. When a job fails, the others go on.

    Parameters
    ----------
    planned : name -> runs
    work : function of a name and its runs
    at_once, deadline : see `train`
    say : called after each job with name, runs and seconds
    clock : seconds
    interrupted : called after Ctrl-C, to tell the work that is done in other threads

    Returns
    -------
    list of str
        Names of the jobs that were not started.

    Raises
    ------
    The error of the first job that failed; KeyboardInterrupt after Ctrl-C: no further job is started.
    """
    begin, left, lock, errors, slowness = clock(), dict(planned), threading.Lock(), [], [0.0]

    def next_job() -> tuple[str, list[Run]] | None:
        with lock:
            for name, runs in left.items():
                if deadline is None or clock() - begin + slowness[0] * sum(map(cost, runs)) <= deadline:
                    return name, left.pop(name)
        return None

    def worker(_: int = 0) -> None:
        while (found := next_job()) is not None:
            name, runs = found
            started = clock()
            try:
                work(name, runs)
            except Exception as error:  # the other jobs do not depend on it
                errors.append(error)
                print(f"{name} failed: {error}", flush=True)
                continue
            seconds = clock() - started
            with lock:
                slowness[0] = max(slowness[0], seconds / sum(map(cost, runs)))
            say(name, runs, seconds)

    if at_once == 1:
        worker()  # in this thread, which Ctrl-C interrupts
    else:
        with ThreadPoolExecutor(at_once) as workers:
            try:
                list(workers.map(worker, range(at_once)))
            except KeyboardInterrupt:
                left.clear()
                interrupted()
                raise
    if errors:
        raise errors[0]
    return list(left)
