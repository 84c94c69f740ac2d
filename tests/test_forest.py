"""The figure of all statements: what is drawn of each, and what is said where there is nothing to draw."""

import numpy as np
import pandas as pd
import pytest
from conftest import REPOSITORY
from einorm.analysis.statements import load_rules
from einorm.figures import forest
from einorm.runtime import UserError
from matplotlib.colors import to_hex

RULES_PATH = REPOSITORY / "paper_artifact" / "claims.yaml"
RULES = load_rules(RULES_PATH)
COLUMNS = ("effect", "low", "high", "published_effect", "published_low", "published_high")


def claims(**effects):
    """claims.csv with nothing computed but the effects given by id: (verdict, selection -> the six `COLUMNS`)."""
    rows = []
    for statement in RULES.statements:
        verdict, known = effects.get(statement.id.replace(".", "_"), ("not computed", {}))
        for selection in dict.fromkeys(("all", statement.published_rule)):
            numbers = dict(zip(COLUMNS, known.get(selection, [np.nan] * 6), strict=True))
            rows.append(
                {"id": statement.id, "selection": selection, "task": "luminosity", "verdict": verdict} | numbers
            )
    return pd.DataFrame(rows)


def points_of(**effects):
    return forest.rows_of(claims(**effects), RULES).set_index("id", drop=False)


def test_a_row_has_both_sides_and_the_range_of_its_rule():
    points = points_of(C5_1=("reproduced", {"all": [0.1, -0.1, 0.3, 0.4, 0.2, 0.5]}))
    row = points.loc["C5.1"]
    assert [*row[[*COLUMNS]]] == [0.1, -0.1, 0.3, 0.4, 0.2, 0.5] and row["verdict"] == "reproduced"
    assert (row["holds_low"], row["holds_high"]) == (-0.5, np.inf) and not row["own_selection"]
    assert row["name"] == "GradNorm − LN+ (E only), ε 0.75"
    assert [*points["id"]] == [s.id for s in RULES.statements], "in the order of the rules"


def test_the_runs_that_the_figure_shows_stand_in_where_nothing_else_was_published():
    points = points_of(
        C6_5=("reproduced", {"all": [-5.0, -9.0, -3.0, *[np.nan] * 3], "above_chance": [-4, -5, -3, -3.5, -4, -3]})
    )
    row = points.loc["C6.5"]
    assert row["own_selection"] and row["published_effect"] == -3.5
    assert row["effect"] == -5.0, "ours stays that of all runs, which the verdict rests on"


def drawn(points):
    """(marker, x, colour) of every mark, and all texts of the figure."""
    axes = forest.draw(points).axes
    marks = [
        (line.get_marker(), float(line.get_xdata()[0]), to_hex(line.get_color()))
        for ax in axes
        for line in ax.lines
        if line.get_marker() not in ("None", "")
    ]
    return marks, [text.get_text() for ax in axes for text in ax.texts]


def test_effects_outside_the_axis_are_arrows_with_their_value():
    marks, texts = drawn(points_of(C4_1=("reproduced", {"all": [-4.5, -5, -4, -38.6, -60, -2]})))
    colour, marker = forest.LOOKS["reproduced"]
    assert (marker, -4.5, to_hex(colour)) in marks
    assert [mark for mark in marks if mark[0] == "<"], "the effect, and its interval"
    assert "−38.6" in texts and not any(mark[1] == -38.6 for mark in marks)


def test_nothing_is_drawn_of_what_was_not_computed_and_the_row_says_so():
    marks, texts = drawn(points_of())
    assert marks == [] and texts == ["not computed"] * len(RULES.statements)


def test_the_files_are_written_and_the_points_with_them(tmp_path):
    claims(C1_1=("reproduced", {"all": [2, 1, 3, 2.1, 1.8, 2.7]})).to_csv(tmp_path / "claims.csv", index=False)
    forest.write(tmp_path, RULES_PATH, tmp_path / "figures")
    assert sorted(path.name for path in (tmp_path / "figures").iterdir()) == ["forest.csv", "forest.pdf", "forest.png"]
    points = pd.read_csv(tmp_path / "figures/forest.csv").set_index("id")
    assert points.loc["C1.1", "published_high"] == 2.7 and len(points) == len(RULES.statements)


@pytest.mark.parametrize("kept", [0, 5])
def test_missing_or_older_claims_are_refused_in_one_line(tmp_path, kept):
    if kept:
        claims().head(kept).to_csv(tmp_path / "claims.csv", index=False)
    with pytest.raises(UserError, match="snakemake claims --cores 1"):
        forest.write(tmp_path, RULES_PATH, tmp_path / "figures")
    assert not (tmp_path / "figures").exists()


def test_an_infinite_interval_of_few_runs_leaves_the_axis_as_it_is():
    """As in the archive of the preset quick, whose four pairs are too few for an interval of an alignment."""
    points = points_of(C4_3=("inconclusive", {"all": [0.93, -np.inf, np.inf, 0.88, 0.82, 0.95]}))
    left, right = forest.draw(points).axes[1].get_xlim()
    assert -0.2 < left < 0 and 0.95 < right < 1.2
    assert 0.93 in {x for _, x, _ in drawn(points)[0]}
