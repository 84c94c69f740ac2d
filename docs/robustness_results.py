"""Pictures and tables of docs/robustness.md, from the archives of the presets robustness_*: `make docs-results`.

Writes docs/robustness/<question>.png, and the tables into the page; a test holds both to the archives.
"""

import re
import sys
import tempfile
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1] / "workflow"))

import einorm
import numpy as np
from einorm import figures
from einorm.conditions import CONDITIONS
from einorm.robustness import robustness
from einorm.runtime import atomic_path
from einorm.variants import QUESTIONS

DOCS = Path(__file__).parent
PROJECT = DOCS.parent
ARCHIVES = PROJECT / "paper_artifact" / "archive"
PUBLISHED = PROJECT / "paper_artifact" / "published"
HEADINGS = (
    "trained",
    "runs",
    "condition",
    "n",
    "collapsed",
    "at chance",
    "median (%)",
    "change (points)",
    "from LN+ (points)",
)


def write(page=DOCS / "robustness.md", pictures=DOCS / "robustness"):
    """Write the picture of every question to a folder, and its table into the page, between its marks."""
    text = Path(page).read_text(encoding="utf-8")
    for question in QUESTIONS:
        archive = ARCHIVES / f"robustness_{question}"
        with tempfile.TemporaryDirectory() as folder:
            figures.make(f"robustness_{question}", archive, PUBLISHED, folder)
            picture = (Path(folder) / f"robustness_{question}.png").read_bytes()
        with atomic_path(Path(pictures) / f"{question}.png") as temporary:
            temporary.write_bytes(picture)
        marks = re.compile(f"(<!-- table {question} -->\n).*?(<!-- end -->)", re.DOTALL)
        text = marks.sub(rf"\1\n{table(archive)}\n\2", text)  # no row holds a backslash
    with atomic_path(page) as temporary:
        temporary.write_text(text, encoding="utf-8")


def table(archive):
    """The answers of an archive as a Markdown table."""
    rows = [HEADINGS, ["---"] * len(HEADINGS)]
    for r in robustness(einorm.load(archive)["runs"]).itertuples():
        name = f"{CONDITIONS[r.condition].label} (`{r.condition}`)"
        sizes = [size(r, "change"), size(r, "versus_ln")]
        rows.append(
            [f"`{r.variant}`", r.selection, name, r.n, r.collapsed, r.at_chance, f"{r.median_test_acc:.2f}", *sizes]
        )
    return "".join(f"| {' | '.join(map(str, row))} |\n" for row in rows)


def size(row, name):
    """A difference with its interval in words; empty where there is none."""
    middle, low, high = (getattr(row, f"{name}{part}") for part in ("", "_low", "_high"))
    if not np.isfinite(middle):
        return ""
    interval = f" ({low:+.2f} to {high:+.2f})" if np.isfinite([low, high]).all() else " (too few runs for an interval)"
    return f"{middle:+.2f}{interval}"


if __name__ == "__main__":
    write()
