"""`make docs-results`: tables and pictures of the pages, made again from the archives, are the tracked ones."""

import re
import runpy
import shutil

import numpy as np
import pandas as pd
import pytest
from conftest import REPOSITORY, complete, copy_project, run_documented

DOCS = REPOSITORY / "docs"
MADE = runpy.run_path(str(DOCS / "archived_results.py"))
TABLE = re.compile(r"(<!-- table \w+ -->\n).*?(<!-- end -->)", re.DOTALL)


PAGES = (
    "README.md",
    "docs/results.md",
    "docs/reproduction.md",
    "docs/robustness.md",
    "docs/deviations.md",
    "docs/reproduce.md",
    "docs/model.md",
    "docs/error_signals.md",
    "docs/collapses.md",
)
CLAIMS = sorted((DOCS / "claims").glob("*.md"))
PICTURES = {
    "docs/results.md": "docs/paper",
    "docs/reproduction.md": "docs/reproduction",
    "docs/robustness.md": "docs/robustness",
    "docs/error_signals.md": "docs/error_signals",
}


@pytest.mark.long
def test_the_command_refreshes_the_pages(tmp_path):
    """In a copy of the project whose tables and pictures were taken out, they come out as they are tracked."""
    folder = copy_project(tmp_path)
    complete(folder)
    for page in PAGES:
        text = (folder / page).read_text()
        (folder / page).write_text(TABLE.sub(r"\1\2", text))
        assert (folder / page).read_text() != text
    for pictures in (*PICTURES.values(), "docs/claims"):
        shutil.rmtree(folder / pictures)
    (folder / "docs" / "claims").mkdir()
    run_documented("docs/reproduce.md", "make docs-results", folder)
    for page in PAGES:
        assert (folder / page).read_text() == (REPOSITORY / page).read_text(), page
    for page in CLAIMS:
        assert (folder / page.relative_to(REPOSITORY)).read_text() == page.read_text(), page.name
    for page, pictures in PICTURES.items():
        tracked = sorted((REPOSITORY / pictures).glob("*.png"))
        assert [path.name for path in tracked] == sorted(path.name for path in (folder / pictures).iterdir())
        for path in tracked:
            assert (folder / pictures / path.name).read_bytes() == path.read_bytes(), path.name
            pages = [REPOSITORY / page, DOCS / "deviations.md"]
            assert any(f"{pictures.removeprefix('docs/')}/{path.name}" in page.read_text() for page in pages)


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


def test_pages_of_claims_show_no_empty_number_and_no_signed_0(tmp_path):
    shutil.copy(DOCS / "results.md", tmp_path)
    MADE["written_pages"].write_claims(tmp_path, tmp_path / "results.md")
    pages = sorted(tmp_path.glob("C*.md"))
    assert [path.name for path in pages] == [path.name for path in CLAIMS]
    for path in pages:
        assert not re.search(r"\bnan\b|[-−+]0\.00\b| v 0\b", path.read_text()), path.name
    assert MADE["reproduction_page"].with_interval(-0.001, -0.02, 0.004) == "0.00 (-0.02 to 0.00)"
    assert MADE["reproduction_page"].with_interval(0.9972, 0.9961, 0.9989) == "+0.997 (+0.996 to +0.999)", (
        "not +1.00 (+1.00 to +1.00)"
    )
    assert MADE["reproduction_page"].with_interval(0.5, np.nan, np.nan) == "+0.50 (too few runs for an interval)"


def test_medians_of_sorted_accuracies_are_said_to_be_of_all_runs():
    head = MADE["reproduction_page"].sorted_table(pd.DataFrame({"median": []})).splitlines()[0]
    assert "| published median, all runs (%) | median, all runs (%) |" in head
    assert head in (DOCS / "reproduction.md").read_text()


def test_the_page_says_which_code_made_each_archive(tmp_path):
    page = DOCS / "reproduce.md"
    copy = tmp_path / page.name
    copy.write_text(TABLE.sub(r"\1\2", page.read_text()))
    MADE["write_codes"](copy)
    table = re.search(r"<!-- table codes -->\n(.*?)<!-- end -->", copy.read_text(), re.DOTALL)[1]
    assert table in page.read_text()
    archives = {path.parent.name for path in (REPOSITORY / "paper_artifact" / "archive").glob("*/manifest.json")}
    assert set(re.findall(r"^\| `(\w+)`", table, re.M)) == archives
