"""Figure 3: inhibitory plasticity drives the moments of the activity to 0 and 1."""

import pandas as pd

from ..records.tables import layer_mean
from .panels import condition_boxes, top_rule
from .style import GREY, Drawn, Tables, grid, letter

TRIO = ("ei_none", "inorm_sub", "inorm")


def draw(tables: Tables) -> Drawn:
    """Mean and variance over units (mean of both hidden layers) by the published rule and for all runs."""
    runs = tables["runs"]
    figure, axes = grid(2, 2, 4.6, sharey="row")
    parts = []
    for row, metric, target in zip(axes, ("mu", "var"), (0, 1), strict=True):
        for ax, rule in zip(row, (top_rule(runs, TRIO), "all runs"), strict=True):
            values = lambda chosen, metric=metric: layer_mean(chosen, metric)  # noqa: E731
            name = "μ (mean over units)" if metric == "mu" else "variance over units"
            part = condition_boxes(ax, runs, TRIO, values, metric, rule, name)
            if len(part):
                ax.axhline(target, color=GREY, linestyle=":", linewidth=1)
                ax.set_yscale("log" if metric == "var" else "linear")
            parts.append(part)
        letter(row[0], "a" if metric == "mu" else "b")
    return figure, pd.concat(parts)
