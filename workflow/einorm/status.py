"""How far a campaign has come: runs done, running, failed and left, and the time left. Reads files, writes none."""

import re
import time
from pathlib import Path

import pandas as pd

from . import tables
from .runs import cost, jobs, run_digest, training_code
from .runtime import duration

COLUMNS = ("planned", "finished", "collapsed", "running", "failed", "left")
SILENCE = 600  # seconds without a new line in its log, or three epochs, after which a job no longer counts as running
SPEED = 2e10  # multiply-adds per second of a core, until finished runs tell (benchmark.json: 28e9 and up)


def print_status(settings, results):
    """Print runs by condition and epsilon, and the time left.

    Parameters
    ----------
    settings : Settings
    results : folder of the workflow's results
    """
    table, seconds_left, at_work = status(settings, Path(results))
    print(table.to_string(index=False))
    total = table[list(COLUMNS)].sum()
    print(f"{total['finished']} of {total['planned']} runs finished, {total['collapsed']} of them collapsed")
    if total["finished"] < total["planned"]:
        print(f"about {duration(seconds_left)} of one core left" + pace(seconds_left, at_work))


def pace(seconds_left, at_work):
    """The time left (s of one core) with the jobs that are at work, in words."""
    return (
        f": {duration(seconds_left / at_work)} with the {at_work} jobs now running"
        if at_work
        else "; no job is running"
    )


def status(settings, results):
    """Runs of the settings as their files show them, also while a workflow runs.

    Parameters
    ----------
    settings : Settings
    results : Path, folder of the workflow's results

    Returns
    -------
    DataFrame, float, int
        One row per condition and epsilon (`COLUMNS` are numbers of runs; collapsed ones are finished, failed ones
        left); core-seconds left; number of jobs running.
    """
    planned = jobs(settings)
    finished = finished_runs(results / "runs", planned)
    speed = measured_speed(planned, finished)
    rows, work, at_work = {}, 0, 0
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
        silence = max(SILENCE, 3 * work_of_job / speed / first["epochs"])
        state, done = job_state(results / "logs" / "train" / f"{name}.log", silence)
        work += work_of_job * (1 - done)
        at_work += state == "running"
        row["running" if state == "running" else "left"] += len(open_runs)
        row["failed"] += len(open_runs) if state == "failed" else 0
    order = {key: i for i, key in enumerate((c, float(e)) for c in settings.conditions for e in settings.epsilons)}
    table = pd.DataFrame([rows[key] for key in sorted(rows, key=lambda key: order.get(key, len(order)))])
    return table, work / speed, at_work


def finished_runs(folder, planned):
    """Digest -> status and seconds of every finished run of the planned jobs; a damaged shard holds none."""
    cells = {Path(name).parent: runs[0] for name, runs in planned.items()}
    finished = {}
    for cell, first in cells.items():
        code = training_code(first["condition"], first["task"])
        for path in (folder / cell).glob("*.parquet"):
            try:
                rows = tables.read(path, "shard")
            except tables.UserError:
                continue
            rows = rows[(rows["code"] == code) & (rows["epoch"] == first["epochs"])].set_index("digest")
            finished |= rows[["status", "seconds"]].to_dict("index")
    return finished


def measured_speed(planned, finished):
    """Multiply-adds per second of a core, from the finished runs that did not collapse."""
    whole = [
        (cost(run), finished[run_digest(run)]["seconds"])
        for runs in planned.values()
        for run in runs
        if finished.get(run_digest(run), {}).get("status") == "finished"
    ]
    return sum(work for work, _ in whole) / sum(seconds for _, seconds in whole) if whole else SPEED


def job_state(log, silence):
    """A job's state by its log, and the share of its epochs that a running one has done.

    The state is running, failed or waiting: stopped ones, too, and those without a line for `silence` seconds.
    """
    try:
        text, age = log.read_text(encoding="utf-8", errors="replace"), time.time() - log.stat().st_mtime
    except FileNotFoundError:
        return "waiting", 0
    if "einorm: error:" in text:
        return "failed", 0
    if age > silence:
        return "waiting", 0
    epochs = re.findall(r"^epoch (\d+)/(\d+)", text, re.M)
    return "running", int(epochs[-1][0]) / int(epochs[-1][1]) if epochs else 0
