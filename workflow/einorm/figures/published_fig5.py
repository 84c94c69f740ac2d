"""Figure 5, published beside ours."""

from .published_fig4 import draw_learned
from .style import Drawn, Tables


def draw(tables: Tables) -> Drawn:
    """Panels (a) LN+ v GradNorm; (b) output and gradient alignment of GradNorm at epsilon 0.75."""
    return draw_learned(tables, "Fig5", "gradnorm_full")
