"""Statistics of a comparison: tests as the paper prints them, and effects with intervals.

Two samples are compared unpaired (the paper's Mann-Whitney test) and, where the design allows it, paired: runs of one
configuration, seed and epsilon. Intervals are two-sided, at 95 % unless a level is given.
"""

from functools import cache
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy import optimize, stats

FloatArray = NDArray[np.float64]
Estimate = tuple[float, float, float]  # with the limits of its interval
LEVEL = 0.95
EXACT_UP_TO = 8  # runs per group up to which every split of the runs is counted, ties included
MIN_PAIRS = 6  # with fewer pairs no sign-rank interval reaches 95 %


def compare(x: ArrayLike, y: ArrayLike) -> dict[str, float]:
    """Compare two independent samples.

    Parameters
    ----------
    x, y : (nx,), (ny,) arrays of finite values in the unit of the metric

    Returns
    -------
    dict
        n_x, n_y, median_x, median_y; shift, shift_low, shift_high (Hodges-Lehmann, x minus y, in the metric's unit);
        superiority, superiority_low, superiority_high (probability that x exceeds y, ties half); U, p (as the paper
        prints them: scipy's two-sided Mann-Whitney test); p_exact (`exact_p`). NaN where a sample is empty.
    """
    x, y = np.asarray(x, float), np.asarray(y, float)
    result = {"n_x": len(x), "n_y": len(y), "median_x": _median(x), "median_y": _median(y)}
    names = ("shift", "shift_low", "shift_high", "superiority", "superiority_low", "superiority_high")
    if not len(x) or not len(y):
        return result | dict.fromkeys((*names, "U", "p", "p_exact"), np.nan)
    test = stats.mannwhitneyu(x, y, alternative="two-sided")
    superiority = float(test.statistic) / (len(x) * len(y))
    values = (*hodges_lehmann(x, y), superiority, *superiority_interval(superiority, len(x), len(y)))
    result |= dict(zip(names, values, strict=True)) | {"U": float(test.statistic), "p": float(test.pvalue)}
    return result | {"p_exact": exact_p(x, y)}


def compare_p(x: ArrayLike, y: ArrayLike) -> float:
    """p of `compare` alone: scipy's two-sided Mann-Whitney test of x (nx,) and y (ny,)."""
    return float(stats.mannwhitneyu(x, y, alternative="two-sided").pvalue)


def exact_p(x: Any, y: Any) -> float:
    """Two-sided p of the Mann-Whitney test over all splits of x (nx,) and y (ny,), ties kept; NaN above 8 runs."""
    if max(len(x), len(y)) > EXACT_UP_TO:
        return np.nan
    if len(np.unique([*x, *y])) == len(x) + len(y):
        return float(stats.mannwhitneyu(x, y, method="exact").pvalue)
    method = stats.PermutationMethod(n_resamples=10**5, rng=np.random.default_rng(0))
    return float(stats.mannwhitneyu(x, y, method=method).pvalue)


def hodges_lehmann(x: Any, y: Any, level: float = LEVEL) -> Estimate:
    """Median of all differences of x (nx,) from y (ny,), and the interval that the Mann-Whitney test leaves.

    The interval is infinite where the groups are too small for the test to reject anything.
    """
    differences = np.sort(np.subtract.outer(np.asarray(x, float), np.asarray(y, float)).ravel())
    return _median(differences), *_between(differences, _rank_sum_count(len(x), len(y), level))


def walsh(d: ArrayLike, level: float = LEVEL) -> Estimate:
    """Median of the Walsh averages of d (n,), and the interval that the signed-rank test leaves; infinite below 6."""
    d = np.asarray(d, float)
    i, j = np.triu_indices(len(d))
    averages = np.sort((d[i] + d[j]) / 2)
    return _median(averages), *_between(averages, _signed_rank_count(len(d), level))


def paired(x: ArrayLike, y: ArrayLike) -> dict[str, float]:
    """Compare matched samples.

    Parameters
    ----------
    x, y : (n,) arrays, matched

    Returns
    -------
    dict
        n_pairs; difference, difference_low, difference_high (median of the Walsh averages of x - y, in the metric's
        unit); W, p_paired (Wilcoxon's signed-rank test, two-sided; exact where scipy can). NaN without pairs.
    """
    d = np.asarray(x, float) - np.asarray(y, float)
    names = ("difference", "difference_low", "difference_high", "W", "p_paired")
    if not len(d):
        return {"n_pairs": 0} | dict.fromkeys(names, np.nan)
    test = stats.wilcoxon(d) if d.any() else None
    tested = (float(test.statistic), float(test.pvalue)) if test else (0.0, 1.0)
    return {"n_pairs": len(d)} | dict(zip(names, (*walsh(d), *tested), strict=True))


def median_interval(x: Any, level: float = LEVEL) -> Estimate:
    """Median of a sample (n,) and the interval that the sign test leaves (order statistics); infinite below 6."""
    if not len(x):
        return np.nan, -np.inf, np.inf
    low, high = stats.quantile_test(x, p=0.5).confidence_interval(level)
    return _median(x), -np.inf if np.isnan(low) else float(low), np.inf if np.isnan(high) else float(high)


def quartile_interval(median: float, iqr: float, n: float, level: float = LEVEL) -> Estimate:
    """An approximate interval of a median from the interquartile range of n values, standard error 0.93 IQR / sqrt(n).

    That of a normal sample: 1.253 standard deviations / sqrt(n), the interquartile range being 1.349 of them.
    """
    reach = normal_quantile(level) * 0.93 * iqr / np.sqrt(n)
    return median, median - reach, median + reach


def mover(x: Estimate, y: Estimate, extra: float = 0.0) -> Estimate:
    """Difference of two independent estimates, and its interval from their own intervals (MOVER, Zou & Donner 2008).

    Parameters
    ----------
    x, y : (estimate, low, high), of one level
    extra : what else adds to the variance, times the squared normal quantile of the level

    Returns
    -------
    tuple: x - y, low, high. The variance on either side of an estimate is recovered from its limit on that side.
    """
    difference = x[0] - y[0]
    below = np.sqrt((x[0] - x[1]) ** 2 + (y[2] - y[0]) ** 2 + extra)
    above = np.sqrt((x[2] - x[0]) ** 2 + (y[0] - y[1]) ** 2 + extra)
    return difference, difference - below, difference + above


def normal_quantile(level: float) -> float:
    """How many standard errors a two-sided interval of this level reaches; 1.96 at 95 %."""
    return float(stats.norm.ppf((1 + level) / 2))


def superiority_interval(superiority: float, nx: int, ny: int) -> tuple[float, float]:
    """95 % interval of the probability of superiority: Newcombe 2006, method 5; defined at 0 and 1, too."""
    z = normal_quantile(LEVEL)
    n = (nx + ny) / 2 - 1

    def variance(t: float) -> float:
        return t * (1 - t) * (1 + n * (1 - t) / (2 - t) + n * t / (1 + t)) / (nx * ny)

    def beyond(t: float) -> float:
        return (t - superiority) ** 2 - z**2 * variance(t)

    inside = 1e-9  # at 0 and 1 the variance vanishes, and so does what is solved
    low = 0.0 if superiority == 0 else optimize.brentq(beyond, 0, superiority - inside)
    high = 1.0 if superiority == 1 else optimize.brentq(beyond, superiority + inside, 1)
    return float(low), float(high)


def holm(p: ArrayLike) -> FloatArray:
    """Holm's correction of a family of p values (n,); NaN stays NaN and does not count."""
    p = np.asarray(p, float)
    adjusted = np.full(len(p), np.nan)
    order = [i for i in np.argsort(p, kind="stable") if np.isfinite(p[i])]
    steps = [p[i] * (len(order) - rank) for rank, i in enumerate(order)]
    adjusted[order] = np.minimum(1, np.maximum.accumulate(steps)) if order else []
    return adjusted


def mann_whitney_p(U: float, nx: int, ny: int, tie_term: float) -> float:
    """Asymptotic two-sided p of U with continuity correction, as scipy computes it; tie_term = sum of t^3 - t."""
    n = nx + ny
    deviation = np.sqrt(nx * ny / 12 * (n + 1 - tie_term / (n * (n - 1))))
    return float(2 * stats.norm.sf((abs(U - nx * ny / 2) - 0.5) / deviation))


def _between(ordered: FloatArray, count: int) -> tuple[float, float]:
    """The interval that leaves `count` of the ordered values out at each end, the outermost of them being its limit."""
    if count < 1:
        return -np.inf, np.inf
    return float(ordered[count - 1]), float(ordered[len(ordered) - count])


def _largest_count(frequencies: FloatArray, level: float) -> int:
    """Largest c with P(statistic < c) <= (1 - level) / 2, from the frequencies of 0, 1, 2, ... without an effect."""
    below = np.cumsum(frequencies / frequencies.sum())
    return int(np.searchsorted(below, (1 - level) / 2 * (1 + 1e-12), side="right"))


@cache
def _rank_sum_count(nx: int, ny: int, level: float = LEVEL) -> int:
    if max(nx, ny) > 40:  # normal, where the exact distribution is long and equal
        z = normal_quantile(level)
        return int(np.floor(nx * ny / 2 - z * np.sqrt(nx * ny * (nx + ny + 1) / 12)))
    # U of nx among nx + ny ranks: partitions into at most nx parts of at most ny each, by whether a part is ny
    frequencies = {(i, 0): np.ones(1) for i in range(nx + 1)} | {(0, j): np.ones(1) for j in range(ny + 1)}
    for i in range(1, nx + 1):
        for j in range(1, ny + 1):
            total = np.zeros(i * j + 1)
            total[j:] += frequencies[i - 1, j]
            total[: i * (j - 1) + 1] += frequencies[i, j - 1]
            frequencies[i, j] = total
    return _largest_count(frequencies[nx, ny], level)


@cache
def _signed_rank_count(n: int, level: float = LEVEL) -> int:
    frequencies = np.ones(1)
    for rank in range(1, n + 1):  # a rank is in the sum or not
        longer = np.zeros(len(frequencies) + rank)
        longer[: len(frequencies)] += frequencies
        longer[rank:] += frequencies
        frequencies = longer
    return _largest_count(frequencies, level)


def _median(values: FloatArray) -> float:
    return float(np.median(values)) if len(values) else np.nan
