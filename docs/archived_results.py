"""What the archives say, put into the pages: `make docs-results`; also what `written_pages` makes.

Of all archives: what reproduction, replication and robustness say to each claim into README.md, and to each statement
into docs/reproduction.md, with the comparison of single runs. Of the archive that is shown (`archive.SHOWN`): what was
run and found into README.md, the claims with their verdicts into docs/results.md, and figures into docs/paper. Of the
presets robustness_*: a table and a figure each, into docs/robustness.md and docs/robustness. Of the presets for which
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
import written_pages
from einorm import config
from einorm.analysis import (
    claims,
    explain,
    published,
    rounding,
    run_by_run,
    run_by_run_predictions,
    side_by_side,
    statements,
)
from einorm.analysis.judging import VERDICTS
from einorm.analysis.robustness import robustness
from einorm.analysis.run_by_run import WITHIN
from einorm.artifact import wording
from einorm.artifact.summary import in_words
from einorm.conditions import CONDITIONS
from einorm.figures import forest
from einorm.records import archive, costs, lineage, provenance, runs
from einorm.records.archive import KINDS
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
    number,
    with_interval,
    write_picture,
)

# The figures that the pages show, with that of all statements.
SHOWN = (
    "published_fig4",
    "fig5",
    "fig6",
    "published_fig5",
    "published_fig6",
    "fig7",
    "learning_rates",
    "moments_alignment",
)
BACKSLASH = r"\*"  # an asterisk that Markdown leaves alone
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
    fill(page, {"glance": glance_table(judged, spent_in_words)})
    fill(results, {"claims": claims_table(judged, rules), "cells": cells_table(cells, spent["conditions"])})
    fill(results, {"cost": spent_in_words})


def write_three(readme=PROJECT / "README.md", page=DOCS / "reproduction.md", pictures=DOCS / "reproduction"):
    """Write the answers per claim into one page, per statement and the comparison of single runs into another."""
    folders = {kind: [ARCHIVES / name for name in names if (ARCHIVES / name).exists()] for kind, names in KINDS.items()}
    single = {kind: (folders[kind] or [None])[0] for kind in side_by_side.KINDS}
    rules, values = statements.load_rules(ARTIFACT / "claims.yaml"), published.load(PUBLISHED)
    answers = side_by_side.answers(rules, values, single, folders["robustness"])
    fill(readme, {"by_claim": by_claim_table(answers, rules)})
    with tempfile.TemporaryDirectory() as made:
        series = {run_by_run.RELEASE: single["reproduction"], run_by_run.OWN: single["replication"]}
        run_by_run.write(series, PUBLISHED, made)
        found, cells = (pd.read_csv(Path(made) / f"run_by_run{name}.csv") for name in ("", "_cells"))
        write_picture("run_by_run", ARCHIVES / archive.SHOWN, Path(pictures) / "run_by_run.png", made)
    texts = {"three": three_table(answers), "run_by_run": run_by_run_table(found), "sorted": sorted_table(cells)}
    outcomes = run_by_run_predictions.predictions(found, cells)
    fill(page, texts | {"rounding": rounding_table(), "predictions": predicted_pages.predictions_table(outcomes)})


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


def glance_table(judged, spent):
    """What was run and found: runs done of those planned, verdicts of the archive that is shown, and their cost."""
    plain = judged[judged["selection"] == "all"]["verdict"]
    planned = planned_runs("paper")
    done = len(einorm.load(ARCHIVES / "paper")["runs"]) if (ARCHIVES / "paper").exists() else 0
    rows = [
        ("Reproduction (the published random numbers)", f"{done:,} of {planned:,} runs; continues cell by cell"),
        ("Replication (our own random numbers)", spent.strip()),
        ("Verdicts of the replication", in_words(plain, reversed(VERDICTS))),
        ("Seeds", "one on each side: 0, as published"),
        ("The authors' cost", "about 920 GPU-hours for 2,760 runs"),
    ]
    return markdown(("", ""), rows)


def planned_runs(preset):
    """How many runs a preset of config.yaml asks for."""
    settings = config.load(PROJECT / "config.yaml", preset)
    return sum(len(runs.cell_runs(settings, *cell)) for cell in runs.cells(settings))


def by_claim_table(answers, rules):
    """The verdicts on the statements of each claim, counted, of replication and reproduction; and their robustness."""
    rows = []
    for claim, text in rules.claims.items():
        of_claim = answers[answers["claim"] == claim]
        kinds = ("replication", "reproduction")
        counts = [in_words(of_claim[f"{kind}_verdict"], reversed(VERDICTS)) for kind in kinds]
        rows.append((claim, text, *counts, robustness_of(of_claim)))
    return markdown(("claim", "in the paper's words, shortened", "replication", "reproduction", "robustness"), rows)


def robustness_of(answers):
    """How often statements whose answer is clear have the same answer where one thing about the training is changed."""
    clear, ways = answers[answers["short"] != "unclear"], answers["ways"].sum()
    if not ways:
        return "not computed"
    text = f"same answer in {clear['unchanged'].sum()} of {clear['ways'].sum()} comparisons"
    unclear = ways - clear["ways"].sum()
    return f"{text}; {unclear} more start from an unclear answer" if unclear else text


def claims_table(judged, rules):
    """Every statement of claims.yaml with its effect, the published one, and both verdicts, by each selection."""
    history = {text: "*" * i for i, text in enumerate(judged["revised"].dropna().unique(), 1)}
    rows = []
    for statement in rules.statements:
        for r in judged[judged["id"] == statement.id].to_dict("records"):
            plain = r["selection"] == "all"
            name = statement.id + history.get(statement.revised, "").replace("*", r"\*")
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
    marks = "; ".join(f"{mark.replace('*', BACKSLASH)} {text}" for text, mark in history.items())
    return markdown(headings, rows) + f"\n{marks}. ≈ approximate.\n"


def three_table(table):
    """What reproduction, replication and robustness say to every statement (`side_by_side.answers`)."""
    rows = []
    for row in side_by_side.as_rows(table):
        judged = []
        for kind in side_by_side.KINDS:
            numbers = with_interval(*(row[f"{kind}_{name}"] for name in ("effect", "low", "high")))
            size = f"; {wording.size_in_words(row[f'{kind}_size_verdict'])}" if numbers else ""
            judged.append(f"{row[f'{kind}_verdict']}{f', {numbers}' if numbers else ''}{size}")
        theirs = with_interval(*(row[f"published_{name}"] for name in ("effect", "low", "high")), " (no interval)")
        rows.append([row["id"], row["text"], theirs or "–", *judged, row["robustness"]])
    return markdown(("", "statement", "published", *side_by_side.KINDS, "robustness"), rows)


def run_by_run_table(found):
    """How near single runs are to the published ones (`run_by_run.compare`), where they were computed."""
    rows = []
    for r in found.to_dict("records"):
        by = ", ".join(CONDITIONS[name].label for name in r["by"].split(" and "))
        where = [CONDITIONS[r["judged"]].label, by, f"{r['epsilon']:g}", f"`{r['randomness']}`"]
        if r["verdict"] != "not computed":
            usual = f"{r['expected_median']:.2f} ({r['expected_low']:.2f} to {r['expected_high']:.2f})"
            shares = [f"{100 * r[f'within_{limit}']:.0f} ({100 * r[f'chance_within_{limit}']:.0f})" for limit in WITHIN]
            numbers = [f"{r[name]:.2f}" for name in ("median_difference", "chance_median_difference")]
            counts = [f"{r[name]:.0f}" for name in ("n", "near_ties")]
            numbers = [numbers[0], usual, numbers[1], *shares, f"{r['rank_correlation']:.2f}"]
            rows.append([*where, *counts, *numbers, r["verdict"]])
    absent = [f"`{name}`" for name in run_by_run.SERIES if all(f"`{name}`" not in row for row in rows)]
    note = f"\nNot computed yet: {', '.join(absent)}.\n" if absent else ""
    shares = [f"within {limit} (chance, %)" for limit in WITHIN]
    headings = ("judged", "assigned by", "ε", "random numbers", "n", "near ties", "median difference", "expected")
    return markdown((*headings, "chance", *shares, "rank correlation", "verdict"), rows) + note


def sorted_table(cells):
    """Medians and sorted accuracies of all runs of every published cell (`run_by_run.compare_cells`)."""
    rows = []
    for r in cells[cells["median"].notna()].to_dict("records"):
        numbers = [f"{r[name]:.2f}" for name in ("published_median", "median")] + [f"{r['median_difference']:+.2f}"]
        nearness = number(r["sorted_difference"])
        lost = [f"{r[name]:.0f}" for name in ("published_at_chance", "at_chance")]
        where = [CONDITIONS[r["condition"]].label, f"{r['epsilon']:g}", f"`{r['randomness']}`"]
        rows.append([*where, *numbers, nearness, *lost])
    headings = ("condition", "ε", "random numbers", "published median, all runs (%)", "median, all runs (%)")
    return markdown((*headings, "difference", "sorted difference", "published at chance", "at chance"), rows)


def rounding_table():
    """How far apart the same runs are that were trained twice, in the presets quick and paper."""
    found = rounding.apart(*(einorm.load(ARCHIVES / name)["epochs"] for name in ("quick", "paper")))
    spans = found.columns[3:]
    rows = [
        [CONDITIONS[r["condition"]].label, f"{r['epsilon']:g}", r["runs"], *(f"{r[span]:.2f}" for span in spans)]
        for r in found.to_dict("records")
    ]
    return markdown(("condition", "ε", "runs", *(f"epochs {span}" for span in spans)), rows)


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
    write_three()
    written_pages.write()
    write_robustness()
    predicted_pages.write()
