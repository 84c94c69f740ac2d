"""What the archives say, put into the pages: `make docs-results`; also what the other modules here make.

Of all archives: `reproduction_page`. Of the archive that is shown (`archive.SHOWN`): what was run and found into
README.md, the claims with their verdicts into docs/results.md, and figures into docs/paper. Of the presets
robustness_*: a table and a figure each, into docs/robustness.md and docs/robustness. Of the presets for which
predictions were written: `predicted_pages`. Tables are between the marks ``<!-- table NAME -->`` and ``<!-- end -->``;
tests compare pages and pictures with the archives.
"""

import sys
import tempfile
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1] / "workflow"))
sys.path.insert(0, str(Path(__file__).parent))

import einorm
import numpy as np
import pandas as pd
import predicted_pages
import reproduction_page
import written_pages
from einorm import config
from einorm.analysis import claims, explain, published, statements
from einorm.analysis.judging import VERDICTS
from einorm.analysis.robustness import robustness
from einorm.artifact.summary import in_words
from einorm.conditions import CONDITIONS
from einorm.figures import forest
from einorm.records import archive, costs, lineage, provenance, runs
from einorm.settings import Settings
from einorm.variants import QUESTIONS
from marks import (
    ARCHIVES,
    ARTIFACT,
    DOCS,
    PROJECT,
    PUBLISHED,
    fill,
    keep,
    markdown,
    with_interval,
    write_picture,
)

# The figures that the pages show, with that of all statements.
SHOWN = (
    "published_fig2",
    "published_fig4",
    "fig5",
    "fig6",
    "published_fig5",
    "published_fig6",
    "fig7",
    "learning_rates",
    "moments_alignment",
)
MARKS = "†‡§¶"  # of what had been seen when a statement was added or its rule changed
ROBUSTNESS_HEADINGS = (
    "trained",
    "runs",
    "condition",
    "n",
    "collapsed",
    "at chance",
    "median (%)",
    "change (points)",
    "from LN+ (points)",
)


def write_paper(page=PROJECT / "README.md", results=DOCS / "results.md", pictures=DOCS / "paper"):
    """Write pictures to a folder, what was run and found into a page, verdicts and what is complete into another."""
    folder, rules = ARCHIVES / archive.SHOWN, statements.load_rules(ARTIFACT / "claims.yaml")
    for name in SHOWN:
        write_picture(name, folder, Path(pictures) / f"{name}.png")
    held, manifest = einorm.load(folder), archive.check(folder)
    cells, spent = pd.DataFrame(manifest["cells"]), costs.cost(held["runs"], held["costs"])
    judged = claims.evaluate(rules, held["runs"], Settings(**manifest["settings"]), published.load(PUBLISHED))
    with tempfile.TemporaryDirectory() as made:
        points = forest.rows_of(judged, rules)
        forest.save(forest.draw(points), points, Path(made) / "forest")
        keep(Path(made) / "forest.png", Path(pictures) / "forest.png")
    spent_in_words = cost(cells, spent["all"], archive.trainings(folder))
    kind = archive.kind_of(manifest["settings"])
    fill(page, {"glance": glance_table(judged, spent_in_words, kind)})
    fill(results, {"claims": claims_table(judged, rules), "cells": cells_table(cells, spent["conditions"])})
    fill(results, {"cost": spent_in_words})


def write_codes(page=DOCS / "reproduce.md"):
    """Write which code trained which archive into a page."""
    rows = []
    for folder in sorted(path.parent for path in ARCHIVES.glob("*/manifest.json")):
        found = pd.DataFrame(lineage.of_cells(einorm.load(folder)["runs"]))
        for relation, part in found.groupby("relation"):
            made_by = sorted({provenance.short(commit) for group in part["commits"] for commit in group})
            commits = ", ".join(f"`{commit}`" for commit in made_by)
            rows.append(
                [f"`{folder.name}`", part["runs"].sum(), commits or "not recorded", lineage.RELATIONS[relation]]
            )
    fill(page, {"codes": markdown(("archive", "runs", "commit", "their code"), rows)})


def write_robustness(page=DOCS / "robustness.md", pictures=DOCS / "robustness"):
    """Write the picture of every question to a folder, and its table into the page, between its marks."""
    answers = {}
    for question in QUESTIONS:
        folder = ARCHIVES / f"robustness_{question}"
        write_picture(f"robustness_{question}", folder, Path(pictures) / f"{question}.png")
        answers[question] = robustness_table(einorm.load(folder)["runs"])
    fill(page, answers)


def glance_table(judged, spent, kind):
    """What was run and found: runs done of those planned; verdicts and cost of the archive that is shown, of a kind."""
    plain = judged[judged["selection"] == "all"]["verdict"]
    planned = planned_runs("paper")
    done = len(einorm.load(ARCHIVES / "paper")["runs"]) if (ARCHIVES / "paper").exists() else 0
    numbers = {"reproduction": "the published random numbers", "replication": "our own random numbers"}
    so_far = f"{done:,} of {planned:,} runs" + ("; continues cell by cell" if done < planned else "")
    rows = [("Reproduction (the published random numbers)", so_far)] if kind != "reproduction" else []
    rows += [
        (f"{kind.capitalize()} ({numbers[kind]})", spent.strip()),
        (f"Verdicts of the {kind}", in_words(plain, reversed(VERDICTS))),
        ("Seeds", "one on each side: 0, as published"),
        ("The authors' cost", "about 920 GPU-hours for 2,760 runs"),
    ]
    return markdown(("", ""), rows)


def planned_runs(preset):
    """How many runs a preset of config.yaml asks for."""
    settings = config.load(PROJECT / "config.yaml", preset)
    return sum(len(runs.cell_runs(settings, *cell)) for cell in runs.cells(settings))


def claims_table(judged, rules):
    """Every statement of claims.yaml with its effect, the published one, and both verdicts, by each selection."""
    history = {text: MARKS[i] for i, text in enumerate(judged["revised"].dropna().unique())}
    rows = []
    for statement in rules.statements:
        for r in judged[judged["id"] == statement.id].to_dict("records"):
            plain = r["selection"] == "all"
            name = statement.id + history.get(statement.revised, "")
            text = statement.text if plain else f"the same, {explain.SELECTED[r['selection']]}"
            reasons = {"not computed": "", "inconclusive": f": {r['reason']}"}
            here = with_interval(r["effect"], r["low"], r["high"])
            theirs = with_interval(r["published_effect"], r["published_low"], r["published_high"], " (no interval)")
            theirs += " ≈" if r["published_approximate"] and np.isfinite(r["published_low"]) else ""
            verdict = r["verdict"] + reasons.get(r["verdict"], "")
            by_median = r["median_verdict"] not in ("", r["verdict"])
            verdict += f" (by the median difference: {r['median_verdict']})" if by_median else ""
            rows.append([name if plain else "", text, theirs or "–", here or "–", verdict, r["size_verdict"]])
    headings = ("", "statement", "published (95 % interval)", "here (95 % interval)", "holds here?", "published size?")
    marks = ". ".join(f"{mark} {text}" for text, mark in history.items())
    return markdown(headings, rows) + f"\n{marks}. ≈ approximate.\n"


def cost(cells, spent, trainings):
    """How many runs of an archive are finished, and what they cost, in words; spent: `costs.hours` of all of them."""
    machines = "; ".join(dict.fromkeys(provenance.machine_name(training["machine"]) for training in trainings))
    total = cells[["finished", "planned", "collapsed"]].sum()
    return (
        f"{total['finished']:,} of {total['planned']:,} runs are finished, {total['collapsed']} of them collapsed. "
        f"They took {costs.hours_in_words(spent)} ({machines}).\n"
    )


def cells_table(cells, spent):
    """Runs finished of those planned, a row per condition and a column per epsilon; spent: `costs.hours` of each."""
    units = {"core_hours": "core-hours", "gpu_hours": "GPU-hours"}
    shown = [unit for unit in units if unit == "core_hours" or any(hours[unit] for hours in spent.values())]
    epsilons = sorted(cells["epsilon"].unique())
    rows = []
    for condition, group in cells.groupby("condition", sort=False):
        of = group.set_index("epsilon")
        counts = [f"{of.loc[e, 'finished']} of {of.loc[e, 'planned']}" if e in of.index else "" for e in epsilons]
        hours = [f"{spent.get(condition, {}).get(unit, 0):.1f}" for unit in shown]
        rows.append([f"{CONDITIONS[condition].label} (`{condition}`)", *counts, *hours])
    return markdown(("condition", *(f"ε {e:g}" for e in epsilons), *(units[unit] for unit in shown)), rows)


def robustness_table(runs):
    """The answers of an archive's runs."""
    rows = []
    for r in robustness(runs).itertuples():
        name = f"{CONDITIONS[r.condition].label} (`{r.condition}`)"
        sizes = [
            with_interval(getattr(r, size), getattr(r, f"{size}_low"), getattr(r, f"{size}_high"))
            for size in ("change", "versus_ln")
        ]
        rows.append(
            [f"`{r.variant}`", r.selection, name, r.n, r.collapsed, r.at_chance, f"{r.median_test_acc:.2f}", *sizes]
        )
    return markdown(ROBUSTNESS_HEADINGS, rows)


if __name__ == "__main__":
    write_codes()
    write_paper()
    reproduction_page.write()
    written_pages.write()
    write_robustness()
    predicted_pages.write()
