"""The lambda sweep of I-Norm: weight of the local loss against alignment and accuracy (no published values)."""

import pandas as pd

from ..records.tables import layer_mean
from .panels import accuracy_limits, collapsed_note, points, say_missing
from .style import Drawn, Tables, alignment_axis, area, epsilon_style, grid, letter

ALIGNMENT = "output alignment (cosine)"


def draw(tables: Tables) -> Drawn:
    """Panels (a) output alignment, (b) test accuracy against lambda: every run, the median; 0.01 is condition inorm."""
    runs = tables["runs"]
    figure, (axes,) = grid(1, 2, 2.9)
    for ax, text in zip(axes, "ab", strict=True):
        letter(ax, text)
    if not (runs["condition"] == "inorm_lambda").any():
        for ax in axes:
            say_missing(ax, ("inorm_lambda",))
        return figure, pd.DataFrame()
    swept = runs[runs["condition"] == "inorm_lambda"]["epsilon"].unique()
    chosen = runs[runs["condition"].isin(["inorm", "inorm_lambda"]) & runs["epsilon"].isin(swept)]
    parts = []
    metrics = {
        ALIGNMENT: layer_mean(chosen, "output_alignment"),
        "test accuracy (%)": chosen["test_acc"],
    }
    for ax, (name, values), panel in zip(axes, metrics.items(), "ab", strict=True):
        for i, (epsilon, group) in enumerate(chosen.assign(value=values).groupby("epsilon")):
            style = epsilon_style(epsilon)
            at = group["lambda_"] * (1 + 0.08 * i)  # epsilons side by side
            ax.scatter(at, group["value"], s=area(0.6), alpha=0.5, linewidth=0, **style)
            median = group.groupby("lambda_")["value"].median()
            ax.plot(median.index * (1 + 0.08 * i), median, linewidth=1.4, label=f"{epsilon:g}", **style)
        ax.set(xscale="log", xlabel="λ", ylabel=name)
        parts.append(points(panel, chosen, values))
    alignment_axis(axes[0].yaxis)
    low, high = accuracy_limits(chosen)
    axes[1].set_ylim(low, high)
    below, lost = int((chosen["test_acc"] < low).sum()), int(metrics[ALIGNMENT].isna().sum())
    axes[0].set_title(f"{lost} of {len(chosen)} runs without value" if lost else "")
    axes[1].set_title(
        ", ".join(
            filter(None, [f"{below} runs below the axis" if below else "", collapsed_note(chosen).replace("\n", " ")])
        )
    )
    figure.legend(*axes[0].get_legend_handles_labels(), title="ε", loc="outside right upper")
    return figure, pd.concat(parts)
