"""Effects on test accuracy at every one of the last epochs (`einorm.analysis.late_effects`)."""

from typing import Any

import pandas as pd
from matplotlib.axes import Axes
from pandas import DataFrame

from ..analysis.run_by_run import OWN, RELEASE
from ..conditions import label
from .panels import say_missing
from .style import GREY, PALETTE, Drawn, Tables, epoch_axis, grid

SHOWN = ("C5.1", "C6.1", "C6.8")  # statements of claims.yaml, a panel each
LOOKS: dict[str, dict[str, Any]] = {  # of the random numbers: as in `run_by_run` the published ones are filled
    RELEASE: {"color": PALETTE[0], "linestyle": "-", "label": "the published runs' random numbers"},
    OWN: {"color": PALETTE[1], "linestyle": "--", "label": "our own random numbers"},
}
COLUMNS = ["randomness", "id", "x", "y", "epsilon", "epoch", "effect", "low", "high"]


def draw(tables: Tables) -> Drawn:
    """A panel per statement: effect (points) over epochs with its 95 % interval; the last epoch is marked.

    Draws ``tables["effects_by_epoch"]``: DataFrames "effects" and "late", the files of `late_effects.write`.
    """
    found = tables.get("effects_by_epoch", {})
    effects, late = found.get("effects", pd.DataFrame(columns=COLUMNS)), found.get("late", pd.DataFrame(columns=["id"]))
    effects = effects[effects["id"].isin(SHOWN)]
    figure, axes = grid(1, len(SHOWN), 2.5, sharey=True)
    if effects.empty:
        for ax in axes.flat[1:]:
            ax.axis("off")
        return figure, say_missing(axes[0, 0], ["gradnorm_full", "gradnorm_center"])
    for ax, name in zip(axes.flat, SHOWN, strict=True):
        panel(ax, effects[effects["id"] == name], late[late["id"] == name])
    axes[0, 0].set_ylabel("effect\n(points of test accuracy)")
    handles = {text: handle for ax in axes.flat for handle, text in zip(*ax.get_legend_handles_labels(), strict=True)}
    figure.legend(handles.values(), handles.keys(), loc="outside upper center", ncols=3)
    names = [f"{row.id}: {label(row.x)} − {label(row.y)}, epsilon {row.epsilon:g}" for row in effects.itertuples()]
    points = effects.assign(panel=names).rename(columns={"randomness": "series", "effect": "value", "x": "condition"})
    return figure, points.drop(columns="y")


def panel(ax: Axes, effects: DataFrame, late: DataFrame) -> None:
    """One statement's effects, of both series, and the published effect at its epoch, the last."""
    if effects.empty:
        ax.axis("off")
        return
    first = effects.iloc[0]
    ax.axhline(0, color=GREY, linewidth=0.7)
    for name, rows in effects.groupby("randomness", sort=False):
        look = LOOKS[name]
        ax.fill_between(rows["epoch"], rows["low"], rows["high"], color=look["color"], alpha=0.2, linewidth=0)
        ax.plot(rows["epoch"], rows["effect"], **look)
        face = look["color"] if name == RELEASE else "white"
        ax.plot(*rows[["epoch", "effect"]].iloc[-1], marker="o", color=look["color"], markerfacecolor=face, zorder=3)
    last = effects["epoch"].max()
    theirs = late.iloc[0]
    if pd.notna(theirs["published_effect"]):
        ends = theirs[["published_low", "published_high"]].astype(float)
        ax.plot([last + 1.5] * 2, ends, color="black", linewidth=1)
        mark: dict[str, Any] = {"marker": "o", "color": "black", "markerfacecolor": "white", "linestyle": ""}
        ax.plot(last + 1.5, theirs["published_effect"], **mark, label="published", zorder=3)
    ax.set(title=f"{label(first['x'])} −\n{label(first['y'])}, ε = {first['epsilon']:g}", xlabel="epoch")
    epoch_axis(ax.xaxis)
