"""Which claims of the paper hold here, and how strongly: the rules of claims.yaml applied to the runs."""

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from pandas import DataFrame

from ..records.archive import PAPER_DATASET, published_numbers, read_runs_and_settings
from ..records.tables import MANIFEST
from ..runtime import UserError, atomic_path, nearest, write_csv
from ..settings import Settings
from . import published, stats
from .comparisons import compare_all, corrected, identity, smallest_margin
from .completeness import complete_rows, incomplete_cells
from .effects import NO_EFFECT, effect
from .explain import explain
from .judging import VERDICTS, judge, missing_runs, region
from .oddities import oddities
from .published import Values
from .published_effects import published_at_chance
from .robustness import robustness
from .same_size import compare_sizes
from .selection import PAPER_TASK, as_published, at_chance, metric_values, of_task
from .statements import Rules, Statement, load_rules

UNITS = {"test_acc": "points"}


def evaluate(
    rules: Rules, runs: DataFrame, settings: Settings, values: Values, task: str = PAPER_TASK, only: str | None = None
) -> DataFrame:
    """Every statement on the runs of a task, by the rule that counts all runs and, where it differs, the published one.

    Parameters
    ----------
    rules : `statements.Rules`
    runs : DataFrame, table "runs"; runs of variants tell how much a seed changes, nothing else
    settings : Settings that made the table
    values : `published.load`
    task : whose runs are judged
    only : id of a statement: the others are left out; they count in the correction all the same

    Returns
    -------
    DataFrame, a row per statement and selection; statements in the order of their verdict on all runs
        (`judging.VERDICTS`), then of the rules, that verdict first; docs/results.md explains its columns
    """
    if task != PAPER_TASK or settings.dataset != PAPER_DATASET:  # an extension of ours: nothing was published
        values = {name: table.iloc[:0] for name, table in values.items()}
    runs = of_task(runs, task)
    incomplete, paper = incomplete_cells(runs, settings), as_published(runs, task)
    published_seed = published_numbers(settings.science())
    complete = complete_rows(paper, settings)
    p_holm = {selection: corrected(rules, complete, selection) for selection in used(rules)}
    rows = []
    for statement in [s for s in rules.statements if only in (None, s.id)]:
        for selection in dict.fromkeys(("all", statement.published_rule)):
            facts = statement.model_dump(exclude={"holds", "partly"}) | {"selection": selection}
            facts |= {"claim": statement.id.split(".")[0], "epsilon": str(statement.epsilon), "task": task}
            facts |= {"unit": UNITS.get(statement.metric, ""), "holds": region(statement.holds)}
            key = identity(statement.metric, statement.x, statement.y, statement.epsilon)
            facts |= judged(statement, rules, paper, incomplete, selection, p_holm[selection].get(key, np.nan))
            facts |= compare_sizes(statement, rules, values, selection, runs, incomplete, published_seed)
            rows.append(facts | chance(statement, rules, paper, values))
    table = pd.DataFrame(rows)
    for name in (*stats.compare([], []), *stats.paired([], [])):
        table[name] = table.get(name, np.nan)
    plain = table[table["selection"] == "all"].set_index("id")["verdict"].map(VERDICTS.index)
    return table.iloc[table["id"].map(plain).argsort(kind="stable")].reset_index(drop=True)


def nothing_in(table: DataFrame) -> dict[str, float]:
    """The columns of published values of a table, emptied."""
    return {name: np.nan for name in table if name.startswith("published")}


def used(rules: Rules) -> dict[str, None]:
    """Selections by which statements are judged."""
    return dict.fromkeys(["all", *(statement.published_rule for statement in rules.statements)])


def judged(
    statement: Statement, rules: Rules, runs: DataFrame, incomplete: list[dict[str, Any]], selection: str, p_holm: float
) -> dict[str, Any]:
    """Effect, verdict and reason, the verdict by the median difference, the smallest margin, the corrected p."""
    missing = missing_runs(statement, rules, runs, [cell for cell in incomplete if cell["variant"] == "paper"])
    if missing:
        nothing = {"verdict": "not computed", "reason": missing, "median_verdict": ""}
        return NO_EFFECT | nothing | {"smallest_margin": np.nan, "p_holm": np.nan}
    result = effect(statement, runs, selection)
    verdict, reason = judge(statement, result, rules, runs)
    median = {"effect": result["median_difference"], "low": result["median_low"], "high": result["median_high"]}
    by_median = judge(statement, result | median, rules, runs)[0] if np.isfinite(median["effect"]) else ""
    margin = np.nan if statement.of == "level" else smallest_margin(result)
    words = {"verdict": verdict, "reason": reason, "median_verdict": by_median}
    return result | words | {"smallest_margin": margin, "p_holm": p_holm if statement.of == "difference" else np.nan}


def chance(statement: Statement, rules: Rules, runs: DataFrame, values: Values) -> dict[str, Any]:
    """Runs at chance, and all runs, of both conditions at the statement's epsilons: here, and as published."""
    epsilons = rules.epsilons(statement)
    found: dict[str, Any] = {}
    for name, condition in (("x", statement.x), ("y", statement.y)):
        chosen = runs[(runs["condition"] == condition) & runs["epsilon"].isin(epsilons)]
        here = (int(at_chance(chosen).sum()), len(chosen)) if condition else (0, 0)
        theirs = published_at_chance(values, condition, epsilons) if condition else (np.nan, np.nan)
        found |= {f"at_chance_{name}": here[0], f"of_{name}": here[1]}
        found |= {f"published_at_chance_{name}": theirs[0], f"published_of_{name}": theirs[1]}
    return found


def extension(rules: Rules, runs: DataFrame, settings: Settings, values: Values, task: str) -> DataFrame:
    """The statements on a task of ours, by the same rules: an extension, for which nothing was published."""
    table = evaluate(rules, runs, settings, values, task)
    table = table[table["selection"] == "all"]
    return table.assign(
        id=table["id"] + f" {task}",
        text=table["text"].str.replace(PAPER_TASK, task),
        reason="extension, no published value; " + table["reason"],
    )


def show(name: str, tables_folder: Path | str, rules_path: Path | str, published_folder: Path | str) -> str:
    """One statement whole, in words: `explain.explain`, and the runs that are its evidence; of a claim its statements.

    Raises
    ------
    UserError
        If no statement and no claim has this id, or a file cannot be read.
    """
    rules, values = load_rules(rules_path), published.load(published_folder)
    found = [statement for statement in rules.statements if statement.id == name]
    if not found:
        return of_claim(name, rules)
    (statement,), (runs, settings) = found, read_runs_and_settings(tables_folder)
    rows = evaluate(rules, runs, settings, values, only=name).fillna({"y": ""}).to_dict("records")
    lines = [f"{label}: {text}" for label, text in explain(statement, rows, rules).items()]
    paper = as_published(runs)
    chosen = paper["condition"].isin(statement.conditions) & paper["epsilon"].isin(rules.epsilons(statement))
    shown = paper[chosen].assign(**{statement.metric: metric_values(paper[chosen], statement.metric)})
    columns = ["condition", "epsilon", "config", "seed", "lr", "status", "test_acc", "digest"]
    columns += [statement.metric] if statement.metric not in columns else []
    if {row["verdict"] for row in rows} == {"not computed"} and (Path(tables_folder) / MANIFEST).exists():
        lines.append(f"Your own runs: python -m einorm claim {name} --tables results/tables")
    return "\n".join([f"{name} on {tables_folder}", *lines, "", shown[columns].to_string(index=False)])


def of_claim(name: str, rules: Rules) -> str:
    """A claim and its statements, a line each.

    Raises UserError, with the ids that come near, if there is no such claim.
    """
    claim = name.split(".")[0]
    statements = {s.id: s.text for s in rules.statements if s.id.split(".")[0] == claim}
    if name not in rules.claims:
        known = f"; the statements of {claim} are: {', '.join(statements)}" if statements else ""
        raise UserError(f"no statement is called {name}{known or nearest(name, [s.id for s in rules.statements])}")
    return "\n".join([f"{name}: {rules.claims[name]}", *(f"{id}: {text}" for id, text in statements.items())])


def write(
    runs: DataFrame, settings: Settings, rules_path: Path | str, published_folder: Path | str, out: Path | str
) -> None:
    """Write claims.parquet and .csv, comparisons.csv, oddities.csv, published_check.csv and robustness.csv to a folder.

    Raises
    ------
    UserError
        If the rules or the published values cannot be read.
    """
    rules, values = load_rules(rules_path), published.load(published_folder)
    extensions = [extension(rules, runs, settings, values, task) for task in sorted(set(runs["task"]) - {PAPER_TASK})]
    claims = pd.concat([evaluate(rules, runs, settings, values), *extensions], ignore_index=True)
    paper = as_published(runs)
    made = {"comparisons": compare_all(rules, complete_rows(paper, settings), values)}
    made |= {"oddities": oddities(rules, complete_rows(paper, settings), values)}
    if settings.dataset != PAPER_DATASET:  # of which nothing was published
        made = {name: table.assign(**nothing_in(table)) for name, table in made.items()}
    made |= {"claims": claims, "published_check": published.check_tests(values)}
    made |= {"robustness": robustness(of_task(runs))}
    for name, table in made.items():
        write_csv(table, Path(out) / f"{name}.csv")
    with atomic_path(Path(out) / "claims.parquet") as temporary:
        claims.to_parquet(temporary, index=False, compression="gzip")
    counts = claims[(claims["selection"] == "all") & (claims["task"] == PAPER_TASK)]["verdict"].value_counts()
    print("; ".join(f"{verdict}: {counts.get(verdict, 0)}" for verdict in VERDICTS))
