"""Figure 4, published beside ours."""

import pandas as pd

from . import versus
from .style import Drawn, Tables, grid, letter


def draw(tables: Tables) -> Drawn:
    """Panels (a) LN+ v I-Norm; (b) output and gradient alignment of I-Norm at epsilon 0.75."""
    return draw_learned(tables, "Fig4", "inorm")


def draw_learned(tables: Tables, number: str, condition: str) -> Drawn:
    """The panels of Figs. 4 and 5 for one I-Norm condition."""
    figure, axes = grid(2, 2, 5.2, height_ratios=(1.35, 1))
    parts = [versus.scatters(axes[0], tables, number, "scatter", "e_only_ln", condition)]
    for ax, name in zip(axes[1], ("output", "gradient"), strict=True):
        parts.append(versus.histogram(ax, tables, number, f"hist_{name}", condition, 0.75, f"{name}_alignment"))
    for ax, text in zip(axes[:, 0], "ab", strict=True):
        letter(ax, text)
    return figure, pd.concat(parts)
