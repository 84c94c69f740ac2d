"""Reproduction, replication and robustness of every statement: the same verdicts as elsewhere, absent runs are said."""

import numpy as np
import pandas as pd
import pytest
from conftest import REPOSITORY
from einorm.__main__ import main
from einorm.analysis import claims, published, side_by_side
from einorm.analysis.statements import load_rules

ARTIFACT = REPOSITORY / "paper_artifact"
ARCHIVES, RULES = ARTIFACT / "archive", load_rules(ARTIFACT / "claims.yaml")
STATEMENTS = {statement.id: statement for statement in RULES.statements}
VALUES = published.load(ARTIFACT / "published")
PLACES = ["--rules", str(ARTIFACT / "claims.yaml"), "--published", str(ARTIFACT / "published")]


def some(*names):
    return RULES.model_copy(update={"statements": [STATEMENTS[name] for name in names]})


def changes(question):
    return side_by_side.ways(*side_by_side.runs_of(ARCHIVES / f"robustness_{question}"))


def test_verdicts_are_those_of_the_claims():
    folder = ARCHIVES / "replication"
    runs, settings = side_by_side.runs_of(folder)
    expected = claims.evaluate(RULES, runs, settings, VALUES, only="C4.1").set_index("selection").loc["all"]
    folders = {"reproduction": None, "replication": folder}
    (row,) = side_by_side.as_rows(side_by_side.answers(some("C4.1"), VALUES, folders, []))
    for name in side_by_side.SHOWN:
        assert row[f"replication_{name}"] == expected[name], name
    assert row["published_effect"] == expected["published_effect"] and row["robustness"] == "not computed"
    assert row["reproduction_verdict"] == "not computed" and np.isnan(row["reproduction_effect"])
    assert row["reproduction_reason"] == side_by_side.NO_ARCHIVE


def test_robustness_compares_with_the_papers_way_trained_as_short():
    """The intervals are in docs/robustness.md: I-Norm from LN+, -4.53 to -2.13 shuffled, -2.70 to -0.81 at depth 1."""
    shuffled = side_by_side.robustness(STATEMENTS["C4.1"], RULES, changes("order"))
    assert shuffled == {"ways": 1, "unchanged": 1, "short": "holds", "changed": ""}
    depth = side_by_side.robustness(STATEMENTS["C4.1"], RULES, changes("depth"))
    assert depth == {"ways": 3, "unchanged": 2, "short": "holds", "changed": "depth1: unclear"}
    both = side_by_side.robustness(STATEMENTS["C4.1"], RULES, [*changes("order"), *changes("depth")])
    words = "same answer (holds) in 3 of 4 ways to train; depth1: unclear"
    assert both["ways"] == 4 and side_by_side.in_words(both) == words


@pytest.mark.parametrize("name", ["C4.2", "C6.1", "C3.1"])
def test_no_run_of_a_cell_no_answer(name):
    assert side_by_side.robustness(STATEMENTS[name], RULES, changes("order"))["ways"] == 0


def test_without_the_papers_way_there_is_nothing_to_compare_with():
    assert changes("validation") == []


@pytest.mark.parametrize(("distance", "expected"), [(-3.0, "holds"), (0.0, "does not hold"), (-1.0, "unclear")])
def test_an_answer_says_where_the_interval_lies(distance, expected):
    runs, settings = side_by_side.runs_of(ARCHIVES / "robustness_order")
    paper = runs[runs["variant"] == "paper"].copy()
    reference = paper[paper["condition"] == "e_only_ln"].set_index("config")["test_acc"]
    lower = paper["condition"] == "inorm"
    noise = [-0.3, -0.2, -0.1, 0.1, 0.2, 0.3]
    paper.loc[lower, "test_acc"] = paper.loc[lower, "config"].map(reference) + distance + noise
    assert side_by_side.answer(STATEMENTS["C4.1"], RULES, paper, settings) == expected
    assert side_by_side.answer(STATEMENTS["C4.1"], RULES, paper[paper["config"] > 0], settings) == ""


def test_no_archive_at_all_is_said_and_breaks_nothing(tmp_path, capsys):
    arguments = ["--reproduction=", "--replication=", "--robustness", *PLACES, "--out", str(tmp_path)]
    assert main(["side_by_side", *arguments]) == 0
    n = len(RULES.statements)
    assert capsys.readouterr().out == f"reproduction: {n} not computed\nreplication: {n} not computed\n"
    rows = side_by_side.read(tmp_path)
    assert [row["id"] for row in rows] == list(STATEMENTS)
    assert {row["robustness"] for row in rows} == {"not computed"}


def test_a_damaged_archive_and_a_missing_file_are_one_line(tmp_path, capsys):
    folder = tmp_path / "archive"
    folder.mkdir()
    for path in (ARCHIVES / "quick").iterdir():
        (folder / path.name).write_bytes(path.read_bytes()[: -1 if path.suffix == ".parquet" else None])
    assert main(["side_by_side", "--replication", str(folder), *PLACES, "--out", str(tmp_path)]) == 1
    error = capsys.readouterr().err
    assert error.count("\n") == 1 and "was changed since it was archived" in error
    with pytest.raises(
        side_by_side.UserError, match="side_by_side.csv is missing: make it with snakemake side_by_side"
    ):
        side_by_side.read(tmp_path)


def test_the_table_has_the_columns_that_the_page_names(tmp_path):
    table = side_by_side.side_by_side(RULES, {kind: {} for kind in side_by_side.KINDS}, [])
    text = (REPOSITORY / "docs" / "reproduction.md").read_text()
    named = {name for name in table.columns if f"`{name}`" in text}
    assert {"id", "claim", "text", "published_effect", "reproduction_verdict", "ways", "changed"} <= named
    assert pd.isna(table["reproduction_effect"]).all()
