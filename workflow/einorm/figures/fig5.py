"""Figure 5: normalizing the error signals as well (GradNorm) reaches LN+, and gradients align."""

from .fig4 import draw_learned
from .style import Drawn, Tables


def draw(tables: Tables) -> Drawn:
    """Panels (a) LN+ v GradNorm, matched configurations; (b) output and gradient alignment of GradNorm."""
    return draw_learned(tables["runs"], "gradnorm_full")
