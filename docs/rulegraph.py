"""The picture of the workflow's rules and of what they wait for: Snakemake tells them, Graphviz draws them.

Rules that differ in nothing but a name are one node: the figures, and the training jobs by their length.
"""

import re
import shutil
import subprocess
import sys
import tempfile

from einorm.figures import FIGURES, known
from einorm.runtime import PROJECT, UserError, atomic_path
from einorm.tasks import TASKS
from einorm.variants import QUESTIONS
from matplotlib.colors import to_hex
from sketch import BLUE, GREEN, GREY, ORANGE, tint

READING = (
    "An arrow leads from a rule to one that waits for its files. Arrows that a longer way implies are left out.\\l"
    "Rules that differ in nothing but what they draw, or in how long they train, are one box.\\l"
)
# where a rule stands: colour, as in the picture of the architecture
FILES = {"data.smk": BLUE, "train.smk": BLUE, "tables.smk": GREEN, "outputs.smk": ORANGE}
LOOK = """\
rankdir=LR; nodesep=0.2; ranksep=0.45; size="9.4"; bgcolor=white;
fontname="DejaVu Sans"; fontsize=10; labelloc=b; labeljust=l;
node [shape=box, style="rounded,filled", fontname="DejaVu Sans", fontsize=11, margin="0.12,0.06"];
edge [arrowsize=0.7, color="#222222"];"""


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
    """Nodes with the rules that they stand for, and edges between them."""
    nodes = {}
    for rule in rules:
        nodes.setdefault(node(rule), []).append(rule)
    between = {(node(a), node(b)) for a, b in edges if node(a) != node(b)}
    return nodes, sorted(between)


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


def dot(nodes, edges):
    """A graph in the dot language."""
    files, lines = homes(nodes), [f'label="{READING}";', LOOK]
    for name, members in nodes.items():
        colour = FILES.get(files[name], GREY)
        note = f"<br/>{text}" if (text := shown(name, members)) else ""
        label = f'<<b>{name}</b><font point-size="9">{note}<br/>{files[name]}</font>>'
        lines.append(f'{name} [label={label}, color="{to_hex(colour)}", fillcolor="{to_hex(tint(colour))}"];')
    lines += [f"{a} -> {b};" for a, b in edges]
    return "digraph rules {\n" + "\n".join(lines) + "\n}\n"


def shown(name, members):
    """The rules in a node, as text; nothing if it is one rule only."""
    shorter = [member.removeprefix(f"{name}_") for member in members]
    return "" if len(members) == 1 else ", ".join(shorter if len(shorter) <= 3 else [*shorter[:2], "…"])


def save(path):
    """Draw the workflow's rules as SVG, without arrows that a longer way implies. Raises UserError without Graphviz."""
    if not shutil.which("dot"):
        raise UserError("the picture of the rules needs Graphviz: install it (apt-get install graphviz)")
    text = dot(*rules())
    for command in (["tred"], ["dot", "-Tsvg"]):
        text = subprocess.run(command, input=text, capture_output=True, text=True, check=True).stdout
    with atomic_path(path) as temporary:
        temporary.write_text(re.sub(r"<!--.*?-->\n?", "", text, flags=re.DOTALL), encoding="utf-8")
