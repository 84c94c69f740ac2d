"""Figure 7: centering by lateral inhibition with random fixed synapses."""

import pandas as pd

from .fig6 import against_ln
from .style import Drawn, Tables, grid


def draw(tables: Tables) -> Drawn:
    """Test accuracy per epsilon: lateral inhibition, centering and full GradNorm against LN+."""
    figure, axes = grid(1, 1, 3.0)
    place = axes[0, 0].get_subplotspec()
    axes[0, 0].remove()
    conditions = ("lateral_inhibition", "gradnorm_center", "gradnorm_full")
    return figure, pd.concat(against_ln(figure, place, tables, conditions, "a"))
