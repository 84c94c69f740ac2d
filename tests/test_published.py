"""The published values: what is printed comes out again, what is damaged is refused."""

import shutil

import numpy as np
import pytest
from conftest import REPOSITORY
from einorm.analysis import published
from einorm.runtime import UserError

FOLDER = REPOSITORY / "paper_artifact" / "published"
VALUES = published.load(FOLDER)


def test_printed_tests_of_complete_groups_come_out_digit_for_digit():
    table = published.check_tests(VALUES)
    runs = table[table["basis"] == "runs"]
    assert (len(table), len(runs)) == (29, 9)
    np.testing.assert_allclose(runs["p"], runs["printed_p"], rtol=1e-12, atol=0)
    both = runs.dropna(subset="printed_U")
    assert len(both) and (both["U"] == both["printed_U"]).all() and runs["agrees"].all()


def test_the_other_printed_p_follow_from_u_and_a_tie_term():
    table = published.check_tests(VALUES)
    others = table[table["basis"] != "runs"]
    assert len(others) == 20 and others["agrees"].all()
    np.testing.assert_allclose(others["p"], others["printed_p"], rtol=1e-9, atol=0)


def test_a_changed_run_or_p_is_noticed():
    runs = VALUES["runs"].copy()
    chosen = (runs["canonical"] == 1) & (runs["condition"] == "gradnorm_full") & (runs["epsilon"] == "0.75")
    runs.loc[chosen, "value"] += 1
    table = published.check_tests(VALUES | {"runs": runs})
    assert not table[table["basis"] == "runs"]["agrees"].all()
    tests = VALUES["tests"].assign(p=VALUES["tests"]["p"] * (1 + 1e-6))
    assert not published.check_tests(VALUES | {"tests": tests})["agrees"].any()


def test_medians_of_published_runs_are_the_published_medians():
    summary = VALUES["summary"].query("statistic == 'median' and basis == 'computed_from_runs' and figure == 'Fig2'")
    checked = 0
    for row in summary.itertuples():
        runs = published.complete_runs(VALUES, row.condition, row.epsilon) if "pooled" not in row.epsilon else []
        if len(runs) == 30 and row.panel == "a_scatter":
            assert np.median(runs) == pytest.approx(row.value, abs=1e-9)
            checked += 1
    assert checked >= 8


@pytest.mark.parametrize("name", ["runs", "summary", "tests"])
@pytest.mark.parametrize(
    ("damage", "says"),
    [
        (lambda path: path.unlink(), "is missing"),
        (lambda path: path.write_bytes(b""), "is no CSV table"),
        (lambda path: path.write_bytes(b"\xff\xfe\x00"), "is no CSV table"),
        (lambda path: path.write_text("figure,panel\na,b\n"), "lacks the column"),
    ],
)
def test_a_damaged_file_is_named(tmp_path, name, damage, says):
    shutil.copytree(FOLDER, tmp_path / "published")
    path = tmp_path / "published" / f"published_{name}.csv"
    damage(path)
    with pytest.raises(UserError, match=says) as caught:
        published.load(path.parent)
    assert path.name in str(caught.value) and "\n" not in str(caught.value)
