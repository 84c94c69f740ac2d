"""Does a statement hold here? Its verdict, from the 95 % interval of its effect, and the reason in words."""

from typing import Any

import numpy as np
from pandas import DataFrame

from .statements import Limits, Rules, Statement

Numbers = dict[str, Any]  # a row: an effect, or a cell
VERDICTS = ("not reproduced", "inconclusive", "not computed", "partly", "reproduced")  # in the order of the tables


def judge(statement: Statement, result: Numbers, rules: Rules, runs: DataFrame) -> tuple[str, str]:
    """Verdict and its reason in words, by the rules that claims.yaml states on top; all runs that it needs are there.

    Parameters
    ----------
    statement : `statements.Statement`
    result : dict, its effect (`effects.effect`)
    rules : `statements.Rules`
    runs : DataFrame, table "runs"
    """
    obstacle = too_little(statement, result, rules, runs)
    if obstacle:
        return "inconclusive", obstacle
    low, high = result["low"], result["high"]
    digits = decimals(low, high)
    interval = f"the 95 % interval {signed(low, digits)} to {signed(high, digits)} of the effect"
    holds, partly = statement.holds, statement.partly
    if within(low, high, holds):
        return "reproduced", f"{interval} lies {region(holds)}"
    if outside(low, high, holds):
        return "not reproduced", f"{interval} lies wholly outside of '{region(holds)}'"
    if partly is not None and within(low, high, partly):
        return "partly", f"{interval} lies {region(partly)}, but reaches across the limit of '{region(holds)}'"
    return "inconclusive", f"{interval} reaches across the limit of '{region(holds)}': more runs are needed"


def missing_runs(statement: Statement, rules: Rules, runs: DataFrame, incomplete: list[Numbers]) -> str:
    """Runs that a statement needs and that are not there, in words, of all its conditions; empty if none is missing.

    Incomplete cells (`incomplete_cells`) decide nothing: their first runs are no sample, they may be the widest.
    """
    wanted, words = rules.epsilons(statement), []
    for condition in statement.conditions:
        there = set(runs.loc[runs["condition"] == condition, "epsilon"])
        absent = [f"{epsilon:g}" for epsilon in wanted if epsilon not in there]
        words += [f"no run of {condition} at epsilon {', '.join(absent)}"] if absent else []
        words += [
            "{finished} of {planned} runs of {condition} at epsilon {epsilon:g}".format(**cell)
            for cell in incomplete
            if cell["condition"] == condition and cell["epsilon"] in wanted and cell["epsilon"] in there
        ]
    return "; ".join(words)


def shortest(statement: Statement, rules: Rules, runs: DataFrame) -> int:
    """Epochs of the shortest run that a statement rests on."""
    chosen = runs["condition"].isin(statement.conditions) & runs["epsilon"].isin(rules.epsilons(statement))
    return int(runs.loc[chosen, "epochs"].min())


def too_little(statement: Statement, result: Numbers, rules: Rules, runs: DataFrame) -> str:
    """Why complete runs cannot decide a statement, in words; empty if they can."""
    epochs, needed = shortest(statement, rules, runs), rules.epochs(statement)
    if epochs < needed:
        return f"trained for {epochs} epochs, {needed} are needed"
    if not np.isfinite([result["low"], result["high"]]).all():
        unpaired = ["n_x", "n_y"] if statement.y else ["n_x"]
        counts = [result[name] for name in (["n_pairs"] if result["method"] in ("paired", "trend") else unpaired)]
        return f"too few runs ({' v '.join(map(str, counts))}) for a 95 % interval"
    return ""


def equivalence(result: Numbers, margin: float) -> str:
    """What an interval says of equality within a margin: equal, different, or open (an n.s. is not an equality)."""
    low, high = result["low"], result["high"]
    if not np.isfinite([low, high]).all():
        return "open"
    limits = (-margin, margin)
    return "equal" if within(low, high, limits) else "different" if outside(low, high, limits) else "open"


def within(low: float, high: float, limits: Limits) -> bool:
    """Whether an interval lies inside the limits (None: no limit)."""
    return (limits[0] is None or low > limits[0]) and (limits[1] is None or high < limits[1])


def outside(low: float, high: float, limits: Limits) -> bool:
    """Whether an interval lies wholly beyond one of the limits (None: no limit)."""
    return (limits[0] is not None and high <= limits[0]) or (limits[1] is not None and low >= limits[1])


def region(limits: Limits) -> str:
    """An open interval in words."""
    low, high = limits
    if low is None or high is None:
        return f"above {signed(low)}" if high is None else f"below {signed(high)}"
    return f"between {signed(low)} and {signed(high)}"


def decimals(low: float, high: float) -> int:
    """Decimals of an interval: two, or three where its ends would look equal, as of cosines near 1."""
    return 3 if f"{low:z.2f}" == f"{high:z.2f}" else 2


def signed(value: float | None, digits: int = 2) -> str:
    """A number with its sign for reading, with as many digits as show that it is not 0; 0 has no sign."""
    if not value:
        return "0"
    text = f"{value:+.{digits}f}"
    return text if float(text) else f"{value:+.1g}"
