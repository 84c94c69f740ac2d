"""docs/reproduction.md and the claims of README.md: reproduction, replication and robustness, and single runs."""

import tempfile
from pathlib import Path

import einorm
import pandas as pd
import predicted_pages
from einorm.analysis import (
    late_effects,
    published,
    rounding,
    run_by_run,
    run_by_run_predictions,
    side_by_side,
    statements,
)
from einorm.analysis.judging import VERDICTS
from einorm.analysis.run_by_run import WITHIN
from einorm.artifact import wording
from einorm.artifact.summary import in_words
from einorm.conditions import CONDITIONS
from einorm.records import archive
from einorm.records.archive import KINDS
from marks import ARCHIVES, ARTIFACT, DOCS, PROJECT, PUBLISHED, fill, markdown, number, with_interval, write_picture


def write(readme=PROJECT / "README.md", page=DOCS / "reproduction.md", pictures=DOCS / "reproduction"):
    """Write the answers per claim into one page, per statement and the comparison of single runs into another."""
    folders = {kind: [ARCHIVES / name for name in names if (ARCHIVES / name).exists()] for kind, names in KINDS.items()}
    single = {kind: (folders[kind] or [None])[0] for kind in side_by_side.KINDS}
    rules, values = statements.load_rules(ARTIFACT / "claims.yaml"), published.load(PUBLISHED)
    answers = side_by_side.answers(rules, values, single, folders["robustness"])
    fill(readme, {"by_claim": by_claim_table(answers, rules)})
    with tempfile.TemporaryDirectory() as made:
        series = {run_by_run.RELEASE: single["reproduction"], run_by_run.OWN: single["replication"]}
        run_by_run.write(series, PUBLISHED, made)
        found, cells, pairs = (pd.read_csv(Path(made) / f"run_by_run{name}.csv") for name in ("", "_cells", "_pairs"))
        late_effects.write(series, ARTIFACT / "claims.yaml", PUBLISHED, made)
        late = pd.read_csv(Path(made) / "late_effects.csv")
        for name in ("run_by_run", "effects_by_epoch"):
            write_picture(name, ARCHIVES / archive.SHOWN, Path(pictures) / f"{name}.png", made)
    texts = {"three": three_table(answers), "run_by_run": run_by_run_table(found), "sorted": sorted_table(cells)}
    texts |= {"late": late_table(late), "pairs": pairs_table(pairs)}
    outcomes = run_by_run_predictions.predictions(found, cells)
    fill(page, texts | {"rounding": rounding_table(), "predictions": predicted_pages.predictions_table(outcomes)})


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


def late_table(found):
    """Effects of the last epoch and of the last ten (`late_effects`), of both random numbers, a row per effect."""
    rows = {}
    for r in found.to_dict("records"):
        names = f"{r['id']}: {CONDITIONS[r['x']].label} - {CONDITIONS[r['y']].label}"
        theirs = with_interval(*(r[f"published_{name}"] for name in late_effects.EFFECT), " (no interval)")
        row = rows.setdefault(names, [names, f"{r['epsilon']:g}", theirs or "–", *["–"] * 6])
        at = 3 + 3 * run_by_run.SERIES.index(r["randomness"])
        both = [with_interval(*(r[f"{when}{name}"] for name in late_effects.EFFECT)) for when in ("", "late_")]
        row[at : at + 3] = [*both, number(r["spread"])]
    headings = [f"`{name}`: {what}" for name in run_by_run.SERIES for what in ("last epoch", "last ten", "spread")]
    order = {s.id: i for i, s in enumerate(statements.load_rules(ARTIFACT / "claims.yaml").statements)}
    ordered = sorted(rows.values(), key=lambda row: order[row[0].split(":")[0]])
    return markdown(("effect", "ε", "published", *headings), ordered)


def pairs_table(found):
    """Differences between two conditions of one configuration, published and here (`distributions.compare_pairs`)."""
    rows = []
    for r in found.to_dict("records"):
        name = f"{CONDITIONS[r['x']].label} - {CONDITIONS[r['y']].label}"
        numbers = [f"{r[column]:.2f}" for column in ("published_median", "median", "published_sd", "sd")]
        counts = f"{r['published_n']} and {r['n']}"
        rows.append([name, f"{r['epsilon']:g}", f"`{r['randomness']}`", counts, *numbers, wording.p_value(r["p"])])
    headings = ("difference", "ε", "random numbers", "n, published and here", "published median", "median")
    return markdown((*headings, "published SD", "SD", "p"), rows)


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
    """Medians and sorted accuracies of all runs of every published cell (`distributions.compare_cells`)."""
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
    spans = found.columns[3:-1]
    rows = [
        [
            CONDITIONS[r["condition"]].label,
            f"{r['epsilon']:g}",
            r["runs"],
            *(f"{r[span]:.2f}" for span in spans),
            f"{r['sd']:.2f}",
        ]
        for r in found.to_dict("records")
    ]
    return markdown(("condition", "ε", "runs", *(f"epochs {span}" for span in spans), "SD"), rows)
