"""Figure 3, published beside ours."""

import pandas as pd

from ..analysis.selection import top_runs
from . import versus
from .style import Drawn, Tables, grid, letter


def draw(tables: Tables) -> Drawn:
    """Mean and variance over units, top 10 per epsilon, pooled: published boxes (open) and ours."""
    figure, (axes,) = grid(1, 2, 3.0)
    parts = []
    for ax, metric, name in zip(axes, ("mu", "var"), ("μ (mean over units)", "variance over units"), strict=True):
        trio = ("ei_none", "inorm_sub", "inorm")
        parts.append(versus.boxes(ax, tables, "Fig3", f"{metric}_box", trio, "pooled", metric, top_runs))
        ax.set(
            ylabel=name,
            yscale="log" if metric == "var" and len(parts[-1]) else "linear",
            title="open: published; Δ: between quartiles",
        )
        letter(ax, "a" if metric == "mu" else "b")
    return figure, pd.concat(parts)
