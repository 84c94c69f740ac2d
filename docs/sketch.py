"""Boxes, arrows and words of the documentation's pictures: colours that the colour-blind tell apart, on white.

Coordinates are pixels of a picture 900 wide, from the top left corner.
"""

import matplotlib.pyplot as plt
from einorm.figures.style import PALETTE
from matplotlib.colors import to_rgb
from matplotlib.patches import FancyBboxPatch

WIDTH, PER_INCH = 900, 96
BLUE, ORANGE, GREEN, RED, PINK = PALETTE[:5]
INK, GREY = "#222222", "#5a5a5a"
DARK_ORANGE, DARK_PINK = "#8a5f00", "#9c4a78"  # for text
MONO = {"family": "DejaVu Sans Mono"}
# The fonts that come with matplotlib, drawn as paths: the same everywhere.
LOOK = {
    "font.family": "DejaVu Sans",
    "mathtext.fontset": "dejavusans",
    "svg.fonttype": "path",
    "svg.hashsalt": "einorm",
    "lines.solid_capstyle": "butt",
}


def tint(colour, share=0.16):
    """A colour mixed with white."""
    return tuple(1 - share * (1 - part) for part in to_rgb(colour))


def canvas(height):
    """Axes over a whole white figure, in pixels."""
    figure = plt.figure(figsize=(WIDTH / PER_INCH, height / PER_INCH), facecolor="white")
    axes = figure.add_axes((0, 0, 1, 1), xlim=(0, WIDTH), ylim=(height, 0))
    axes.axis("off")
    return axes


def write(axes, x, y, text, size=12, colour=INK, **options):
    """Text about a point; size in pixels."""
    look = {"ha": "center", "va": "center", "linespacing": 1.3, "zorder": 5} | options
    axes.text(x, y, text, fontsize=size * 72 / PER_INCH, color=colour, **look)


def box(axes, x, y, width, height, title, note="", colour=GREY, size=13, gid=None):
    """A rounded box about a point, with a title and smaller lines below it."""
    corner = (x - width / 2, y - height / 2)
    look = {"boxstyle": "round,pad=0,rounding_size=6", "facecolor": tint(colour), "edgecolor": colour}
    axes.add_patch(FancyBboxPatch(corner, width, height, linewidth=1.2, zorder=4, gid=gid, **look))
    lines = len(note.splitlines())
    write(axes, x, y - 8 * lines, title, size, weight="bold")
    write(axes, x, y + 9, note, 11, GREY)


def area(axes, left, top, right, bottom, colour, share=0.07):
    """A tinted area behind everything."""
    look = {"boxstyle": "round,pad=0,rounding_size=10", "facecolor": tint(colour, share), "edgecolor": "none"}
    axes.add_patch(FancyBboxPatch((left, top), right - left, bottom - top, zorder=0, **look))


def arrow(axes, *points, colour=INK, dashes="-", width=1.4, over=None):
    """A line through points, with a head at its end; over: as a bridge over others, on a background of this colour."""
    (x, y), (x2, y2) = points[-2:]
    end, along = complex(x2, y2), complex(x2 - x, y2 - y) / abs(complex(x2 - x, y2 - y))
    head = [end, end - along * (9 + 4j), end - along * (9 - 4j)]
    axes.fill([p.real for p in head], [p.imag for p in head], color=colour, linewidth=0, zorder=3)
    neck = end - 8 * along  # the line ends inside the head
    path = list(zip(*points[:-1], (neck.real, neck.imag), strict=True))
    if over:
        axes.plot(*path, color=over, linewidth=8, zorder=2)
    axes.plot(*path, color=colour, linestyle=dashes, linewidth=width, zorder=2)


def stop(axes, x, y, upright=True):
    """A bar across a line at which errors stop."""
    dx, dy = (0, 9) if upright else (9, 0)
    axes.plot((x - dx, x + dx), (y - dy, y + dy), color=INK, linewidth=4, zorder=3)
