"""Statistics: against scipy, against tables of critical values, and by what they mean."""

from itertools import combinations

import numpy as np
import pytest
from einorm.analysis import stats
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
    assert abs(exact - approximate) <= 2 and exact != int(approximate)
    for nx, ny in ((41, 40), (20, 60)):
        quantile = reference.norm.ppf(0.025, nx * ny / 2, np.sqrt(nx * ny * (nx + ny + 1) / 12))
        assert stats._rank_sum_count(nx, ny) == int(quantile)


def test_a_probability_of_exactly_25_in_1000_is_small_enough():
    assert stats._rank_sum_count(1, 39) == 1 and stats._rank_sum_count(1, 38) == 0


def test_the_shift_is_the_median_of_the_differences_between_ordered_limits():
    assert stats.hodges_lehmann([1, 5, 9], [0, 2])[0] == 4
    four, five = np.array([1.0, 2, 4, 8]), np.array([1.0, 2, 4, 8, 16])
    assert stats.hodges_lehmann(four, np.zeros(4)) == (3, 1, 8), "the outermost differences"
    differences = np.sort(np.subtract.outer(five, five / 10).ravel())
    assert stats.hodges_lehmann(five, five / 10) == (differences[12], differences[2], differences[-3])


def test_the_paired_difference_is_the_median_of_the_walsh_averages():
    d = np.array([1.0, 2, 4, 8, 16, 32])
    averages = sorted((d[i] + d[j]) / 2 for i in range(6) for j in range(i + 1))
    result = stats.paired(d + 5, np.full(6, 5.0))
    assert result == {"n_pairs": 6, "difference": averages[10], "difference_low": 1, "difference_high": 32,
                      "W": 0, "p_paired": 2 / 2**6}  # fmt: skip


# The order statistics of printed tables: the first one of the interval, counted from either end.
@pytest.mark.parametrize(("n", "rank"), [(6, 1), (8, 1), (9, 2), (10, 2), (20, 6), (30, 10)])
def test_limits_of_a_median_are_those_of_printed_tables(n, rank):
    x = np.arange(1.0, n + 1)
    assert stats.median_interval(x[::-1]) == (np.median(x), rank, n + 1 - rank)


@pytest.mark.parametrize(("nx", "ny"), [(5, 9), (30, 30)])
@pytest.mark.parametrize("superiority", [0, 0.2, 0.5, 1])
def test_limits_of_superiority_are_196_standard_errors_away(superiority, nx, ny):
    """Newcombe 2006, part 2, equation of method 5: the standard error is that at the limit."""

    def distance(limit):
        spread = 1 + ((nx + ny) / 2 - 1) * ((1 - limit) / (2 - limit) + limit / (1 + limit))
        return abs(limit - superiority) / np.sqrt(limit * (1 - limit) * spread / (nx * ny))

    low, high = stats.superiority_interval(superiority, nx, ny)
    assert low == 0 if superiority == 0 else distance(low) == pytest.approx(1.959964, rel=1e-5)
    assert high == 1 if superiority == 1 else distance(high) == pytest.approx(1.959964, rel=1e-5)
    assert low <= superiority <= high


def test_p_follows_from_u_and_ties_as_in_scipy():
    x, y = [1, 1, 2, 3, 5, 8, 8, 9, 9], [2, 3, 3, 5, 5, 5, 9]
    test = reference.mannwhitneyu(x, y, method="asymptotic")
    counts = np.unique([*x, *y], return_counts=True)[1]
    ours = stats.mann_whitney_p(test.statistic, 9, 7, (counts**3 - counts).sum())
    assert ours == pytest.approx(test.pvalue, rel=1e-12)


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
    if n == 8:  # the steps of order statistics are coarse: 99.2 %
        assert hits.pop("median") >= 394
    assert all(0.92 <= count / 400 <= 0.98 for count in hits.values()), hits


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
    values = np.array([1.0, 1, 2, 3, 3, 3, 4, 5, 5, 6, 7, 7])
    ranks = reference.rankdata(values)
    sums = np.array([ranks[list(split)].sum() for split in combinations(range(12), 6)])
    x = [0, 1, 2, 5, 6, 8]
    as_uneven = abs(sums - ranks.sum() / 2) >= abs(ranks[x].sum() - ranks.sum() / 2) - 1e-9
    assert stats.exact_p(values[x], np.delete(values, x)) == pytest.approx(as_uneven.mean())


def test_exact_p_is_left_out_above_8_runs():
    assert np.isnan(stats.exact_p(np.arange(9), np.arange(2))) and np.isnan(stats.exact_p(np.arange(2), np.arange(9)))
    assert stats.exact_p(np.arange(8), np.arange(8) + 8) == pytest.approx(2 / 12870)


def test_pairs_find_what_groups_cannot():
    base = normal(0, 10) * 5
    assert stats.paired(base + 0.5, base + normal(1, 10) * 0.01)["p_paired"] < 0.01
    assert stats.compare(base + 0.5, base)["p"] > 0.5


def test_equal_samples_differ_by_nothing():
    x = np.arange(8.0)
    result = stats.paired(x, x)
    assert (result["p_paired"], result["W"], result["difference"], result["n_pairs"]) == (1, 0, 0, 8)


@pytest.mark.parametrize(("x", "y"), [([], [1.0]), ([1.0], []), ([], [])])
def test_nothing_is_computed_of_nothing(x, y):
    result = stats.compare(x, y)
    assert set(result) == set(stats.compare([1.0], [2.0])) and (result["n_x"], result["n_y"]) == (len(x), len(y))
    assert all(np.isnan(result[name]) for name in ("shift", "shift_low", "superiority_high", "U", "p", "p_exact"))
    pairs = stats.paired([], [])
    assert set(pairs) == set(stats.paired([1.0], [2.0])) and pairs["n_pairs"] == 0 and np.isnan(pairs["difference"])
    middle, low, high = stats.median_interval([])
    assert np.isnan(middle) and (low, high) == (-np.inf, np.inf)


def test_holm_is_the_textbook_example_and_leaves_gaps():
    assert stats.holm([0.01, 0.04, 0.03, 0.005]) == pytest.approx([0.03, 0.06, 0.06, 0.02])
    adjusted = stats.holm([0.01, np.nan, 0.9])
    assert np.isnan(adjusted[1]) and adjusted[[0, 2]] == pytest.approx([0.02, 0.9])
    assert stats.holm([0.9, 0.8]).tolist() == [1, 1]
    assert len(stats.holm([])) == 0


def test_mover_is_the_formula_of_zou_and_donner():
    difference, low, high = stats.mover((5.0, 4.0, 7.0), (2.0, 1.5, 2.2))
    assert difference == 3
    assert low == 3 - np.sqrt((5 - 4) ** 2 + (2.2 - 2) ** 2) and high == 3 + np.sqrt((7 - 5) ** 2 + (2 - 1.5) ** 2)
    wider = stats.mover((5.0, 4.0, 7.0), (2.0, 1.5, 2.2), extra=9.0)
    assert wider[1] == 3 - np.sqrt(1 + 0.04 + 9)


def test_mover_of_symmetric_intervals_is_the_ordinary_one():
    z = stats.normal_quantile(0.95)
    assert z == pytest.approx(1.959964)
    low, high = stats.mover((1.0, 1 - 3 * z, 1 + 3 * z), (0.0, -4 * z, 4 * z))[1:]
    assert (low, high) == pytest.approx((1 - 5 * z, 1 + 5 * z))
