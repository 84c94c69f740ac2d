"""Figure 2, published beside ours."""

import pandas as pd

from ..analysis.selection import top_runs
from . import versus
from .style import Drawn, Tables, grid, letter


def draw(tables: Tables) -> Drawn:
    """Panels (a) E-I with LN v without, published and ours; (b) E-I LN v E-only LN, top 10 per epsilon, pooled."""
    figure, (axes,) = grid(1, 3, 3.1, width_ratios=(1.2, 1.2, 1))
    parts = [versus.scatters(axes[:2], tables, "Fig2", "a_scatter", "ei_ln", "ei_none")]
    place = ("Fig2", "b_box_top10_per_eps_pooled", ("ei_ln", "e_only_ln"), "pooled", "test_acc", top_runs)
    parts.append(versus.boxes(axes[2], tables, *place))
    axes[2].set(ylabel="test accuracy (%)", title="top 10 per ε, pooled\n(open: published)")
    for ax, text in zip(axes[[0, 2]], "ab", strict=True):
        letter(ax, text)
    return figure, pd.concat(parts)
