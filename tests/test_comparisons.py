"""Comparisons of all pairs of the figures, and one correction of all their tests, against scipy and the tables."""

from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest
from conftest import REPOSITORY
from einorm.analysis import comparisons, effects, published
from scipy.stats import mannwhitneyu

VALUES = published.load(REPOSITORY / "paper_artifact" / "published")
STATEMENT = SimpleNamespace(of="difference", metric="mu", x="e_only_ln", y="gradnorm_full", epsilon=0.75)
LEVEL = SimpleNamespace(of="level", metric="mu", x="e_only_ln", y=None, epsilon=0.75)
RULES = SimpleNamespace(
    comparisons={
        "fig5": [("gradnorm_full", "e_only_ln")],
        "fig6": [("gradnorm_full", "e_only_ln"), ("inorm", "ei_ln")],
    },
    statements=[STATEMENT, LEVEL],
    pooled_epsilons=[0, 0.75],
    margin=0.5,
)


def runs(conditions=("gradnorm_full", "e_only_ln"), epsilons=(0, 0.75), configs=7):
    rng = np.random.default_rng(2)
    rows = [(c, e, i) for c in conditions for e in epsilons for i in range(configs)]
    frame = pd.DataFrame(rows, columns=["condition", "epsilon", "config"]).assign(seed=0, lr=0.01, status="finished")
    return frame.assign(test_acc=80 + rng.normal(0, 1, len(frame)), mu0=rng.normal(0, 1, len(frame)), mu1=0.5)


def accuracies(table, condition, epsilon):
    chosen = table[(table["condition"] == condition) & ((epsilon == "pooled") | (table["epsilon"] == epsilon))]
    return chosen["test_acc"]


def test_one_correction_counts_every_test_once():
    table = runs()
    expected = {
        comparisons.identity("test_acc", "e_only_ln", "gradnorm_full", epsilon): mannwhitneyu(
            accuracies(table, "gradnorm_full", epsilon), accuracies(table, "e_only_ln", epsilon)
        ).pvalue
        for epsilon in (0, 0.75, "pooled")
    }
    mu = table[table["epsilon"] == 0.75].assign(mu=table["mu0"] / 2 + 0.25).set_index("condition")["mu"]
    expected[comparisons.identity("mu", "gradnorm_full", "e_only_ln", 0.75)] = mannwhitneyu(
        mu["gradnorm_full"], mu["e_only_ln"]
    ).pvalue
    found = comparisons.corrected(RULES, table, "all")
    assert set(found) == set(expected), "the pair of both figures once; neither I-Norm, of which there are no runs"
    least = min(expected, key=expected.get)
    assert found[least] == pytest.approx(min(1, 4 * expected[least]))
    assert all(found[key] >= expected[key] for key in expected)


def test_epsilons_are_pooled_only_where_all_of_them_were_computed():
    table = runs()
    assert comparisons.computed(RULES, comparisons.trained_at(table), ("gradnorm_full", "e_only_ln"), "pooled")
    part = table[(table["condition"] != "e_only_ln") | (table["epsilon"] == 0)]
    there = comparisons.trained_at(part)
    assert not comparisons.computed(RULES, there, ("gradnorm_full", "e_only_ln"), "pooled")
    assert comparisons.computed(RULES, there, ("gradnorm_full", "e_only_ln"), 0)
    assert not comparisons.computed(RULES, there, ("gradnorm_full", "e_only_ln"), 0.75)
    assert comparisons.places(part) == [0, 0.75, "pooled"]
    assert {key[2] for key in comparisons.corrected(RULES, part, "all")} == {0}
    assert set(comparisons.compare_all(RULES, part, VALUES)["epsilon"]) == {"0.0"}


def test_every_pair_has_its_effect_its_printed_test_and_its_equality():
    table = comparisons.compare_all(RULES, runs(), VALUES)
    assert len(table) == 2 * 3 * 3, "two figures with one computed pair; two epsilons and pooled; three selections"
    assert set(table["selection"]) == {"all", "top10", "above_chance"}
    p_holm = comparisons.corrected(RULES, runs(), "all")
    for row in table[table["selection"] == "all"].itertuples():
        epsilon = row.epsilon if row.epsilon == "pooled" else float(row.epsilon)
        groups = [effects.defined_values(runs(), c, epsilon, "test_acc", "all") for c in (row.x, row.y)]
        expected = effects.difference(*groups, pooled=epsilon == "pooled")
        assert (row.effect, row.low, row.high) == (expected["effect"], expected["low"], expected["high"])
        assert row.smallest_margin == max(abs(row.low), abs(row.high)) and row.equivalent in (
            "equal",
            "different",
            "open",
        )
        assert (row.equivalent == "equal") == (row.smallest_margin < 0.5)
        assert row.p_holm == p_holm[comparisons.identity("test_acc", row.x, row.y, epsilon)]


def test_printed_tests_are_those_of_the_figure_the_pair_and_epsilon(monkeypatch):
    monkeypatch.setattr(comparisons, "SELECTIONS", ("all",))
    printed = VALUES["tests"][VALUES["tests"]["figure"].isin(["Fig5", "Fig6"])]
    pairs = list(zip(printed["group_x"], printed["group_y"], strict=True))
    rules = SimpleNamespace(**vars(RULES) | {"comparisons": {"fig5": sorted(set(pairs)), "fig6": sorted(set(pairs))}})
    conditions = sorted({condition for pair in pairs for condition in pair})
    table = comparisons.compare_all(rules, runs(conditions, epsilons=(0.0, 0.75), configs=9), VALUES)
    names = {"0": "0.0", "0.75": "0.75", published.POOLED: "pooled"}
    shown = printed[printed["epsilon"].isin(list(names))]
    expected = {(r.figure.lower(), names[r.epsilon], r.group_x, r.group_y): (r.U, r.p) for r in shown.itertuples()}
    assert len(expected) == len(shown) > 4 and len(table) == 2 * 3 * len(set(pairs))
    for row in table.itertuples():
        theirs = expected.get((row.figure, row.epsilon, row.x, row.y), (np.nan, np.nan))
        np.testing.assert_array_equal([row.published_U, row.published_p], theirs)
