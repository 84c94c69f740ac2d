"""Which claims of the paper hold here, and how strongly: the rules of claims.yaml applied to the runs."""

from pathlib import Path

import numpy as np
import pandas as pd

from . import published, stats
from .effects import NO_EFFECT, defined_values, difference, effect
from .judging import VERDICTS, equivalence, judge, missing_runs, region
from .oddities import oddities
from .robustness import robustness
from .runs import incomplete_cells
from .runtime import atomic_path
from .selection import PAPER_TASK, SELECTIONS, as_published, of_task
from .statements import load_rules

UNITS = {"test_acc": "points"}


def published_effect(statement, values):
    """The published counterpart of an effect: a difference of medians or a median; NaN where none was published."""

    def median(condition, epsilon):
        metric = {"mu_distance": "mu", "var_distance": "var"}.get(statement.metric, statement.metric)
        figure = statement.figure.capitalize()
        value = published.median(values, figure, statement.panel, condition, epsilon, metric)
        return {"mu_distance": abs, "var_distance": lambda v: abs(np.log10(v))}.get(statement.metric, float)(value)

    if statement.of == "level":
        return median(statement.x, statement.epsilon)
    here = median(statement.x, statement.epsilon) - median(statement.y, statement.epsilon)
    if statement.of == "trend":
        here -= median(statement.x, statement.from_epsilon) - median(statement.y, statement.from_epsilon)
    return here


def evaluate(rules, runs, settings, values):
    """Every statement under the rule that counts all runs and, where it differs, under the published one.

    Returns
    -------
    DataFrame, verdicts in the order of `VERDICTS`, then by id
    """
    rows, incomplete = [], incomplete_cells(runs, settings)
    for statement in rules.statements:
        for selection in dict.fromkeys(("all", statement.published_rule)):
            missing = missing_runs(statement, rules, runs, incomplete)
            result = NO_EFFECT if missing else effect(statement, runs, selection)
            verdict, reason = ("not computed", missing) if missing else judge(statement, result, rules, runs)
            facts = statement.model_dump(exclude={"holds", "partly", "from_epsilon"})
            facts |= {"claim": statement.id.split(".")[0], "epsilon": str(statement.epsilon), "selection": selection}
            facts |= {"verdict": verdict, "reason": reason, "unit": UNITS.get(statement.metric, "")}
            facts |= {"published_value": published_effect(statement, values), "holds": region(statement.holds)}
            rows.append(facts | result)
    table = pd.DataFrame(rows)
    for name in (*stats.compare([], []), *stats.paired([], [])):
        table[name] = table.get(name, np.nan)
    table["p_holm"] = table.groupby(["figure", "selection"])["p"].transform(lambda p: stats.holm(p.to_numpy()))
    order = table["verdict"].map({verdict: i for i, verdict in enumerate(VERDICTS)})
    table = table.assign(order=order, plain=table["selection"] != "all").sort_values(["order", "id", "plain"])
    return table.drop(columns=["order", "plain"]).reset_index(drop=True)


def extension(rules, runs, settings, values, task):
    """The statements on a task of ours, by the same rules: an extension, for which nothing was published."""
    table = evaluate(rules, as_published(runs, task), settings, values)
    table = table[table["selection"] == "all"].assign(task=task, published_value=np.nan)
    return table.assign(
        id=table["id"] + f" {task}",
        text=table["text"].str.replace(PAPER_TASK, task),
        reason="extension, no published value; " + table["reason"],
    )


def compare_all(rules, runs, values):
    """Every pair of the figures per epsilon and pooled, by every selection: statistics, published test, equality."""
    rows = []
    tests = values["tests"]
    for figure, pairs in rules.comparisons.items():
        for selection in SELECTIONS:
            for x, y in pairs:
                for epsilon in [*sorted(runs["epsilon"].unique()), "pooled"]:
                    groups = [defined_values(runs, c, epsilon, "test_acc", selection) for c in (x, y)]
                    if not len(groups[0]) or not len(groups[1]):
                        continue
                    result = difference(*groups)
                    printed = tests[
                        (tests["figure"] == figure.capitalize())
                        & (tests["epsilon"] == published.epsilon_name(epsilon))
                        & (tests["group_x"] == x)
                        & (tests["group_y"] == y)
                    ]
                    keys = {"figure": figure, "selection": selection, "x": x, "y": y, "epsilon": str(epsilon)}
                    both = {"published_U": printed["U"].max(), "published_p": printed["p"].max()}
                    rows.append(keys | result | both | {"equivalent": equivalence(result, rules.margin)})
    table = pd.DataFrame(rows)
    if len(table):
        families = table.groupby(["figure", "selection"])
        for p in ("p", "p_paired"):
            table[f"{p}_holm"] = families[p].transform(lambda p: stats.holm(p.to_numpy()))
    return table


def write(runs, settings, rules_path, published_folder, out):
    """Write claims.parquet and .csv, comparisons.csv, oddities.csv, published_check.csv and robustness.csv to a folder.

    Raises
    ------
    UserError
        If the rules or the published values cannot be read.
    """
    rules, values = load_rules(rules_path), published.load(published_folder)
    variants = robustness(of_task(runs))
    extensions = [extension(rules, runs, settings, values, task) for task in sorted(set(runs["task"]) - {PAPER_TASK})]
    runs = as_published(runs)
    paper = evaluate(rules, runs, settings, values).assign(task=PAPER_TASK)
    claims = pd.concat([paper, *extensions], ignore_index=True)
    tables = {"claims": claims, "comparisons": compare_all(rules, runs, values)}
    tables |= {"oddities": oddities(rules, runs, values), "published_check": published.check_tests(values)}
    tables |= {"robustness": variants}
    for name, table in tables.items():
        with atomic_path(Path(out) / f"{name}.csv") as temporary:
            table.to_csv(temporary, index=False)
    with atomic_path(Path(out) / "claims.parquet") as temporary:
        claims.to_parquet(temporary, index=False, compression="zstd")
    counts = claims[(claims["selection"] == "all") & (claims["task"] == PAPER_TASK)]["verdict"].value_counts()
    print("; ".join(f"{verdict}: {counts.get(verdict, 0)}" for verdict in VERDICTS))
