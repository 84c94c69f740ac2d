"""The picture of the workflow's rules and of what they wait for, as Snakemake tells them.

Rules that differ in nothing but a name are one node: the figures, and the training jobs by their length.
"""

import re
import subprocess
import sys
import tempfile
import textwrap
from graphlib import TopologicalSorter
from itertools import pairwise

from einorm.figures import FIGURES, known
from einorm.runtime import PROJECT, UserError
from einorm.tasks import TASKS
from einorm.variants import QUESTIONS
from sketch import BLUE, GREEN, GREY, ORANGE, WIDTH, arrow, bent, box, canvas, write

READING = (
    "An arrow leads from a rule to one that waits for its files. Arrows that a longer way implies are left out.\n"
    "Rules that differ in nothing but what they draw, or in how long they train, are one box."
)
ROW = 90  # pixels
# where a rule stands: colour, as in the picture of the architecture
FILES = {"data.smk": BLUE, "train.smk": BLUE, "tables.smk": GREEN, "outputs.smk": ORANGE}
SWEEPS = 8  # over the layers, when ordering them: more change nothing in graphs of this size


def snakemake(*arguments):
    """What Snakemake prints about the workflow, smoke preset; in an empty folder, so that no finished job matters."""
    command = [sys.executable, "-m", "snakemake", *arguments, "--snakefile", PROJECT / "Snakefile"]
    with tempfile.TemporaryDirectory() as folder:
        options = ["--directory", folder, "--config", "preset=smoke", "results=computed"]
        done = subprocess.run([*command, *options], capture_output=True, text=True)
    if done.returncode:
        raise UserError(f"snakemake {arguments[0]} failed: {(done.stderr or done.stdout).strip().splitlines()[-1]}")
    return done.stdout


def parse(dot):
    """Rules, and pairs (a rule, one that waits for it), of a graph in the dot language."""
    names = dict(re.findall(r'^\s*(\d+)\[label = "(\w+)"', dot, re.M))
    arrows = re.findall(r"^\s*(\d+) -> (\d+)\s*$", dot, re.M)
    return sorted(names.values()), sorted((names[a], names[b]) for a, b in arrows)


def node(rule):
    """The node that a rule is drawn in."""
    if rule.startswith("train_"):
        return "train"
    _, module = known(TASKS, QUESTIONS).get(rule, (None, None))
    return "figures" if module in FIGURES else rule


def grouped(rules, edges):
    """Nodes with the rules that they stand for, and edges between them, without those that a longer way implies."""
    nodes = {}
    for rule in rules:
        nodes.setdefault(node(rule), []).append(rule)
    between = {(node(a), node(b)) for a, b in edges if node(a) != node(b)}
    return nodes, sorted(without_shortcuts(between))


def without_shortcuts(edges):
    """Edges that no longer way between the same two nodes implies."""
    after = {a: {c for b, c in edges if b == a} for a, _ in edges}

    def reached(a):
        return set().union(*({b} | reached(b) for b in after.get(a, ())))

    return {(a, b) for a, b in edges if not any(b in reached(c) for c in after[a])}


def rules():
    """Nodes and edges of the whole workflow: everything that a rule without wildcards, named as target, asks for."""
    targets = snakemake("--list-target-rules").split()
    return grouped(*parse(snakemake(*targets, "--rulegraph", "dot")))


def homes(nodes):
    """The file that each node's rules stand in; a file of unnamed rules is named after what they do."""
    found = {}
    for file in [PROJECT / "Snakefile", *sorted((PROJECT / "workflow" / "rules").glob("*.smk"))]:
        written = re.findall(r"^rule (\w+):", file.read_text(encoding="utf-8"), re.M)
        found |= {name: file.name for name in [*written, file.stem]}
    return {name: found[name] for name in nodes}


def depths(nodes, edges):
    """Layer of each node: after all it waits for, and right before what waits for it."""
    before = {name: [a for a, b in edges if b == name] for name in nodes}
    after = {name: [b for a, b in edges if a == name] for name in nodes}
    order, depth = list(TopologicalSorter(before).static_order()), {}
    for name in order:
        depth[name] = max((depth[a] + 1 for a in before[name]), default=0)
    for name in reversed(order):
        depth[name] = min((depth[b] - 1 for b in after[name]), default=depth[name])
    return depth


def place(nodes, edges):
    """Where to draw a graph from left to right.

    Returns
    -------
    dict node -> (layer, height), heights in steps about 0, and per edge the list of points it passes
    """
    depth = depths(nodes, edges)
    ways = [[a, *((a, b, d) for d in range(depth[a] + 1, depth[b])), b] for a, b in edges]
    layers = [[] for _ in range(max(depth.values()) + 1)]
    for name in [*sorted(nodes), *(stop for way in ways for stop in way[1:-1])]:
        layers[name[2] if isinstance(name, tuple) else depth[name]].append(name)
    links = [link for way in ways for link in pairwise(way)]
    heights = ordered(layers, links)
    spots = {name: (i, heights[name]) for i, layer in enumerate(layers) for name in layer}
    return {name: spots[name] for name in nodes}, [[spots[stop] for stop in way] for way in ways]


def ordered(layers, links):
    """Heights of the members of each layer: each as near as may be to the mean of its neighbours'."""
    heights = {}
    neighbours = {
        name: [a for a, b in links if b == name] + [b for a, b in links if a == name]
        for layer in layers
        for name in layer
    }

    def spread(layer):
        heights.update({name: i - (len(layer) - 1) / 2 for i, name in enumerate(layer)})

    def wish(name):
        near = neighbours[name]
        return sum(heights[other] for other in near) / len(near) if near else len(heights)

    for layer in layers:
        spread(layer)
    for sweep in range(SWEEPS):
        for layer in layers[:: 1 if sweep % 2 else -1]:
            layer.sort(key=wish)
            spread(layer)
    return heights


def draw():
    """The workflow's rules, as Snakemake tells them: what waits for what."""
    nodes, edges = rules()
    files = homes(nodes)
    places, ways = place(nodes, edges)
    steps = max(layer for layer, _ in places.values())
    rows = max(abs(height) for _, height in places.values()) * 2 + 1
    axes = canvas(ROW * rows + 70)

    def spot(place):
        return 64 + place[0] * (WIDTH - 128) / steps, 8 + (place[1] + rows / 2) * ROW

    for name, members in nodes.items():
        colour = FILES.get(files[name], GREY)
        note = f"{shown(name, members)}\n{files[name]}".strip()
        box(axes, *spot(places[name]), 108, 74, name, note, colour, gid=f"rule-{name}")
    for way in ways:
        arrow(axes, *bent([spot(stop) for stop in way]))
    write(axes, 16, ROW * rows + 40, READING, 11.5, GREY, ha="left")
    return axes.figure


def shown(name, members):
    """The rules in a node, as text; nothing if it is one rule only."""
    shorter = [member.removeprefix(f"{name}_") for member in members]
    if len(members) == 1:
        return ""
    return textwrap.fill(", ".join(shorter if len(shorter) <= 3 else [*shorter[:2], "…"]), 14)
