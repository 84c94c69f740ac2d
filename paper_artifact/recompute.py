"""A judge that trusts nothing: every verdict again, from the runs and the rules alone.

    python recompute.py ARCHIVE [--claims claims.csv] [--rules claims.yaml] [--published FOLDER]

Reads ARCHIVE/runs.parquet, the rules and the published values, computes every row of claims.csv and names each value
that differs. It shares no code with the package einorm, which made claims.csv: it was written from the comments of
claims.yaml and from docs/results.md. Exit code 0: all agree; 1: something differs; 2: the input cannot be read.
"""

import argparse
import hashlib
import json
import math
import sys
from functools import cache
from itertools import combinations
from pathlib import Path

import numpy as np
import pandas as pd
import yaml
from scipy import optimize, stats

CHANCE = 10  # % of test images of ten classes
PAIRS_NEEDED = 6  # fewer pairs have no 95 % interval: 2 / 2 ** 5 > 0.05
BEST = 10  # runs per condition and epsilon that the paper's Figs. 2b and 3 show
NORMAL_ABOVE = 40  # runs; larger groups have the limits of the normal distribution of U
EXACT_UP_TO = 8  # runs; larger groups have no exact p
NO_LIMITS = (-math.inf, math.inf)
SENTENCES = ["reason", "size_reason"]  # words about the numbers; not compared
UNIT = ["config", "seed"]
LAMBDAS = 5  # of the sweep, the condition inorm_lambda: of a configuration, the run of the best accuracy counts
EPSILONS = [0, 0.25, 0.5, 0.75]  # of the published runs
POOLED = "pooled(0,0.25,0.5,0.75)"  # what published_summary.csv calls all of them


# ---- Estimators: each gives (estimate, low, high) -------------------------------------------------


def between(values, counts, level):
    """Limits among sorted values; counts[k] of sum(counts) outcomes leave k of them below the true one."""
    total, below, k = sum(counts), 0, 0
    while 2 * (below + counts[k]) <= (1 - level) * total * (1 + 1e-12):
        below, k = below + counts[k], k + 1
    return (np.sort(values)[k - 1], np.sort(values)[-k]) if k else NO_LIMITS


@cache
def rank_sums(n):
    """Of the 2^n signs of n ranks, how many have each sum of the positive ones."""
    counts = [1]
    for rank in range(1, n + 1):
        counts = [a + b for a, b in zip(counts + [0] * rank, [0] * rank + counts, strict=True)]
    return counts


@cache
def splits(m, n):
    """Of the ways to divide m + n ranks into m and n, how many have each U (coefficients of the Gaussian binomial)."""
    counts = [1] + [0] * (m * n)
    for i in range(1, m + 1):
        for u in range(m * n, n + i - 1, -1):
            counts[u] -= counts[u - n - i]
        for u in range(i, m * n + 1):
            counts[u] += counts[u - i]
    return counts


def signed_rank(d, level=0.95):
    """Hodges-Lehmann estimate of paired differences: median of the means of any two, limits of the signed-rank test."""
    d = np.asarray(d)
    i, j = np.triu_indices(len(d))
    means = (d[i] + d[j]) / 2
    return np.median(means), *between(means, rank_sums(len(d)), level)


def rank_sum(x, y, level=0.95):
    """Hodges-Lehmann estimate of two groups: median of all differences, limits of the Mann-Whitney test."""
    d, m, n = np.subtract.outer(np.asarray(x), np.asarray(y)).ravel(), len(x), len(y)
    if max(m, n) > NORMAL_ABOVE:
        k = math.floor(m * n / 2 - stats.norm.ppf(0.5 + level / 2) * math.sqrt(m * n * (m + n + 1) / 12))
        return np.median(d), *np.sort(d)[[k - 1, -k]]
    return np.median(d), *between(d, splits(len(x), len(y)), level)


def median(v, level=0.95):
    """Median, limits of the sign test."""
    return np.median(v), *between(v, [math.comb(len(v), k) for k in range(len(v) + 1)], level)


def box(q1, middle, q3, n):
    """Median and its standard error, from a box of n runs."""
    return middle, 0.93 * abs(q3 - q1) / math.sqrt(n) if n else math.nan


def box_of(v, n=None):
    """The same of runs, of which n are independent."""
    q1, middle, q3 = np.quantile(v, [0.25, 0.5, 0.75])
    return box(q1, middle, q3, n or len(v))


def normal(a, b=(0.0, 0.0), level=0.95):
    """a - b of medians with standard errors."""
    half = stats.norm.ppf(0.5 + level / 2) * math.hypot(a[1], b[1])
    return a[0] - b[0], a[0] - b[0] - half, a[0] - b[0] + half


def mover(a, b, s=0.0):
    """a - b, limits from the limits of both (Zou and Donner 2008); s widens both sides."""
    d = a[0] - b[0]
    return d, d - math.hypot(a[0] - a[1], b[2] - b[0], s), d + math.hypot(a[2] - a[0], b[0] - b[1], s)


def superiority(x, y):
    """P(x > y) + P(x = y) / 2 with the interval of Newcombe (2006, method 5)."""
    d = np.subtract.outer(np.asarray(x), np.asarray(y))
    a, n, z = float(np.mean((d > 0) + (d == 0) / 2)), (len(x) + len(y)) / 2 - 1, stats.norm.ppf(0.975)

    def beyond(t):
        return (a - t) ** 2 - z**2 * t * (1 - t) * (1 + n * ((1 - t) / (2 - t) + t / (1 + t))) / d.size

    low = optimize.brentq(beyond, 1e-9, a - 1e-9, xtol=1e-14) if a > 0 else 0.0
    high = optimize.brentq(beyond, a + 1e-9, 1 - 1e-9, xtol=1e-14) if a < 1 else 1.0
    return a, low, high


def mann_whitney(x, y):
    """U, p as scipy has it, and the exact p of the permutations, ties and all, where they can be counted."""
    test = stats.mannwhitneyu(x, y)
    if max(len(x), len(y)) > EXACT_UP_TO:
        return test.statistic, test.pvalue, math.nan
    ranks, m = stats.rankdata([*x, *y]), len(x)
    sums = np.array([sum(c) for c in combinations(ranks, m)])
    centre = m * (len(ranks) + 1) / 2
    return test.statistic, test.pvalue, np.mean(abs(sums - centre) >= abs(ranks[:m].sum() - centre) - 1e-9)


# ---- The runs -------------------------------------------------------------------------------------


def read_archive(folder):
    """Runs and settings; the file of the runs must be the one that the manifest names."""
    manifest = json.loads((folder / "manifest.json").read_text())
    path = folder / "runs.parquet"
    if hashlib.sha256(path.read_bytes()).hexdigest() != manifest["files"]["runs.parquet"]["sha256"]:
        raise ValueError(f"{path} is not the file that manifest.json names (sha256): copy the archive again")
    runs = pd.read_parquet(path).rename(columns={"lambda": "lambda_"}).sort_values("config", kind="stable")
    if "randomness" not in runs:
        runs["randomness"] = "own"
    for name in ("mu", "var", "output_alignment", "gradient_alignment"):
        runs[name] = (runs[name + "0"] + runs[name + "1"]) / 2
    runs["mu_distance"], runs["var_distance"] = runs["mu"].abs(), np.log10(runs["var"]).abs()
    return runs, manifest["settings"]


def select(runs, rule):
    """Runs that a rule of claims.yaml keeps, per condition and epsilon."""
    if rule == "top10":
        ordered = runs.sort_values("test_acc", ascending=False, kind="stable")
        return ordered.groupby(["condition", "epsilon"]).head(BEST)
    if rule == "above_chance":
        high = runs.groupby(["condition", "epsilon"])["test_acc"].transform("median") >= 50
        return runs[~high | (runs["test_acc"] > CHANCE)]
    return runs


def per_unit(values, pooled):
    """One value per configuration and seed where epsilons are pooled, one per run elsewhere."""
    return values.groupby(UNIT).mean() if pooled else values


def pairs(x, y):
    return (x["value"] - y["value"]).dropna()


def effect_of(x, y, pooled):
    """Columns of a difference (y given) or level; x, y: frames of value and lr by config, seed and epsilon."""
    ux = per_unit(x["value"], pooled)
    if y is None:
        return {"n_x": len(x), "n_y": 0, "n_pairs": 0, "method": "median"} | limits("", median(ux))
    uy, d = per_unit(y["value"], pooled), per_unit(pairs(x, y), pooled)
    paired = len(d) >= PAIRS_NEEDED and len(pairs(x, y)) == min(len(x), len(y))
    row = {"n_x": len(x), "n_y": len(y), "n_pairs": len(d), "method": "paired" if paired else "unpaired"}
    row |= {"median_x": x["value"].median(), "median_y": y["value"].median()}
    row |= limits("", signed_rank(d) if paired else rank_sum(ux, uy)) | limits("shift", rank_sum(ux, uy))
    row |= limits("superiority", superiority(ux, uy))
    row |= dict(
        zip(("U", "p", "p_exact"), mann_whitney(x["value"], y["value"]), strict=True)
    )  # the paper's test, of runs
    if len(d):
        row |= limits("difference", signed_rank(d))
        row |= dict(zip(("W", "p_paired"), stats.wilcoxon(d), strict=True)) if d.any() else {"W": 0.0, "p_paired": 1.0}
    return row | (limits("median", median(d)) if paired else {})


def limits(name, estimate):
    first = {"": "effect", "median": "median_difference"}.get(name, name)
    return dict(zip((first, f"{name}_low".lstrip("_"), f"{name}_high".lstrip("_")), estimate, strict=True))


def thirds(x, y, estimate):
    """The effect among the third of configurations with the lowest and with the highest learning rates."""
    rates = pd.concat([x, *([] if y is None else [y])])["lr"].groupby("config").first().sort_values(kind="stable")
    n, row = len(rates) // 3, {}
    for name, configs in (("low_rates", rates.index[:n]), ("high_rates", rates.index[len(rates) - n :])):
        parts = [g if g is None else g[g.index.get_level_values("config").isin(configs)] for g in (x, y)]
        row[name] = estimate(*parts) if len(parts[0]) and (y is None or len(parts[1])) else math.nan
    return row


# ---- What is published ----------------------------------------------------------------------------


def published_runs(published, condition, epsilon):
    """All thirty published accuracies of a condition and epsilon, or an empty frame."""
    p = published["runs"]
    chosen = p[
        p["canonical"].eq(1) & p["condition"].eq(condition) & p["epsilon"].eq(str(epsilon)) & p["metric"].eq("test_acc")
    ]
    return chosen.assign(test_acc=chosen["value"])


def published_pairs(published, x, y, epsilon, selection):
    """Accuracies of x and y by point; gradnorm_full and inorm meet at the LN+ run that both are drawn against."""
    p = published["runs"]
    p = p[p["epsilon"].eq(str(epsilon)) & p["kind"].str.startswith("scatter")]
    both = p[p["condition"].eq(x) & p["paired_condition"].eq(y)][["value", "paired_value"]]
    if both.empty:
        sides = [p[p["condition"].eq(c) & p["paired_condition"].eq("e_only_ln")] for c in (x, y)]
        sides = [
            side.assign(copy=side.groupby("paired_value").cumcount())[["value", "paired_value", "copy"]]
            for side in sides
        ]
        both = sides[0].merge(sides[1], on=["paired_value", "copy"])[["value_x", "value_y"]]
    if both.empty:
        return None
    both = both.set_axis(["x", "y"], axis=1)
    kept = [
        set(select(pd.DataFrame({"condition": 0, "epsilon": 0, "test_acc": both[k]}), selection).index) for k in "xy"
    ]
    return both, kept


def summary(published, s, condition, metric):
    """Statistics of a condition in the statement's own panel."""
    t, epsilon = published["summary"], POOLED if s["epsilon"] == "pooled" else f"{s['epsilon']:g}"
    t = t[t["figure"].eq(s["figure"].capitalize()) & t["panel"].eq(s["panel"]) & t["condition"].eq(condition)]
    return t[t["epsilon"].eq(epsilon) & t["metric"].eq(metric)].set_index("statistic")


def published_box(published, s, condition, selection):
    """((median, standard error), runs, whether some were lost) of a condition in the statement's box plot, or None."""
    pooled = s["epsilon"] == "pooled"
    base = s["metric"].removesuffix("_distance")
    found = summary(published, s, condition, base)["value"]
    if "median" not in found:
        if pooled or base != "test_acc" or not len(runs := published_runs(published, condition, s["epsilon"])):
            return None
        v, lost = select(runs, selection)["value"], bool((runs["value"] <= CHANCE).any())
        middle, error = box_of(v)
        return (middle, math.nan if lost else error), len(v), lost
    lost = found.get("n_at_chance", 0)
    n = found.get("n_distinct_runs", found.get("n_in_box", found.get("n", math.nan)))
    if selection == "all" and (pooled or n < found["n"]):
        return None  # the box does not show all runs
    values = found[["q1", "median", "q3"]].to_numpy()
    if s["metric"] != base:
        values = np.log10(values) if base == "var" else values
        values = values * np.sign(values[1])
    middle, error = box(*values, n)
    return (middle, math.nan if lost else error), n, bool(lost)


def published_bins(published, s, condition):
    """Values of a histogram, each in the middle of its bin, and half the width of the widest bin."""
    bins = summary(published, s, condition, s["metric"])
    bins = bins.loc[bins.index == "hist_count"]
    return np.repeat((bins["bin_left"] + bins["bin_right"]) / 2, bins["value"].astype(int)), (
        bins["bin_right"] - bins["bin_left"]
    ).max() / 2


def published_effect(published, s, selection, level=0.95):
    """method, estimate with limits, n_x, n_y, by the best estimator that the published values allow."""
    x, y, epsilon = s["x"], s.get("y"), s["epsilon"]
    none = ("none", (math.nan,) * 3, 0, 0)
    if s["metric"] == "test_acc" and y:
        if epsilon != "pooled":
            at = [epsilon, s["from_epsilon"]] if s["of"] == "trend" else [epsilon]
            parts = [published_pairs(published, x, y, e, selection) for e in at]
            if parts[0]:
                each = [
                    signed_rank(b.loc[sorted(set.intersection(*k))].diff(axis=1)["y"] * -1, level) for b, k in parts
                ]
                n = [len(k) for k in parts[0][1]]
                return ("paired", each[0], *n) if len(each) == 1 else ("independent trend", mover(*each), *n)
        groups = []
        for c in (x, y):
            runs = pd.concat(
                [published_runs(published, c, f"{e:g}") for e in (EPSILONS if epsilon == "pooled" else [epsilon])]
            )
            groups.append(select(runs, selection)["value"].to_numpy())
        if all(map(len, groups)):
            return "unpaired", rank_sum(*groups, level), *map(len, groups)
    if "alignment" in s["metric"]:
        sides = [published_bins(published, s, c) for c in (x, y) if c]
        if not all(len(v) for v, _ in sides):
            return none
        wider = sum(w for _, w in sides)
        middle, low, high = rank_sum(*(v for v, _ in sides), level) if y else median(sides[0][0], level)
        return "bins", (middle, low - wider, high + wider), len(sides[0][0]), len(sides[1][0]) if y else 0
    sides = [published_box(published, s, c, selection) for c in (x, y) if c]
    if not all(sides):
        return none
    return "boxes", normal(*(side[0] for side in sides), level=level), sides[0][1], sides[1][1] if y else 0


def published_at_chance(published, condition, epsilons):
    """Published runs at chance, and of how many; nothing where a count is not published."""
    counts = []
    for e in epsilons:
        runs = published_runs(published, condition, f"{e:g}")
        if len(runs):
            counts.append((runs["value"].le(CHANCE).sum(), len(runs)))
            continue
        s = published["summary"]
        s = s[s["condition"].eq(condition) & s["epsilon"].eq(f"{e:g}") & s["panel"].str.startswith("box_eps")]
        counts.append(tuple(s[s["statistic"].eq(k)]["value"].max() for k in ("n_at_chance", "n")))
    return np.sum(counts, axis=0)


# ---- A statement ----------------------------------------------------------------------------------


def wanted(rules, s):
    return (
        rules["pooled_epsilons"]
        if s["epsilon"] == "pooled"
        else [s["epsilon"], *([s["from_epsilon"]] if s["of"] == "trend" else [])]
    )


def lacking(runs, settings, condition, epsilon):
    """Whether the cell was not planned, or has fewer runs than planned."""
    swept = condition == "inorm_lambda"
    epsilons = settings["lambda_epsilons" if swept else "epsilons"]
    planned = (
        len(settings["configs"]) * (LAMBDAS if swept else 1)
        if condition in settings["conditions"] and epsilon in epsilons
        else math.inf
    )
    return (runs["condition"].eq(condition) & runs["epsilon"].eq(epsilon)).sum() < planned


def values_of(runs, condition, epsilons, metric, selection):
    """Values and learning rates by configuration, seed and epsilon; runs without a value are left out."""
    chosen = select(runs[runs["condition"].eq(condition) & runs["epsilon"].isin(epsilons)], selection)
    chosen = chosen.sort_values("test_acc", kind="stable", ascending=False).drop_duplicates([*UNIT, "epsilon"])
    chosen = chosen.set_index([*UNIT, "epsilon"]).sort_index()[[metric, "lr"]]
    return chosen.set_axis(["value", "lr"], axis=1).dropna(subset="value")


def changes(x, y, s):
    """Per configuration, the difference at `epsilon` minus the one at `from_epsilon`."""
    d = pairs(x, y).unstack("epsilon")
    return (d[s["epsilon"]] - d[s["from_epsilon"]]).dropna()


def verdict(s, low, high, short):
    lo, hi = ((-math.inf, math.inf)[i] if v is None else v for i, v in enumerate(s["holds"]))
    if short or math.isinf(low) or math.isinf(high):
        return "inconclusive"
    if lo < low and high < hi:
        return "reproduced"
    if high <= lo or low >= hi:
        return "not reproduced"
    lo, hi = ((-math.inf, math.inf)[i] if v is None else v for i, v in enumerate(s.get("partly") or [0, 0]))
    return "partly" if lo < low and high < hi else "inconclusive"


def here_as_published(method, x, y, s, level=0.95):
    """The effect here by the estimator that the published one had."""
    if method == "independent trend":
        d = pairs(x, y)
        return mover(*(signed_rank(d.xs(e, level="epsilon"), level) for e in (s["epsilon"], s["from_epsilon"])))
    if method == "paired":
        return signed_rank(per_unit(pairs(x, y), s["epsilon"] == "pooled"), level)
    vx, vy = (None if g is None else g["value"] for g in (x, y))  # runs, as published ones have no configuration
    if method == "boxes":
        return normal(*(box_of(v, len(v.groupby(UNIT))) for v in (vx, vy) if v is not None), level=level)
    return median(vx, level) if y is None else rank_sum(vx, vy, level)


def seed_spread(tables, settings, rules, s, selection, method):
    """tau, the spread of an effect between seeds beyond its intervals, and what it is known from.

    Of runs as long as the published ones that differ in the seed only: the variants seed1, seed2 ... and the paper's.
    """
    if settings.get("randomness", "own") == "release" and settings["seed"] == 0:
        return 0.0, "the published seed"
    conditions, epsilons, found = [c for c in (s["x"], s.get("y")) if c], wanted(rules, s), []
    for variant in (v for v in settings["variants"] if v == "paper" or v.startswith("seed")):
        runs = tables[
            tables["variant"].eq(variant) & tables["condition"].isin(conditions) & tables["epsilon"].isin(epsilons)
        ]
        if (
            any(lacking(runs, settings, c, e) for c in conditions for e in epsilons)
            or runs["epochs"].min() < rules["same_size"]["epochs"]
        ):
            continue
        sides = [values_of(runs, c, epsilons, s["metric"], selection) for c in conditions]
        found.append(here_as_published(method, sides[0], sides[1] if s.get("y") else None, s))
    if len(found) < 2:
        return 0.0, "one seed"
    errors = [(high - low) / (2 * stats.norm.ppf(0.975)) for _, low, high in found]
    return math.sqrt(
        max(0.0, np.var([r for r, *_ in found], ddof=1) - np.mean(np.square(errors)))
    ), f"{len(found)} seeds"


def same_size(rules, s, x, y, published, selection, short, spread):
    """The second verdict: whether the effect here, r, has the published size, o."""
    method, o, *_ = published_effect(published, s, selection)
    if not all(map(math.isfinite, o)):
        return {"size_verdict": "not published"}
    tau, seeds = spread(method)
    delta, row = rules["same_size"]["delta"][s["metric"]], {"tau": tau, "size_seeds": seeds}
    for level, name in ((0.95, ""), (0.9, "90")):
        s_ = math.sqrt(2) * stats.norm.ppf(0.5 + level / 2) * tau
        r, o_level = here_as_published(method, x, y, s, level), published_effect(published, s, selection, level)[1]
        difference, low, high = mover(r, o_level, s_)
        row |= {f"size_difference_low{name}": low, f"size_difference_high{name}": high}
        if level == 0.95:
            row |= {"size_here": r[0], "size_here_low": r[1], "size_here_high": r[2], "size_difference": difference}
            row |= {"predicted_low": o[0] - math.hypot(o[0] - o[1], r[2] - r[0], s_)}
            row |= {"predicted_high": o[0] + math.hypot(o[2] - o[0], r[0] - r[1], s_)}
    found = "unclear"
    if not short and math.isfinite(row["size_difference_low"]) and math.isfinite(row["size_difference_high"]):
        if row["size_difference_low"] > 0 or row["size_difference_high"] < 0:
            found = "differs"
        elif -delta < row["size_difference_low90"] and row["size_difference_high90"] < delta:
            found = "same size"
    return row | {"size_verdict": found}


def described(rules, published, s, selection):
    """The columns of a statement that need no run of ours: its words, and the published effect."""
    metric, approximate = s["metric"], ("boxes", "bins", "independent trend")
    named = ("id", "figure", "panel", "of", "metric", "x", "y", "epsilon", "from_epsilon", "text", "revised")
    method, o, n_x, n_y = published_effect(published, s, selection)
    return {
        **{k: s.get(k) for k in named},
        **{"published_rule": s.get("published_rule", "all"), "selection": selection, "claim": s["id"].split(".")[0]},
        "unit": "points" if metric == "test_acc" else None,
        "holds": in_words(*s["holds"]),
        "delta": rules["same_size"]["delta"][metric],
        **limits("published", o),
        **{"published_effect": o[0], "published_method": method, "published_n_x": n_x, "published_n_y": n_y},
        "published_approximate": method in approximate or (method == "unpaired" and s["epsilon"] == "pooled"),
    }


def at_chance(runs, published, s, epsilons):
    """Runs at chance of both conditions, here and published."""
    row = {}
    for side in "xy":
        cell = runs[runs["condition"].eq(s.get(side)) & runs["epsilon"].isin(epsilons)]["test_acc"]
        row |= {f"at_chance_{side}": cell.le(CHANCE).sum(), f"of_{side}": len(cell)}
        if s.get(side):
            counts = published_at_chance(published, s[side], epsilons)
            row |= dict(zip((f"published_at_chance_{side}", f"published_of_{side}"), counts, strict=True))
    return row


def measured(x, y, s):
    """The effect of a statement in our runs, of all and of thirds of the configurations."""
    pooled = s["epsilon"] == "pooled"
    if s["of"] != "trend":
        row = effect_of(x, y, pooled)
        return row | thirds(x, y, lambda a, b: third(a, b, row["method"], pooled))
    d = changes(x, y, s)
    row = {"n_x": len(d), "n_y": len(d), "n_pairs": len(d), "method": "trend"}
    row |= limits("", signed_rank(d)) | limits("median", median(d))
    return row | thirds(x, y, lambda a, b: signed_rank(changes(a, b, s))[0])


def judge(tables, settings, rules, published, s, selection, holm):
    """A row of claims.csv, from the runs of one task."""
    runs = tables[tables["variant"].eq("paper")]
    epsilons, metric, y = wanted(rules, s), s["metric"], s.get("y")
    row = described(rules, published, s, selection) | at_chance(runs, published, s, epsilons)
    if any(lacking(runs, settings, c, e) for c in (s["x"], y) if c for e in epsilons):
        none = {"verdict": "not computed", "size_verdict": "not computed", "method": "none"}
        return row | none | {"n_x": 0, "n_y": 0, "n_pairs": 0}
    gx, gy = (values_of(runs, c, epsilons, metric, selection) if c else None for c in (s["x"], y))
    trained = runs[runs["condition"].isin([s["x"], y]) & runs["epsilon"].isin(epsilons)]["epochs"].min()
    short = trained < max(rules["epochs_needed"][e] for e in ({s["epsilon"], s.get("from_epsilon", s["epsilon"])}))
    row |= measured(gx, gy, s)
    if y:
        row["smallest_margin"] = max(abs(row["low"]), abs(row["high"]))
    row["verdict"] = verdict(s, row["low"], row["high"], short)
    if "median_low" in row:
        row["median_verdict"] = verdict(s, row["median_low"], row["median_high"], short)
    if s["of"] == "difference":
        row["p_holm"] = holm[selection, metric, frozenset((s["x"], y)), s["epsilon"]]
    short = trained < rules["same_size"]["epochs"]
    return row | same_size(
        rules, s, gx, gy, published, selection, short, lambda m: seed_spread(tables, settings, rules, s, selection, m)
    )


def third(x, y, method, pooled):
    vx = per_unit(x["value"], pooled)
    if method == "median":
        return vx.median()
    return (
        signed_rank(per_unit(pairs(x, y), pooled))[0]
        if method == "paired"
        else rank_sum(vx, per_unit(y["value"], pooled))[0]
    )


def in_words(low, high):
    low, high = ("0" if v == 0 else f"{v:+.2f}" if v is not None else None for v in (low, high))
    return f"above {low}" if high is None else f"below {high}" if low is None else f"between {low} and {high}"


def corrected(runs, settings, rules):
    """Holm's correction of scipy's Mann-Whitney p, one family per selection.

    A family has every pair of the figures, at every epsilon and pooled, and every difference that a statement is about.
    """
    asked = [
        ("test_acc", *pair, e)
        for figure in rules["comparisons"].values()
        for pair in figure
        for e in [*EPSILONS, "pooled"]
    ]
    asked += [(s["metric"], s["x"], s["y"], s["epsilon"]) for s in rules["statements"] if s["of"] == "difference"]
    found = {}
    for selection in ("all", "top10", "above_chance"):
        p = {}
        for metric, x, y, epsilon in asked:
            epsilons = rules["pooled_epsilons"] if epsilon == "pooled" else [epsilon]
            if not any(lacking(runs, settings, c, e) for c in (x, y) for e in epsilons):
                sides = [values_of(runs, c, epsilons, metric, selection)["value"] for c in (x, y)]
                p[selection, metric, frozenset((x, y)), epsilon] = stats.mannwhitneyu(*sides).pvalue
        largest = 0.0
        for i, key in enumerate(sorted(p, key=p.get)):
            largest = max(largest, min(1.0, p[key] * (len(p) - i)))
            found[key] = largest
    return found


# ---- Comparing ------------------------------------------------------------------------------------


def same(a, b):
    """Whether a cell of claims.csv and a recomputed value agree; infinite limits are empty cells there."""
    a, b = (math.nan if isinstance(value, float) and math.isinf(value) else value for value in (a, b))
    if pd.isna(a) or pd.isna(b):
        return bool(pd.isna(a) and pd.isna(b))
    try:
        return math.isclose(float(a), float(b), rel_tol=1e-7, abs_tol=1e-13)
    except (TypeError, ValueError):
        return str(a) == str(b)


def compare(computed, claims):
    """A sentence per value that differs, and the numbers of rows and values compared and equal."""
    key = ["id", "selection", "task"]
    rows, found = (
        {tuple(row[k] for k in key): row for row in table} for table in (computed, claims.to_dict("records"))
    )
    lines = [f"{' '.join(k)}: row is missing in the claims" for k in rows.keys() - found.keys()]
    lines += [f"{' '.join(k)}: row is not among the statements of the rules" for k in found.keys() - rows.keys()]
    values = equal = rows_equal = 0
    for k in sorted(rows.keys() & found.keys()):
        bad = [c for c in claims.columns if c not in SENTENCES and not same(found[k][c], rows[k].get(c))]
        lines += [f"{' '.join(k)}: {c} is {found[k][c]}, recomputed {rows[k].get(c)}" for c in bad]
        compared = len(claims.columns.difference(SENTENCES))
        values, equal, rows_equal = values + compared, equal + compared - len(bad), rows_equal + (not bad)
    return (
        lines,
        f"{rows_equal} of {len(rows)} rows and {equal} of {values} values agree (not compared: {', '.join(SENTENCES)})",
    )


def main():
    here = Path(__file__).resolve().parent
    parser = argparse.ArgumentParser(description="recompute every verdict from an archive and compare with claims.csv")
    parser.add_argument("archive", type=Path)
    parser.add_argument("--claims", type=Path, default=Path("results/claims/claims.csv"))
    parser.add_argument("--rules", type=Path, default=here / "claims.yaml")
    parser.add_argument("--published", type=Path, default=here / "published")
    options = parser.parse_args()
    try:
        runs, settings = read_archive(options.archive)
        rules = yaml.safe_load(options.rules.read_text())
        claims = pd.read_csv(options.claims, dtype={"epsilon": str})
        published = {
            k: pd.read_csv(options.published / f"published_{k}.csv", dtype={"epsilon": str})
            for k in ("runs", "summary")
        }
        if settings["dataset"] != "fashion_mnist":  # of another data set nothing was published
            published = {k: table.iloc[:0] for k, table in published.items()}
        computed = []
        for task in settings["tasks"]:
            chosen = runs[runs["task"].eq(task)]
            holm = corrected(chosen[chosen["variant"].eq("paper")], settings, rules)
            for s in rules["statements"]:
                for selection in dict.fromkeys(["all", s.get("published_rule", "all")]):
                    computed.append(judge(chosen, settings, rules, published, s, selection, holm) | {"task": task})
        lines, agreement = compare(computed, claims)
    except (OSError, ValueError, KeyError, yaml.YAMLError) as error:
        print(f"recompute: {error}", file=sys.stderr)
        return 2
    print(*lines, agreement, sep="\n")
    return 1 if lines else 0


if __name__ == "__main__":
    sys.exit(main())
