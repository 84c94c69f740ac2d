"""`make docs-results`: tables and pictures of the pages, made again from the archives, are the tracked ones."""

import re
import runpy

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
