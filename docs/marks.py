"""Pages that are made in part: tables and lists between the marks ``<!-- table NAME -->`` and ``<!-- end -->``."""

import re
import tempfile
from pathlib import Path

import numpy as np
from einorm import figures
from einorm.analysis.explain import amount
from einorm.analysis.judging import decimals
from einorm.runtime import atomic_path

DOCS = Path(__file__).parent
PROJECT = DOCS.parent
ARTIFACT = PROJECT / "paper_artifact"
ARCHIVES = ARTIFACT / "archive"
PUBLISHED = ARTIFACT / "published"


def keep(picture, path):
    """Copy a picture to a path, which is written whole or not at all."""
    with atomic_path(path) as temporary:
        temporary.write_bytes(picture.read_bytes())


def fill(page, texts):
    """Put texts into a page, each between its marks."""
    text = Path(page).read_text(encoding="utf-8")
    for name, table in texts.items():
        marks = re.compile(f"(<!-- table {name} -->\n).*?(<!-- end -->)", re.DOTALL)
        text = marks.sub(lambda found, table=table: f"{found[1]}\n{table}\n{found[2]}", text)
    with atomic_path(page) as temporary:
        temporary.write_text(text, encoding="utf-8")


def bullets(lines):
    """A Markdown list."""
    return "".join(f"- {line}\n" for line in lines)


def markdown(headings, rows):
    """A Markdown table."""
    lines = [headings, ["---"] * len(headings), *rows]
    return "".join(f"| {' | '.join(map(str, line))} |\n" for line in lines)


def with_interval(middle, low, high, without=" (too few runs for an interval)"):
    """A difference with its interval in words (`judging.decimals`); empty where there is none."""
    if not np.isfinite(middle):
        return ""
    if not np.isfinite([low, high]).all():
        return amount(middle, 2) + without
    digits = decimals(low, high)
    return f"{amount(middle, digits)} ({amount(low, digits)} to {amount(high, digits)})"


def number(value):
    """A number with two decimals; a dash where there is none."""
    return f"{value:.2f}" if np.isfinite(value) else "–"


def write_picture(figure, tables_folder, path, compared=None):
    """Draw a figure from an archive, those of `figures.COMPARED` from the folder `compared`, and keep its PNG only."""
    with tempfile.TemporaryDirectory() as folder:
        figures.make(figure, tables_folder, PUBLISHED, ARTIFACT / "claims.yaml", folder, compared)
        keep(Path(folder) / f"{figure}.png", path)
