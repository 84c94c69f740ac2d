"""Which claims of the paper hold here, and how strongly: the rules of claims.yaml applied to the runs."""

from pathlib import Path

import numpy as np
import pandas as pd
import yaml
from pydantic import Field, ValidationError

from . import published, stats
from .conditions import CONDITIONS
from .config import Strict
from .effects import defined_values, difference, effect
from .oddities import oddities
from .robustness import robustness
from .runs import incomplete_cells
from .runtime import UserError, atomic_path
from .selection import PAPER_TASK, SELECTIONS, as_published, of_task

VERDICTS = ("not reproduced", "undecided", "partly", "reproduced")  # in the order of the tables
UNITS = {"test_acc": "points"}

Limits = tuple[float | None, float | None]
Place = float | str


class Statement(Strict, strict=False):
    """One testable statement of claims.yaml."""

    id: str
    figure: str
    panel: str
    of: str = Field(pattern="^(difference|level|trend)$")
    metric: str
    x: str
    y: str | None = None
    epsilon: Place
    from_epsilon: float | None = None
    holds: Limits
    partly: Limits | None = None
    published_rule: str = Field("all", pattern=f"^({'|'.join(SELECTIONS)})$")
    text: str
    revised: str | None = None  # what had been seen when the statement was added or its rule changed


class Rules(Strict, strict=False):
    """claims.yaml."""

    margin: float = Field(gt=0)
    epochs_needed: dict[Place, int]
    pooled_epsilons: list[float]
    claims: dict[str, str]
    statements: list[Statement]
    comparisons: dict[str, list[tuple[str, str]]]
    oddities: dict[str, dict[str, str]]


def load_rules(path):
    """The rules of a claims.yaml.

    Raises
    ------
    UserError
        If the file is missing, is no YAML, or a key or value in it is wrong.
    """
    try:
        rules = Rules(**yaml.safe_load(Path(path).read_text(encoding="utf-8")))
    except OSError as error:
        raise UserError(f"cannot read {path}: {error.strerror}") from None
    except (yaml.YAMLError, TypeError) as error:
        raise UserError(f"{path} is not a YAML mapping: {' '.join(str(error).split())}") from None
    except ValidationError as error:
        first = error.errors()[0]
        raise UserError(f"{path}, {'.'.join(map(str, first['loc']))}: {first['msg']}") from None
    for s in rules.statements:
        unknown = [c for c in (s.x, s.y) if c is not None and c not in CONDITIONS]
        if unknown or (s.y is None) != (s.of == "level") or (s.from_epsilon is None) != (s.of != "trend"):
            raise UserError(f"{path}, {s.id}: x, y and from_epsilon must be known conditions and fit `of: {s.of}`")
    return rules


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


def judge(statement, result, rules, runs, incomplete=()):
    """Verdict and its reason in words, by the rules that claims.yaml states on top; see `too_little`."""
    obstacle = too_little(statement, result, rules, runs, incomplete)
    if obstacle:
        return "undecided", obstacle
    low, high = result["low"], result["high"]
    interval = f"the 95 % interval {number(low)} to {number(high)} of the effect"
    holds, partly = statement.holds, statement.partly
    if within(low, high, holds):
        return "reproduced", f"{interval} lies {region(holds)}"
    if outside(low, high, holds):
        return "not reproduced", f"{interval} lies wholly outside of '{region(holds)}'"
    if partly is not None and within(low, high, partly):
        return "partly", f"{interval} lies {region(partly)}, but reaches across the limit of '{region(holds)}'"
    return "undecided", f"{interval} reaches across the limit of '{region(holds)}': more runs are needed"


def too_little(statement, result, rules, runs, incomplete=()):
    """Why runs cannot decide a statement, in words; empty if they can.

    Incomplete cells (`runs.incomplete_cells`) decide nothing: their first runs are no sample, they may be the widest.
    """
    for condition in filter(None, (statement.x, statement.y)):
        chosen = runs[runs["condition"] == condition]
        wanted = [statement.epsilon] if statement.epsilon != "pooled" else rules.pooled_epsilons
        wanted += [statement.from_epsilon] if statement.of == "trend" else []
        absent = [f"{epsilon:g}" for epsilon in wanted if not (chosen["epsilon"] == epsilon).any()]
        if absent:
            return f"not computed: {condition} at epsilon {', '.join(absent)}"
        for cell in incomplete:
            if cell["condition"] == condition and cell["epsilon"] in wanted:
                return "incomplete: {finished} of {planned} runs of {condition} at epsilon {epsilon:g}".format(**cell)
        epochs = int(chosen.loc[chosen["epsilon"].isin(wanted), "epochs"].min())
        needed = max(
            rules.epochs_needed[e] for e in [statement.epsilon, *filter(lambda e: e in rules.epochs_needed, wanted)]
        )
        if epochs < needed:
            return f"trained for {epochs} epochs, {needed} are needed"
    if not np.isfinite([result["low"], result["high"]]).all():
        unpaired = ["n_x", "n_y"] if statement.y else ["n_x"]
        counts = [result[name] for name in (["n_pairs"] if result["method"] == "paired" else unpaired)]
        return f"too few runs ({' v '.join(map(str, counts))}) for a 95 % interval"
    return ""


def within(low, high, limits):
    """Whether an interval lies inside the limits (None: no limit)."""
    return (limits[0] is None or low > limits[0]) and (limits[1] is None or high < limits[1])


def outside(low, high, limits):
    """Whether an interval lies wholly beyond one of the limits (None: no limit)."""
    return (limits[0] is not None and high <= limits[0]) or (limits[1] is not None and low >= limits[1])


def region(limits):
    """An open interval in words."""
    low, high = limits
    if low is None or high is None:
        return f"above {number(low)}" if high is None else f"below {number(high)}"
    return f"between {number(low)} and {number(high)}"


def number(value):
    """A number with its sign for reading; 0 has none."""
    return f"{value:+.2f}" if value else "0"


def evaluate(rules, runs, settings, values):
    """Every statement under the rule that counts all runs and, where it differs, under the published one.

    Returns
    -------
    DataFrame, verdicts in the order of `VERDICTS`, then by id
    """
    rows, incomplete = [], incomplete_cells(runs, settings)
    for statement in rules.statements:
        for selection in dict.fromkeys(("all", statement.published_rule)):
            result = effect(statement, runs, selection)
            verdict, reason = judge(statement, result, rules, runs, incomplete)
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


def equivalence(result, margin):
    """What an interval says of equality within a margin: equal, different, or open (an n.s. is not an equality)."""
    low, high = result["low"], result["high"]
    if not np.isfinite([low, high]).all():
        return "open"
    limits = (-margin, margin)
    return "equal" if within(low, high, limits) else "different" if outside(low, high, limits) else "open"


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
