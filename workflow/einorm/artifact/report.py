"""The report: one page that stands alone, verdicts first, every number and alternative text from files."""

import json
from pathlib import Path
from typing import Any

import pandas as pd
from pandas import DataFrame

from .. import __version__
from ..analysis import findings, side_by_side
from ..analysis.completeness import completeness
from ..analysis.explain import explain
from ..analysis.judging import VERDICTS
from ..analysis.published import EPSILONS, TRAINED
from ..analysis.same_size import SIZES
from ..analysis.selection import PAPER_TASK
from ..analysis.statements import Rules, check_judged, load_rules
from ..conditions import label
from ..data import checksums
from ..figures import FOREST, names
from ..hyperparameters import HYPERPARAMETERS
from ..records import archive, costs, lineage, provenance, tables
from ..records.runs import CELL
from ..runtime import UserError, atomic_path
from ..settings import Settings
from . import template
from .report_figures import figure
from .summary import summary
from .wording import interval, number, p_value, size_in_words

PARTS = {"style": "css", "script": "js"}
TEXTS = ("y", "revised", "median_verdict", "size_seeds")  # columns of claims.csv that may be empty
# What the page shows, by `archive.kind_of`.
SHOWS = {
    "reproduction": "the reproduction: {runs} runs with the random numbers of the published ones",
    "replication": "the replication: {runs} runs with our own random numbers",
    "robustness": "robustness: {runs} runs, among them some in which one thing about the training is changed",
    "extension": "an extension: {runs} runs on the data set {dataset}",
}
PLAIN = {"task": PAPER_TASK, "variant": "paper"}


def write(
    tables_folder: Path | str,
    claims_folder: Path | str,
    figures_folder: Path | str,
    artifact: Path | str,
    out: Path | str,
) -> None:
    """Write the report.

    Parameters
    ----------
    tables_folder, claims_folder, figures_folder : of the tables, of what `claims.write` wrote, of the figures
    artifact : folder of claims.yaml and deviations.yaml
    out : path of the HTML file

    Raises
    ------
    UserError
        If a file is missing or damaged, or the verdicts were made with other rules.
    """
    settings = tables.settings_of(Path(tables_folder) / "runs.parquet")
    rules = load_rules(Path(artifact) / "claims.yaml")
    results = {
        name: read_csv(Path(claims_folder) / f"{name}.csv")
        for name in ("claims", "oddities", "published_check", "robustness", "run_by_run")
    }
    check_judged(results["claims"], rules, Path(claims_folder) / "claims.csv")
    drawn = names(settings.tasks, settings.variants, settings.dataset)
    figures = [figure(name, Path(figures_folder)) for name in drawn]
    context = {
        **judgements(rules, results["claims"]),
        "figures": figures,
        "forest": figure(FOREST, Path(figures_folder)),
        "of_claim": {claim: of_claim(claim, rules, figures) for claim in rules.claims},
        "oddities": list(results["oddities"].groupby("id", sort=False)),
        "checked": checked(results["published_check"]),
        "robustness": results["robustness"].to_dict("records"),
        "answers": side_by_side.read(claims_folder),
        "run_by_run": results["run_by_run"].to_dict("records"),
        "deviations": findings.load(Path(artifact) / "deviations.yaml")["deviations"],
        "findings": findings.read_filled(artifact, claims_folder),
        "findings_of": archive.SHOWN,
        **trained(Path(tables_folder), settings),
    }
    with atomic_path(out) as temporary:
        temporary.write_text(page(context), encoding="utf-8")


def judgements(rules: Rules, claims: DataFrame) -> dict[str, Any]:
    """The rows of claims.csv as the page shows them: the paper's task and the rule that counts all runs come first."""
    judged = claims[claims["selection"] == "all"]
    plain = judged[judged["task"] == PAPER_TASK]
    plain = plain.sort_values("verdict", key=lambda verdicts: verdicts == "not computed", kind="stable")
    return {
        "summary": summary(plain),
        "counts": {verdict: int((plain["verdict"] == verdict).sum()) for verdict in VERDICTS},
        "sizes": {verdict: int((plain["size_verdict"] == verdict).sum()) for verdict in SIZES},
        "one_seed": set(plain["size_seeds"]) <= {"", "one seed"},
        "claims": rules.claims,
        "statements": plain.to_dict("records"),
        "extensions": judged[judged["task"] != PAPER_TASK].to_dict("records"),
        "by_rule": by_published_rule(claims),
        "whole": whole(rules, claims[claims["task"] == PAPER_TASK]),
    }


def trained(folder: Path, settings: Settings) -> dict[str, Any]:
    """The runs of a folder of tables: how many, on what and by which code, at what cost."""
    runs = tables.read(folder / "runs.parquet", "runs")
    return {
        "runs": len(runs),
        "shows": SHOWS[archive.kind_of(runs.attrs["settings"])].format(runs=len(runs), dataset=settings.dataset),
        "budget": budget(settings),
        "cells": cell_rows(runs, settings),
        "cost": costs.cost(runs, tables.read(folder / "costs.parquet", "costs")),
        "environment": environment(folder),
        "dataset": {"name": settings.dataset, "checksums": checksums(settings.dataset)},
        "settings": runs.attrs["settings"],
        "digest": runs.attrs["digest"],
        "version": __version__,
    }


def page(context: dict[str, Any]) -> str:
    """The page, from its template."""
    filters = {"number": number, "interval": interval, "p": p_value, "label": label}
    filters |= {"size": size_in_words, "hours": costs.hours_in_words}
    parts = {name: template.part(f"report.{kind}") for name, kind in PARTS.items()}
    return template.render("report.html", context | parts, **filters)


def read_csv(path: Path) -> DataFrame:
    """A CSV file of the claims, epsilons as text; raises UserError if it is missing."""
    try:
        table = pd.read_csv(path, dtype={"epsilon": str})
        return table.fillna({name: "" for name in TEXTS if name in table})
    except FileNotFoundError:
        raise UserError(f"{path} is missing: make it with snakemake --cores 1 {path}") from None


def whole(rules: Rules, claims: DataFrame) -> dict[str, dict[str, str]]:
    """Statement id -> all that is known of it (`explain.explain`)."""
    rows = {name: group.to_dict("records") for name, group in claims.groupby("id")}
    return {statement.id: explain(statement, rows[statement.id], rules) for statement in rules.statements}


def by_published_rule(claims: DataFrame) -> dict[str, dict[str, Any]]:
    """Statement id -> the row under the published rule, where that rule differs."""
    other = claims[claims["selection"] != "all"]
    return {row["id"]: row for row in other.to_dict("records")}


def of_claim(claim: str, rules: Rules, figures: list[dict[str, str]]) -> list[tuple[dict[str, str], bool]]:
    """Figures that show a claim, ours and the one with the published values: (figure, shown under an earlier claim)."""
    claims = {
        f"{prefix}{s.figure}": s.id.split(".")[0] for s in reversed(rules.statements) for prefix in ("", "published_")
    }
    names = dict.fromkeys(s.figure for s in rules.statements if s.id.split(".")[0] == claim)
    wanted = [name for base in names for name in (base, f"published_{base}")]
    return [(entry, claims[entry["name"]] != claim) for entry in figures if entry["name"] in wanted]


def checked(table: DataFrame) -> dict[str, int]:
    """How many printed tests of the paper came out again, in all and from published runs."""
    runs = table[table["basis"] == "runs"]
    return {
        "tests": len(table),
        "agree": int(table["agrees"].sum()),
        "runs": len(runs),
        "runs_agree": int(runs["agrees"].sum()),
    }


def budget(settings: Settings) -> str:
    """How far the settings are from what the paper trained, in words; empty if they are not."""
    assert isinstance(settings.configs, list)  # once they are checked
    configs = len(settings.configs)
    counts = {"epochs": settings.epochs, "configs": configs}
    counts |= {"train_images": settings.train_images, "test_images": settings.test_images}
    words = {"configs": "configurations", "train_images": "training images", "test_images": "test images"}
    parts = [f"{n} of {TRAINED[key]} {words.get(key, key)}" for key, n in counts.items() if n < TRAINED[key]]
    parts += [f"batches of {settings.batch_size}"] if settings.batch_size != TRAINED["batch_size"] else []
    absent = [e for e in EPSILONS if e not in settings.epsilons]
    return ", ".join(parts + ([f"no epsilon {', '.join(f'{e:g}' for e in absent)}"] if absent else []))


def cell_rows(runs: DataFrame, settings: Settings) -> list[dict[str, Any]]:
    """Rows per cell (`completeness.completeness`), with the code that trained it (`lineage.of_cells`) in words.

    Task and variant are named where they are not the paper's.
    """
    codes: dict[tuple[Any, ...], list[str]] = {}
    for found in lineage.of_cells(runs):
        commits = ", ".join(map(provenance.short, found["commits"])) or f"not recorded (code {found['code'][:7]})"
        key = tuple(found[name] for name in CELL)
        codes.setdefault(key, []).append(f"commit {commits}: {lineage.RELATIONS[found['relation']]}")
    return [
        cell
        | {"trained": ", ".join(cell[name] for name, plain in PLAIN.items() if cell[name] != plain)}
        | {"code": "; ".join(codes.get(tuple(cell[name] for name in CELL), []))}
        for cell in completeness(runs, settings)
    ]


def environment(folder: Path) -> dict[str, Any]:
    """What trained the runs: machines, versions, devices; and the file of their hyperparameters."""
    trainings = archive.trainings(folder)
    machines = [training["machine"] for training in trainings if training["machine"]]
    return {
        "machines": list({provenance.machine_name(machine): machine for machine in machines}.items()),
        "versions": list({json.dumps(t["versions"]): t["versions"] for t in trainings}.values()),
        "devices": sorted({training["device"] for training in trainings}),
        "threads": sorted({training["threads"] for training in trainings}),
        "hyperparameters": HYPERPARAMETERS.name,
    }
