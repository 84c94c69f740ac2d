"""Figure 4: normalizing the activity alone (I-Norm) does not reach LN+; its outputs align, its gradients do not."""

import pandas as pd
from pandas import DataFrame

from ..records.tables import layer_mean
from .panels import alignment_histogram, choose, matched_scatter, missing, say_missing
from .style import GREY, Drawn, Tables, colour, grid, letter


def draw(tables: Tables) -> Drawn:
    """Panels (a) LN+ v I-Norm, matched configurations; (b) output and gradient alignment of I-Norm."""
    return draw_learned(tables["runs"], "inorm")


def draw_learned(runs: DataFrame, condition: str) -> Drawn:
    """The panels of Figs. 4 and 5 for one I-Norm condition; alignments at the largest epsilon, as published."""
    figure, (axes,) = grid(1, 2, 3.3)
    parts = [matched_scatter(axes[0], runs, "e_only_ln", condition, "a")]
    if missing(runs, (condition,)):
        parts.append(say_missing(axes[1], (condition,)))
    else:
        chosen = choose(runs, condition)
        chosen = chosen[chosen["epsilon"] == chosen["epsilon"].max()]
        series = {
            name: (chosen, layer_mean(chosen, f"{name}_alignment"), shade)
            for name, shade in (("gradient", colour(condition)), ("output", GREY))
        }
        parts.append(alignment_histogram(axes[1], series, "b", "alignment with LN (cosine)", near_one=True))
        axes[1].set_title(f"ε = {chosen['epsilon'].max():g}")
    for ax, text in zip(axes, "ab", strict=True):
        letter(ax, text)
    return figure, pd.concat(parts)
