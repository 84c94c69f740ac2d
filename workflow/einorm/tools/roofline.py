"""The benchmark as a figure: speed against arithmetic intensity, under the roofs of this machine or of its GPU."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.ticker import NullLocator
from pandas import DataFrame

from ..figures.style import GREY, PALETTE, grid, letter, save

SHAPES = dict(zip((1, 2, 4, 8), "osD^", strict=True))


def draw(result: dict[str, Any], stem: Path) -> None:
    """Draw a benchmark (`benchmark.run`) to stem.pdf, .png and .csv: (a) roofline, (b) share of the peak."""
    steps = pd.DataFrame(result["steps"])
    if "device" in result:
        return draw_gpu(result, steps, stem)
    figure, (axes,) = grid(1, 2, 3.0)
    draw_roofs(axes[0], result["peak_gflops"]["square"], result["bandwidth"], steps)
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


def draw_gpu(result: dict[str, Any], steps: DataFrame, stem: Path) -> None:
    """A GPU's benchmark (`benchmark_gpu.run`): (a) roofline, the fused step filled, (b) ms of a step."""
    figure, (axes,) = grid(1, 2, 3.0)
    draw_roofs(axes[0], result["peak"]["square"], {"copies": result["peak"]["copy"]}, steps)
    for i, (family, rows) in enumerate(steps.groupby("family", sort=False)):
        for kind, points in rows.groupby("kind"):
            look = {"edgecolors": PALETTE[i], "facecolors": PALETTE[i] if kind == "fused" else "none", "s": 20}
            axes[0].scatter(points["flops_per_byte"], points["gflops"], **look)
            style = "-o" if kind == "fused" else "--o"
            look = {"color": PALETTE[i], "markersize": 4, "markerfacecolor": look["facecolors"], "linewidth": 0.8}
            axes[1].plot(points["runs"], points["ms_per_step"], style, label=f"{family}, {kind}", **look)
    axes[1].set(xlabel="runs side by side", ylabel="ms per step", ylim=(0, None))
    figure.legend(*axes[1].get_legend_handles_labels(), loc="outside right upper")
    for ax, text in zip(axes, "ab", strict=True):
        letter(ax, text)
    save(figure, steps, stem)


def draw_roofs(ax: Axes, peak: float, bandwidth: Mapping[str, float], steps: DataFrame) -> None:
    """The peak of matrix products (GFLOP/s), and what memory and cache can feed (GB/s)."""
    x = np.geomspace(0.3, 10 * steps["flops_per_byte"].max(), 50)
    for (name, speed), style in zip(bandwidth.items(), ("--", "-"), strict=False):
        roof = np.minimum(peak, speed * x)
        ax.plot(x, roof, color=GREY, linestyle=style, linewidth=1, label=f"{name}, {speed:.0f} GB/s")
    ax.set(xscale="log", yscale="log", xlabel="FLOP per byte of weights moved", ylabel="GFLOP/s")
    ax.set(ylim=(0.1 * peak, 1.5 * peak), xlim=(x[0], x[-1]))
    ticks = [
        t
        for t in (5, 10, 20, 50, 100, 200, 500, 1000, 2000, 5000, 10000, 20000, 50000)
        if 0.1 * peak <= t <= 1.5 * peak
    ]
    ax.set_yticks(ticks, map(str, ticks))
    ax.yaxis.set_minor_locator(NullLocator())
    ax.legend(loc="lower right")
