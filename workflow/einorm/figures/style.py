"""Look of all figures: einorm.mplstyle, a colour and marker per condition and epsilon; equal bytes for equal data."""

import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any

os.environ |= {"SOURCE_DATE_EPOCH": "0", "MPLBACKEND": "agg"}  # no dates in files: equal data, equal bytes; no window

import matplotlib

matplotlib.use("Agg")

import matplotlib.pyplot as plt
import numpy as np
from matplotlib.axes import Axes
from matplotlib.axis import XAxis, YAxis
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator
from numpy.typing import ArrayLike, NDArray
from pandas import DataFrame

from ..runtime import atomic_path, write_csv
from . import STYLE

Tables = dict[str, Any]  # what a figure is drawn from: DataFrames and the rules, see `figures`
Drawn = tuple[Figure, DataFrame]  # with the plotted points
PRINT = 8  # points: the font size at which figures have their sizes in inches
REFERENCE = "#c8102e"  # the red dotted line of Figs. 6 and 7
GREY = "0.45"

matplotlib.rcdefaults()  # a figure depends on no matplotlibrc: neither a user's nor one in the working folder
plt.style.use(STYLE)

PALETTE: list[str] = plt.rcParams["axes.prop_cycle"].by_key()["color"]  # of groups that are no conditions
LINES = ["-", "--", ":", "-."]
# Condition -> colour and marker, the same in every figure. Those of the paper first; no colour is used twice.
LOOKS = {
    "ei_none": ("#7f7f7f", "o"),
    "ei_ln": ("#0072B2", "s"),
    "e_only_ln": ("#D55E00", "D"),
    "inorm_sub": ("#882255", "v"),
    "inorm": ("#009E73", "^"),
    "gradnorm_full": ("#CC79A7", "P"),
    "gradnorm_center": ("#56B4E9", "X"),
    "gradnorm_scale": ("#E69F00", "<"),
    "gradnorm_decorrelate": ("#332288", ">"),
    "lateral_inhibition": ("#999933", "p"),
    "ei_ln_detached": ("#004466", "s"),
    "e_only_none": ("#b3b3b3", "d"),
    "e_only_ln_detached": ("#7a2f00", "D"),
    "inorm_lambda": ("#44AA99", "^"),
    "inorm_div": ("#117733", "v"),
    "gradnorm_sub": ("#AA4499", "P"),
    "lateral_plastic": ("#c2a64a", "p"),
    "e_error_only": ("#000000", "d"),
}
# Epsilon -> marker and line, by value; the colour goes from light to dark as luminosity varies more.
EPSILON_MARKERS = {0: ("o", "-"), 0.25: ("s", "--"), 0.5: ("D", "-."), 0.75: ("^", (0, (1, 1)))}
SHADES = matplotlib.colormaps[plt.rcParams["image.cmap"]]


def colour(condition: str) -> str:
    """Colour of a condition."""
    return LOOKS.get(condition, (GREY, "o"))[0]


def marker(condition: str) -> str:
    """Marker of a condition."""
    return LOOKS.get(condition, (GREY, "o"))[1]


def epsilon_look(epsilon: float) -> dict[str, Any]:
    """Colour, marker and line style of an epsilon, by its value."""
    mark, line = EPSILON_MARKERS.get(epsilon, ("v", "-"))
    return {"color": SHADES(0.15 + 0.8 * epsilon), "marker": mark, "linestyle": line}


def epsilon_style(epsilon: float) -> dict[str, Any]:
    """Colour and marker of an epsilon, for marks."""
    return {name: value for name, value in epsilon_look(epsilon).items() if name != "linestyle"}


def curve_look(epsilon: float, length: int) -> dict[str, Any]:
    """Colour and line style of a curve of some epochs, by its epsilon; a curve of one is its marker."""
    look = epsilon_look(epsilon)
    return look if length == 1 else look | {"marker": ""}


def epoch_axis(axis: XAxis) -> None:
    """Let an axis count epochs: its ticks are integers, also where there is only one epoch."""
    low, high = axis.get_view_interval()
    at_least = min(2, int(high) - int(np.ceil(low)) + 1)
    axis.set_major_locator(MaxNLocator("auto", steps=[1, 2, 2.5, 5, 10], integer=True, min_n_ticks=at_least))


def alignment_axis(axis: XAxis | YAxis, ticks: Sequence[float] = (0, 0.5, 0.9, 0.99, 0.999)) -> None:
    """Let an axis of cosines spread out what is close to 1: equal steps are equal factors of the distance from 1."""
    set_scale = getattr(axis.axes, f"set_{axis.axis_name}scale")
    set_scale("function", functions=(spread, unspread))
    axis.set_ticks(ticks, [f"{tick:g}" for tick in ticks])
    axis.set_ticks([], minor=True)


def spread(cosine: ArrayLike) -> Any:
    """Where an alignment is drawn on an `alignment_axis`: 0 at 0, 1 at 0.9, 2 at 0.99, and at most 4."""
    return -np.log10(np.clip(1 - np.asarray(cosine, float), 1e-4, None))


def unspread(place: ArrayLike) -> Any:
    """The alignment at a place of `spread`."""
    return 1 - 10 ** -np.asarray(place, float)


def size(height: float) -> tuple[float, float]:
    """Width and height (inches) of a figure that is `height` high in print; both grow with the style file's font."""
    scale = plt.rcParams["font.size"] / PRINT
    return plt.rcParams["figure.figsize"][0] * scale, height * scale


def area(share: float) -> float:
    """Area of a scatter plot's marks, as a share of that of the style file's marks."""
    return float(share * plt.rcParams["lines.markersize"] ** 2)


def grid(rows: int, columns: int, height: float, **options: Any) -> tuple[Figure, NDArray[Any]]:
    """Figure of print width with rows x columns axes (always a 2-d array), and room between them."""
    return plt.subplots(rows, columns, figsize=size(height), squeeze=False, layout="constrained", **options)


def letter(ax: Axes, text: str) -> None:
    """Panel letter, as in the paper."""
    ax.text(-0.02, 1.03, text, transform=ax.transAxes, fontsize="large", fontweight="bold", ha="right", va="bottom")


def save(figure: Figure, points: DataFrame, stem: Path, vector: str = "pdf") -> None:
    """Write stem.png, stem.csv (the plotted points) and the same as vector graphics (pdf or svg), each atomically.

    A file of the other vector format is removed, since it would show the figure as it was before.
    """
    dates = {"CreationDate": None, "ModDate": None} if vector == "pdf" else {"Date": None}
    for kind, fields in {vector: dates, "png": {"Software": None}}.items():
        with atomic_path(stem.with_suffix(f".{kind}")) as temporary:
            figure.savefig(temporary, format=kind, metadata=fields)
    write_csv(
        points if len(points.columns) else points.reindex(columns=["condition", "epsilon"]), stem.with_suffix(".csv")
    )
    stem.with_suffix(".svg" if vector == "pdf" else ".pdf").unlink(missing_ok=True)
    plt.close(figure)
