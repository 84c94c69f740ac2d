"""How far a campaign has come: runs done, running, failed and left, and the time left. Reads files, writes none."""

import re
import sys
import time
from collections import Counter, defaultdict
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pandas as pd
from pandas import DataFrame

from ..records import lineage, tables
from ..records.jobs import cost, jobs
from ..records.runs import Run, run_digest
from ..runtime import UserError, duration
from ..settings import Settings

COLUMNS = ("planned", "finished", "collapsed", "running", "failed", "left")
SILENCE = 600  # seconds without a new line in its log, or three epochs, after which a job no longer counts as running
SPEED = {"cpu": 2e10}  # multiply-adds per second of a core, until finished runs tell (benchmark.json: 28e9 and up)
UNITS = {"cpu": "core", "cuda": "GPU"}


def print_status(settings: Settings, results: Path | str) -> None:
    """Print runs by condition and epsilon, and the time left.

    Parameters
    ----------
    settings : Settings
    results : folder of the workflow's results
    """
    results = Path(results)
    if not results.is_dir():
        print(f"einorm: note: there is no folder {results}, so no run is known to be finished", file=sys.stderr)
    table, seconds_left, at_work = status(settings, results)
    print(table.to_string(index=False))
    total = table[list(COLUMNS)].sum()
    print(f"{total['finished']} of {total['planned']} runs finished, {total['collapsed']} of them collapsed")
    if total["finished"] < total["planned"]:
        print(time_left(seconds_left, at_work, settings.machine.threads))
    logs = results / "logs" / "train"
    if states := Counter(job_state(log, SILENCE)[0] for log in logs.glob("gpu-*.log")):
        print(f"GPU jobs: {states['running']} running, {states['failed']} failed; the table counts their runs as left, "
              f"for a GPU job trains many cells (logs: {logs}/gpu-*.log)")  # fmt: skip


def time_left(seconds_left: Mapping[str, float], at_work: Mapping[str, int], threads: int) -> str:
    """The time left (s) of one core or of one GPU, and of the jobs that are at work, in words; threads: of a job."""
    alone = " or ".join(f"{duration(seconds)} of one {UNITS[device]}" for device, seconds in seconds_left.items())
    jobs_at_work = sum(at_work.values())
    if not jobs_at_work:
        return f"about {alone} left; no job is running"
    if not set(at_work) <= set(seconds_left):
        return f"about {alone} left; the {jobs_at_work} jobs now running are the first on their device"
    if not any(seconds_left.values()):
        return f"the {jobs_at_work} jobs now running are about to finish"
    share = sum(n * (threads if device == "cpu" else 1) / seconds_left[device] for device, n in at_work.items())
    return f"about {alone} left: {duration(1 / share)} with the {jobs_at_work} jobs now running"


def status(settings: Settings, results: Path) -> tuple[DataFrame, dict[str, float], Counter[str]]:
    """Runs of the settings as their files show them, also while a workflow runs.

    Parameters
    ----------
    settings : Settings
    results : Path, folder of the workflow's results

    Returns
    -------
    DataFrame, dict, Counter
        One row per condition and epsilon (`COLUMNS` are numbers of runs; collapsed ones are finished, failed ones
        left); device -> seconds left of one core (cpu) or one GPU (cuda) alone; device -> number of jobs running.
    """
    planned = jobs(settings)
    finished = finished_runs(results / "runs", planned)
    speeds = measured_speeds(planned, finished) or SPEED
    rows: dict[tuple[str, float], dict[str, Any]] = {}
    work, at_work = 0.0, Counter[str]()
    for name, runs in planned.items():
        first = runs[0]
        key = first["condition"], first["epsilon"]
        row = rows.setdefault(key, dict(zip(("condition", "epsilon"), key, strict=True)) | dict.fromkeys(COLUMNS, 0))
        open_runs = [run for run in runs if run_digest(run) not in finished]
        row["planned"] += len(runs)
        row["finished"] += len(runs) - len(open_runs)
        row["collapsed"] += sum(finished.get(run_digest(run), {}).get("status") == "collapsed" for run in runs)
        if not open_runs:
            continue
        work_of_job = sum(map(cost, open_runs))
        silence = max(SILENCE, 3 * work_of_job / min(speeds.values()) / first["epochs"])
        state, done, device = job_state(results / "logs" / "train" / f"{name}.log", silence)
        work += work_of_job * (1 - done)
        at_work += Counter([device] if device else [])
        row["running" if state == "running" else "left"] += len(open_runs)
        row["failed"] += len(open_runs) if state == "failed" else 0
    order = {key: i for i, key in enumerate((c, float(e)) for c in settings.conditions for e in settings.epsilons)}
    table = pd.DataFrame([rows[key] for key in sorted(rows, key=lambda key: order.get(key, len(order)))])
    return table, {device: work / speed for device, speed in speeds.items()}, at_work


def finished_runs(folder: Path, planned: dict[str, list[Run]]) -> dict[str, dict[str, Any]]:
    """Digest -> status, device, threads and seconds of every finished run of the jobs; a damaged shard holds none."""
    cells = {Path(name).parent: runs[0] for name, runs in planned.items()}
    finished: dict[str, dict[str, Any]] = {}
    for cell, first in cells.items():
        codes = [code for codes in lineage.counting_codes(first) for code in codes]
        for path in (folder / cell).glob("*.parquet"):
            try:
                rows = tables.read(path, "shard")
            except UserError:
                continue
            rows = rows[rows["code"].isin(codes) & (rows["epoch"] == first["epochs"])].set_index("digest")
            finished |= rows[["status", "device", "threads", "seconds"]].to_dict("index")
    return finished


def measured_speeds(planned: dict[str, list[Run]], finished: dict[str, dict[str, Any]]) -> dict[str, float]:
    """Device -> multiply-adds per second of one core (cpu) or GPU (cuda), from the runs that did not collapse."""
    work, seconds = defaultdict[str, float](float), defaultdict[str, float](float)
    for run in [run for runs in planned.values() for run in runs]:
        facts = finished.get(run_digest(run), {})
        if facts.get("status") == "finished":
            work[facts["device"]] += cost(run)
            seconds[facts["device"]] += facts["seconds"] * (facts["threads"] if facts["device"] == "cpu" else 1)
    return {device: work[device] / seconds[device] for device in sorted(work)}


def job_state(log: Path, silence: float) -> tuple[str, float, str | None]:
    """A job's state by its log, the share of its epochs that a running one has done, and its device.

    The state is running, failed or waiting: stopped ones, too, and those without a line for `silence` seconds.
    """
    try:
        text, age = log.read_text(encoding="utf-8", errors="replace"), time.time() - log.stat().st_mtime
    except (FileNotFoundError, NotADirectoryError):
        return "waiting", 0, None
    if failed(text):
        return "failed", 0, None
    if age > silence:
        return "waiting", 0, None
    epochs = re.findall(r"^epoch (\d+)/(\d+)", text, re.M)
    device = re.search(r" to train on (\w+)", text)
    done = int(epochs[-1][0]) / int(epochs[-1][1]) if epochs else 0
    return "running", done, device[1] if device else "cpu"


def failed(log: str) -> bool:
    """Whether the text of a log tells of an error: a user's mistake, or a traceback."""
    return bool(re.search(r"^(einorm: error: |Traceback \(most recent call last\))", log, re.M))


def written(folder: Path) -> dict[Path, int]:
    """Logs below a folder, and when each was written last (ns since 1970, by its writer's clock)."""
    return {path: path.stat().st_mtime_ns for path in sorted(folder.rglob("*.log"))}


def failures(folder: Path, before: Mapping[Path, int]) -> list[str]:
    """What went wrong in jobs, a line each: the last line of every log that tells of an error, and where the log is.

    Parameters
    ----------
    folder : Path of the logs
    before : the logs as the workflow found them (`written`): those that it did not write do not count
    """
    found = []
    for path, date in written(folder).items():
        text = path.read_text(encoding="utf-8", errors="replace") if date != before.get(path) else ""
        if failed(text):
            last = text.rstrip().splitlines()[-1].removeprefix("einorm: error: ")
            found.append(f"einorm: error: {last} (log: {path})")
    return found
