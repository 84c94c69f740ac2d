"""Figure 1: sample images without and with variable luminosity."""

from typing import Any

import matplotlib.pyplot as plt
import numpy as np

from ..runtime import UserError
from .style import Drawn, Tables, size


def draw(tables: Tables) -> Drawn:
    """One test image per class, unshifted and shifted (Fig. 1): a row for the smallest and the largest epsilon."""
    samples = tables["samples"]
    epsilons = sorted({samples["epsilon"].min(), samples["epsilon"].max()}) if len(samples) else []
    columns = max(1, samples["image"].nunique())
    figure, axes = plt.subplots(
        max(1, len(epsilons)), columns, figsize=size(0.95 * max(1, len(epsilons)) + 0.1), squeeze=False,
        layout="constrained",
    )  # fmt: skip
    for ax in axes.flat:
        ax.set(xticks=[], yticks=[])
        ax.spines[:].set_visible(False)
    if not epsilons:
        axes[0, 0].text(0.5, 0.5, "not computed: sample images", ha="center", va="center")
    for row, epsilon in zip(axes, epsilons, strict=False):
        row[0].set_ylabel(f"ε = {epsilon:g}")
        chosen = samples[samples["epsilon"] == epsilon].sort_values("label")
        for ax, sample in zip(row, chosen.itertuples(), strict=False):
            ax.imshow(square(sample.pixels), cmap="gray", vmin=0, vmax=1)
            ax.set_xlabel(f"{sample.shift + 0.0:+.2f}", labelpad=2)
    points = samples[samples["epsilon"].isin(epsilons)].drop(columns="pixels").assign(panel="a")
    return figure, points


def square(pixels: Any) -> Any:
    """Pixels (n) as a square image; raises UserError where they are none."""
    side = int(np.sqrt(len(pixels)))
    if side**2 != len(pixels):
        raise UserError(f"fig1 draws square images, and these have {len(pixels)} pixels: make another fig1.py for them")
    return np.reshape(pixels, (side, side))
