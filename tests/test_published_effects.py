"""Published effects: by the estimator and the selection that are used here; pinned where runs were published."""

import numpy as np
import pytest
from conftest import REPOSITORY
from einorm.analysis import effects, judging, published, stats
from einorm.analysis.published_effects import box, published_at_chance, published_effect, same_way
from einorm.analysis.statements import load_rules

VALUES = published.load(REPOSITORY / "paper_artifact" / "published")
RULES = load_rules(REPOSITORY / "paper_artifact" / "claims.yaml")
STATEMENTS = {statement.id: statement for statement in RULES.statements}


@pytest.mark.parametrize(
    ("name", "selection", "effect", "low", "high"),
    [
        ("C1.1", "all", 2.14, 1.82, 2.70),
        ("C1.2", "all", 0.97, 0.65, 1.27),
        ("C4.1", "above_chance", -4.21, -5.10, -3.56),
        ("C4.2", "above_chance", -1.59, -2.46, -0.97),
        ("C5.1", "all", 0.39, 0.22, 0.53),
        ("C5.2", "all", 0.11, 0.00, 0.23),
    ],
)
def test_paired_effects_are_those_of_an_independent_computation(name, selection, effect, low, high):
    found = published_effect(STATEMENTS[name], VALUES, selection)
    assert (found["effect"], found["low"], found["high"]) == pytest.approx((effect, low, high), abs=0.0051)
    assert found["method"] == "paired" and not found["approximate"]


def test_the_figures_with_ln_show_its_runs_in_the_same_order():
    """So a point of Fig. 4 and one of Fig. 5 with the same number are runs of one configuration."""
    for epsilon in (0, 0.25, 0.5, 0.75):
        four, five = (published.matched_runs(VALUES, figure, "scatter", epsilon) for figure in ("Fig4", "Fig5"))
        assert four["x"].tolist() == five["x"].tolist() and four["x"].nunique() < 30


def test_gradnorm_and_inorm_are_paired_through_ln():
    four, five = (published.matched_runs(VALUES, figure, "scatter", 0.75) for figure in ("Fig4", "Fig5"))
    kept = four["y"] > 10
    expected = stats.walsh((five["y"] - four["y"])[kept])
    found = published_effect(STATEMENTS["C5.3"], VALUES, "above_chance")
    assert (found["effect"], found["low"], found["high"]) == pytest.approx(expected)
    assert (found["method"], found["n_x"], found["n_y"]) == ("paired", 30, 21)


def test_networks_of_different_figures_are_not_paired():
    found = published_effect(STATEMENTS["C2.2"], VALUES, "all")
    x, y = (published.complete_runs(VALUES, c, 0.75) for c in ("e_only_ln", "ei_ln"))
    assert found["method"] == "unpaired"
    assert (found["effect"], found["low"], found["high"]) == pytest.approx(stats.hodges_lehmann(x, y))


def test_a_trend_is_of_independent_differences_since_points_name_no_configuration_across_epsilons():
    found = published_effect(STATEMENTS["C1.3"], VALUES, "all")
    late, early = (published_effect(STATEMENTS[name], VALUES, "all") for name in ("C1.1", "C1.2"))
    assert found["effect"] == pytest.approx(late["effect"] - early["effect"]) and found["approximate"]
    below = np.hypot(late["effect"] - late["low"], early["high"] - early["effect"])
    assert found["low"] == pytest.approx(found["effect"] - below)


def test_pooled_published_pairs_are_not_clustered_since_points_name_no_configuration_across_epsilons():
    """Two points at each of four epsilons are eight pairs: enough for an interval, as two clusters would not be."""
    runs = VALUES["complete"][VALUES["complete"]["condition"].isin(["inorm", "gradnorm_full"])]
    few = runs.sort_values("config").groupby(["condition", "epsilon"]).head(2)
    pooled = STATEMENTS["C5.3"].model_copy(update={"epsilon": "pooled"})
    found = published_effect(pooled, VALUES | {"complete": few}, "all")
    assert (found["method"], found["n_x"], found["n_y"]) == ("paired", 8, 8)
    assert found["low"] < found["effect"] < found["high"]


def test_a_box_of_published_runs_has_their_quartiles():
    accuracies = published.complete_runs(VALUES, "gradnorm_full", 0.75)
    q1, middle, q3 = np.percentile(accuracies, [25, 50, 75])
    assert box(STATEMENTS["C5.1"], VALUES, "gradnorm_full", "all") == pytest.approx((middle, q3 - q1, 30))
    assert q3 != np.percentile(accuracies, 76)


def test_boxes_give_approximate_intervals():
    found = published_effect(STATEMENTS["C7.1"], VALUES, "all")
    errors = [0.93 * (q3 - q1) / np.sqrt(30) for q1, q3 in ((84.6875, 85.4875), (84.81, 85.675))]
    assert found["effect"] == pytest.approx(84.915 - 85.1) and found["approximate"] and found["method"] == "boxes"
    assert found["high"] - found["effect"] == pytest.approx(1.959964 * np.hypot(*errors))


@pytest.mark.parametrize("name", ["C6.3", "C6.4", "C6.5", "C6.6"])
def test_boxes_of_networks_that_lost_runs_give_no_interval(name):
    for selection in ("all", "above_chance"):
        found = published_effect(STATEMENTS[name], VALUES, selection)
        assert np.isnan([found["low"], found["high"]]).all()


def test_the_median_of_all_runs_is_unknown_where_the_box_leaves_some_out():
    for name in ("C6.5", "C6.6"):  # seven runs, and one
        assert np.isnan(published_effect(STATEMENTS[name], VALUES, "all")["effect"])
    assert published_effect(STATEMENTS["C6.5"], VALUES, "above_chance")["effect"] == pytest.approx(81.65 - 85.14)
    assert published_effect(STATEMENTS["C6.3"], VALUES, "all")["effect"] == pytest.approx(10 - 85.14), "the box has all"


def test_copies_of_runs_count_once():
    """Fig. 3 shows 40 I-Norm values, which are 12 runs and their copies."""
    found = published_effect(STATEMENTS["C3.2"], VALUES, "top10")
    assert found["n_x"] == 12 and found["high"] - found["effect"] == pytest.approx(1.959964 * 0.93 * 0.02154 / 12**0.5)
    assert np.isnan(published_effect(STATEMENTS["C3.2"], VALUES, "all")["effect"]), "only the ten best were published"
    assert np.isnan(published_effect(STATEMENTS["C3.3"], VALUES, "top10")["low"]), "n is not known"


def test_the_box_of_a_distance_has_the_spread_of_its_quartiles_on_one_side_of_the_target():
    assert box(STATEMENTS["C3.5"], VALUES, "ei_none", "top10") == pytest.approx((0.55509, 0.72026 - 0.34296, 40))
    log_ratio = np.log10(0.8818 / 0.79881)
    assert box(STATEMENTS["C3.4"], VALUES, "inorm_sub", "top10")[:2] == pytest.approx((-np.log10(0.83054), log_ratio))


def test_histograms_widen_the_interval_by_half_a_bin():
    found = published_effect(STATEMENTS["C4.4"], VALUES, "all")
    bins = published.bins(VALUES, "Fig4", "hist_gradient", "inorm", 0.75)
    middles = np.repeat(bins[["bin_left", "bin_right"]].mean(axis=1), bins["value"].astype(int))
    middle, low, high = stats.median_interval(middles)
    half = (bins["bin_right"] - bins["bin_left"]).max() / 2
    assert (found["effect"], found["low"], found["high"]) == pytest.approx((middle, low - half, high + half))
    assert (found["n_x"], found["n_y"], found["method"]) == (len(middles), 0, "bins")
    ten_best = published_effect(STATEMENTS["C4.4"], VALUES, "top10")
    assert np.isnan(ten_best["effect"]) and ten_best["n_x"] == 0, "which runs are in which bin is not told"


def test_a_lower_level_gives_a_narrower_interval():
    for name in ("C1.1", "C1.3", "C2.2", "C4.4", "C7.1"):
        wide, narrow = (published_effect(STATEMENTS[name], VALUES, "all", level) for level in (0.95, 0.9))
        assert wide["low"] <= narrow["low"] < narrow["effect"] < narrow["high"] <= wide["high"]


def test_our_runs_are_estimated_as_the_published_ones():
    """The published runs, taken for ours, give the published effect."""
    runs = VALUES["complete"].assign(status="finished")
    for name, selection in (("C1.1", "all"), ("C1.3", "all"), ("C2.2", "all"), ("C4.1", "above_chance")):
        theirs = published_effect(STATEMENTS[name], VALUES, selection)
        ours = same_way(STATEMENTS[name], theirs["method"], runs, selection)
        assert ours == pytest.approx((theirs["effect"], theirs["low"], theirs["high"]))
    groups = effects.groups_of(STATEMENTS["C5.1"], runs, "all")
    bins = same_way(STATEMENTS["C5.1"], "bins", runs, "all")
    assert bins == stats.hodges_lehmann(*(group["value"] for group in groups)), "bins name no configuration"
    boxes = same_way(STATEMENTS["C5.1"], "boxes", runs, "all")
    assert boxes[0] == pytest.approx(85.605 - 85.14)
    assert effects.effect(STATEMENTS["C5.1"], runs, "all")["effect"] == pytest.approx(0.385)


def test_runs_at_chance_are_counted_from_runs_and_from_boxes():
    assert published_at_chance(VALUES, "inorm", [0, 0.25, 0.5, 0.75]) == (43, 120)
    assert published_at_chance(VALUES, "gradnorm_scale", [0.75]) == (20, 30)
    assert np.isnan(published_at_chance(VALUES, "inorm_sub", [0.75])).all()


def test_every_statement_has_a_published_value_that_its_rule_allows():
    """Or the rule would test something else than the paper says. The controls and the sweep were not published.

    Nor were moments of single epsilons: Fig. 3 pools them.
    """
    controls = {"ei_ln_detached", "e_only_ln_detached", "inorm_lambda"}
    assert not controls & {*VALUES["runs"]["condition"], *VALUES["summary"]["condition"]}
    single = {s.id for s in RULES.statements if s.metric in ("mu", "var") and s.epsilon != "pooled"}
    assert single == {"C3.6", "C3.7", "C3.8", "C3.9"}
    for statement in [s for s in RULES.statements if s.x not in controls and s.id not in single]:
        values = [published_effect(statement, VALUES, s)["effect"] for s in ("all", statement.published_rule)]
        shown = values[0] if np.isfinite(values[0]) else values[1]
        assert judging.within(shown, shown, statement.partly or statement.holds), statement.id
