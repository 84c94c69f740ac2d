"""Run by run: known configurations are found again, unrelated runs are not, and what decides is never looked at."""

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import pytest
from conftest import REPOSITORY
from einorm.__main__ import main
from einorm.analysis import distributions, published, run_by_run
from einorm.analysis.run_by_run import JUDGED, JUDGED_CONDITIONS, NEAR_TIE, OWN, RELEASE
from einorm.analysis.run_by_run_predictions import PREDICTIONS, predictions
from einorm.figures.run_by_run import draw

PUBLISHED = REPOSITORY / "paper_artifact" / "published"
THEIRS = published.load(PUBLISHED)["complete"]
ARCHIVE = REPOSITORY / "paper_artifact" / "archive" / "replication"
NONE = THEIRS.iloc[:0]
TIED = [(by, judged) for by, judged in JUDGED if len(by) == 2]


def ours(noise=0.05, unrelated=False, seed=0):
    """Runs, and config -> point: the published runs with noise (points) under configurations in a known random order,
    or runs of their distribution that have nothing to do with them. Those at chance end anywhere."""
    rng, parts, names = np.random.default_rng(seed), [], {}
    for (epsilon, two), group in THEIRS.groupby(["epsilon", THEIRS["config"] >= 10**6]):
        order = dict(zip(sorted(set(group["config"])), rng.permutation(30), strict=True))
        names |= {(epsilon, two, config): point % 1000 for point, config in order.items()}
        for _, runs in group.groupby("condition"):
            values = runs["test_acc"].to_numpy(copy=True)
            lost = values <= 10
            values[lost] = rng.choice(values[~lost], lost.sum())
            values = rng.permutation(values) if unrelated else values
            values += noise * rng.normal(size=30)
            parts.append(runs.assign(config=runs["config"].map(order), test_acc=values.round(2)))
    return pd.concat(parts, ignore_index=True), names


@pytest.fixture(scope="module")
def same():
    runs, names = ours()
    unrelated, _ = ours(unrelated=True, seed=1)
    return *run_by_run.compare(THEIRS, {RELEASE: runs, OWN: unrelated}), names


def test_a_known_order_is_found_again(same):
    runs, found, names = same
    runs = runs[runs["randomness"] == RELEASE]
    truth = [names[e, judged.startswith("ei"), c] for e, judged, c in runs[["epsilon", "judged", "config"]].values]
    right = (runs["point"] == truth).groupby([runs["by"], runs["judged"]]).mean()
    tied = right[[(" and ".join(by), judged) for by, judged in TIED]]
    assert (tied > 0.75).all() and (right > 0.25).all(), "by one condition neighbours are mixed up"
    met = found[(found["randomness"] == RELEASE) & found["by"].str.contains(" and ")]
    assert (met["verdict"] == "met").all() and (met["p_chance"] < 0.001).all() and (met["p_nearer"] < 0.001).all()
    assert (met["median_difference"] < 0.12).all() and (met["rank_correlation"] > 0.6).all()


def test_what_is_sure_of_its_configuration_has_it(same):
    runs, _, names = same
    sure = runs[(runs["randomness"] == RELEASE) & (runs["odds"] >= NEAR_TIE)]
    truth = [names[e, judged.startswith("ei"), c] for e, judged, c in sure[["epsilon", "judged", "config"]].values]
    assert len(sure) > 100 and (sure["point"] == truth).mean() > 0.95


def test_unrelated_runs_are_not_met_and_that_is_said(same):
    """Though they are sorted just as near: their distribution is the published one."""
    _, found, _ = same
    other = found[found["randomness"] == OWN]
    tied = other[other["by"].str.contains(" and ")]
    assert set(tied["verdict"]) == {"not met"} and (tied["p_chance"] > 0.01).all()
    near = np.abs(other["median_difference"] / other["chance_median_difference"] - 1)
    assert near.median() < 0.25, "no nearer than by chance"
    swapped = run_by_run.compare(THEIRS, {RELEASE: ours(unrelated=True, seed=1)[0], OWN: NONE})[1]
    assert "met" not in set(swapped["verdict"])


def test_where_own_random_numbers_meet_the_runs_too_nothing_follows(same):
    runs, _ = ours()
    found = run_by_run.compare(THEIRS, {RELEASE: runs, OWN: runs})[1]
    assert set(found["verdict"][found["randomness"] == OWN]) == {"met"}
    assert set(found["verdict"][found["randomness"] == RELEASE]) == {"cannot tell"}
    alone = run_by_run.compare(THEIRS, {RELEASE: runs, OWN: NONE})[1]
    assert set(alone["verdict"]) == {"cannot tell", "not computed"} and "p_nearer" not in alone


def test_the_condition_that_judges_assigns_nothing():
    points = pd.DataFrame({"a": [80.0, 81.0, 82.0], "b": [1.0, 2.0, 3.0]}, index=[1, 2, 3])
    run_by_run.NOISE |= {"a": 0.1}
    runs = pd.DataFrame({"a": [82.1, 80.1, 81.1], "b": [1.0, 2.0, 3.0]}, index=[7, 8, 9])
    for judged in (runs["b"], runs["b"][::-1].to_numpy()):
        assert list(run_by_run.match(points, runs.assign(b=judged), ("a",), "b")["config"]) == [8, 9, 7]
    del run_by_run.NOISE["a"]


def test_one_condition_sorts_and_odds_are_those_of_the_best_other_assignment():
    chosen, odds = run_by_run.assign([[80.0], [81.0]], [[81.0], [80.0]], [1.0])
    assert chosen.tolist() == [1, 0] and odds == pytest.approx([np.e, np.e])  # exchanged: two differences of 1
    rng = np.random.default_rng(0)
    theirs, here = rng.normal(80, 1, (2, 30, 1))
    chosen, odds = run_by_run.assign(theirs, here, [0.05])
    assert (np.argsort(here[chosen, 0]) == np.argsort(theirs[:, 0])).all() and (odds >= 1).all()
    assert run_by_run.assign([[80.0]], [[90.0]], [1.0])[1].tolist() == [np.inf]


def test_a_published_run_at_chance_says_nothing_of_its_point():
    theirs, here = [[80.0, 10.0], [80.0, 70.0]], [[80.0, 70.0], [80.0, 60.0]]
    chosen, odds = run_by_run.assign(theirs, here, [1.0, 10.0])
    assert chosen.tolist() == [1, 0] and odds == pytest.approx([np.exp(0.5)] * 2)


def test_agreement_of_numbers_computed_by_hand():
    found = run_by_run.agreement([80.0, 81.0, 82.0, 83.0], [80.1, 81.25, 81.0, 83.0])
    assert found["n"] == 4 and found["median_difference"] == pytest.approx(0.175)
    assert (found["within_0.1"], found["within_0.25"]) == (0.5, 0.75)
    assert found["rank_correlation"] == pytest.approx(0.8)
    equal = run_by_run.agreement([80.0, 81.0], [80.0, 81.0])
    # of the two orders one is right, the other is off by 1 everywhere
    assert equal["chance_median_difference"] == pytest.approx(0.5, abs=0.05)
    assert equal["p_chance"] == pytest.approx(0.5, abs=0.05)


def test_an_archive_with_some_cells_is_judged_by_them_and_no_archive_by_none():
    runs, _ = ours()
    some = runs[(runs["epsilon"] == 0.75) & runs["condition"].isin(["ei_ln", "ei_none", "e_only_ln"])]
    some = some[(some["condition"] != "e_only_ln") | (some["config"] != 3)]
    found = run_by_run.compare(THEIRS, {RELEASE: some, OWN: NONE})[1].query("randomness == @RELEASE")
    computed = found[found["verdict"] != "not computed"]
    assert set(computed["judged"]) == {"ei_ln", "ei_none"} and set(computed["epsilon"]) == {0.75}
    rows, nothing = run_by_run.compare(THEIRS, {RELEASE: NONE, OWN: NONE})
    assert rows.empty and set(nothing["verdict"]) == {"not computed"} and len(nothing) == 2 * 4 * len(JUDGED)
    cells = distributions.compare_cells(THEIRS, {RELEASE: some}).set_index(["condition", "epsilon"])
    assert cells.loc[("e_only_ln", 0.75), "n"] == 29 and np.isnan(cells.loc[("e_only_ln", 0.75), "median"])
    assert cells.loc[("ei_ln", 0.75), "sorted_difference"] < 0.06


def test_like_is_compared_with_like_in_sorted_accuracies():
    cells = distributions.compare_cells(THEIRS, {RELEASE: ours()[0], OWN: THEIRS}).set_index("randomness")
    release = cells.loc[RELEASE].set_index(["condition", "epsilon"]).sort_index()
    assert release.loc["inorm", "published_at_chance"].tolist() == [9, 12, 13, 9]
    assert release.loc["inorm", "sorted_difference"].isna().all(), "none is at chance here"
    assert (release.drop("inorm")["sorted_difference"] < 0.1).all()
    assert set(release.index.levels[0]) == {*JUDGED_CONDITIONS}
    assert (cells.loc[OWN][["sorted_difference", "median_difference"]] == 0).all(axis=None)


def test_the_replication_has_random_numbers_of_its_own(tmp_path, capsys):
    """Where three conditions are tied: by one condition alone equal configurations are nearly as near as equal runs."""
    arguments = ["--own", ARCHIVE, "--release=", "--published", PUBLISHED, "--out", tmp_path]
    assert main(["run_by_run", *map(str, arguments)]) == 0
    assert capsys.readouterr().out == f"met: 0; not met: 0; cannot tell: 0; not computed: {4 * len(JUDGED)}\n"
    found = pd.read_csv(tmp_path / "run_by_run.csv").query("randomness == @OWN and verdict != 'not computed'")
    tied = found["by"].str.contains(" and ")
    assert set(found["epsilon"]) == {0, 0.75} and set(found.loc[tied, "verdict"]) == {"not met"}
    runs, cells = (pd.read_csv(tmp_path / f"run_by_run_{name}.csv") for name in ("points", "cells"))
    assert len(runs) == 30 * len(found) and set(runs["config"]) == set(range(30))
    assert len(cells) == 2 * 4 * len(JUDGED_CONDITIONS)


def test_a_table_that_is_not_there_is_one_line(tmp_path, capsys):
    arguments = ["--release", tmp_path / "none", "--published", PUBLISHED, "--out", tmp_path / "out"]
    assert main(["run_by_run", *map(str, arguments)]) == 1
    error = capsys.readouterr().err
    assert error.count("\n") == 1 and "runs.parquet is missing" in error and not (tmp_path / "out").exists()


def drawn(points, found):
    figure, shown = draw({"run_by_run": {"points": points, "agreement": found}})
    figure.canvas.draw()
    texts = " ".join(" ".join(text.get_text() for text in figure.findobj(plt.Text)).split())
    marks = [c for ax in figure.findobj(plt.Axes) for c in ax.collections if len(c.get_offsets()) > 1]
    plt.close(figure)
    return shown, texts, marks


def test_the_figure_shows_every_run_that_judges_and_every_yardstick(same):
    runs, found, _ = same
    shown, texts, marks = drawn(runs, found)
    pairs = shown[shown["x"].notna()]
    assert len(pairs) == 2 * (4 * 30 * 4 + 4 * 30 - 9 - 12 - 13 - 9) == sum(len(mark.get_offsets()) for mark in marks)
    hollow = [mark for mark in marks if not len(mark.get_facecolor())]
    assert len(hollow) == len(marks) / 2 == 20, "a panel per condition and epsilon, own random numbers hollow"
    best = found[found["by"] == "e_only_ln and inorm"].set_index(["randomness", "epsilon"])["median_difference"]
    medians = shown[(shown["condition"] == "gradnorm_full") & shown["series"].isin([RELEASE, OWN])]
    assert medians.set_index(["series", "epsilon"])["value"].to_dict() == best.to_dict()
    assert "not computed" not in texts and "assigned by LN+ (E only), I-Norm" in texts


def test_the_figure_says_what_is_missing_and_counts_what_lies_outside(same):
    runs, found, _ = same
    far = runs[(runs["judged"] == "ei_ln") & (runs["epsilon"] == 0.75) & (runs["randomness"] == RELEASE)].copy()
    far.loc[far["point"] == 1, "here"] = 10.0
    shown, texts, _ = drawn(far, found[(found["judged"] == "ei_ln") & (found["epsilon"] == 0.75)])
    assert texts.count("not computed:") == 4 and "release: 1 on the edge" in texts
    assert (shown["y"] == 10).sum() == 1, "the points file has the value itself"


def test_the_command_draws_what_the_rule_wrote(tmp_path, capsys):
    where = ["--tables", ARCHIVE, "--published", PUBLISHED, "--rules", REPOSITORY / "paper_artifact" / "claims.yaml"]
    command = ["figure", "run_by_run", *map(str, where), "--out", str(tmp_path)]
    assert main([*command, "--compared", str(tmp_path)]) == 1
    assert "run_by_run_points.csv is missing: make it with snakemake single_runs" in capsys.readouterr().err
    made = tmp_path / "made"
    assert main(["run_by_run", "--own", str(ARCHIVE), "--published", str(PUBLISHED), "--out", str(made)]) == 0
    assert main([*command, "--compared", str(made)]) == 0
    points = pd.read_csv(tmp_path / "run_by_run.csv")
    assert set(points["randomness"].dropna()) == {OWN} and points["panel"].nunique() == 11


def as_predicted():
    """Invented tables in which every prediction on run by run is met."""
    rows = [
        {"randomness": name, "by": " and ".join(by), "judged": judged, "epsilon": epsilon, "median_difference": 0.1,
         "verdict": "not met" if name == OWN else "cannot tell" if judged.startswith("ei_") else "met"}
        for name in (RELEASE, OWN) for by, judged in JUDGED for epsilon in (0.0, 0.25, 0.5, 0.75)
    ]  # fmt: skip
    cells = [
        {"randomness": RELEASE, "condition": name, "epsilon": 0.75, "sorted_difference": 0.1, "median_difference": 0.1}
        for name in ("e_only_ln", "ei_ln", "ei_none")
    ]
    return pd.DataFrame(rows), pd.DataFrame(cells)


def outcomes(found, cells):
    rows = predictions(found, cells)
    assert [row["id"] for row in rows] == [*PREDICTIONS]
    return {row["id"]: row["outcome"] for row in rows}


def test_predictions_are_met_by_their_rules_and_not_computed_without_runs():
    found, cells = as_predicted()
    assert set(outcomes(found, cells).values()) == {"met"}
    none = found.assign(verdict="not computed"), cells.assign(median_difference=np.nan)
    assert set(outcomes(*none).values()) == {"not computed"}
    assert [row["found"] for row in predictions(*none)] == [""] * 5
    assert predictions(found, cells)[4]["found"].startswith("cannot tell: 8 of 8; gradnorm_full, 0: 0.10, met")


@pytest.mark.parametrize(
    ("name", "chosen", "changed"),
    [
        ("2", "judged == 'gradnorm_full' and epsilon == 0.5 and randomness == 'release'", {"median_difference": 0.16}),
        ("2", "judged == 'e_only_ln' and epsilon == 0 and randomness == 'release'", {"verdict": "cannot tell"}),
        ("3", "judged == 'inorm' and epsilon == 0 and randomness == 'release'", {"verdict": "not met"}),
        ("3", "judged == 'inorm' and epsilon == 0.75 and randomness == 'release'", {"median_difference": 0.5}),
        ("4", "judged == 'inorm' and epsilon == 0.25 and randomness == 'own'", {"verdict": "met"}),
        ("5", "judged == 'ei_ln'", {"verdict": "met"}),
        ("5", "judged == 'gradnorm_full' and by == 'e_only_ln'", {"median_difference": 0.21}),
    ],
)
def test_a_prediction_that_fails_is_not_met(name, chosen, changed):
    found, cells = as_predicted()
    found.loc[found.eval(chosen), list(changed)] = [*changed.values()]
    assert outcomes(found, cells)[name] == "not met"


@pytest.mark.parametrize(("condition", "apart"), [("e_only_ln", 0.11), ("ei_none", 0.21)])
def test_sorted_accuracies_further_apart_than_predicted_are_not_met(condition, apart):
    found, cells = as_predicted()
    assert outcomes(found, cells.assign(median_difference=-0.16))["1"] == "not met"
    cells.loc[cells["condition"] == condition, "sorted_difference"] = apart
    assert outcomes(found, cells)["1"] == "not met"


def test_most_epsilons_decide_before_all_are_known():
    """E-I LN and E-I at four epsilons: with four told apart most cannot be untold; one epsilon leaves it open."""
    found, cells = as_predicted()
    paired = found["judged"].str.startswith("ei_")
    one = found.assign(verdict=found["verdict"].mask(paired & (found["epsilon"] > 0), "not computed"))
    assert outcomes(one, cells)["5"] == "not computed"
    told = found.assign(verdict=found["verdict"].mask(paired & (found["epsilon"] < 0.5), "met"))
    assert outcomes(told, cells)["5"] == "not met"


def test_pairs_need_no_configuration_and_tell_equal_runs_from_others():
    renamed = THEIRS.assign(config=THEIRS["config"].rank(method="dense"))
    luck = np.random.default_rng(0).normal(0, 1, len(THEIRS))
    found = distributions.compare_pairs(
        THEIRS, {RELEASE: renamed, OWN: renamed.assign(test_acc=THEIRS["test_acc"] + luck)}
    )
    same, other = (found[found["randomness"] == name] for name in (RELEASE, OWN))
    assert len(same) == len(other) == 4 * len(distributions.TIED) and (same["p"] == 1).all()
    assert (same["sd"] == same["published_sd"]).all() and (same["n"] == same["published_n"]).all()
    assert set(same.query("x == 'inorm'")["n"]) == {21, 18, 17}, "pairs with a run at chance are left out"
    wider = other.query("x == 'gradnorm_full'")
    assert (wider["sd"] > 1).all() and (wider["p"] < 0.05).all()
    assert distributions.compare_pairs(THEIRS, {RELEASE: renamed.query("condition != 'ei_ln'")})["x"].nunique() == 2
