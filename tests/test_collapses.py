"""Runs with the release's casts: counted beside the published ones, and where each collapsed."""

import numpy as np
import pandas as pd
import pytest
import synthetic
from conftest import REPOSITORY, copy_project, run_documented, snakemake, train_part
from einorm import config
from einorm.__main__ import main
from einorm.analysis import collapses, published
from einorm.analysis.collapse_predictions import PREDICTIONS, predictions
from einorm.analysis.collapses import counts, listed, share_interval
from einorm.analysis.same_collapses import same_runs
from einorm.artifact import bundle
from scipy import stats

VALUES = published.load(REPOSITORY / "paper_artifact" / "published")
CELL = ("condition", "epsilon")


def settings(*overrides):
    return config.load(REPOSITORY / "config.yaml", "collapse", overrides)


def runs_of(lost, variant="release_float16", condition="inorm", epsilon=0.75, configs=30):
    """Invented runs of a cell; those of the configurations `lost` collapsed."""
    runs = synthetic.frames([condition], epsilons=(epsilon,), configs=configs, collapsed=None)["runs"]
    down = runs["config"].isin(lost)
    runs = runs.assign(variant=variant, randomness="release", epochs=50, digest=runs["digest"] + variant)
    runs.loc[down, "test_acc"] = 10.0
    runs.loc[down, "status"] = "collapsed"
    runs.loc[down, "collapsed_step"] = 1875 * 43 + 5
    runs.loc[down, "collapsed_in"] = "layer 1: gradient of q^2"
    return runs


def row(table, variant="release_float16", condition="inorm", epsilon=0.75):
    names = ["variant", *CELL]
    return table.set_index(names).loc[(variant, condition, epsilon)]


@pytest.mark.parametrize(
    ("lost", "agrees"), [(9, "within"), (5, "within"), (4, "outside"), (14, "within"), (15, "outside")]
)
def test_counts_are_judged_by_the_interval_of_the_published_share(lost, agrees):
    found = row(counts(runs_of(range(lost)), settings(), VALUES))
    assert (found["at_chance"], found["published_at_chance"], found["published_runs"]) == (lost, 9, 30)
    assert found["agrees"] == agrees


def test_published_counts_are_those_of_the_figures():
    table = counts(runs_of([]), settings(), VALUES)
    expected = {("inorm", 0): 9, ("gradnorm_scale", 0.75): 20, ("gradnorm_center", 0.75): 0}
    assert {cell: row(table, "release_float16", *cell)["published_at_chance"] for cell in expected} == expected


@pytest.mark.parametrize(("k", "n"), [(9, 30), (0, 30), (30, 30), (1, 7)])
def test_the_interval_is_clopper_and_pearsons(k, n):
    """Its limits are the shares at which 2.5 % of the binomial distribution lie at k and beyond."""
    low, high = (limit / n for limit in share_interval(k, n))
    assert low == 0 if k == 0 else stats.binom.sf(k - 1, n, low) == pytest.approx(0.025)
    assert high == 1 if k == n else stats.binom.cdf(k, n, high) == pytest.approx(0.025)
    assert np.isnan(share_interval(np.nan, 30)).all()


def test_nothing_is_judged_where_runs_are_missing_or_shorter():
    table = counts(runs_of(range(9), configs=29), settings(), VALUES)
    assert row(table)["agrees"] == "not computed" and row(table)["at_chance"] == 9
    assert row(table, epsilon=0)["agrees"] == "not computed" and row(table, epsilon=0)["finished"] == 0
    short = counts(runs_of(range(9)), settings("epochs=20"), VALUES)
    assert row(short)["agrees"] == "not computed"


def test_changed_casts_are_compared_with_the_same_configurations():
    """Of configurations 0 to 3, 0 and 1 are at chance as published, and of these 1 with loss scaling, too."""
    scaled = runs_of([1], variant="release_scaled", configs=4)
    table = counts(pd.concat([runs_of([0, 1, 20]), scaled]), settings(), VALUES)
    found = row(table, "release_scaled")
    assert (found["chance_as_published"], found["still_at_chance"], found["agrees"]) == (2, 1, "")
    assert row(table, "release_earlier_loss")["chance_as_published"] == 0


def test_every_run_is_listed_with_the_place_of_its_collapse():
    other = runs_of([0], variant="paper")
    table = listed(pd.concat([runs_of([3, 7]), other]), settings())
    assert len(table) == 30 and table["config"].iloc[:2].tolist() == [3, 7], "collapsed ones first, no other variants"
    assert table["collapsed_epoch"].iloc[:2].tolist() == [44, 44] and table["collapsed_epoch"].iloc[2:].isna().all()
    assert (table["collapsed_in"].iloc[:2] == "layer 1: gradient of q^2").all()


def test_the_command_writes_both_tables(tmp_path, capsys):
    from einorm.records import tables

    planned = settings("conditions=[inorm]", "epsilons=[0.75]", "variants=[release_float16]")
    tables.write(runs_of(range(9)), "runs", tmp_path / "runs.parquet", planned.science())
    folder = str(REPOSITORY / "paper_artifact" / "published")
    assert not main(["collapses", "--tables", str(tmp_path), "--published", folder, "--out", str(tmp_path)])
    assert "within" in capsys.readouterr().out
    assert pd.read_csv(tmp_path / "collapses.csv")["at_chance"].tolist() == [9]
    assert pd.read_csv(tmp_path / "collapsed_runs.csv").columns.tolist() == list(collapses.RUN_COLUMNS)


@pytest.mark.long
def test_the_documented_commands_go_from_training_to_the_counts(tmp_path):
    """In a copy whose preset is small: a part of it is trained, archived, and counted from the archive."""
    folder = train_part(
        tmp_path, "collapse", "variants=[release_float16]", "conditions=[inorm]", "epsilons=[0.75]", "configs=[0]"
    )
    run_documented("docs/collapses.md", "python -m einorm archive preset=collapse", folder)
    run_documented(
        "docs/collapses.md", "snakemake collapses --cores 1 --config preset=collapse results=archive", folder
    )
    table = pd.read_csv(folder / "results" / "claims" / "collapses.csv").set_index(["variant", *CELL])
    assert len(table) == 3 * 3 * 2 and table["finished"].sum() == 1
    assert table.loc[("release_float16", "inorm", 0.75), "agrees"] == "not computed"


def outcomes(runs, float32=None):
    found = predictions(runs, settings(), VALUES, runs_of([], variant="paper") if float32 is None else float32)
    assert [row["id"] for row in found] == [*PREDICTIONS]
    return {row["id"]: row["outcome"] for row in found}, {row["id"]: row["found"] for row in found}


def test_without_runs_no_prediction_is_judged():
    found, numbers = outcomes(runs_of(range(9), configs=29))
    assert set(found.values()) == {"not computed"} and not any(numbers.values())


def as_predicted():
    """Invented runs of which all predictions are true; at epsilon 0 the highest learning rates collapse."""
    rates = runs_of(range(9), epsilon=0)
    parts = [
        runs_of(range(9)), rates.assign(lr=1e-3 * (1 + (rates["config"] < 9))),
        runs_of(range(20), condition="gradnorm_scale"), runs_of([], condition="gradnorm_center", configs=10),
        runs_of([3], variant="release_scaled", configs=12), runs_of([], variant="release_earlier_loss", configs=9),
    ]  # fmt: skip
    return pd.concat(parts, ignore_index=True)


def in_float32(runs):
    """The same runs in float32, those above chance 0.2 points better."""
    runs = runs[runs["variant"] == "release_float16"]
    return runs.assign(variant="paper", test_acc=runs["test_acc"] + 0.2)


def test_predictions_are_met_by_their_rules():
    runs = as_predicted()
    found, numbers = outcomes(runs, in_float32(runs))
    assert set(found.values()) == {"met"}
    assert numbers["P1"].startswith("epsilon 0.75: 9 of 30 (published 9, interval 4.4 to 14.8); epsilon 0: 9 of 30")
    assert numbers["P5"] == "38 of 38" and numbers["P9"] == "1 of 9" and numbers["P10"] == "0 of 9"
    assert "inorm, epsilon 0.75: 0.20 points in 21 runs" in numbers["P11"]
    words = (REPOSITORY / "paper_artifact" / "predictions.md").read_text()
    assert all(f"| {name} |" in words for name in PREDICTIONS)


@pytest.mark.parametrize(
    ("name", "chosen", "changed"),
    [
        ("P1", "condition == 'inorm' and epsilon == 0 and config < 6", {"test_acc": 80.0, "status": "finished"}),
        ("P2", "condition == 'gradnorm_scale' and config < 9", {"test_acc": 80.0, "status": "finished"}),
        ("P3", "condition == 'gradnorm_center' and config == 4", {"test_acc": 10.0}),
        ("P4", "condition == 'inorm' and epsilon == 0", {"lr": 1e-3}),
        ("P5", "status == 'collapsed' and config < 2", {"collapsed_in": "layer 1: q"}),
        ("P6", "status == 'collapsed' and condition == 'gradnorm_scale'", {"collapsed_in": "layer 1: gradient of u"}),
        ("P7", "status == 'collapsed' and condition == 'gradnorm_scale'", {"collapsed_in": "layer 0: gradient of q^2"}),
        ("P8", "status == 'collapsed' and condition == 'gradnorm_scale'", {"collapsed_step": 1875 * 5 - 1}),
        ("P9", "variant == 'release_scaled' and config < 2", {"test_acc": 10.0}),
        ("P10", "variant == 'release_earlier_loss' and config < 2", {"test_acc": 10.0}),
        ("P11", "variant == 'release_float16' and status == 'finished'", {"test_acc": 79.0}),
    ],
)
def test_a_prediction_that_fails_is_not_met(name, chosen, changed):
    runs = as_predicted()
    float32 = in_float32(runs)
    runs.loc[runs.eval(chosen), list(changed)] = [*changed.values()]
    assert outcomes(runs, float32)[0][name] == "not met"


@pytest.mark.parametrize(
    ("name", "missing"),
    [
        ("P1", "condition == 'inorm' and epsilon == 0 and config == 29"),
        ("P2", "condition == 'gradnorm_scale' and config == 29"),
        ("P3", "condition == 'gradnorm_center' and config == 9"),
        ("P4", "condition == 'inorm' and epsilon == 0 and config == 29"),
        ("P9", "variant == 'release_scaled' and config == 8"),
        ("P10", "variant == 'release_earlier_loss' and config == 0"),
        ("P11", "variant == 'paper' and condition == 'inorm' and config == 20"),
    ],
)
def test_a_prediction_without_one_of_its_runs_is_not_computed(name, missing):
    runs = as_predicted()
    float32 = in_float32(runs)
    assert outcomes(runs.query(f"not ({missing})"), float32.query(f"not ({missing})"))[0][name] == "not computed"


def published_and_ours(far=0.0):
    """Published runs with LN+ and GradNorm as ours; of I-Norm 0 to 8 at chance, the others `far` from ours."""
    level = {"e_only_ln": 80 + np.arange(30.0), "gradnorm_full": 85 + np.arange(30.0), "inorm": 50 + np.arange(30.0)}
    rows = [
        {"condition": condition, "epsilon": 0.75, "config": config, "test_acc": value, "variant": "paper", "lr": config}
        for condition, values in level.items()
        for config, value in enumerate(values)
    ]
    ours = pd.DataFrame(rows).assign(task="luminosity", dataset="fashion_mnist", seed=0, epochs=50)
    theirs = ours.assign(test_acc=ours["test_acc"] + far * (ours["condition"] == "inorm"))
    lost = (theirs["condition"] == "inorm") & (theirs["config"] < 9)
    theirs.loc[lost, "test_acc"] = 10.0
    return theirs, ours


def casts_of(ours, lost):
    runs = ours[ours["condition"] == "inorm"].assign(variant="release_float16")
    return runs.assign(test_acc=runs["test_acc"].mask(runs["config"].isin(lost), 10.0))


def test_the_runs_that_collapse_are_compared_with_the_published_ones():
    theirs, ours = published_and_ours()
    found = same_runs(theirs, ours, casts_of(ours, range(3, 12)), 0.75)
    assert (found["points"], found["published"], found["here"], found["both"]) == (30, 9, 9, 6)
    assert found["by_chance"] == pytest.approx(81 / 30) and found["R1"] == "met"
    assert found["p"] == pytest.approx(stats.hypergeom.sf(5, 30, 9, 9))
    assert found["by_chance_at_rates"] == pytest.approx(81 / 15), "all are among the fifteen of the lowest rates"
    assert found["p_at_rates"] == pytest.approx(stats.hypergeom.sf(5, 15, 9, 9))
    assert found["n"] == 18 and found["median_difference"] == 0 and found["R2"] == "not met", "nearer than by chance"


def test_collapses_of_other_runs_and_accuracies_in_another_order_are_told_apart():
    theirs, ours = published_and_ours()
    casts = casts_of(ours, range(20, 29))
    kept = (casts["test_acc"] > 10).to_numpy()
    casts.loc[kept, "test_acc"] = casts.loc[kept, "test_acc"].to_numpy()[::-1]
    found = same_runs(theirs, ours, casts, 0.75)
    assert found["both"] == 0 and found["R1"] == "not met" and found["R2"] == "met"


def test_an_incomplete_cell_is_compared_with_nothing():
    theirs, ours = published_and_ours()
    assert same_runs(theirs, ours, casts_of(ours, [0]).query("config < 29"), 0.75) == {}
    assert same_runs(theirs, ours.query("config < 29"), casts_of(ours, [0]), 0.75) == {}
    words = (REPOSITORY / "paper_artifact" / "predictions_same_runs.md").read_text()
    assert all(f"| {name} |" in words for name in ("R1", "R2"))


def test_the_bundle_holds_them(tmp_path):
    """Of presets with runs that may collapse in the release's casts, and of no other."""
    copy = copy_project(tmp_path)
    for preset, there in (("collapse", True), ("quick", False)):
        done = snakemake(copy, "artifact", "-n", "--config", f"preset={preset}", "results=archive")
        assert done.returncode == 0 and ("rule collapses" in done.stdout) == there, done.stdout
    assert {"collapses.csv", "collapsed_runs.csv"} <= set(bundle.claims_files(settings()))
    assert "collapses.csv" not in bundle.claims_files(config.load(REPOSITORY / "config.yaml", "quick"))
