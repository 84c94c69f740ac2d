"""Dates of results: Snakemake goes by them, and a copy (cp -r, rsync, a download) makes them meaningless.

Images and shift tables are what their names say, so they count as old. For runs and tables, every workflow that ends
records dates and checksums; where the next one finds the same contents with other dates, it restores the dates.
"""

import contextlib
import json
import os
import sys
import time
from pathlib import Path
from typing import Any

from ..runtime import atomic_path, checksum

RECORD = "dates.json"  # in the folder of the results
OLD = 10**18  # ns since 1970: 2001, older than any result
NAMED = ("data/*.npz", "shifts/**/*.npz")  # files whose names decide their contents
MADE = ("runs/**/*.parquet", "tables/*.parquet")
FUTURE = 60  # seconds by which the clocks of machines that share a folder may differ


def settle(results: Path) -> None:
    """Give the files below results (a Path) dates by which Snakemake makes again what is missing, and nothing else."""
    now = time.time()
    recorded = {path: facts for path, facts in _read(results).items() if path.exists()}
    moved = {path: facts["date"] for path, facts in recorded.items() if path.stat().st_mtime_ns != facts["date"]}
    # all or nothing: a file of other contents is newer than what was made from its predecessor
    same = all(date / 1e9 < now + FUTURE and checksum(p) == recorded[p]["sha256"] for p, date in moved.items())
    dates = dict.fromkeys(_found(results, NAMED), OLD) | (moved if same else {})
    for path, date in dates.items():
        with contextlib.suppress(PermissionError):  # another user's file
            os.utime(path, ns=(date, date))
    ahead = [path for path in _found(results, MADE) if path.stat().st_mtime > now + FUTURE]
    if ahead:
        more = f" and {len(ahead) - 1} more" if ahead[1:] else ""
        print(
            f"einorm: note: {ahead[0]}{more}: dated in the future, since the clock of some machine was fast. Until "
            "then, what depends on it is made at every start. To correct the dates: snakemake --touch --cores 1",
            file=sys.stderr,
        )


def record(results: Path) -> None:
    """Write down dates and checksums of the runs and tables below results (a Path); reads only what has changed."""
    before, facts = _read(results), {}
    for path in _found(results, MADE):
        date = path.stat().st_mtime_ns
        known = before.get(path, {})
        sha256 = known["sha256"] if known.get("date") == date else checksum(path)
        facts[path.relative_to(results).as_posix()] = {"date": date, "sha256": sha256}
    if facts:
        with atomic_path(results / RECORD) as temporary:
            temporary.write_text(json.dumps(facts, indent=0, sort_keys=True) + "\n", encoding="utf-8")


def _found(results: Path, patterns: tuple[str, ...]) -> list[Path]:
    return sorted(path for pattern in patterns for path in results.glob(pattern))


def _read(results: Path) -> dict[Path, dict[str, Any]]:
    """Path -> date (ns), sha256, as they were recorded; empty where nothing was, or the record is damaged."""
    try:
        facts = json.loads((results / RECORD).read_text(encoding="utf-8"))
        return {results / name: {"date": int(f["date"]), "sha256": f["sha256"]} for name, f in facts.items()}
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
        return {}
