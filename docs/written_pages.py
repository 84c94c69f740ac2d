"""Pages written from deviations.yaml, claims.yaml and the code: findings, a page per claim, tables of the model.

A part of `make docs-results` (`archived_results`).
"""

import json
import os

import einorm
import nbformat
import pandas as pd
import yaml
from einorm import config, figures
from einorm.analysis import claims, explain, findings, published, statements
from einorm.artifact import report, wording
from einorm.artifact.summary import summary
from einorm.conditions import CONDITIONS, LAMBDA
from einorm.hyperparameters import hyperparameters
from einorm.learning import LABEL_SMOOTHING
from einorm.records import archive, tables
from einorm.records.archive import KINDS
from einorm.records.runs import cell_runs, cells, run_digest
from einorm.runtime import atomic_path, duration
from einorm.settings import Settings
from einorm.tools import budget
from marks import ARCHIVES, ARTIFACT, DOCS, PROJECT, PUBLISHED, bullets, fill, markdown, with_interval
from nbclient import NotebookClient

TERMS = (
    "LN+ is the network without inhibition and with layer normalization (LN). All terms: [Glossary](../glossary.md)."
)
HYPERPARAMETERS = {
    "lr": "learning rate of Wex and b",
    "lr_wei": "learning rate of Wei",
    "lr_wix": "learning rate of Wix and Bix",
    "hidden_width": "H, excitatory units of a hidden layer",
}
KERNEL = {"display_name": "Python 3", "language": "python", "name": "python3"}
CORES = 2  # of the machine that the times are of
PAGES = {"collapses": "Why runs collapse", "robustness": "Robustness", "reproduce": "Reproduce"}
PAGES |= {"reproduction": "Reproduction, replication, robustness"}
NORMALIZATION = {"none": "none", "ln": "LN", "learned": "learned by inhibition"}


def write():
    """Write all pages."""
    write_findings()
    write_claims()
    write_model()
    write_paths()
    write_costs()
    write_notebook()


def write_findings(page=DOCS / "deviations.md", readme=PROJECT / "README.md"):
    """Write what is done differently and what was found into a page, and lines of it into another."""
    texts = findings.load(ARTIFACT / "deviations.yaml")
    short = [ARCHIVES / name for name in KINDS["robustness"]]
    rules = statements.load_rules(ARTIFACT / "claims.yaml")
    sources = findings.read(ARCHIVES / archive.SHOWN, short, rules, PUBLISHED)
    found = [findings.filled(entry, findings.numbers(entry, sources)) for entry in texts["findings"]]
    fill(page, {"deviations": deviations_table(texts["deviations"]), "findings": "\n".join(map(section, found))})
    caveats = [entry["short"] for entry in found if "short" in entry] + texts["caveats"]
    differences = [entry["short"] for entry in texts["deviations"] if "short" in entry]
    fill(readme, {"caveats": bullets(caveats), "differences": bullets(differences)})


def deviations_table(entries):
    """What the original did, what is done here, and why."""
    rows = [[e["what"], e["original"], e["here"] + see(e), e["why"]] for e in entries]
    return markdown(("what", "original", "here", "why"), [[" ".join(text.split()) for text in row] for row in rows])


def section(entry):
    """A finding as a section of a page: finding, mechanism, caveat, with its figure."""
    parts = [
        f"### {entry['title']}",
        entry["finding"],
        f"**Mechanism.** {findings.STATUS[entry['status']]} {entry['mechanism']}",
    ]
    parts += [f"**Caveat.** {entry['caveat']}{see(entry)}", picture(entry["figure"], "paper")]
    return "".join(f"{part}\n\n" for part in parts).rstrip("\n") + "\n"


def see(entry):
    """Links to the pages that say more."""
    links = [f"[{PAGES[page.partition('.')[0]]}]({page})" for page in entry.get("see", [])]
    return f" See {', '.join(links)}." if links else ""


def picture(figure, folder):
    """A figure with its caption as alternative text."""
    caption = " ".join(figures.caption(figure).read_text(encoding="utf-8").split())
    return f"![{caption}]({folder}/{figure}.png)"


def write_claims(folder=DOCS / "claims", results=DOCS / "results.md"):
    """Write a page per claim into a folder, and the sentences of what was found into another page."""
    rules, values = statements.load_rules(ARTIFACT / "claims.yaml"), published.load(PUBLISHED)
    tables = ARCHIVES / archive.SHOWN
    judged = claims.evaluate(rules, einorm.load(tables)["runs"], settings_of(tables), values)
    for claim in rules.claims:
        with atomic_path(folder / f"{claim}.md") as temporary:
            temporary.write_text(claim_page(claim, rules, judged), encoding="utf-8")
    fill(results, {"summary": bullets(summary(judged[judged["selection"] == "all"]))})


def settings_of(folder):
    """Settings that made an archive."""
    return Settings(**archive.check(folder)["settings"])


def claim_page(claim, rules, judged):
    """The page of a claim: its statements with their verdicts, the published figures next to ours, all numbers."""
    own = [statement for statement in rules.statements if statement.id.split(".")[0] == claim]
    judged = judged.fillna(dict.fromkeys(report.TEXTS, ""))
    found = {name: group.to_dict("records") for name, group in judged.groupby("id")}
    rows = []
    for statement in own:
        row = found[statement.id][0]
        theirs = with_interval(*(row[f"published_{name}"] for name in ("effect", "low", "high")), " (no interval)")
        here = with_interval(row["effect"], row["low"], row["high"])
        size = wording.size_in_words(row["size_verdict"])
        rows.append([f"[{statement.id}](#{anchor(statement.id)})", statement.text, theirs or "–", here or "–"])
        rows[-1] += [row["verdict"], size]
    shown = dict.fromkeys(name for s in own for name in (f"published_{s.figure}", s.figure))
    parts = [f"# {claim}: {rules.claims[claim]}", f"Made from the archive `{archive.SHOWN}` by `make docs-results`."]
    parts += [TERMS]
    parts += [markdown(("", "statement", "published (95 % interval)", "here (95 % interval)", "verdict", "size"), rows)]
    parts += [picture(name, "../paper") for name in shown if (DOCS / "paper" / f"{name}.png").exists()]
    for statement in own:
        told = explain.explain(statement, found[statement.id], rules)
        table = markdown(("", ""), [(label, text.replace("|", r"\|")) for label, text in told.items()])
        parts += [f"## {statement.id}", table]
    return "\n\n".join(part.rstrip("\n") for part in parts) + "\n"


def anchor(name):
    """The anchor of a heading that is a statement's id."""
    return name.lower().replace(".", "")


def write_model(page=DOCS / "model.md"):
    """Write the tables of conditions and parameters into the model's description."""
    settings = config.load(PROJECT / "config.yaml", "paper")
    chosen = pd.DataFrame(hyperparameters()).iloc[list(settings.configs)]
    parameters = [
        [f"`{name}`", meaning, *(f"{of(chosen[name]):.3g}" for of in (min, pd.Series.median, max))]
        for name, meaning in HYPERPARAMETERS.items()
    ]
    fixed = [("epochs", settings.epochs), ("batch size", settings.batch_size), ("label smoothing", LABEL_SMOOTHING)]
    fixed += [("lambda, weight of the local loss", LAMBDA), ("momentum, weight decay", 0)]
    fixed += [("epsilons", ", ".join(f"{epsilon:g}" for epsilon in settings.epsilons)), ("configurations", len(chosen))]
    rows = [
        [f"`{n}`", c.label, c.kind.label, NORMALIZATION[c.normalization], f"`{c.error_signal}`"]
        for n, c in CONDITIONS.items()
    ]
    fill(page, {
        "conditions": markdown(("condition", "name", "hidden layers", "normalization", "error signal"), rows),
        "fixed": markdown(("parameter", "value"), fixed),
        "hyperparameters": markdown(("column", "meaning", "lowest", "median", "highest"), parameters),
    })  # fmt: skip


def write_paths(page=PROJECT / "README.md"):
    """Write the ways to use the artifact, with what they cost, into a page."""
    speeds = budget.speeds_of(json.loads((ARTIFACT / "benchmark.json").read_text(encoding="utf-8")))
    rows = []
    for path in yaml.safe_load((ARTIFACT / "paths.yaml").read_text(encoding="utf-8")):
        hours = path.get("core_minutes", 0) / 60
        if "preset" in path:
            hours += budget.core_hours(config.load(PROJECT / "config.yaml", path["preset"]), speeds)
        row = [path["path"], f"`{path['command']}`", duration(hours / CORES * 3600)]
        rows.append([*row, f"{path['memory_gb']} GB".replace(" a job GB", " GB a job"), f"{path['disk_gb']} GB"])
        rows[-1].append(path["conclude"])
    headings = ("path", "command", f"time on {CORES} cores", "memory", "disk", "what you may conclude")
    fill(page, {"paths": markdown(headings, rows)})


def write_costs(page=DOCS / "reproduce.md"):
    """Write what archived runs took into a page, beside the benchmark's prediction."""
    speeds = budget.speeds_of(json.loads((ARTIFACT / "benchmark.json").read_text(encoding="utf-8")))
    rows = []
    for name in ("quick", *KINDS["replication"], *KINDS["reproduction"]):
        held, settings = einorm.load(ARCHIVES / name), Settings(**archive.check(ARCHIVES / name)["settings"])
        planned = {run_digest(run): run for cell in cells(settings) for run in cell_runs(settings, *cell)}
        costs = held["costs"].merge(held["runs"], on=[*tables.KEYS], validate="1:1").query("status == 'finished'")
        costs["predicted"] = [budget.estimate([planned[digest]], speeds) for digest in costs["digest"]]
        for recorded, part in costs.groupby(costs["cpu_seconds"].notna()):
            took, predicted = part["seconds"].sum(), part["predicted"].sum()
            cpu = part["cpu_seconds"].sum()
            on_cpu = (f"{cpu / 3600:.1f}", f"{cpu / predicted:.1f} ×") if recorded else ("not recorded", "–")
            hours = [f"{seconds / 3600:.1f}" for seconds in (predicted, took)]
            rows.append([f"`{name}`", len(part), *hours, f"{took / predicted:.1f} ×", *on_cpu])
    headings = ("archive", "finished runs", "predicted", "took", "of the prediction", "CPU time", "of the prediction")
    fill(page, {"costs": markdown(headings, rows)})


def write_notebook(path=DOCS / "explore.ipynb"):
    """Execute the notebook on the archive that is shown, and keep its outputs."""
    notebook = nbformat.read(path, as_version=4)
    client = NotebookClient(notebook, timeout=300, record_timing=False, resources={"metadata": {"path": str(DOCS)}})
    # without the backend of our figures, which draws nothing into a notebook
    client.execute(env={name: value for name, value in os.environ.items() if name != "MPLBACKEND"})
    for cell in notebook.cells:
        cell.metadata = {}
    notebook.metadata = {"kernelspec": KERNEL, "language_info": {"name": "python"}}
    with atomic_path(path) as temporary:
        temporary.write_text(nbformat.writes(notebook) + "\n", encoding="utf-8")
