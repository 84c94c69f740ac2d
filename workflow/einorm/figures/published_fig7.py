"""Figure 7, published beside ours."""

import pandas as pd

from . import versus
from .style import Drawn, Tables, grid


def draw(tables: Tables) -> Drawn:
    """Test accuracy per epsilon: lateral inhibition, centering and full GradNorm, published (open) and ours."""
    figure, axes = grid(1, 1, 3.6)
    place = axes[0, 0].get_subplotspec()
    axes[0, 0].remove()
    conditions = ("lateral_inhibition", "gradnorm_center", "gradnorm_full")
    return figure, pd.concat(versus.accuracy_boxes(figure, place, tables, "Fig7", conditions))
