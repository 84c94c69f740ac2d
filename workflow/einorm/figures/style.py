"""Look of all figures: fonts, colours that the colour-blind tell apart, saving with equal bytes for equal data."""

import os

os.environ |= {"SOURCE_DATE_EPOCH": "0", "MPLBACKEND": "agg"}  # no dates in files: equal data, equal bytes; no window

import matplotlib

matplotlib.use("Agg")

import matplotlib.pyplot as plt
import seaborn as sns

from ..conditions import CONDITIONS
from ..runtime import atomic_path, write_csv

WIDTH = 7.2  # inches, two columns of print
DPI = 200
REFERENCE = "#c8102e"  # the red dotted line of Figs. 6 and 7
GREY = "0.45"

# Okabe and Ito's palette; conditions beyond it repeat colours with another line style and marker.
PALETTE = ["#0072B2", "#E69F00", "#009E73", "#D55E00", "#CC79A7", "#56B4E9", "#000000"]
LINES = ["-", "--", ":", "-."]
MARKERS = "osD^vPX"
# Few conditions share a panel of boxes or histograms: these are told apart at a glance.
CONDITION_COLOURS = {
    "ei_none": "#999999",
    "ei_ln": "#0072B2",
    "e_only_ln": "#D55E00",
    "inorm_sub": "#E69F00",
    "inorm": "#009E73",
    "gradnorm_full": "#CC79A7",
    "gradnorm_center": "#0072B2",
    "gradnorm_scale": "#E69F00",
    "gradnorm_decorrelate": "#009E73",
    "lateral_inhibition": "#E69F00",
}

matplotlib.rcdefaults()  # a figure depends on no matplotlibrc: neither a user's nor one in the working folder
sns.set_theme(
    style="ticks",
    rc={
        "font.sans-serif": ["DejaVu Sans"],  # comes with matplotlib, so that no machine draws with a font of its own
        "font.size": 8,
        "axes.labelsize": 8,
        "axes.titlesize": 8,
        "legend.fontsize": 7,
        "xtick.labelsize": 7,
        "ytick.labelsize": 7,
        "axes.linewidth": 0.7,
        "lines.linewidth": 1.2,
        "legend.frameon": False,
        "axes.spines.top": False,
        "axes.spines.right": False,
        "pdf.fonttype": 42,
        "svg.hashsalt": "einorm",
    },
)


def label(condition):
    """Name of a condition in figures."""
    return CONDITIONS[condition].label if condition in CONDITIONS else condition


def colour(condition):
    """Colour of a condition in boxes and histograms."""
    return CONDITION_COLOURS.get(condition, GREY)


def line(condition):
    """Colour and line style of a condition among many."""
    i = list(CONDITIONS).index(condition) if condition in CONDITIONS else 0
    return {"color": PALETTE[i % len(PALETTE)], "linestyle": LINES[i // len(PALETTE) % len(LINES)]}


def epsilon_style(epsilon, epsilons):
    """Colour and marker of an epsilon among those drawn: light to dark as luminosity varies more."""
    shades = sns.color_palette("viridis_r", 101)
    i = sorted(epsilons).index(epsilon)
    return {"color": shades[int(15 + 80 * epsilon)], "marker": MARKERS[i % len(MARKERS)]}


def grid(rows, columns, height, **options):
    """Figure of print width with rows x columns axes (always a 2-d array), and room between them."""
    return plt.subplots(rows, columns, figsize=(WIDTH, height), squeeze=False, layout="constrained", **options)


def letter(ax, text):
    """Panel letter, as in the paper."""
    ax.text(-0.02, 1.03, text, transform=ax.transAxes, fontsize=10, fontweight="bold", ha="right", va="bottom")


def save(figure, points, stem):
    """Write stem.pdf, stem.png and stem.csv (the plotted points), each atomically."""
    metadata = {"pdf": {"CreationDate": None, "ModDate": None}, "png": {"Software": None}}
    for kind, fields in metadata.items():
        with atomic_path(stem.with_suffix(f".{kind}")) as temporary:
            figure.savefig(temporary, format=kind, dpi=DPI, metadata=fields)
    write_csv(points, stem.with_suffix(".csv"))
    plt.close(figure)
