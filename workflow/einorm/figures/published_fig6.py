"""Figure 6, published beside ours."""

import pandas as pd

from . import versus
from .style import Drawn, Tables, grid, letter


def draw(tables: Tables) -> Drawn:
    """Panels (a) gradient alignment, epsilons pooled; (b) test accuracy per epsilon by the published rule."""
    figure, axes = grid(2, 3, 6.4, height_ratios=(1, 2.2))
    parts = []
    for ax, part in zip(axes[0], ("center", "decorrelate", "scale"), strict=True):
        parts.append(
            versus.histogram(ax, tables, "Fig6", "hist_gradient", f"gradnorm_{part}", "pooled", "gradient_alignment")
        )
    place = axes[1, 0].get_gridspec()[1, :]
    for ax in axes[1]:
        ax.remove()
    conditions = ("gradnorm_scale", "gradnorm_decorrelate", "gradnorm_center", "gradnorm_full")
    parts += versus.accuracy_boxes(figure, place, tables, "Fig6", conditions)
    letter(axes[0, 0], "a")
    letter(figure.axes[3], "b")
    return figure, pd.concat(parts)
