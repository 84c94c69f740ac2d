"""`make docs-results`: tables and pictures of the pages, made again from the archives, are the tracked ones."""

import re
import runpy

import pandas as pd
import pytest
from conftest import REPOSITORY

DOCS = REPOSITORY / "docs"
MADE = runpy.run_path(str(DOCS / "archived_results.py"))
TABLE = re.compile(r"(<!-- table \w+ -->\n).*?(<!-- end -->)", re.DOTALL)


@pytest.mark.parametrize(
    ("write", "pages", "pictures"),
    [
        ("write_paper", [REPOSITORY / "README.md", DOCS / "results.md"], "paper"),
        ("write_robustness", [DOCS / "robustness.md"], "robustness"),
    ],
)
def test_pages_show_what_the_archives_hold(tmp_path, write, pages, pictures):
    fresh = [tmp_path / page.name for page in pages]
    for page, copy in zip(pages, fresh, strict=True):
        copy.write_text(TABLE.sub(r"\1\2", page.read_text()))
        assert copy.read_text() != page.read_text()
    MADE[write](*fresh, tmp_path)
    for page, copy in zip(pages, fresh, strict=True):
        assert copy.read_text() == page.read_text()
    tracked = sorted((DOCS / pictures).glob("*.png"))
    assert [path.name for path in tracked] == sorted(path.name for path in tmp_path.glob("*.png"))
    for path in tracked:
        assert (tmp_path / path.name).read_bytes() == path.read_bytes(), path.name
        assert f"{pictures}/{path.name}" in pages[0].read_text()


def test_pages_show_core_hours_and_gpu_hours_apart():
    counts = {"planned": 2, "finished": 2, "collapsed": 0}
    cells = pd.DataFrame([{"condition": c, "epsilon": 0.75} | counts for c in ("inorm", "ei_ln")])
    on_cpu, on_gpu = {"core_hours": 3.0, "gpu_hours": 0.0}, {"core_hours": 0.0, "gpu_hours": 0.5}
    head, _, *rows = MADE["cells_table"](cells, {"inorm": on_cpu, "ei_ln": on_gpu}).splitlines()
    assert head == "| condition | ε 0.75 | core-hours | GPU-hours |"
    assert [row.split(" | ", 1)[1] for row in rows] == ["2 of 2 | 3.0 | 0.0 |", "2 of 2 | 0.0 | 0.5 |"]
    assert "GPU" not in MADE["cells_table"](cells, {"inorm": on_cpu, "ei_ln": on_cpu})
    machine = {"processor": "a processor", "cores": 2}
    trainings = [{"machine": machine}, {"machine": machine | {"gpu": "a GPU"}}, {"machine": machine}]
    words = MADE["cost"](cells, {"core_hours": 3.0, "gpu_hours": 0.5}, trainings)
    assert "They took 3.0 core-hours and 0.5 GPU-hours (a processor, 2 cores; a processor, 2 cores, a GPU)." in words
