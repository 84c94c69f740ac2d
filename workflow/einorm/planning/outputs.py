"""Fingerprints of the code that makes each output: they are parameters of the rules, so that an edit makes it again."""

from typing import Any

from ..figures import COMPARED, caption, category, task_and_module
from ..records.codes import code_of
from ..records.runs import Run
from ..runtime import digest, fingerprint
from ..tasks import TASKS
from . import closure

# What makes values of a command line, for `made_by`.
READ_SETTINGS, READ_START = ("commands/arguments.py", "settings_json"), ("commands/arguments.py", "started_json")
READ_FOLDER = ("commands/arguments.py", "path_or_none")


def fingerprints() -> dict[str, Any]:
    """Fingerprints of all outputs but figures and report, which have their own (`describe_figure`, `report_code`)."""
    marks = (("", "own"), ("-release", "release"))  # in the name of a shift table, `runs.shift_table`
    return {
        "shift_codes": {mark: {task: drawing_of_shifts(task, kind) for task in TASKS} for mark, kind in marks},
        "collect_code": made_by("training.collect", READ_SETTINGS),
        "samples_code": made_by("training.samples", READ_SETTINGS),
        "benchmark_code": made_by("tools.benchmark"),
        "claims_code": made_by("analysis.claims"),
        "collapses_code": made_by("analysis.collapses"),
        "forest_code": made_by("analysis.forest"),
        "run_by_run_code": made_by("analysis.run_by_run", READ_FOLDER),
        "late_effects_code": made_by("analysis.late_effects", READ_FOLDER),
        "side_by_side_code": made_by("analysis.side_by_side", READ_FOLDER),
        "evidence_code": made_by("analysis.evidence", READ_FOLDER),
        "explore_code": made_by("artifact.explore"),
        "bundle_code": made_by("artifact.bundle", READ_START),
    }


def made_by(command: str, *places: closure.Place) -> str:
    """Fingerprint of all code that decides what a subcommand makes, by its place in `commands`: "analysis.claims".

    Further `places` as in `closure`, which says why.
    """
    module, function = command.split(".")
    return closure.code((f"commands/{module}.py", function), *places)


def report_code(jobs: list[list[Run]]) -> str:
    """Fingerprint of what makes a report: its code, and the training codes of the jobs, which it compares runs with."""
    return digest([made_by("artifact.report"), sorted({code_of(runs[0]) for runs in jobs})])[:16]


def describe_figure(name: str) -> dict[str, Any]:
    """A figure as its rule sees it.

    `tests` says whether it shows tests, which are corrected for all of claims.yaml, `made_by` names the rule that finds
    in archives what it draws (`figures.COMPARED`), or none.
    """
    draw = (f"figures/{task_and_module(name)[1]}.py", "draw")  # a module that is imported by a computed name
    code = made_by("analysis.figure", draw, READ_FOLDER)
    tests = ("analysis/comparisons.py", "corrected") in closure.closure(draw)
    facts = {"code": code, "category": category(name), "caption": caption(name).name, "tests": tests}
    return facts | {"made_by": COMPARED[name][1] if name in COMPARED else ""}


def drawing_of_shifts(task: str, randomness: str) -> list[str]:
    """Fingerprints of the code that draws a task's shifts, a part of what `training_code` counts.

    So a change trains again, and new tasks leave the tables of the old ones alone.
    """
    if randomness == "release":
        return [fingerprint("tasks.py", TASKS[task][0].__name__), fingerprint("release_randomness.py")]
    return [fingerprint("tasks.py", "draw_shifts", TASKS[task][0].__name__), fingerprint("runtime.py", "stream")]
