"""Fault campaign: the workflow is struck at random points, started again, and must lose nothing.

    python tests/faults.py --rounds 25 --seed 0

Every round copies the project, starts the smoke preset up to its tables, strikes once, and then types what the README
says. It fails unless the tables equal those of an unbroken run byte for byte, no finished run was trained again,
and no reader ever saw half a file. As root the disk really fills (a small tmpfs); without, that kind is left out.
"""

import argparse
import contextlib
import io
import os
import random
import shutil
import signal
import subprocess
import sys
import tempfile
import threading
import time
from pathlib import Path

import numpy as np
import psutil
import pyarrow.parquet as pq
from conftest import copy_project

TABLES = ("runs", "epochs", "samples")
STRIKES = {
    "training gets SIGTERM": (signal.SIGTERM, "einorm train"),
    "training gets SIGKILL": (signal.SIGKILL, "einorm train"),
    "Snakemake gets SIGTERM": (signal.SIGTERM, None),
    "Snakemake gets SIGKILL": (signal.SIGKILL, None),
    "the disk is full": None,
    "a shard is truncated": "results/runs/**/*.parquet",
    "a table is deleted": "results/tables/*.parquet",
}
COMMANDS = 4  # more than that are not "run it again"


def main():
    arguments = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    arguments.add_argument("--rounds", type=int, default=25)
    arguments.add_argument("--seed", type=int, default=0)
    arguments.add_argument("--config", nargs="*", default=["preset=smoke"])
    options = arguments.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        results = campaign(Path(folder), options.rounds, options.seed, options.config)
    failed = [result for result in results if result["faults"]]
    twice = sum(result["trained twice"] for result in results)
    print(f"{len(results) - len(failed)} of {len(results)} faults survived; {twice} finished runs trained twice")
    return 1 if failed else 0


def campaign(folder, rounds, seed, config):
    """One dict per round: kind, commands typed, finished runs that were trained twice, faults."""
    chance = random.Random(seed)
    started = time.monotonic()
    reference = copy_project(folder / "reference")
    done = snakemake(reference, config)
    output = done.communicate()[0]
    if done.returncode:
        raise SystemExit(f"the unbroken run failed:\n{output}")
    expected, duration = tables(reference), time.monotonic() - started
    kinds = [kind for kind in STRIKES if kind != "the disk is full" or os.geteuid() == 0]
    order = [kinds[i % len(kinds)] for i in range(rounds)]
    chance.shuffle(order)
    results = []
    for i, kind in enumerate(order):
        moment, result = chance.uniform(0.1, 0.95) * duration, None
        while result is None:  # the workflow was faster than the blow: strike earlier
            with project(folder / str(i), kind) as place:
                result = strike_once(place, config, kind, moment, chance, expected)
            moment *= 0.8
        results.append({"round": i, "kind": kind} | result)
        print(" ".join(f"{key}: {value};" for key, value in results[-1].items()), flush=True)
    return results


@contextlib.contextmanager
def project(folder, kind):
    """A copy of the project; on a small disk of its own where that is to be filled."""
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir()
    small = kind == "the disk is full"
    if small:
        subprocess.run(["mount", "-t", "tmpfs", "-o", "size=400m", "tmpfs", folder], check=True)
    try:
        yield copy_project(folder / "project")
    finally:
        if small:
            subprocess.run(["umount", "--lazy", folder], check=True)


def snakemake(folder, config, *arguments):
    """Start Snakemake on the tables."""
    command = [sys.executable, "-m", "snakemake", "tables", "--cores", "2", *arguments, "--config", *config]
    pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.STDOUT, "text": True}
    return subprocess.Popen(command, cwd=folder, **pipes)


def strike_once(folder, config, kind, moment, chance, expected):
    """One round: start, strike after `moment` seconds, wait, look, type what is documented, compare.

    None if there was nothing left to strike.
    """
    reader = Reader(folder)
    workflow = snakemake(folder, config)
    output = collect_output(workflow)
    time.sleep(moment)
    struck = strike(folder, kind, workflow, chance)
    workflow.wait()
    if struck is None:
        reader.stop()
        return None
    spoiled, orphans = struck
    finished = finished_runs(folder)
    (folder / "ballast").unlink(missing_ok=True)
    commands, texts = recover(folder, config)
    for orphan in orphans:
        with contextlib.suppress(psutil.NoSuchProcess):
            orphan.wait(timeout=120)
    faults = [f"half-written: {path}" for path in reader.stop() if path not in spoiled]
    after = finished_runs(folder)
    twice = [run for run, seconds in finished.items() if after.get(run) != seconds]
    faults += [f"trained twice: {run}" for run in twice]
    faults += [f"{name} differs" for name, content in tables(folder).items() if content != expected[name]]
    faults += ["a traceback"] if any("Traceback" in text for text in texts) else []
    if faults:
        print("\n".join([*output, *texts]), file=sys.stderr)
    left = len(list(folder.rglob("*.tmp")))
    faults += [f"{left} temporary files left"] if left else []
    return {"at": f"{moment:.1f} s", "finished then": len(finished), "commands": commands,
            "trained twice": len(twice), "faults": faults}  # fmt: skip


def collect_output(process):
    """Lines of a process, read beside it."""
    lines = []
    threading.Thread(target=lambda: lines.extend(process.stdout), daemon=True).start()
    return lines


def strike(folder, kind, workflow, chance):
    """Do the damage as soon as there is something to damage: paths spoiled by hand, processes left behind.

    None if the workflow ended before.
    """
    what = STRIKES[kind]
    if workflow.poll() is not None:
        return None
    if kind == "the disk is full":
        with contextlib.suppress(OSError), open(folder / "ballast", "wb", buffering=0) as file:
            while True:
                file.write(bytes(2**20))
        return [], []
    if isinstance(what, str):
        spoiled = spoil(folder, what, kind, workflow, chance)
        return spoiled and (spoiled, [])
    number, name = what
    if name is None:
        children = psutil.Process(workflow.pid).children(recursive=True)
        workflow.send_signal(number)
        return [], children
    while workflow.poll() is None:
        found = [p for p in psutil.Process(workflow.pid).children(recursive=True) if is_training(p, name)]
        if found:
            chance.choice(found).send_signal(number)
            return [], []
        time.sleep(0.05)
    return None


def is_training(process, name):
    with contextlib.suppress(psutil.Error):
        words = process.cmdline()
        return name in " ".join(words) and "bash" not in words[0]
    return False


def spoil(folder, pattern, kind, workflow, chance):
    """Truncate or delete one of the files, as soon as there is one: what was spoiled."""
    while not (paths := sorted(folder.glob(pattern))):
        if workflow.poll() is not None:
            return None
        time.sleep(0.05)
    path = chance.choice(paths)
    if "truncated" in kind:
        os.truncate(path, chance.randrange(path.stat().st_size))
    else:
        path.unlink(missing_ok=True)
    return [path]


def recover(folder, config):
    """Type what the README says until the workflow is done; how many commands that took, and what they printed."""
    texts = []
    for commands in range(1, COMMANDS + 1):
        process = snakemake(folder, config, "--rerun-incomplete")
        texts.append(process.communicate()[0])
        if process.returncode == 0:
            return commands, texts
        if "--unlock" in texts[-1] and "cannot be locked" in texts[-1]:
            snakemake(folder, config, "--unlock").communicate()
    return commands, [*texts, "Traceback: not done after all"]


def finished_runs(folder):
    """Digest of every run in a whole shard -> the seconds it took, which no second training repeats."""
    finished = {}
    for path in folder.glob("results/runs/**/*.parquet"):
        with contextlib.suppress(Exception):
            table = pq.read_table(path, columns=["digest", "seconds"], page_checksum_verification=True)
            finished |= dict(zip(*table.to_pydict().values(), strict=True))
    return finished


def tables(folder):
    """Name -> bytes of the tables; None where there is none."""
    paths = {name: folder / "results" / "tables" / f"{name}.parquet" for name in TABLES}
    return {name: path.read_bytes() if path.exists() else None for name, path in paths.items()}


class Reader:
    """Reads every file of the results again and again; what could not be read whole is listed by `stop`."""

    def __init__(self, folder):
        self.folder, self.half, self.stopped = folder, [], threading.Event()
        self.thread = threading.Thread(target=self.watch)
        self.thread.start()

    def watch(self):
        while not self.stopped.wait(0.1):
            for path in [*self.folder.glob("results/**/*.parquet"), *self.folder.glob("results/**/*.npz")]:
                if not whole(path):
                    self.half.append(path)

    def stop(self):
        self.stopped.set()
        self.thread.join()
        return sorted(set(self.half))


def whole(path):
    """Whether a file is whole, or gone."""
    try:
        content = io.BytesIO(path.read_bytes())
    except FileNotFoundError:
        return True
    try:
        if path.suffix == ".parquet":
            pq.read_table(content, page_checksum_verification=True)
        else:
            with np.load(content, allow_pickle=False) as arrays:
                assert all(arrays[name] is not None for name in arrays.files)
    except Exception:
        return False
    return True


if __name__ == "__main__":
    sys.exit(main())
