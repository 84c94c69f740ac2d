"""One statement whole: sentence, rule, numbers of both sides, verdicts, figures, evidence, and the command."""

from typing import Any

import numpy as np

from .judging import region
from .statements import Rules, Statement

Row = dict[str, Any]  # of claims.csv
SELECTED = {
    "all": "all runs",
    "top10": "the ten best runs per epsilon",
    "above_chance": "the paper's rule about runs at chance",
}
METHODS = {
    "paired": "Hodges-Lehmann, run by run",
    "unpaired": "Hodges-Lehmann, unpaired",
    "trend": "difference of differences, run by run",
    "median": "median",
    "independent trend": "difference of two paired differences",
    "bins": "from the bins of a histogram",
    "boxes": "from the quartiles of boxes",
}


def explain(statement: Statement, rows: list[Row], rules: Rules) -> dict[str, str]:
    """A statement in words.

    Parameters
    ----------
    statement : `statements.Statement`
    rows : list of dict, its rows of claims.csv (one per selection of runs), texts empty where there is none
    rules : `statements.Rules`

    Returns
    -------
    dict: label -> text, in reading order
    """
    told = {"Statement": statement.text, "Effect": quantity(statement), "Rule": rule(statement)}
    told |= {"History": statement.revised} if statement.revised else {}
    for row in rows:
        prefix = f"{SELECTED[row['selection']]}: ".capitalize()
        told |= {prefix + label: text for label, text in of_selection(row).items() if text}
    told["Runs at chance"] = "; ".join(chance(rows[0], name) for name in ("x", "y") if rows[0][name])
    told["Figures"] = f"{statement.figure}, published_{statement.figure}{not_drawn(statement, rules)}"
    told["Evidence"] = f"runs.parquet: {evidence(statement, rules)}"
    told["Commands"] = f"python -m einorm claim {statement.id}; of all statements: snakemake claims --cores 1"
    return told


def quantity(statement: Statement) -> str:
    """What a statement's effect is."""
    at = f"at epsilon {statement.epsilon:g}" if statement.epsilon != "pooled" else "over all epsilons"
    metric = {"test_acc": "test accuracy (points)", "mu_distance": "|mu|", "var_distance": "|log10 var|"}
    name = metric.get(statement.metric, statement.metric.replace("_", " "))
    if statement.y is None:
        return f"median {name} of {statement.x} {at}"
    before = f", minus the same at epsilon {statement.from_epsilon:g}" if statement.of == "trend" else ""
    return f"{name} of {statement.x} minus that of {statement.y} {at}{before}"


def rule(statement: Statement) -> str:
    """When a statement holds."""
    partly = f"; partly if it lies {region(statement.partly)}" if statement.partly else ""
    return f"reproduced if the 95 % interval of the effect lies {region(statement.holds)}{partly}"


def of_selection(row: Row) -> dict[str, str]:
    """The numbers and verdicts by one selection of runs."""
    digits = 2 if row["metric"] == "test_acc" else 3
    here = effect_text(row, "", digits)
    theirs = effect_text(row, "published_", digits)
    told = {"here": here and f"{here}, {METHODS[row['method']]}, {counts(row, '')}"}
    told["published"] = theirs and f"{theirs}, {METHODS[row['published_method']]}, {counts(row, 'published_')}"
    told["published"] += ", approximate" if theirs and row["published_approximate"] else ""
    told["verdict"] = f"{row['verdict']}: {row['reason']}"
    told["size"] = f"{row['size_verdict']}: {row['size_reason']}{seeds(row)}"
    if np.isfinite(row["predicted_low"]):
        span = f"{amount(row['predicted_low'], digits)} to {amount(row['predicted_high'], digits)}"
        told["predicted from the published effect"] = f"{span}; here by its method {amount(row['size_here'], digits)}"
    told |= {"median difference": by_median(row, digits)} if row["median_verdict"] else {}
    if np.isfinite(row["smallest_margin"]):
        told["smallest margin of equality"] = f"{row['smallest_margin']:.{digits}f}"
    if np.isfinite(row["low_rates"]):
        rates = [amount(row[name], digits) for name in ("low_rates", "high_rates")]
        told["third of the learning rates"] = f"{rates[0]} in the lowest, {rates[1]} in the highest"
    if np.isfinite(row["p_holm"]):
        told["Mann-Whitney"] = f"p = {row['p']:.2g}, {row['p_holm']:.2g} after Holm's correction of all tests"
    return told


def effect_text(row: Row, prefix: str, digits: int) -> str:
    """An effect with its interval; empty if there is none."""
    middle, low, high = (row[f"{prefix}{name}"] for name in ("effect", "low", "high"))
    if not np.isfinite(middle):
        return ""
    between = f"{amount(low, digits)} to {amount(high, digits)}" if np.isfinite([low, high]).all() else "no interval"
    return f"{amount(middle, digits)} ({between})"


def by_median(row: Row, digits: int) -> str:
    """The median of the paired differences, and whether the verdict is the same by it."""
    limits = f"{amount(row['median_low'], digits)} to {amount(row['median_high'], digits)}"
    same = "the same verdict" if row["median_verdict"] == row["verdict"] else f"verdict: {row['median_verdict']}"
    return f"{amount(row['median_difference'], digits)} ({limits}, sign test); {same}"


def seeds(row: Row) -> str:
    """What is known of the spread between seeds, in words."""
    known = row["size_seeds"]
    return (
        f" ({known})"
        if known in ("one seed", "the published seed")
        else f" (tau {row['tau']:.2g}, {known})"
        if known
        else ""
    )


def counts(row: Row, prefix: str) -> str:
    """Numbers of runs of x and, if there is one, of y."""
    sizes = [row[f"{prefix}n_x"], *([row[f"{prefix}n_y"]] if row["y"] else [])]
    return "n = " + " v ".join("unknown" if np.isnan(n) else f"{n:.0f}" for n in sizes)


def chance(row: Row, name: str) -> str:
    """Runs at chance of a condition, here and published."""
    published = [row[f"published_{column}_{name}"] for column in ("at_chance", "of")]
    theirs = "{:.0f} of {:.0f} published".format(*published) if np.isfinite(published).all() else "not published"
    return f"{row[name]}: {row[f'at_chance_{name}']} of {row[f'of_{name}']} here, {theirs}"


def not_drawn(statement: Statement, rules: Rules) -> str:
    """The conditions of a statement that its figure does not show, in words; empty if it shows them all."""
    drawn = {name for pair in rules.comparisons.get(statement.figure, []) for name in pair}
    absent = [name for name in statement.conditions if drawn and name not in drawn]
    return f"; they do not show {' and '.join(absent)}" if absent else ""


def evidence(statement: Statement, rules: Rules) -> str:
    """The rows of the table of runs that a statement rests on."""
    epsilons = ", ".join(f"{epsilon:g}" for epsilon in rules.epsilons(statement))
    return f"condition {' or '.join(statement.conditions)}; epsilon {epsilons}; variant paper"


def amount(value: float, digits: int) -> str:
    """A number with its sign for reading; what is rounded to 0 has none."""
    text = f"{value:+.{digits}f}"
    return text if float(text) else text[1:]
