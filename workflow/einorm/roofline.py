"""The benchmark as a figure: speed against arithmetic intensity, under the roofs of this machine."""

import numpy as np
import pandas as pd
from matplotlib.ticker import NullLocator

from .figures.style import GREY, PALETTE, grid, letter, save

SHAPES = dict(zip((1, 2, 4, 8), "osD^", strict=True))


def draw(result, stem):
    """Draw a benchmark (`benchmark.run`) to stem.pdf, .png and .csv: (a) roofline, (b) share of the peak."""
    steps = pd.DataFrame(result["steps"])
    figure, (axes,) = grid(1, 2, 3.0)
    draw_roofs(axes[0], result, steps)
    for i, (family, rows) in enumerate(steps.groupby("family", sort=False)):
        for runs, points in rows.groupby("runs"):
            look = {"color": PALETTE[i], "marker": SHAPES.get(runs, "o"), "s": 16}
            label = f"{family}, R = {runs}"
            axes[0].scatter(points["flops_per_byte"], points["gflops"], **look)
            axes[1].plot(points["width"], 100 * points["share_of_peak"], color=PALETTE[i], marker=look["marker"],
                         markersize=4, linewidth=0.8, label=label)  # fmt: skip
    axes[1].axhline(100, color=GREY, linestyle=":")
    axes[1].set(xlabel="H (units)", ylabel="share of the peak (%)", ylim=(0, None))
    axes[1].set_xticks(sorted(steps["width"].unique()))
    figure.legend(*axes[1].get_legend_handles_labels(), loc="outside right upper")
    for ax, text in zip(axes, "ab", strict=True):
        letter(ax, text)
    save(figure, steps, stem)


def draw_roofs(ax, result, steps):
    """The peak of matrix products, and what memory and cache can feed."""
    peak = result["peak_gflops"]["square"]
    x = np.geomspace(0.3, 10 * steps["flops_per_byte"].max(), 50)
    for (name, speed), style in zip(result["bandwidth"].items(), ("--", "-"), strict=True):
        roof = np.minimum(peak, speed * x)
        ax.plot(x, roof, color=GREY, linestyle=style, linewidth=1, label=f"{name}, {speed:.0f} GB/s")
    ax.set(xscale="log", yscale="log", xlabel="FLOP per byte of weights moved", ylabel="GFLOP/s")
    ax.set(ylim=(0.1 * peak, 1.5 * peak), xlim=(x[0], x[-1]))
    ticks = [t for t in (5, 10, 20, 50, 100, 200, 500, 1000) if 0.1 * peak <= t <= 1.5 * peak]
    ax.set_yticks(ticks, map(str, ticks))
    ax.yaxis.set_minor_locator(NullLocator())
    ax.legend(loc="lower right")
