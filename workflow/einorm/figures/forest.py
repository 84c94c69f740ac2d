"""All statements in one figure: published and reproduced effects with intervals, and the range each rule requires."""

from pathlib import Path
from typing import Any

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
from matplotlib.artist import Artist
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.patches import Rectangle
from pandas import DataFrame

from ..analysis.judging import VERDICTS
from ..analysis.selection import PAPER_TASK
from ..analysis.statements import Rules, Statement, check_judged, load_rules
from ..conditions import label
from ..runtime import UserError
from . import FOREST
from .style import GREY, PALETTE, save, size

POINTS = "test_acc"
# Verdict -> how the effect here is drawn: colour and shape, so that neither has to be told apart alone.
LOOKS = dict(
    zip(VERDICTS, zip([PALETTE[3], PALETTE[1], GREY, PALETTE[0], PALETTE[2]], "XD^so", strict=True), strict=True)
)
PUBLISHED: dict[str, Any] = {
    "color": "black",
    "markerfacecolor": "white",
    "linewidth": 0.8,
    "marker": "o",
}
# Of accuracies, points. Published effects that count runs at chance lie far outside: they are arrows with their value.
LIMITS = (-8, 6)
ROOM = 0.08  # of the range of the data, left free on both sides of the other axis
OFFSET = 0.17  # of a row, between published and here
AXES = {True: "effect (points of test accuracy)", False: "effect (unit of the metric: mean, variance, cosine)"}


def rows_of(claims: DataFrame, rules: Rules) -> DataFrame:
    """The points of the figure.

    Parameters
    ----------
    claims : DataFrame, claims.csv
    rules : `statements.Rules`

    Returns
    -------
    DataFrame, a row per statement of the paper's task, in the order of the rules
        id, name, metric, verdict, effect, low, high (here, of all runs), published_effect, published_low,
        published_high (of all runs, or of the runs that the figure shows, where no other effect is published:
        own_selection), holds_low, holds_high (infinite: no limit)
    """
    claims = claims[claims["task"] == PAPER_TASK]
    found = []
    for statement in rules.statements:
        of_id = claims[claims["id"] == statement.id].set_index("selection")
        own = np.isnan(of_id.loc["all", "published_effect"]) and statement.published_rule != "all"
        theirs = of_id.loc[statement.published_rule if own else "all"]
        low, high = statement.holds
        row = {"id": statement.id, "name": short_name(statement), "metric": statement.metric, "own_selection": own}
        row |= of_id.loc["all", ["verdict", "effect", "low", "high"]].to_dict()
        row |= {name: theirs[name] for name in ("published_effect", "published_low", "published_high")}
        row |= {"holds_low": -np.inf if low is None else low, "holds_high": np.inf if high is None else high}
        found.append(row)
    return pd.DataFrame(found)


def short_name(statement: Statement) -> str:
    """What a statement compares, as short as a row's label has to be."""
    epsilon = "all ε" if statement.epsilon == "pooled" else f"ε {statement.epsilon:g}"
    epsilon = f"{epsilon} − ε {statement.from_epsilon:g}" if statement.of == "trend" else epsilon
    what = "" if statement.metric == POINTS else f"{statement.metric.replace('_', ' ')}: "
    return f"{what}{' − '.join(map(label, statement.conditions))}, {epsilon}"


def draw(points: DataFrame) -> Figure:
    """Forest plot (Figure) of `rows_of`: accuracies above, moments and alignments below, each on an axis of its own."""
    parts = [points[points["metric"].eq(POINTS) == accuracy] for accuracy in (True, False)]
    figure, axes = plt.subplots(
        2,
        figsize=size(0.17 * len(points) + 1.3),
        height_ratios=[len(part) + 1 for part in parts],
        layout="constrained",
    )
    for ax, part, accuracy in zip(axes, parts, (True, False), strict=True):
        draw_part(ax, part, LIMITS if accuracy else None)
        ax.set_xlabel(AXES[accuracy])
    marks: list[Artist] = [Line2D([], [], label="published (square: of the runs that the figure shows)", **PUBLISHED)]
    for verdict in reversed(VERDICTS):
        colour, marker = LOOKS[verdict]
        if verdict != "not computed" and points["verdict"].eq(verdict).any():
            marks.append(Line2D([], [], color=colour, marker=marker, label=f"here: {verdict}"))
    marks.append(Rectangle((0, 0), 1, 1, color="0.9", label="the statement's range"))
    figure.legend(handles=marks, loc="outside upper center", ncols=3)
    return figure


def draw_part(ax: Axes, points: DataFrame, limits: tuple[float, float] | None = None) -> None:
    """The rows of one axis, from top to bottom; limits of the axis (those of the data: None)."""
    columns = ["effect", "low", "high", "published_effect", "published_low", "published_high"]
    values = np.append(points[columns].to_numpy(float), 0)
    values = values[np.isfinite(values)]  # with few runs an interval may be infinite
    room = ROOM * (values.max() - values.min() or 1)
    left, right = limits or (values.min() - room, values.max() + room)
    ax.set(xlim=(left, right), ylim=(len(points) - 0.5, -0.5))
    for y, row in enumerate(points.itertuples()):
        start, end = max(row.holds_low, left), min(row.holds_high, right)
        ax.barh(y, end - start, left=start, height=0.86, color="0.9", linewidth=0)
        look = PUBLISHED | {"marker": "s" if row.own_selection else "o"}
        interval(ax, y - OFFSET, (row.published_effect, row.published_low, row.published_high), look)
        look = {"color": LOOKS[row.verdict][0], "marker": LOOKS[row.verdict][1], "linewidth": 1.2}
        look["zorder"] = 4  # above the values that are written where the axis ends
        interval(ax, y + OFFSET, (row.effect, row.low, row.high), look)
        if not np.isfinite(row.effect):
            ax.annotate("not computed", (1.01, y), xycoords=("axes fraction", "data"), va="center", color=GREY)
    claims = points["id"].str.partition(".")[0]
    for y in np.flatnonzero(claims.ne(claims.shift()))[1:]:
        ax.axhline(y - 0.5, color=GREY, linewidth=0.4, linestyle=":")
    ax.axvline(0, color=GREY, linewidth=0.6, zorder=0.5)
    ax.set_yticks(range(len(points)), points["id"] + "  " + points["name"])
    ax.tick_params(axis="y", length=0)


def interval(ax: Axes, y: float, effect: tuple[float, float, float], look: dict[str, Any]) -> None:
    """An effect (value, low, high) with its interval, if there are any; arrows, with the value, where the axis ends."""
    (value, low, high), (left, right), colour = effect, ax.get_xlim(), look["color"]
    if np.isfinite([low, high]).all():
        line = {"linewidth": look["linewidth"], "zorder": look.get("zorder")}
        ax.plot([low, high], [y, y], color=colour, solid_capstyle="butt", **line)
        for end, outside in ((left, low < left <= high), (right, low <= right < high)):
            if outside:
                ax.plot(end, y, color=colour, marker="<" if end == left else ">", markersize=3, clip_on=False)
    mark = {key: of for key, of in look.items() if key != "linewidth"}
    if left <= value <= right:
        ax.plot(value, y, linestyle="", **mark)
    elif np.isfinite(value):
        below = value < left
        ax.plot(left if below else right, y, linestyle="", **mark | {"marker": "<" if below else ">"}, clip_on=False)
        text, ground = f"{value:+.1f}".replace("-", "−"), {"facecolor": "white", "linewidth": 0, "pad": 0.4}
        where: dict[str, Any] = {"xytext": (6 if below else -6, 0), "ha": "left" if below else "right", "bbox": ground}
        ax.annotate(text, (left if below else right, y), textcoords="offset points", va="center", **where)


def write(claims_folder: Path | str, rules_path: Path | str, out: Path | str, vector: str = "pdf") -> None:
    """Draw the claims of a folder: out/forest.png, .csv (the points), and .pdf or .svg (vector).

    Raises
    ------
    UserError
        If there is no claims.csv, or it was made with other rules.
    """
    path, rules = Path(claims_folder) / "claims.csv", load_rules(rules_path)
    if not path.exists():
        raise UserError(f"{path} is missing: make it with `snakemake claims --cores 1`")
    claims = pd.read_csv(path)
    check_judged(claims, rules, path)
    points = rows_of(claims, rules)
    save(draw(points), points, Path(out) / FOREST, vector)
