"""The statements and rules of claims.yaml, checked."""

from pathlib import Path

from pandas import DataFrame
from pydantic import Field, ValidationError

from ..conditions import CONDITIONS
from ..config import read
from ..records import tables
from ..runtime import UserError, nearest
from ..settings import Strict
from .selection import SELECTIONS

#: What a statement may be about (`selection.metric_values`).
METRICS = sorted({"mu_distance", "var_distance", *(name.rstrip("01") for name in tables.METRICS)})
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

    @property
    def conditions(self) -> list[str]:
        """The conditions that it is about: one of a level, else two."""
        return [self.x] if self.y is None else [self.x, self.y]


class SameSize(Strict, strict=False):
    """When an effect counts as of the published size."""

    epochs: int
    delta: dict[str, float]


class Oddity(Strict):
    """What is odd about a published figure, and how it is undone, in words."""

    figure: str
    text: str
    undone: str


class Rules(Strict, strict=False):
    """claims.yaml."""

    margin: float = Field(gt=0)
    epochs_needed: dict[Place, int]
    pooled_epsilons: list[float]
    same_size: SameSize
    claims: dict[str, str]
    statements: list[Statement]
    comparisons: dict[str, list[tuple[str, str]]]
    oddities: dict[str, Oddity]

    def epsilons(self, statement: Statement) -> list[float]:
        """Epsilons whose runs a statement needs."""
        at = [*self.pooled_epsilons] if statement.epsilon == "pooled" else [float(statement.epsilon)]
        return at if statement.from_epsilon is None else [*at, statement.from_epsilon]

    def epochs(self, statement: Statement) -> int:
        """Epochs of training that a verdict on a statement needs."""
        return max(self.epochs_needed[epsilon] for epsilon in [statement.epsilon, *self.epsilons(statement)])


def load_rules(path: Path | str) -> Rules:
    """The rules of a claims.yaml.

    Raises
    ------
    UserError
        If the file is missing, is no YAML, or a key or value in it is wrong.
    """
    try:
        rules = Rules(**read(path))
    except ValidationError as error:
        first = error.errors()[0]
        raise UserError(f"{path}, {'.'.join(map(str, first['loc']))}: {first['msg']}") from None
    ids = [statement.id for statement in rules.statements]
    for statement in rules.statements:
        problem = "the id is used twice" if ids.count(statement.id) > 1 else wrong(statement, rules)
        if problem:
            raise UserError(f"{path}, {statement.id}: {problem}")
    for name in {name for pairs in rules.comparisons.values() for pair in pairs for name in pair} - set(CONDITIONS):
        raise UserError(f"{path}, comparisons: {name!r} is not known{nearest(name, CONDITIONS)}")
    return rules


def check_judged(claims: DataFrame, rules: Rules, path: Path | str) -> None:
    """Raise UserError where a table of verdicts, read from `path`, lacks a statement: it was made with other rules."""
    if missing := [s.id for s in rules.statements if s.id not in set(claims["id"])]:
        raise UserError(f"{path} lacks the statement {missing[0]}: make it again with `snakemake claims --cores 1`")


def _is_range(limits: Limits) -> bool:
    """Whether limits leave something out, and something in."""
    low, high = limits
    return low != high if low is None or high is None else low < high


def wrong(s: Statement, rules: Rules) -> str:
    """What is wrong with a statement, in words; empty if nothing is."""
    for name in set(s.conditions) - set(CONDITIONS):
        return f"the condition {name!r} is not known{nearest(name, CONDITIONS)}"
    if (s.y is None) != (s.of == "level"):
        return f"`of: {s.of}` needs x and y" if s.y is None else "`of: level` needs x only"
    if (s.from_epsilon is None) != (s.of != "trend"):
        missing = "`of: trend` needs from_epsilon"
        return missing if s.from_epsilon is None else f"from_epsilon belongs to a trend, and this is `of: {s.of}`"
    if isinstance(s.epsilon, str) and s.epsilon != "pooled":
        return f"epsilon must be a number or pooled, not {s.epsilon}"
    if s.id.split(".")[0] not in rules.claims:
        return f"there is no claim {s.id.split('.')[0]}{nearest(s.id.split('.')[0], rules.claims)}"
    for name, limits in (("holds", s.holds), ("partly", s.partly)):
        if limits and not _is_range(limits):
            return f"{name} must be [low, high], one of them null at most, not {list(limits)}"
    if s.metric not in METRICS:
        return f"the metric {s.metric!r} is not known{nearest(s.metric, METRICS)}"
    if s.metric not in rules.same_size.delta:
        return f"same_size.delta lacks the metric {s.metric}: add it"
    without = [e for e in [s.epsilon, *rules.epsilons(s)] if e not in rules.epochs_needed]
    return f"epochs_needed lacks epsilon {without[0]}: add it" if without else ""
