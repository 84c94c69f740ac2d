"""Is an effect of the published size? The second verdict on a statement, next to whether it holds here."""

from typing import Any

import numpy as np
from pandas import DataFrame

from ..variants import VARIANTS
from . import stats
from .judging import missing_runs, shortest, signed
from .published import Values
from .published_effects import NOTHING, published_effect, same_way
from .statements import Rules, Statement

SIZES = ("differs", "unclear", "same size", "not computed", "not published")
EQUAL_LEVEL = 0.90  # of the interval that must lie within the margin: two one-sided tests at 5 %
BARELY = 0.005  # a limit that is nearer to 0 than this decides in the third decimal
SEEDS = [name for name, change in VARIANTS.items() if set(change) <= {"seed"}]  # the paper's way among them
NO_SIZE = dict.fromkeys(
    ("size_here", "size_here_low", "size_here_high", "size_difference", "size_difference_low", "size_difference_high",
     "size_difference_low90", "size_difference_high90", "predicted_low", "predicted_high", "tau"), np.nan,
) | {"size_seeds": ""}  # fmt: skip


def compare_sizes(
    statement: Statement,
    rules: Rules,
    values: Values,
    selection: str,
    runs: DataFrame,
    incomplete: list[dict[str, Any]],
    published_seed: bool = False,
) -> dict[str, Any]:
    """The published effect, ours by its method, their difference with its intervals, and the verdict.

    Parameters
    ----------
    statement, rules : of claims.yaml
    values : `published.load`
    selection : one of `selection.SELECTIONS`
    runs : DataFrame, table "runs" of one task, with any variants
    incomplete : cells of which runs are missing (`completeness.incomplete_cells`) of the same task
    published_seed : whether the runs drew the random numbers of the published ones, so that no other seed is involved

    Returns
    -------
    dict
        published_effect, published_low, ...: see `published_effect`; delta; size_verdict, one of `SIZES`, and
        size_reason; size_here (our effect by the published method), size_difference (ours minus the published one)
        with its 95 % and 90 % intervals; predicted_low, predicted_high: where ours should lie, given the published
        one; tau: the standard deviation that the choice of a seed adds; size_seeds, what it is known from.
    """
    theirs = published_effect(statement, values, selection)
    facts = {f"published_{name}": value for name, value in theirs.items()}
    facts |= {"delta": rules.same_size.delta[statement.metric]} | NO_SIZE
    of_paper = [cell for cell in incomplete if cell["variant"] == "paper"]
    if missing_runs(statement, rules, runs[runs["variant"] == "paper"], of_paper):
        return facts | {"size_verdict": "not computed", "size_reason": "runs are missing"}
    if not np.isfinite([theirs["low"], theirs["high"]]).all():
        reason = "no published value" if theirs == NOTHING else "no published interval"
        return facts | {"size_verdict": "not published", "size_reason": reason}
    spread = (0.0, "the published seed")
    if not published_seed:
        spread = seed_spread(statement, rules, theirs["method"], selection, runs, incomplete)
    tau, seeds = spread
    sizes = differences(statement, values, selection, theirs["method"], runs[runs["variant"] == "paper"], tau)
    epochs = shortest(statement, rules, runs[runs["variant"] == "paper"])
    verdict, reason = judge_size(sizes, facts["delta"], epochs, rules.same_size.epochs)
    return facts | sizes | {"tau": tau, "size_seeds": seeds, "size_verdict": verdict, "size_reason": reason}


def differences(
    statement: Statement, values: Values, selection: str, method: str, runs: DataFrame, tau: float
) -> dict[str, float]:
    """Our effect minus the published one with its intervals at 95 % and 90 %, and the prediction interval at 95 %."""
    found: dict[str, float] = {}
    for level, suffix in ((stats.LEVEL, ""), (EQUAL_LEVEL, "90")):
        theirs = published_effect(statement, values, selection, level)
        published = (theirs["effect"], theirs["low"], theirs["high"])
        ours = same_way(statement, method, runs, selection, level)
        extra = 2 * (stats.normal_quantile(level) * tau) ** 2  # a seed of theirs, and one of ours
        difference, low, high = stats.mover(ours, published, extra)
        found |= {f"size_difference_low{suffix}": low, f"size_difference_high{suffix}": high}
        if level == stats.LEVEL:
            names = ("size_here", "size_here_low", "size_here_high")
            found |= dict(zip(names, ours, strict=True)) | {"size_difference": difference}
            found |= {"predicted_low": ours[0] - high, "predicted_high": ours[0] - low}
    return found


def judge_size(sizes: dict[str, float], delta: float, epochs: int, needed: int) -> tuple[str, str]:
    """The verdict on the size, and its reason in words."""
    low, high = sizes["size_difference_low"], sizes["size_difference_high"]
    if not np.isfinite([low, high]).all():
        return "unclear", "too few runs for an interval"
    if epochs < needed:
        return "unclear", f"trained for {epochs} epochs, the published runs for {needed}"
    words = f"the 95 % interval of the difference from the published effect, {signed(low)} to {signed(high)},"
    if low > 0 or high < 0:
        barely = "barely " if min(abs(low), abs(high)) < BARELY else ""
        return "differs", f"{words} {barely}excludes 0"
    low90, high90 = sizes["size_difference_low90"], sizes["size_difference_high90"]
    if -delta < low90 and high90 < delta:
        return "same size", f"the 90 % interval {signed(low90)} to {signed(high90)} lies within {delta:g} of it"
    return "unclear", f"{words} holds 0, the 90 % interval is not within {delta:g}"


def seed_spread(
    statement: Statement, rules: Rules, method: str, selection: str, runs: DataFrame, incomplete: list[dict[str, Any]]
) -> tuple[float, str]:
    """Standard deviation of an effect between seeds beyond what its intervals explain, and what it is known from.

    tau^2 = max(0, variance of the effect between seeds - mean squared standard error), of runs that differ in nothing
    but the seed and are as long as the published ones; 0 where there is one seed.
    """
    effects, errors = [], []
    for variant in SEEDS:
        chosen = runs[runs["variant"] == variant]
        cells = [cell for cell in incomplete if cell["variant"] == variant]
        if missing_runs(statement, rules, chosen, cells) or shortest(statement, rules, chosen) < rules.same_size.epochs:
            continue
        effect, low, high = same_way(statement, method, chosen, selection)
        effects.append(effect)
        errors.append((high - low) / (2 * stats.normal_quantile(stats.LEVEL)))
    if len(effects) < 2:
        return 0.0, "one seed"
    spread = float(np.var(effects, ddof=1) - np.mean(np.square(errors)))
    return float(np.sqrt(max(0.0, spread))), f"{len(effects)} seeds"
