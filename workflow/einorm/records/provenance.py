"""What trained and what drew: machines, devices and versions, as runs record them and as an installation has them."""

import importlib.metadata
import json
import os
import platform
import subprocess
from functools import cache
from pathlib import Path
from typing import Any

from pandas import DataFrame

from ..runtime import PROJECT
from .costs import hours

Facts = dict[str, Any]
DRAWING = ("snakemake", "matplotlib", "numpy", "pandas", "pyarrow", "scipy", "seaborn")  # what figures and verdicts use


def machine() -> Facts:
    """The machine that this runs on: processor, cores, operating system, Python."""
    processor = platform.processor() or platform.machine()
    cpuinfo = Path("/proc/cpuinfo")
    if cpuinfo.exists():
        names = [
            line.split(":", 1)[1].strip()
            for line in cpuinfo.read_text(encoding="utf-8", errors="replace").splitlines()
            if line.startswith("model name")
        ]
        processor = names[0] if names else processor
    return {
        "processor": processor,
        "cores": os.cpu_count(),
        "system": platform.platform(),
        "python": platform.python_version(),
    }


@cache
def commit() -> str | None:
    """The git commit of this project, 12 hex digits, with "+changes" where tracked files differ from it; None if none.

    It is None where the project is no git checkout of its own: unpacked from a bundle, or inside another repository.
    Profiles do not count: they say how to run, and whoever has a cluster edits one.
    """

    def git(*arguments: str) -> str:
        return subprocess.run(
            ["git", "-C", str(PROJECT), *arguments], capture_output=True, encoding="utf-8", check=True
        ).stdout

    try:
        if Path(git("rev-parse", "--show-toplevel").strip()).resolve() != PROJECT.resolve():
            return None
        changed = git("status", "--porcelain", "--untracked-files=no", "--", ".", ":!workflow/profiles").strip()
        return git("rev-parse", "--short=12", "HEAD").strip() + ("+changes" if changed else "")
    except (OSError, subprocess.CalledProcessError):
        return None


def short(commit: str) -> str:
    """A commit with 7 hex digits, and with "+changes" where it has that."""
    digits, plus, changes = commit.partition("+")
    return digits[:7] + plus + changes


def trainings(runs: DataFrame, unrecorded: Facts | None = None) -> list[Facts]:
    """What trained runs: machine, versions, commit, device, threads, number of runs, `costs.hours`; a dict for each.

    Parameters
    ----------
    runs : DataFrame, a row per run, with the columns versions, device, threads and seconds
    unrecorded : the machine of runs that did not record theirs; None: it is not known
    """
    found = []
    for (text, device, threads), group in runs.groupby(["versions", "device", "threads"], sort=True):
        versions = json.loads(text)
        facts = {"machine": versions.pop("machine", unrecorded), "commit": versions.pop("commit", None)}
        facts |= {"versions": versions, "device": device}
        spent = {unit: round(value, 3) for unit, value in hours(group).items()}
        found.append(facts | {"threads": int(threads), "runs": len(group)} | spent)
    return found


def machine_name(machine: Facts) -> str:
    """A machine for reading: processor, cores and, where one trained, the GPU."""
    return ", ".join(filter(None, [machine["processor"], f"{machine['cores']} cores", machine.get("gpu")]))


def drawing() -> Facts:
    """What draws here, without what differs between machines whose drawings are equal: versions, and kind of system."""
    versions = {"python": platform.python_version()}
    for name in DRAWING:
        try:
            versions[name] = importlib.metadata.version(name)
        except importlib.metadata.PackageNotFoundError:
            continue
    return {"versions": versions, "system": f"{platform.system()} {platform.machine()}"}
