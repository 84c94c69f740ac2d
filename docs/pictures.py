"""Draws the pictures of the documentation: python docs/pictures.py [NAME ...] [--out FOLDER].

Equal sources give equal bytes. The picture `rules` needs Graphviz (apt-get install graphviz).
"""

import argparse
import sys
import textwrap
from itertools import pairwise
from pathlib import Path

import matplotlib.pyplot as plt
import rulegraph
from einorm import config
from einorm.conditions import CONDITIONS
from einorm.runtime import PROJECT, UserError, atomic_path, nearest
from matplotlib import rc_context
from sketch import (
    BLUE,
    DARK_ORANGE,
    DARK_PINK,
    GREEN,
    GREY,
    INK,
    LOOK,
    MONO,
    ORANGE,
    PER_INCH,
    PINK,
    RED,
    area,
    arrow,
    box,
    canvas,
    stop,
    tint,
    write,
)

OUT = Path(__file__).parent / "pictures"


PANEL = tint(GREY, 0.08)
# What is on the way in the network: colour and dashes.
ACTIVITY = {"colour": INK}
ERROR = {"colour": RED, "dashes": (0, (5, 2))}
LOCAL = {"colour": BLUE, "dashes": (0, (1, 1.2)), "width": 2}

NORMALIZATIONS = {"none": ("none", GREY), "ln": ("LN", PINK), "learned": ("learned", BLUE)}
# error signal of a condition: what g becomes on its way back, in words, colour
FULL = r"$(g - \overline{g} - z\,\overline{g z}\,)\;/\;\sigma$"
POOLED = r"$g - \Sigma_i\, w_i g_i$"
ERROR_SIGNALS = {
    "unchanged": (r"$g$", "unchanged", GREY),
    "layer_norm": (FULL, "the exact gradient of LN", PINK),
    "full": (FULL, "as LN would send it back", PINK),
    "center": (r"$g - \overline{g}$", "centered", BLUE),
    "scale": (r"$g\;/\;\sigma$", "scaled", ORANGE),
    "decorrelate": (r"$g - z\,\overline{g z}$", "decorrelated", GREEN),
    "lateral": (POOLED, "pooled, w fixed", BLUE),
    "lateral_plastic": (POOLED, "pooled, w learns", BLUE),
}
SYMBOLS = (
    "g: the error signal that arrives. Line over a term: its mean over the layer's units. z: the normalized activity, "
    "LN's or the I-Norm layer's. σ: the standard deviation of the activity before LN, or of the I-Norm layer's output. "
    "Where nothing normalizes activity, z and σ are as LN would have them. w: weights of a pool, random at first. "
    "Layers that divide by q divide the error by it, too."
)


def architecture():
    """From the raw images to the report."""
    axes = canvas(330)
    area(axes, 6, 6, 523, 324, BLUE)
    area(axes, 529, 6, 894, 324, ORANGE)
    write(axes, 22, 28, "trains", 14, BLUE, weight="bold", ha="left")
    write(axes, 878, 28, "draws and judges, without torch", 14, DARK_ORANGE, weight="bold", ha="right")
    area(axes, 160, 76, 276, 228, BLUE, 0.2)
    area(axes, 628, 76, 740, 228, ORANGE, 0.3)
    for x, y, width, height, title, note, colour in [
        (58, 112, 94, 52, "raw images", "four IDX files", GREY),
        (58, 192, 94, 52, "config.yaml", "seed, epsilon", GREY),
        (218, 112, 100, 52, "images", "results/data", BLUE),
        (218, 192, 100, 52, "shift tables", "results/shifts", BLUE),
        (374, 152, 88, 60, "run shards", "results/runs", BLUE),
        (526, 152, 96, 152, "tables", "results/tables\n\nruns, epochs,\nsamples, costs\n(Parquet)", GREEN),
        (684, 112, 96, 52, "figures", "PDF, PNG, CSV", ORANGE),
        (684, 192, 96, 52, "claims", "results/claims", ORANGE),
        (844, 112, 90, 52, "report", "report.html", ORANGE),
        (844, 192, 90, 52, "bundle", "one zip", ORANGE),
        (526, 290, 148, 48, "archive", "paper_artifact/archive", GREEN),
        (720, 290, 164, 48, "published values", "and rules of the claims", GREY),
    ]:
        box(axes, x, y, width, height, title, note, colour)
    for points, label, at in [
        ([(105, 112), (168, 112)], "prepare", (132, 102)),
        ([(105, 192), (168, 192)], "shifts", (132, 182)),
        ([(276, 152), (330, 152)], "train", (302, 142)),
        ([(418, 152), (478, 152)], "collect", (447, 142)),
        ([(218, 76), (218, 56), (500, 56), (500, 76)], "samples", (360, 46)),
        ([(574, 112), (636, 112)], "figure", (601, 102)),
        ([(574, 192), (636, 192)], "claims", (601, 182)),
        ([(740, 112), (799, 112)], "report", (768, 102)),
        ([(740, 192), (799, 192)], "bundle", (768, 182)),
        ([(844, 138), (844, 166)], "", (0, 0)),
        ([(502, 228), (502, 266)], "archive", (472, 246)),
        ([(550, 266), (550, 228)], "results=archive", (610, 246)),
        ([(452, 290), (374, 290), (374, 182)], "reuse_archive=true", (302, 246)),
        ([(720, 266), (720, 228)], "", (0, 0)),
    ]:
        arrow(axes, *points)
        write(axes, *at, label, 11, **MONO)
    return axes.figure


def network():
    """The network, and an I-Norm layer of it with the ways of activity, of the task's error and of the local loss's."""
    axes = canvas(648)
    chain = [(60, 84, "x", "784 pixels", GREY), (208, 108, "layer 0", "H units", GREEN), (335, 58, "ReLU", "", GREY),
             (462, 108, "layer 1", "H units", GREEN), (589, 58, "ReLU", "", GREY),
             (720, 118, "E-I readout", "10 units", ORANGE), (850, 70, "loss", "task", RED)]  # fmt: skip
    for x, width, title, note, colour in chain:
        box(axes, x, 42, width, 48, title, note, colour)
    for (x, width, *_), (x2, width2, *_) in pairwise(chain):
        arrow(axes, (x + width / 2, 42), (x2 - width2 / 2, 42))
    area(axes, 6, 92, 894, 642, GREY, 0.08)
    axes.fill((154, 262, 894, 6), (66, 66, 100, 100), color=PANEL, linewidth=0, zorder=-1)
    write(axes, 22, 114, "one hidden layer, I-Norm", 14, weight="bold", ha="left")
    _pathways(axes)
    _ways_back(axes)
    for x, way, text in [
        (30, ACTIVITY, "activity"),
        (152, ERROR, "the task's error: trains Wex and b"),
        (448, LOCAL, "the local error: trains Wix and Bix"),
    ]:
        arrow(axes, (x, 618), (x + 36, 618), **way)
        write(axes, x + 44, 618, text, ha="left")
    stop(axes, 758, 618)
    write(axes, 768, 618, "stop-gradient", ha="left")
    return axes.figure


def _pathways(axes):
    """The layer's parts, and the activity through them."""
    for x, y, width, height, title, note, colour in [
        (58, 190, 64, 84, "x", "from the\nlayer\nbelow", GREY),
        (240, 190, 150, 84, "Wex", "excitatory units\nh = x Wexᵀ + b", GREEN),
        (470, 190, 44, 84, "−", "", ORANGE),
        (570, 190, 44, 84, "÷", "", PINK),
        (680, 190, 56, 84, "T", "", GREY),
        (764, 190, 56, 84, "ReLU", "", GREY),
        (850, 190, 64, 84, "", "to the\nnext\nlayer", GREY),
        (190, 330, 84, 46, "Wix", "learns", ORANGE),
        (305, 330, 86, 46, "inhibitory", "units", ORANGE),
        (412, 330, 72, 46, "Wei", "fixed", ORANGE),
        (190, 490, 84, 46, "Bix", "learns", PINK),
        (372, 490, 170, 46, "root mean square", "over the layer's width", PINK),
        (750, 410, 264, 76, "local loss", "λ E[ (mean z)² + (var z − 1)² ]\nx, h and b are constants in it", BLUE),
    ]:
        box(axes, x, y, width, height, title, note, colour)
    for points in [
        [(90, 212), (165, 212)], [(315, 212), (448, 212)], [(492, 212), (548, 212)], [(592, 212), (652, 212)],
        [(708, 212), (736, 212)], [(792, 212), (818, 212)], [(632, 212), (632, 372)],
        [(58, 232), (58, 490), (148, 490)], [(58, 330), (148, 330)], [(232, 330), (262, 330)], [(348, 330), (376, 330)],
        [(448, 330), (470, 330), (470, 232)], [(232, 490), (287, 490)], [(457, 490), (570, 490), (570, 232)],
    ]:  # fmt: skip
        arrow(axes, *points, **ACTIVITY)
    for x in (58, 470, 570):
        stop(axes, x, 256, upright=False)
    for x, y, text in [(382, 228, "h"), (612, 228, "z"), (458, 290, "p"), (558, 290, "q")]:
        write(axes, x, y, text, 13, style="italic")
    for x, y, colour, name, rule in [
        (206, 372, DARK_ORANGE, "subtractive inhibition", "p = (x Wixᵀ) Weiᵀ"),
        (148, 532, DARK_PINK, "divisive inhibition", "q² = mean (x Bixᵀ)² + 10⁻⁵"),
    ]:
        write(axes, x, y, name, 12, colour, ha="left", weight="bold")
        write(axes, x + 162, y, rule, ha="left")
    notes = "inorm_sub has no divisive inhibition, and its Wei learns; inorm_div has no subtractive inhibition.\n"
    notes += "In the readout, an E-I layer (Wex, Wix, Wei), the task's error trains all weights."
    write(axes, 30, 576, notes, 12, GREY, ha="left")


def _ways_back(axes):
    """The error of the task, through Wex only, and that of the local loss, to the inhibitory synapses only."""
    for x, x2, text in [
        (818, 792, ""), (736, 708, "g"), (652, 592, "g′"), (548, 492, "g′ / q"), (448, 315, "g′ / q"),
        (165, 90, "(g′/ q) Wex"),
    ]:  # fmt: skip
        arrow(axes, (x, 168), (x2, 168), **ERROR)
        write(axes, (x + x2) / 2, 154, text, 12, RED, style="italic")
    note = "T: passes activity as it is, and makes\ng′ of the error signal g on its way back"
    write(axes, 650, 262, note, ha="left")
    arrow(axes, (618, 410), (190, 410), (190, 353), over=PANEL, **LOCAL)
    arrow(axes, (190, 410), (190, 467), **LOCAL)


def conditions():
    """A row per condition, the paper's first: id, label, layer, normalization, formula, words, whether it is ours.

    Raises
    ------
    UserError
        If nothing is said here about a condition's layer, normalization or error signal.
    """
    paper = config.read(PROJECT / "config.yaml")["presets"]["paper"]["conditions"]
    rows = []
    for name, it in CONDITIONS.items():
        try:
            looks = it.kind.label, NORMALIZATIONS[it.normalization], ERROR_SIGNALS[it.error_signal]
        except KeyError as missing:
            raise UserError(f"condition {name}: say in docs/pictures.py how {missing} is drawn") from None
        rows.append((name, it.label, *looks, name not in paper))
    return sorted(rows, key=lambda row: row[-1])


def error_signals():
    """What each condition does to activity on its way forward, and to the error signal on its way back."""
    rows, step, y = conditions(), 34, 74
    ours = [row for row in rows if row[-1]]
    axes = canvas(y + step * (len(rows) + bool(ours)) + 72)
    write(axes, 16, 26, "condition", 13, weight="bold", ha="left")
    write(axes, 168, 26, "in figures", 13, GREY, ha="left")
    write(axes, 404, 20, "activity, forward", 13, weight="bold")
    write(axes, 707, 20, "error signal, on its way back", 13, RED, weight="bold")
    arrow(axes, (312, 38), (496, 38), **ACTIVITY)
    arrow(axes, (884, 38), (530, 38), **ERROR)
    for row in rows:
        if ours and row is ours[0]:
            axes.plot((16, 884), (y - 12, y - 12), color=GREY, linewidth=0.8)
            write(axes, 16, y + 5, "ours, not the paper's", 12, GREY, ha="left", style="italic")
            y += step
        _condition(axes, y, *row[:-1])
        y += step
    write(axes, 16, y + 24, textwrap.fill(SYMBOLS, 132), 11.5, GREY, ha="left")
    return axes.figure


def _condition(axes, y, name, label, layer, normalization, error):
    """A condition's row."""
    (normalizer, forward), (formula, words, back) = normalization, error
    write(axes, 16, y, name, 11.5, ha="left", weight="bold", **MONO)
    write(axes, 168, y, label, 12, GREY, ha="left")
    box(axes, 360, y, 96, 25, layer, colour=GREEN, size=11.5, gid=f"condition-{name}")
    arrow(axes, (408, y), (434, y), **ACTIVITY)
    box(axes, 465, y, 62, 25, normalizer, colour=forward, size=11.5)
    arrow(axes, (530, y), (496, y), **ERROR)
    box(axes, 610, y, 160, 27, formula, colour=back)
    write(axes, 704, y, words, ha="left")


PICTURES = {
    "architecture": ("How data flows through the project", architecture),
    "network": ("The network and the pathways of an I-Norm layer", network),
    "error_signals": ("The error signal in each condition", error_signals),
}
GRAPH = "rules"  # drawn by Graphviz


def save(name, folder, kind="svg"):
    """Draw a picture into a folder, as SVG that holds no date and refers to nothing outside."""
    title, draw = PICTURES[name]
    metadata = dict.fromkeys(["Date", "Creator", "Format", "Type"]) | {"Title": title} if kind == "svg" else {}
    with rc_context(LOOK), atomic_path(Path(folder) / f"{name}.{kind}") as temporary:
        figure = draw()
        figure.savefig(temporary, format=kind, dpi=PER_INCH, metadata=metadata)
        plt.close(figure)


def main(arguments=None):
    parser = argparse.ArgumentParser(description="Draw the pictures of the documentation.")
    parser.add_argument("names", nargs="*", metavar="NAME", help="pictures (default: all)")
    parser.add_argument("--out", type=Path, default=OUT, help="folder to write to (default: docs/pictures)")
    options = parser.parse_args(arguments)
    names = [*PICTURES, GRAPH]
    for name in set(options.names) - set(names):
        raise UserError(f"no picture is called {name}{nearest(name, names)}")
    for name in options.names or names:
        if name == GRAPH:
            rulegraph.save(options.out / f"{name}.svg")
        else:
            save(name, options.out)


if __name__ == "__main__":
    try:
        main()
    except UserError as error:
        sys.exit(f"einorm: error: {error}")
