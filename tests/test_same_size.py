"""Is an effect of the published size? MOVER against its formula and by simulation; the verdicts; seeds."""

import numpy as np
import pandas as pd
import pytest
from einorm.analysis import claims, same_size, stats
from einorm.analysis.completeness import incomplete_cells
from einorm.analysis.published_effects import published_effect
from einorm.analysis.statements import load_rules
from test_claims import RULES, VALUES, rules, runs_with, settings_for


@pytest.mark.parametrize("skewed", [False, True])
def test_the_interval_of_a_difference_of_effects_covers_the_truth(skewed):
    """Two studies of 30 pairs: the difference of their Hodges-Lehmann estimates is 0.7."""
    hits, times = 0, 300
    for seed in range(times):
        rng = np.random.default_rng(seed)
        draws = rng.gamma(2, 1, (4, 30)) if skewed else rng.normal(0, 0.7, (4, 30))
        low, high = stats.mover(stats.walsh(draws[0] - draws[1] + 0.7), stats.walsh(draws[2] - draws[3]))[1:]
        hits += low <= 0.7 <= high
    assert 0.92 <= hits / times <= 0.99, hits


def test_an_interval_from_quartiles_covers_the_median_of_normal_samples():
    hits = 0
    for seed in range(400):
        x = np.random.default_rng(seed).normal(5, 2, 30)
        q1, middle, q3 = np.percentile(x, [25, 50, 75])
        low, high = stats.quartile_interval(middle, q3 - q1, 30)[1:]
        hits += low <= 5 <= high
    assert 0.91 <= hits / 400 <= 0.98, hits


def compared(runs, **changes):
    """C5.1 (or changed) on invented runs, against the published runs of Fig. 5."""
    one = rules(**changes)
    incomplete = incomplete_cells(runs, settings_for(runs, variants=sorted(set(runs["variant"]))))
    return same_size.compare_sizes(one.statements[0], one, VALUES, "all", runs, incomplete)


@pytest.mark.parametrize(
    ("difference", "spread", "expected"),
    [(0.385, 0.1, "same size"), (1.5, 0.1, "differs"), (-0.5, 0.1, "differs"), (0.385, 3.0, "unclear")],
)
def test_the_verdict_on_the_size(difference, spread, expected):
    found = compared(runs_with(difference, spread=spread))
    assert found["size_verdict"] == expected and found["delta"] == 0.5
    assert found["published_effect"] == pytest.approx(0.385) and found["size_seeds"] == "one seed"
    holds_nought = found["size_difference_low"] <= 0 <= found["size_difference_high"]
    assert holds_nought == (found["predicted_low"] <= found["size_here"] <= found["predicted_high"])
    assert holds_nought == (expected != "differs")


def test_a_difference_that_barely_excludes_0_says_so():
    limits = {"size_difference_low": 0.0006, "size_difference_high": 35.15}
    sizes = limits | {f"{name}90": value for name, value in limits.items()}
    verdict, reason = same_size.judge_size(sizes, 0.5, 50, 50)
    assert verdict == "differs" and reason.endswith("+0.0006 to +35.15, barely excludes 0")
    assert same_size.judge_size(sizes | {"size_difference_low": 0.02}, 0.5, 50, 50)[1].endswith(", excludes 0")


def test_the_prediction_interval_is_built_around_the_published_effect():
    found = compared(runs_with(0.0))
    o, l_o, u_o = (found[f"published_{name}"] for name in ("effect", "low", "high"))
    r, l_r, u_r = (found[f"size_here{name}"] for name in ("", "_low", "_high"))
    assert found["predicted_low"] == pytest.approx(o - np.hypot(o - l_o, u_r - r))
    assert found["predicted_high"] == pytest.approx(o + np.hypot(u_o - o, r - l_r))


def test_sizes_are_not_judged_on_runs_that_are_missing_or_too_short():
    runs = runs_with(0.385)
    found = compared(runs, epsilon=0.5)
    assert found["size_verdict"] == "not computed" and np.isnan(found["size_here"])
    found = compared(runs.assign(epochs=20))
    assert found["size_verdict"] == "unclear" and "20 epochs" in found["size_reason"]
    few = compared(runs_with(0.385, configs=4))
    assert few["size_verdict"] == "unclear" and "too few runs" in few["size_reason"]
    unpublished = {"y": "ei_none", "x": "e_only_ln", "metric": "mu", "figure": "fig2"}
    both = pd.concat([runs, runs[runs["condition"] == "e_only_ln"].assign(condition="ei_none")], ignore_index=True)
    found = compared(both, **unpublished)
    assert (found["size_verdict"], found["size_reason"]) == ("not published", "no published value")


def test_a_published_box_that_left_runs_out_has_no_interval_to_compare_with():
    shipped = load_rules(RULES)
    statement = {s.id: s for s in shipped.statements}["C6.3"]
    names = {"gradnorm_full": statement.x, "e_only_ln": statement.y}
    runs = runs_with(0.0).assign(condition=lambda frame: frame["condition"].map(names))
    found = same_size.compare_sizes(statement, shipped, VALUES, "all", runs, [])
    assert (found["size_verdict"], found["size_reason"]) == ("not published", "no published interval")
    assert np.isfinite(found["published_effect"]) and np.isnan(found["size_difference"])


def with_seeds(shifts, **kwargs):
    """Runs of the paper's way and of two further seeds, whose effects differ by shifts."""
    paper = runs_with(0.385, **kwargs)
    up = paper["condition"] == "gradnorm_full"
    further = [
        paper.assign(variant=f"seed{i}", seed=i, test_acc=paper["test_acc"] + shift * up)
        for i, shift in enumerate(shifts, 1)
    ]
    return pd.concat([paper, *further], ignore_index=True)


def test_what_a_seed_changes_widens_the_interval():
    alone, many = compared(runs_with(0.385)), compared(with_seeds([2.0, -2.0]))
    assert (alone["tau"], alone["size_seeds"]) == (0, "one seed") and many["size_seeds"] == "3 seeds"
    assert many["tau"] == pytest.approx(2, abs=0.05), "the variance of 0, 2, -2 is 4"
    extra = 2 * (stats.normal_quantile(0.95) * many["tau"]) ** 2
    below = alone["size_difference"] - alone["size_difference_low"]
    assert many["size_difference"] - many["size_difference_low"] == pytest.approx(np.sqrt(below**2 + extra))
    assert alone["size_verdict"] == "same size" and many["size_verdict"] == "unclear"


def test_runs_with_the_published_random_numbers_share_its_seed():
    runs, one = with_seeds([2.0, -2.0]), rules()
    found = same_size.compare_sizes(one.statements[0], one, VALUES, "all", runs, [], published_seed=True)
    assert (found["tau"], found["size_seeds"], found["size_verdict"]) == (0, "the published seed", "same size")
    paper = runs[runs["variant"] == "paper"]
    for randomness, seeds in (("release", "the published seed"), ("own", "one seed")):
        settings = settings_for(paper, randomness=randomness)
        assert claims.evaluate(one, paper, settings, VALUES)["size_seeds"].tolist() == [seeds]


def test_two_seeds_are_enough_to_know_their_spread():
    two = compared(with_seeds([2.0]))
    assert two["size_seeds"] == "2 seeds" and two["tau"] == pytest.approx(2 / np.sqrt(2), abs=0.05)
    wide = with_seeds([2.0], spread=3.0)
    effects = []
    for _, runs in wide.groupby("variant"):
        values = runs[runs["epsilon"] == 0.75].set_index(["condition", "config"])["test_acc"]
        effects.append(stats.walsh((values["gradnorm_full"] - values["e_only_ln"]).to_numpy()))
    errors = [(high - low) / (2 * 1.959964) for _, low, high in effects]
    expected = np.var([effect for effect, *_ in effects], ddof=1) - np.mean(np.square(errors))
    assert expected > 0 and compared(wide)["tau"] == pytest.approx(np.sqrt(expected), rel=1e-6)


def test_seeds_that_differ_no_more_than_their_intervals_add_nothing():
    found = compared(with_seeds([0.0, 0.001]))
    assert (found["tau"], found["size_seeds"]) == (0, "3 seeds")


def test_short_or_incomplete_runs_of_other_seeds_do_not_count():
    runs = with_seeds([2.0, -2.0])
    short = runs.assign(epochs=runs["epochs"].where(runs["variant"] == "paper", 3))
    assert compared(short)["size_seeds"] == "one seed"
    lost = (runs["variant"] != "paper") & (runs["config"] == 3) & (runs["epsilon"] == 0.75)
    assert compared(runs[~lost])["size_seeds"] == "one seed"
    of_first = compared(runs[~lost | (runs["variant"] == "seed2")])
    assert of_first["size_seeds"] == "2 seeds" and of_first["tau"] == pytest.approx(2 / np.sqrt(2), abs=0.05)
    assert published_effect(rules().statements[0], VALUES, "all")["n_x"] == 30
