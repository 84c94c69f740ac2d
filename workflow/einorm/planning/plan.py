"""What the Snakefile needs to know of an experiment: plain strings, numbers and paths; without torch."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

from .. import config
from ..artifact import sources
from ..figures import FOREST, STYLE, caption, names
from ..records import archive, lineage
from ..records.jobs import jobs
from ..records.tables import MANIFEST, TABLES
from ..runtime import PACKAGE, PROJECT
from ..settings import Settings
from ..training import jobfile
from ..variants import check_trained, may_collapse
from .archives import ARTIFACT, archive_folder, compared
from .outputs import describe_figure, fingerprints, report_code
from .surroundings import RESULTS, check_braces, check_data_path, check_folders, check_prepared, relative
from .training import describe_training

Param = Callable[[Any, Any], Any]  # of a rule: a function of wildcards and inputs
JOBS = RESULTS / "jobs.json"


def experiment(raw: dict[str, Any]) -> dict[str, Any]:
    """Everything the rules refer to, from Snakemake's config.

    Raises
    ------
    UserError
        For any mistake that can be known before a job starts: keys, values, folders, space, data.path.
    """
    settings, preset = config.check(raw), raw["preset"]
    if settings.results == "computed":
        check_trained(settings.variants)
    check_folders()
    check_data_path(settings.data.path)
    archived = archive_folder(settings, preset)
    check_braces(settings.data.path or "", archived, relative(PROJECT))
    planned = jobs(settings)
    if settings.results == "computed":
        check_prepared(settings.dataset)
        jobfile.add(planned, JOBS)
    return {
        "preset": preset,
        "settings": json.dumps(settings.science(), sort_keys=True),
        "started": json.dumps(config.record(raw, config.read(PROJECT / "config.yaml")), sort_keys=True),
        "dataset": settings.dataset,
        "data_path": settings.data.path or "",
        "environment": "einorm-gpu" if settings.machine.device == "cuda" else "einorm",
        "machine": settings.machine.model_dump(),
        **describe_training(settings, planned),
        **describe_tables(settings, preset, archived),
        **describe_files(),
        **describe_figures(settings),
        **fingerprints(),
        "report_code": report_code(list(planned.values())),
    }


def describe_tables(settings: Settings, preset: str, archived: Path) -> dict[str, Any]:
    """Which tables are shown, and with which they are compared; `archived` is the folder of the settings' archive."""
    computed = settings.results == "computed"
    folder = RESULTS / "tables" if computed else archived
    return {
        "tables": [str(folder / f"{name}.parquet") for name in TABLES],
        "manifest": [] if computed else [str(folder / MANIFEST)],
        "reuse": str(archived) if computed and settings.reuse_archive and archived.exists() else "",
        "compared": {
            kind: [path for name in names for path in compared(name, kind, settings, preset, folder)]
            for kind, names in archive.KINDS.items()
        },
        "shown": next(kind for kind, names in archive.KINDS.items() if archive.SHOWN in names),
    }


def describe_files() -> dict[str, Any]:
    """The project's own files that rules read."""
    return {
        "project": relative(PROJECT),
        "artifact": relative(ARTIFACT),
        "autograd": [relative(path) for path in [PROJECT / "tests/oracle.py"] if path.exists()],
        "lineage": relative(lineage.TABLE),
        "page": parts_of_page("report.*"),
        "explorer_page": parts_of_page("explorer.*", "report.css"),
        "sources": [relative(path) for _, path in sorted(sources.files(PROJECT).items())],
    }


def describe_figures(settings: Settings) -> dict[str, Any]:
    """The figures of the settings, and their captions."""
    drawn = names(settings.tasks, settings.variants, settings.dataset)
    return {
        "figures": {name: describe_figure(name) for name in drawn},
        "captions": sorted({relative(caption(name)) for name in [*drawn, FOREST]}),
        "format": settings.format,
        "style": relative(STYLE),
        "collapses": may_collapse(settings.variants),
    }


def parts_of_page(*patterns: str) -> list[str]:
    """Templates, styles and scripts of a page, from folder page."""
    return sorted(relative(path) for pattern in patterns for path in (PACKAGE / "artifact" / "page").glob(pattern))


def folder_of(inputs: str) -> Param:
    """A rule's param: the folder that holds its input files of this name; empty where there are none."""
    return lambda wildcards, input: (folders_of(inputs)(wildcards, input) or [""])[0]


def folders_of(inputs: str) -> Param:
    """A rule's param: the folders that hold its input files of this name."""
    return lambda wildcards, input: [str(Path(path).parent) for path in input[inputs]]
