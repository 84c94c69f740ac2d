"""Statistics: against scipy, against tables of critical values, and by what they mean."""

import numpy as np
import pytest
from einorm import stats
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats as reference

SAMPLES = st.lists(st.integers(0, 30), min_size=2, max_size=8)


def normal(seed, n, shift=0.0):
    return np.random.default_rng(seed).normal(shift, 1, n)


def test_u_and_p_are_those_of_scipy_as_the_paper_called_it():
    x, y = normal(0, 30), normal(1, 30, 0.5)
    test, ours = reference.mannwhitneyu(x, y), stats.compare(x, y)
    assert (ours["U"], ours["p"]) == (test.statistic, test.pvalue)
    assert ours["superiority"] == ours["U"] / 900 == np.mean(np.subtract.outer(x, y) > 0)


# Largest c for which leaving c - 1 differences out at each end keeps 95 %: critical value of U (or of W) plus one.
@pytest.mark.parametrize(("nx", "ny", "critical"), [(4, 4, 0), (5, 5, 2), (8, 10, 17), (20, 20, 127)])
def test_rank_sum_counts_are_those_of_printed_tables(nx, ny, critical):
    assert stats._rank_sum_count(nx, ny) == critical + 1


@pytest.mark.parametrize(("n", "critical"), [(6, 0), (8, 3), (10, 8), (20, 52), (30, 137)])
def test_signed_rank_counts_are_those_of_printed_tables(n, critical):
    assert stats._signed_rank_count(n) == critical + 1


def test_too_few_runs_give_an_infinite_interval():
    assert stats.hodges_lehmann([1.0, 2, 3], [4.0, 5, 6])[1:] == (-np.inf, np.inf)
    assert stats.paired(np.arange(5.0), np.zeros(5))["difference_low"] == -np.inf
    assert np.isfinite(stats.paired(np.arange(6.0), np.zeros(6))["difference_low"])
    assert stats.median_interval(np.arange(5.0))[1:] == (-np.inf, np.inf)
    assert stats.median_interval(np.arange(6.0)) == (2.5, 0, 5)


def test_the_normal_counts_of_large_groups_follow_the_exact_ones():
    exact = stats._rank_sum_count(40, 40)
    approximate = 40 * 40 / 2 - 1.959964 * np.sqrt(40 * 40 * 81 / 12)
    assert abs(exact - approximate) <= 2 and stats._rank_sum_count(41, 40) > exact


@pytest.mark.parametrize("n", [8, 30])
def test_intervals_cover_the_true_shift_as_often_as_they_say(n):
    hits = {"shift": 0, "difference": 0, "superiority": 0, "median": 0}
    for seed in range(400):
        x, y = normal(2 * seed, n, 0.7), normal(2 * seed + 1, n)
        unpaired, paired = stats.compare(x, y), stats.paired(x, y)
        middle = stats.median_interval(x)
        hits["shift"] += unpaired["shift_low"] <= 0.7 <= unpaired["shift_high"]
        hits["difference"] += paired["difference_low"] <= 0.7 <= paired["difference_high"]
        truth = reference.norm.cdf(0.7 / np.sqrt(2))
        hits["superiority"] += unpaired["superiority_low"] <= truth <= unpaired["superiority_high"]
        hits["median"] += middle[1] <= 0.7 <= middle[2]
    assert all(0.92 <= count / 400 <= 1 for count in hits.values()), hits


@given(SAMPLES, SAMPLES)
@settings(max_examples=60, deadline=None)
def test_exchanging_the_groups_mirrors_every_number(x, y):
    there, back = stats.compare(x, y), stats.compare(y, x)
    assert there["shift"] == pytest.approx(-back["shift"]) and there["shift_low"] == pytest.approx(-back["shift_high"])
    assert there["superiority"] == pytest.approx(1 - back["superiority"])
    assert there["superiority_low"] == pytest.approx(1 - back["superiority_high"], abs=1e-6)
    assert there["p_exact"] == pytest.approx(back["p_exact"]) and 0 < there["p_exact"] <= 1
    assert there["superiority_low"] <= there["superiority"] <= there["superiority_high"]


def test_the_interval_excludes_nought_exactly_when_the_exact_test_rejects():
    for seed in range(200):
        x, y = normal(2 * seed, 6, 0.8), normal(2 * seed + 1, 6)
        result = stats.compare(x, y)
        assert (result["shift_low"] > 0 or result["shift_high"] < 0) == (result["p_exact"] <= 0.05)


def test_exact_p_counts_ties():
    # four of the 20 splits of {1, 1, 2, 2, 3, 3} into 3 and 3 are as uneven as these, in either direction
    assert stats.exact_p([1, 1, 2], [2, 3, 3]) == pytest.approx(4 / 20)
    assert np.isnan(stats.exact_p(np.arange(9), np.arange(9)))


def test_pairs_find_what_groups_cannot():
    base = normal(0, 10) * 5
    assert stats.paired(base + 0.5, base + normal(1, 10) * 0.01)["p_paired"] < 0.01
    assert stats.compare(base + 0.5, base)["p"] > 0.5


def test_equal_samples_differ_by_nothing():
    x = np.arange(8.0)
    assert stats.paired(x, x)["p_paired"] == 1 and stats.paired(x, x)["difference"] == 0
    assert stats.compare([], [1.0])["n_x"] == 0 and np.isnan(stats.compare([], [1.0])["p"])


def test_holm_is_the_textbook_example_and_leaves_gaps():
    assert stats.holm([0.01, 0.04, 0.03, 0.005]) == pytest.approx([0.03, 0.06, 0.06, 0.02])
    adjusted = stats.holm([0.01, np.nan, 0.9])
    assert np.isnan(adjusted[1]) and adjusted[[0, 2]] == pytest.approx([0.02, 0.9])
    assert len(stats.holm([])) == 0
