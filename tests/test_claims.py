"""Verdicts: each by its rule, on invented runs whose truth is known; the shipped rules; oddities."""

import shutil

import numpy as np
import pandas as pd
import pytest
import synthetic
import yaml
from conftest import REPOSITORY
from einorm.__main__ import main
from einorm.analysis import claims, comparisons, explain, judging, published
from einorm.analysis.oddities import oddities
from einorm.analysis.statements import Rules, load_rules
from einorm.conditions import CONDITIONS
from einorm.records import archive, tables
from einorm.runtime import UserError
from einorm.settings import Settings

RULES = REPOSITORY / "paper_artifact" / "claims.yaml"
PUBLISHED = REPOSITORY / "paper_artifact" / "published"
VALUES = published.load(PUBLISHED)
PAIR = {"id": "T", "figure": "fig5", "panel": "scatter", "of": "difference", "metric": "test_acc", "x": "gradnorm_full",
        "y": "e_only_ln", "epsilon": 0.75, "holds": [-0.5, None], "partly": [-1, None], "text": "t"}  # fmt: skip


def rules(**changes):
    """The shipped rules with one statement in place of all."""
    shipped = yaml.safe_load(RULES.read_text())
    return Rules(**shipped | {"statements": [PAIR | changes]})


def runs_with(difference, configs=30, spread=0.1, epochs=50, drop=()):
    """Runs of two conditions at epsilon 0 and 0.75; x - y is `difference` at 0.75 and 0 at 0."""
    frame = synthetic.frames(["gradnorm_full", "e_only_ln"], configs=configs, epochs=1, collapsed=None)["runs"]
    rng = np.random.default_rng(1)
    level = frame["config"].map(dict(enumerate(rng.normal(84, 2, configs))))
    shift = np.where((frame["condition"] == "gradnorm_full") & (frame["epsilon"] == 0.75), difference, 0)
    frame = frame.assign(test_acc=level + shift + rng.normal(0, spread, len(frame)), epochs=epochs)
    return frame[~frame["config"].isin(drop)]


def settings_for(runs, **changes):
    """Settings that plan the runs of a table, and no others."""
    planned = {"conditions": sorted(set(runs["condition"])), "epsilons": sorted(set(runs["epsilon"])), "epochs": 50}
    return Settings(**planned | {"configs": sorted(set(runs["config"]))} | changes)


def evaluate(rules, runs):
    return claims.evaluate(rules, runs, settings_for(runs), VALUES)


def verdict(runs, **changes):
    return evaluate(rules(**changes), runs).iloc[0]


def test_another_data_set_is_not_compared_in_size_with_the_published_values():
    runs = runs_with(0.0)
    for dataset, known in (("fashion_mnist", True), ("mnist", False)):
        row = claims.evaluate(rules(), runs, settings_for(runs, dataset=dataset), VALUES).iloc[0]
        assert row["verdict"] == "reproduced" and np.isfinite(row["published_effect"]) == known
        assert known or row["size_verdict"] == "not published"


@pytest.mark.parametrize("dataset", ["fashion_mnist", "mnist"])
def test_tables_of_another_data_set_hold_no_published_value(tmp_path, dataset):
    runs, settings = archive.read_runs_and_settings(REPOSITORY / "paper_artifact" / "archive" / "quick")
    claims.write(runs, settings.model_copy(update={"dataset": dataset}), RULES, PUBLISHED, tmp_path)
    for name in ("claims", "comparisons", "oddities"):
        table = pd.read_csv(tmp_path / f"{name}.csv")
        theirs = [column for column in table if column.startswith("published") and table[column].dtype == float]
        assert len(theirs) >= 2 and table[theirs].isna().all(axis=None) == (dataset == "mnist"), name


@pytest.mark.parametrize(
    ("difference", "expected"),
    [
        (0.0, "reproduced"),
        (-0.5, "partly"),  # across the limit of `holds`
        (-0.75, "not reproduced"),  # wholly outside `holds`, though within `partly`
        (-1.0, "not reproduced"),
        (-2, "not reproduced"),
    ],
)
def test_the_verdict_follows_the_rule(difference, expected):
    row = verdict(runs_with(difference))
    assert row["method"] == "paired" and row["low"] < row["effect"] < row["high"]
    assert abs(row["effect"] - difference) < 0.1
    assert row["verdict"] == expected and "95 % interval" in row["reason"]


def test_an_interval_across_the_limit_is_inconclusive():
    row = verdict(runs_with(-0.5, configs=8, spread=3), partly=None)
    assert row["verdict"] == "inconclusive" and "reaches across" in row["reason"]


def test_equality_is_judged_by_the_margin_and_not_by_p():
    noisy, exact = runs_with(0, configs=8, spread=3), runs_with(0.2)
    limits = {"holds": [-0.5, 0.5], "partly": [-1, 1]}
    assert verdict(noisy, **limits)["verdict"] == "inconclusive" and verdict(noisy, **limits)["p"] > 0.05
    assert verdict(exact, **limits)["verdict"] == "reproduced"


@pytest.mark.parametrize(
    ("runs", "changes", "reason"),
    [
        (runs_with(0, configs=3), {}, "too few runs (3 v 3)"),
        (runs_with(0, epochs=12), {}, "trained for 12 epochs, 20 are needed"),
        (runs_with(0, epochs=20), {"epsilon": 0}, "trained for 20 epochs, 50 are needed"),
        (runs_with(0, configs=4), {"of": "level", "y": None}, "too few runs (4)"),
    ],
)
def test_runs_that_cannot_decide_are_inconclusive(runs, changes, reason):
    row = verdict(runs, **changes)
    assert row["verdict"] == "inconclusive" and reason in row["reason"] and np.isfinite(row["effect"])


ABSENT = "no run of gradnorm_full at epsilon 0.25, 0.5; no run of e_only_ln at epsilon 0.25, 0.5"


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"epsilon": 0.5}, "no run of gradnorm_full at epsilon 0.5; no run of e_only_ln at epsilon 0.5"),
        ({"x": "inorm"}, "no run of inorm at epsilon 0.75"),
        ({"epsilon": "pooled"}, ABSENT),
        ({"of": "trend", "from_epsilon": 0.25}, ABSENT.replace(", 0.5", "")),
    ],
)
def test_a_statement_without_all_its_runs_is_not_computed_and_prints_no_number(changes, reason):
    row = verdict(runs_with(0), **changes)
    assert row["verdict"] == "not computed" and row["reason"] == reason, "all that is missing is named"
    assert row[["effect", "low", "high", "p", "median_x", "p_paired"]].isna().all()
    assert (row[["n_x", "n_y", "n_pairs"]] == 0).all()


def test_judging_one_statement_does_not_change_the_rules_for_the_next():
    several = load_rules(RULES)
    pooled = [s for s in several.statements if s.epsilon == "pooled"]
    before = several.model_dump()
    for _ in range(2):
        assert [several.epsilons(s) for s in pooled] == [[0, 0.25, 0.5, 0.75]] * len(pooled)
        evaluate(several, runs_with(0))
    assert several.model_dump() == before


def test_an_incomplete_cell_decides_nothing():
    """The settings plan 30 runs, 29 are there: the verdict waits, and so do the numbers."""
    whole = runs_with(0)
    settings = settings_for(whole)
    lost = (whole["condition"] == "e_only_ln") & (whole["epsilon"] == 0.75) & (whole["config"] == 7)
    for runs, expected in ((whole, "reproduced"), (whole[~lost], "not computed")):
        runs.attrs = {}  # nothing depends on what pandas may drop
        row = claims.evaluate(rules(), runs, settings, VALUES).iloc[0]
        assert row["verdict"] == expected
        assert np.isfinite(row[["effect", "low", "high"]].astype(float)).all() == (expected == "reproduced")
    assert row["reason"] == "29 of 30 runs of e_only_ln at epsilon 0.75"
    level = rules(x="gradnorm_full", y=None, of="level", holds=[0, None])
    assert claims.evaluate(level, runs, settings, VALUES).iloc[0]["verdict"] == "reproduced"


def test_pairing_needs_six_pairs():
    assert verdict(runs_with(0, configs=5))["method"] == "unpaired"
    assert verdict(runs_with(0, configs=6))["method"] == "paired"


def test_a_trend_is_the_difference_of_differences():
    row = verdict(runs_with(3.0), of="trend", from_epsilon=0, holds=[0, None], partly=None)
    assert row["verdict"] == "reproduced" and row["effect"] == pytest.approx(3, abs=0.15) and row["n_pairs"] == 30
    row = verdict(runs_with(-3.0), of="trend", from_epsilon=0, holds=[0, None], partly=None)
    assert row["verdict"] == "not reproduced"


def test_collapsed_runs_count_unless_the_published_rule_drops_them():
    runs = runs_with(0)
    lost = (runs["condition"] == "gradnorm_full") & (runs["config"] < 14)
    runs = runs.assign(test_acc=runs["test_acc"].mask(lost, 10.0))
    table = evaluate(rules(published_rule="above_chance"), runs).set_index("selection")
    assert table.loc["all", "verdict"] != "reproduced" and table.loc["above_chance", "verdict"] == "reproduced"
    assert (table.loc["all", "n_x"], table.loc["above_chance", "n_x"]) == (30, 2 * 30 // 2 - 14)


@pytest.fixture(scope="module")
def every():
    """Invented runs of all conditions of the statements at the four epsilons."""
    conditions = sorted({c for s in load_rules(RULES).statements for c in s.conditions})
    frames = synthetic.frames(conditions, epsilons=(0, 0.25, 0.5, 0.75), configs=10, epochs=1)
    return frames["runs"].assign(epochs=50)


def test_verdicts_that_matter_come_first(every):
    shipped = load_rules(RULES)
    table = evaluate(shipped, every)
    ranks = [judging.VERDICTS.index(v) for v in table[table["selection"] == "all"]["verdict"]]
    assert ranks == sorted(ranks) and set(table["id"]) == {s.id for s in shipped.statements}


def test_one_correction_of_all_tests_is_the_same_in_every_table(every):
    shipped = load_rules(RULES)
    pairs = {frozenset(pair) for pairs in shipped.comparisons.values() for pair in pairs}
    others = {(s.metric, frozenset(s.conditions), s.epsilon) for s in shipped.statements if s.of == "difference"}
    family = {("test_acc", pair, e) for pair in pairs for e in (0, 0.25, 0.5, 0.75, "pooled")} | others
    corrected = comparisons.corrected(shipped, every, "all")
    assert set(corrected) == family
    table, compared = evaluate(shipped, every), comparisons.compare_all(shipped, every, VALUES)
    smallest = min(table[table["selection"] == "all"]["p"].min(), compared[compared["selection"] == "all"]["p"].min())
    assert min(corrected.values()) == pytest.approx(smallest * len(family))
    both = table.merge(compared, on=["x", "y", "epsilon", "selection"])
    assert len(both) > 15 and (both["p_holm_x"] == both["p_holm_y"]).all()
    judged = table[table["of"] == "difference"]
    assert (judged["p_holm"] >= judged["p"]).all() and table[table["of"] != "difference"]["p_holm"].isna().all()
    twice = compared[(compared["x"] == "gradnorm_center") & (compared["y"] == "e_only_ln")]
    assert set(twice["figure"]) == {"fig6", "fig7"}
    assert (twice.groupby(["epsilon", "selection"])["p_holm"].nunique() == 1).all(), "whatever figure it is listed for"


def test_incomplete_cells_are_neither_tested_nor_corrected_for(tmp_path):
    runs, path = runs_with(1.2), tmp_path / "claims.yaml"
    path.write_text(yaml.safe_dump(yaml.safe_load(RULES.read_text()) | {"statements": [PAIR | {"id": "C5.9"}]}))
    gap, planned = (runs["condition"] == "e_only_ln") & (runs["epsilon"] == 0), settings_for(runs)
    found = {}
    for name, kept in (("whole", runs), ("some", runs[~gap | (runs["config"] < 3)]), ("none", runs[~gap])):
        claims.write(kept, planned, path, PUBLISHED, tmp_path / name)
        p_holm = pd.read_csv(tmp_path / name / "claims.csv")["p_holm"].tolist()
        found[name] = (p_holm, (tmp_path / name / "comparisons.csv").read_text())
    assert found["some"] == found["none"] != found["whole"]


def test_a_verdict_by_the_median_is_shown_next_to_it():
    """Nine of 30 differences are -2, the others 0: Hodges-Lehmann lies between, the median does not."""
    runs = runs_with(0.0, spread=0.01)
    far = (runs["condition"] == "gradnorm_full") & (runs["epsilon"] == 0.75) & (runs["config"] < 9)
    row = verdict(runs.assign(test_acc=runs["test_acc"] - 2.0 * far))
    assert abs(row["median_difference"]) < 0.1 and row["effect"] < -0.9
    assert (row["verdict"], row["median_verdict"]) == ("partly", "reproduced")
    plain = verdict(runs)
    assert plain["median_verdict"] == plain["verdict"] == "reproduced"
    assert plain["smallest_margin"] == max(abs(plain["low"]), abs(plain["high"]))


def test_runs_at_chance_are_counted_on_both_sides():
    runs = runs_with(0)
    down = (runs["condition"] == "gradnorm_full") & (runs["epsilon"] == 0.75) & (runs["config"] < 3)
    row = verdict(runs.assign(test_acc=runs["test_acc"].mask(down, 10.0)), y="inorm", x="gradnorm_full")
    assert row["verdict"] == "not computed"
    row = verdict(runs.assign(test_acc=runs["test_acc"].mask(down, 10.0)))
    assert (row["at_chance_x"], row["of_x"], row["at_chance_y"], row["of_y"]) == (3, 30, 0, 30)
    assert (row["published_at_chance_x"], row["published_of_x"]) == (0, 30)


def test_one_statement_is_printed_whole(capsys):
    where = ["--tables", str(RULES.parent / "archive" / "quick"), "--artifact", str(RULES.parent)]
    assert main(["claim", "C5.1", *where]) == 0
    printed = capsys.readouterr().out
    path = RULES.parent / "archive" / "quick" / "runs.parquet"
    (row,) = claims.evaluate(
        load_rules(RULES), tables.read(path, "runs"), tables.settings_of(path), VALUES, only="C5.1"
    ).to_dict("records")
    words = [
        "GradNorm reaches LN+",
        "lies above -0.50",
        "published: +0.39 (+0.22 to +0.53)",
        f"here: {row['effect']:+.2f}",
    ]
    words += [f"verdict: {row['verdict']}: {row['reason']}", f"size: {row['size_verdict']}: {row['size_reason']}"]
    words += ["revised after seeing", "fig5, published_fig5", "python -m einorm claim C5.1"]
    for word in (*words, "snakemake claims"):
        assert word in printed, word
    runs = pd.read_parquet(path)
    chosen = runs[runs["condition"].isin(["gradnorm_full", "e_only_ln"]) & (runs["epsilon"] == 0.75)]
    assert all(digest in printed for digest in chosen["digest"]) and printed.count("0.75") >= len(chosen)


def test_a_claim_lists_its_statements_and_a_wrong_id_names_those_near(capsys):
    where = ["--tables", str(RULES.parent / "archive" / "quick"), "--artifact", str(RULES.parent)]
    shipped = load_rules(RULES)
    assert main(["claim", "C4", *where]) == 0
    expected = [f"{s.id}: {s.text}" for s in shipped.statements if s.id.startswith("C4.")]
    assert capsys.readouterr().out.splitlines() == [f"C4: {shipped.claims['C4']}", *expected]
    assert main(["claim", "C4.9", *where]) == 1
    assert "is called C4.9; the statements of C4 are: C4.1, C4.2, C4.3, C4.4, C4.5\n" in capsys.readouterr().err
    assert main(["claim", "c5.1", *where]) == 1
    assert "no statement is called c5.1; did you mean 'C5.1'?" in capsys.readouterr().err


def test_a_statement_without_runs_in_an_archive_tells_how_to_see_your_own(capsys, tmp_path):
    folder, own = RULES.parent / "archive" / "quick", "Your own runs: python -m einorm claim {} --tables results/tables"
    for name, is_said in (("C8.4", True), ("C5.1", False)):
        assert main(["claim", name, "--tables", str(folder), "--artifact", str(RULES.parent)]) == 0
        printed = capsys.readouterr().out
        assert (own.format(name) in printed) == is_said
        assert ("they do not show ei_ln_detached and ei_ln\n" in printed) == is_said, "nor does its figure show it"
    shutil.copy(folder / "runs.parquet", tmp_path)  # as results/tables has it, without a manifest
    assert main(["claim", "C8.4", "--tables", str(tmp_path), "--artifact", str(RULES.parent)]) == 0
    assert "Your own runs" not in capsys.readouterr().out


@pytest.mark.parametrize(
    ("value", "in_a_reason", "in_a_table"),
    [(0.0006, "+0.0006", "0.00"), (-0.004, "-0.004", "0.00"), (0.0, "0", "0.00"), (-0.5, "-0.50", "-0.50")],
)
def test_a_limit_near_0_is_seen_not_to_be_0_and_0_has_no_sign(value, in_a_reason, in_a_table):
    assert (judging.signed(value), explain.amount(value, 2)) == (in_a_reason, in_a_table)


def test_the_shipped_rules_are_complete():
    shipped = load_rules(RULES)
    ids = [s.id for s in shipped.statements]
    assert len(ids) == len(set(ids)) >= 25 and shipped.margin == 0.5
    assert {i.split(".")[0] for i in ids} == set(shipped.claims) == {f"C{i}" for i in range(1, 9)}


@pytest.mark.parametrize(
    ("old", "new", "says"),
    [
        ("margin: 0.5", "margin: -1", "margin"),
        ("margin: 0.5", "margim: 0.5", "margi"),
        (
            "x: ei_ln, y: ei_none, epsilon: 0.75,",
            "x: ei_lm, y: ei_none, epsilon: 0.75,",
            "'ei_lm' is not known; did you mean 'ei_ln'?",
        ),
        ("of: trend", "of: difference", "C1.3: from_epsilon belongs to a trend"),
        (" from_epsilon: 0,", "", "C1.3: `of: trend` needs from_epsilon"),
        ("y: ei_none, epsilon: 0.75,", "epsilon: 0.75,", "C1.1: `of: difference` needs x and y"),
        (
            "epsilon: 0.75, from_epsilon: 0,",
            "epsilon: 0.75, from_epsilon: 0.3,",
            "C1.3: epochs_needed lacks epsilon 0.3",
        ),
        ("y: ei_none, epsilon: 0.75,", "y: ei_none, epsilon: 0.6,", "C1.1: epochs_needed lacks epsilon 0.6: add it"),
        ("y: ei_none, epsilon: 0.75,", "y: ei_none, epsilon: pool,", "C1.1: epsilon must be a number or pooled"),
        ("holds: [0, null]", "holds: [0]", "holds"),
        ("holds: [0, null]", "holds: [1, 0]", "C1.1: holds must be [low, high], one of them null at most"),
        ("holds: [0, null]", "holds: [null, null]", "C1.1: holds must be [low, high]"),
        ("partly: [-1, 1]", "partly: [1, 1]", "partly must be [low, high]"),
        ("{id: C1.2,", "{id: C0.2,", "C0.2: there is no claim C0"),
        ("metric: mu,", "metric: mo,", "C3.1: the metric 'mo' is not known; known are: "),
        ("metric: mu,", "metric: test_loss,", "C3.1: same_size.delta lacks the metric test_loss"),
        ("{id: C1.2,", "{id: C1.1,", "C1.1: the id is used twice"),
        ("fig4: [[inorm, ", "fig4: [[inorn, ", "comparisons: 'inorn' is not known"),
        ("metric: mu,", "metric: !!python/object:os.system mu,", "claims.yaml"),
        ("margin: 0.5", "margin: [", "is not YAML"),
        ("    undone: ", "    done: ", "oddities.O1.undone: Field required"),
    ],
)
def test_wrong_rules_are_refused_with_one_line(tmp_path, old, new, says):
    text = RULES.read_text()
    assert old in text
    (tmp_path / "claims.yaml").write_text(text.replace(old, new, 1))
    with pytest.raises(UserError) as caught:
        load_rules(tmp_path / "claims.yaml")
    assert says in str(caught.value) and "\n" not in str(caught.value)


def test_an_oddity_that_nothing_computes_is_refused_with_one_line():
    shipped = load_rules(RULES)
    more = shipped.model_copy(update={"oddities": shipped.oddities | {"O7": shipped.oddities["O1"]}})
    with pytest.raises(UserError, match="oddities: nothing computes the numbers of O7"):
        oddities(more, synthetic.frames(epsilons=(0, 0.75))["runs"], VALUES)


def test_every_oddity_has_its_numbers():
    shipped = load_rules(RULES)
    frame = synthetic.frames(epsilons=(0, 0.25, 0.5, 0.75), configs=12, epochs=1)["runs"]
    table = oddities(shipped, frame, VALUES).set_index("id")
    assert set(table.index) == set(shipped.oddities) == {f"O{i}" for i in range(1, 7)}
    hidden = table.loc["O2"].query("quantity == 'I-Norm runs at chance'")
    assert hidden["published_undone"].tolist() == [9, 12, 13, 9], "43 hidden runs"
    assert hidden["here_undone"].tolist() == [1, 1, 1, 1] and (hidden["here_as_is"] == 0).all()
    p = table.loc["O5", "published_undone"].tolist()
    assert (
        p == pytest.approx([0.026, 0.17, 0.013, 0.0002], rel=0.1) and (table.loc["O5", "published_as_is"] > 0.7).all()
    )


def test_oddities_that_pool_other_epsilons_than_the_paper_say_so():
    shipped = load_rules(RULES)
    frame = synthetic.frames(epsilons=(0, 0.75), configs=4, epochs=1)["runs"]
    table = oddities(shipped, frame, VALUES).set_index("id")
    said = "pooled (published: 0, 0.25, 0.5, 0.75; here: 0, 0.75)"
    assert (table.loc["O3", "epsilon"] == said).all() and table.loc["O6", "epsilon"].str.startswith(said).all()
    assert table.loc["O5", "quantity"].str.endswith(said).all()
    all_four = synthetic.frames(epsilons=(0, 0.25, 0.5, 0.75), configs=4, epochs=1)["runs"]
    table = oddities(shipped, all_four, VALUES).set_index("id")
    assert (table.loc["O3", "epsilon"] == "pooled").all()


def test_comparisons_hold_every_pair_by_every_rule(tmp_path):
    shipped = load_rules(RULES)
    frame = synthetic.frames(epsilons=(0.0, 0.75), configs=8, epochs=1)["runs"]
    table = comparisons.compare_all(shipped, frame, VALUES)
    pairs = sum(map(len, shipped.comparisons.values()))
    assert len(table) == pairs * 3 * 2, "three rules, two epsilons; pooled are none where two of four are missing"
    printed = table.query("figure == 'fig6' and x == 'gradnorm_full' and y == 'e_only_ln' and selection == 'all'")
    assert printed.set_index("epsilon")["published_p"].notna().loc[["0.75", "0.0"]].all()
    assert set(table["selection"]) == {"all", "top10", "above_chance"} and set(table["epsilon"]) == {"0.0", "0.75"}


@pytest.mark.parametrize(("low", "high", "expected"), [(-0.2, 0.3, "equal"), (0.6, 2, "different"), (0, 0.7, "open"),
                                                       (-np.inf, np.inf, "open")])  # fmt: skip
def test_equivalence(low, high, expected):
    assert judging.equivalence({"low": low, "high": high}, 0.5) == expected


def test_statements_on_a_task_of_ours_are_an_extension():
    runs = pd.concat([runs_with(0), runs_with(-2).assign(task="contrast")], ignore_index=True)
    planned = settings_for(runs, tasks=["luminosity", "contrast"])
    one = rules(published_rule="above_chance", text="GradNorm under luminosity shifts")
    table = claims.extension(one, runs, planned, VALUES, "contrast")
    row = table.iloc[0]
    assert len(table) == 1 and (row["id"], row["task"], row["selection"]) == ("T contrast", "contrast", "all")
    assert row["text"] == "GradNorm under contrast shifts" and row["verdict"] == "not reproduced"
    assert row["reason"].startswith("extension, no published value; the 95 % interval -2")
    assert np.isnan(row["published_effect"]) and row["size_verdict"] == "not published"
    here = claims.evaluate(one, runs, planned, VALUES)
    assert here["verdict"].tolist() == ["reproduced"] * 2 and here["published_effect"].notna().all()


def test_corrected_p_belong_to_differences_and_margins_to_comparisons():
    runs = runs_with(0.2)
    row = verdict(runs)
    assert (
        row["p_holm"]
        == comparisons.corrected(rules(), runs, "all")[
            comparisons.identity("test_acc", "gradnorm_full", "e_only_ln", 0.75)
        ]
    )
    assert row["unit"] == "points" and row["holds"] == "above -0.50" and row["claim"] == "T"
    level = verdict(runs, of="level", y=None)
    assert np.isnan(level["p_holm"]) and np.isnan(level["smallest_margin"]) and level["median_verdict"] == ""
    assert (level["at_chance_y"], level["of_y"]) == (0, 0) and np.isnan(level["published_of_y"])
    trend = verdict(runs, of="trend", from_epsilon=0)
    assert np.isnan(trend["p_holm"]) and trend["smallest_margin"] > 0 and trend["of_x"] == 60


@pytest.mark.long
def test_the_written_tables_agree(tmp_path, capsys):
    frame = synthetic.frames()["runs"]
    claims.write(frame, settings_for(frame), RULES, REPOSITORY / "paper_artifact" / "published", tmp_path)
    csv, parquet = pd.read_csv(tmp_path / "claims.csv"), pd.read_parquet(tmp_path / "claims.parquet")
    assert csv["verdict"].tolist() == parquet["verdict"].tolist() and len(csv) > 25
    counts = csv[csv["selection"] == "all"]["verdict"].value_counts()
    printed = [f"{verdict}: {counts.get(verdict, 0)}" for verdict in judging.VERDICTS]
    assert capsys.readouterr().out.splitlines()[-1] == "; ".join(printed)
    assert {path.name for path in tmp_path.iterdir()} == {
        "claims.csv", "claims.parquet", "comparisons.csv", "oddities.csv", "published_check.csv",
        "robustness.csv"}  # fmt: skip


def test_the_rows_of_a_statement_stay_together_and_that_on_all_runs_comes_first():
    """Also where the two rules give different verdicts: pages and report take the first row."""
    folder = REPOSITORY / "paper_artifact" / "archive" / "replication"
    judged = claims.evaluate(load_rules(RULES), *archive.read_runs_and_settings(folder), VALUES)
    firsts = judged.groupby(judged["id"].ne(judged["id"].shift()).cumsum()).first()
    assert len(firsts) == judged["id"].nunique() and (firsts["selection"] == "all").all()
    assert (judged.groupby("id")["verdict"].nunique() == 2).any(), "some statement is judged differently by its rule"


def oddity(runs, name):
    """Rows of one oddity: quantity and epsilon -> the four numbers."""
    table = oddities(load_rules(RULES), runs, VALUES).query("id == @name")
    return table.set_index(["quantity", "epsilon"])[
        ["published_as_is", "published_undone", "here_as_is", "here_undone"]
    ]


def test_oddities_compare_the_runs_that_a_figure_shows_with_all_of_them():
    """Twelve configurations whose accuracy is 70 plus their number, two of them at chance; alignments are 0.1 more."""
    runs = synthetic.frames(conditions=list(CONDITIONS), epsilons=(0, 0.75), configs=12, epochs=1)["runs"]
    runs = runs.assign(test_acc=70.0 + runs["config"] + 5 * (runs["epsilon"] == 0))
    lost = runs["condition"].isin(["inorm", "gradnorm_scale"]) & (runs["config"] < 2) & (runs["epsilon"] == 0.75)
    runs.loc[lost, "test_acc"] = 10.0
    runs.loc[runs["condition"] == "ei_ln_detached", "test_acc"] += 1
    runs = runs.assign(mu0=runs["config"], mu1=runs["config"], gradient_alignment0=runs["config"] / 100)
    runs["gradient_alignment1"] = runs["gradient_alignment0"] + 0.1 * (runs["epsilon"] == 0)
    label = oddity(runs, "O1").loc[("median test accuracy (%)", "0.75")]
    assert tuple(label[["here_as_is", "here_undone"]]) == (75.5, 76.5)
    hidden = oddity(runs, "O2")
    assert tuple(hidden.loc[("I-Norm runs at chance", "0.75")]) == (0, 9, 0, 2)
    assert tuple(hidden.loc[("median I-Norm test accuracy (%)", "0.75")][["here_as_is", "here_undone"]]) == (76.5, 75.5)
    (best,) = oddity(runs, "O3").loc["median mu of ei_none"][["here_as_is", "here_undone"]].to_numpy()
    assert tuple(best) == (6.5, 5.5), "the ten best runs of twelve, and all"
    box = oddity(runs, "O4").loc[("median test accuracy (%) of gradnorm_scale", "0.75")]
    assert tuple(box[["here_as_is", "here_undone"]]) == (76.5, 75.5)
    kept = oddity(runs, "O4").loc[("median test accuracy (%) of gradnorm_decorrelate", "0.75")]
    assert tuple(kept[["here_as_is", "here_undone"]]) == (75.5, 75.5) and np.isnan(kept["published_undone"])
    p = oddity(
        runs.assign(test_acc=runs["test_acc"] + 20.0 * (runs["condition"] == "ei_ln") * (runs["config"] < 2)), "O5"
    )
    assert (p["here_as_is"] != p["here_undone"]).all() and p["here_as_is"].nunique() == 1
    (shown,) = oddity(runs, "O6").loc["median gradient alignment of gradnorm_center"].to_numpy()
    assert shown[2] == pytest.approx(0.08) and shown[3] == pytest.approx(0.055), "pooled, and epsilon 0.75 alone"


def test_oddities_of_what_was_not_trained_are_no_numbers():
    runs = synthetic.frames(conditions=["ei_none", "ei_ln"], epsilons=(0.3,), configs=3, epochs=1)["runs"]
    (row,) = oddity(runs, "O2").loc["I-Norm runs at chance"].to_numpy()
    assert np.isnan(row).all(), "nothing published at epsilon 0.3, nothing trained here"
    rows = oddity(runs, "O6")
    assert rows.filter(like="runs shown", axis=0)[["here_as_is", "here_undone"]].isna().all(axis=None)


def test_oddities_leave_incomplete_cells_out(tmp_path):
    folder = REPOSITORY / "paper_artifact" / "archive" / "quick"
    runs, settings = archive.read_runs_and_settings(folder)
    some = runs.drop(runs.query("condition == 'gradnorm_scale' and epsilon == 0.75").index[1:])
    claims.write(some, settings, RULES, PUBLISHED, tmp_path)
    table = pd.read_csv(tmp_path / "oddities.csv").set_index(["quantity", "epsilon"])
    assert np.isnan(table.loc[("median test accuracy (%) of gradnorm_scale", "0.75"), "here_undone"])
    assert np.isfinite(table.loc[("median test accuracy (%) of gradnorm_scale", "0.0"), "here_undone"])


def test_a_trend_with_too_few_pairs_counts_pairs():
    trend = PAIR | {"of": "trend", "from_epsilon": 0.25, "epsilon": 0.75}
    runs = pd.concat([runs_with(1.0, configs=4).assign(epsilon=e) for e in (0.25, 0.75)])
    assert (
        "too few runs (4)"
        in evaluate(rules(**{k: trend[k] for k in ("of", "from_epsilon", "epsilon")}), runs)["reason"].iloc[0]
    )


def test_the_reason_of_a_cosine_near_1_has_digits_that_tell():
    assert judging.signed(0.9951, judging.decimals(0.9951, 0.9988)) == "+0.995"
