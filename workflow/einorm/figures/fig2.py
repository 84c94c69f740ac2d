"""Figure 2: layer normalization helps an E-I network; without inhibition it helps as much."""

import pandas as pd

from .panels import condition_boxes, matched_scatter, top_rule
from .style import Drawn, Tables, grid, letter


def draw(tables: Tables) -> Drawn:
    """Panels (a) E-I with LN v without, matched configurations; (b) E-I LN v E-only LN, published rule and all runs."""
    runs = tables["runs"]
    figure, axes = grid(1, 3, 2.9, width_ratios=(1.5, 1, 1))
    parts = [matched_scatter(axes[0, 0], runs, "ei_ln", "ei_none", "a")]
    pair = ("ei_ln", "e_only_ln")
    for ax, rule in zip(axes[0, 1:], (top_rule(runs, pair), "all runs"), strict=True):
        values = lambda chosen: chosen["test_acc"]  # noqa: E731
        parts.append(condition_boxes(ax, runs, pair, values, "b", rule, "test accuracy (%)", accuracy=True))
        ax.set_title(rule.replace("rule: ", "rule:\n").replace(" by", "\nby"))
    for ax, text in zip(axes[0], "ab", strict=False):
        letter(ax, text)
    return figure, pd.concat(parts)
