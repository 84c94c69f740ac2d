"""Pages on the presets for which predictions were written first: what was found, and what came of each prediction."""

from pathlib import Path

import einorm
import pandas as pd
from einorm import config, figures
from einorm.analysis import casts, collapse_predictions, collapses, error_shares, published, same_collapses
from einorm.analysis.completeness import complete_rows
from einorm.artifact import wording
from einorm.conditions import CONDITIONS
from einorm.records import archive, tables
from einorm.settings import Settings
from marks import ARCHIVES, DOCS, PROJECT, PUBLISHED, fill, markdown, number, write_picture


def write():
    """Write both pages; of a preset without an archive nothing."""
    write_error_signals()
    write_collapses()
    write_casts()


def write_error_signals(page=DOCS / "error_signals.md", pictures=DOCS / "error_signals"):
    """Write the shares of error signals into a page, and their picture to a folder; nothing without their archive."""
    folder = ARCHIVES / figures.ERROR_SIGNALS
    if folder.exists():
        write_picture(figures.ERROR_SIGNALS, folder, Path(pictures) / "shares.png")
        runs, settings = archive.read_runs_and_settings(folder)
        fill(page, {"shares": shares_table(runs), "predictions": compared_table(complete_rows(runs, settings))})


def shares_table(runs):
    """Medians of the shares after the last epoch, of layers 0 and 1, and of the test accuracy."""
    keys = ["variant", "condition", "epsilon"]
    shares = error_shares.medians(runs).pivot_table(index=keys, columns=["share", "layer"], values="value", sort=False)
    accuracy = runs.groupby(keys)["test_acc"].agg(["median", "size"])
    rows = [
        [f"`{key[0]}`", CONDITIONS[key[1]].label, f"{key[2]:g}", accuracy["size"][key]]
        + [" / ".join(number(row[share, layer]) for layer in tables.LAYERS) for share in error_shares.MEANING]
        + [f"{accuracy['median'][key]:.2f}"]
        for key, row in shares.iterrows()
    ]
    texts = [meaning.replace("\n", " ") for meaning in error_shares.MEANING.values()]
    return markdown(("trained", "condition", "ε", "n", *texts, "median accuracy (%)"), rows)


def compared_table(runs):
    """What came of the predictions, with the numbers that they compare."""
    rows = []
    for row in error_shares.predictions(runs).itertuples():
        numbers = "; ".join(f"{number(first)} and {number(second)}" for first, second in row.numbers)
        rows.append([row.id, row.compared, numbers, row.outcome])
    return markdown(("", "met if the first is larger", "numbers (at ε 0; 0.75 where nothing is said)", "outcome"), rows)


def write_collapses(page=DOCS / "collapses.md"):
    """Write which archived runs with the release's casts are at chance, and what came of the predictions."""
    folders = [ARCHIVES / name for name in ("collapse", "collapse_one_q") if (ARCHIVES / name).exists()]
    if folders:
        values, parts = published.load(PUBLISHED), [einorm.load(folder)["runs"] for folder in folders]
        planned = [Settings(**archive.check(folder)["settings"]) for folder in folders]
        pairs = [*zip(parts, planned, strict=True)]
        runs, float32 = pd.concat(parts), einorm.load(ARCHIVES / "paper")["runs"]
        settings = config.load(PROJECT / "config.yaml", "collapse")
        found = collapse_predictions.predictions(runs, settings, values, float32)
        texts = {"chance": chance_table(pd.concat([collapses.counts(*pair, values) for pair in pairs]))}
        texts |= {"places": places_table(pd.concat([collapses.listed(*pair) for pair in pairs]))}
        texts |= {"same_runs": same_runs_table(values["complete"], float32, runs)}
        fill(page, texts | {"predictions": predictions_table(found)})


def write_casts(page=DOCS / "reproduction.md"):
    """Write what came of the predictions on E-I networks with the release's casts into a page."""
    float32 = archive.read_runs(ARCHIVES / "paper")
    folder = ARCHIVES / "casts"
    runs = archive.read_runs(folder) if folder.exists() else float32.iloc[:0]
    found = casts.predictions(published.load(PUBLISHED)["complete"], float32, runs)
    fill(page, {"casts": predictions_table(found)})


def predictions_table(found):
    """What came of predictions: a row each, with the rule and the numbers in words."""
    return markdown(
        ("", "met if", "found", "outcome"), [[r["id"], r["met_if"], r["found"], r["outcome"]] for r in found]
    )


def chance_table(counted):
    """Runs at chance of every cell that has runs."""
    rows = []
    for row in counted[counted["finished"] > 0].itertuples():
        interval = f"{row.published_at_chance:.0f} of {row.published_runs:.0f} ({row.low:.1f} to {row.high:.1f})"
        rows.append([f"`{row.variant}`", CONDITIONS[row.condition].label, f"{row.epsilon:g}"])
        rows[-1] += [f"{row.finished} of {row.planned}", row.at_chance, interval, row.agrees or "–"]
    headings = (
        "trained",
        "condition",
        "ε",
        "runs finished",
        "at chance",
        "published (95 % interval)",
        "in the interval",
    )
    return markdown(headings, rows)


def places_table(listed):
    """How many runs collapsed in which tensor, and in which epochs."""
    keys = ["variant", "condition", "epsilon", "collapsed_in"]
    groups = listed[listed["status"] == "collapsed"].groupby(keys, sort=False)["collapsed_epoch"]
    rows = [
        [
            f"`{variant}`",
            CONDITIONS[condition].label,
            f"{epsilon:g}",
            place,
            len(epochs),
            " to ".join(map(str, sorted({epochs.min(), epochs.max()}))),
        ]
        for (variant, condition, epsilon, place), epochs in groups
    ]
    return markdown(("trained", "condition", "ε", "first tensor that is not finite", "runs", "epochs"), rows)


def same_runs_table(theirs, float32, casts):
    """Are the I-Norm runs that collapse the published ones: a row per epsilon; a dash where runs are missing."""
    rows = []
    for epsilon in (0.75, 0):
        found = same_collapses.same_runs(theirs, float32, casts, epsilon)
        row = [f"{epsilon:g}", *["–"] * 9]
        if found:
            row[1:4] = [found["near_ties"], f"{found['published']} and {found['here']}", found["both"]]
            row[4:6] = [f"{found['by_chance']:.1f}", wording.p_value(found["p"])]
            row[6:8] = [f"{found['by_chance_at_rates']:.1f}", wording.p_value(found["p_at_rates"])]
            row[8:] = [f"{number(found['median_difference'])} in {found['n']} runs"]
            row += [number(found["chance_median_difference"])]
        rows.append([*row, found.get("R1", "not computed"), found.get("R2", "not computed")])
    headings = ("ε", "near ties", "at chance, published and here", "both", "both by chance", "p")
    headings += ("both by chance at equal rates", "p at equal rates")
    return markdown((*headings, "above chance: median difference", "in random order", "R1", "R2"), rows)
