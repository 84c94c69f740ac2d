"""What the Snakefile needs to know of an experiment: plain strings, numbers and paths; without torch."""

import json
import os
import shlex
import shutil
import sys
import tempfile
from pathlib import Path

from .. import config, jobfile, lineage
from ..artifact import archive, sources
from ..figures import FOREST, STYLE, caption, category, names, task_and_module
from ..runs import code_of, cost, jobs, share_shifts, shift_table, shift_table_of
from ..runtime import PACKAGE, UserError, digest, fingerprint
from ..tables import TABLES
from ..tasks import TASKS
from ..variants import COLLAPSE, check_trained
from . import closure

ROOT = PACKAGE.parents[1]
RESULTS, OUT = Path("results"), Path("figures")
JOBS = RESULTS / "jobs.json"
ARTIFACT = ROOT / "paper_artifact"
# What makes values of a command line, for `made_by`.
READ_SETTINGS, READ_START = ("__main__.py", "settings_json"), ("__main__.py", "started_json")
READ_FOLDER = ("__main__.py", "path_or_none")
# What a training job may take before a cluster ends it: minutes; multiply-adds a second (benchmark.json: 28e9 and up).
START_UP, SLOW_CORE = 10, 5e9
SLOW_GPU, GPU_JOB = 1e12, 60  # the same of a GPU, from a count of bytes; minutes of a job that trains many cells there
SPACE = 200 * 2**20  # bytes: images 55 MB, shift tables 12 MB per epsilon, shards and figures below 50 MB in all


def use_this_clone():
    """Let the rules' commands run this clone's package with the running Python, installed and activated or not.

    A user's own files in the working folder (a random.py, say) are never imported, and files are UTF-8 everywhere.

    Raises
    ------
    UserError
        If a path holds the character that separates the paths of a search list.
    """
    package, python = str(PACKAGE.parent), str(Path(sys.executable).parent)
    if os.pathsep in package:
        package = relative(PACKAGE.parent)  # commands run in the working folder
    for path in (package, python):
        if os.pathsep in path:
            raise UserError(f"the path {path} holds {os.pathsep!r}, which no search path can hold: rename the folder")
    for name, path in (("PYTHONPATH", package), ("PATH", python)):
        os.environ[name] = os.pathsep.join(filter(None, [path, os.environ.get(name)]))
    os.environ |= {"PYTHONSAFEPATH": "1", "PYTHONUTF8": "1"}


def check_profiles(given, command=sys.argv):
    """Refuse profiles that decide results: they say how to run, never what to compute.

    Snakemake finds and merges profiles in many ways. So this asks for the outcome: which keys has Snakemake been given
    that its command line does not name?

    Parameters
    ----------
    given : Snakemake's config before config.yaml is read
    command : how this process was started; where it is not Snakemake's command line there is no profile

    Raises
    ------
    UserError
        If a key that decides results comes from a profile.
    """
    program = Path(command[0])
    if program.stem != "snakemake" and program.parts[-2:] != ("snakemake", "__main__.py"):
        return
    options = command_line(command)
    named = {entry.partition("=")[0] for entry in options.config or ()}
    for path in options.configfile or ():
        if not Path(path).is_file():  # a pipe, which can be read only once
            return
        named |= set(config.read(path))
    for key in sorted(set(given) - named - set(config.HOW)):
        raise UserError(
            f"a profile sets {key!r}; a profile says how to run, never what to compute: "
            f"move {key!r} to config.yaml or to --config"
        )


def check_hand_over(command=sys.argv):
    """Refuse a --config that the jobs of a cluster would not get as it was given.

    Snakemake writes it into their command lines as a literal of Python. A shell reads the literal differently where it
    holds both kinds of quotes, and takes what follows a $ or ` between double quotes for a command of its own.

    Raises
    ------
    UserError
        If a shell would not read the same.
    """
    for entry in command_line(command).config or ():
        literal = repr(entry)
        try:
            same = shlex.split(literal) == [entry] and not (literal.startswith('"') and set("$`") & set(entry))
        except ValueError:
            same = False
        if not same:
            raise UserError(
                f"Snakemake cannot hand --config {entry} over to the jobs of a cluster: write it to config.yaml, "
                "or to a file that you name with --configfile"
            )


def command_line(command):
    """Snakemake's options as its command line alone gives them, without profiles."""
    from snakemake.cli import get_argument_parser  # loaded where Snakemake runs, and slow elsewhere

    return get_argument_parser().parse_args(command[1:])


def experiment(raw):
    """Everything the rules refer to, from Snakemake's config.

    Raises
    ------
    UserError
        For any mistake that can be known before a job starts: keys, values, folders, space, data.path.
    """
    settings = config.settings(raw)
    if settings.results == "computed":
        check_trained(settings.variants)
    check_folders()
    check_data_path(settings.data.path)
    archived = archive_folder(settings, raw["preset"])
    check_braces(settings.data.path or "", archived, relative(ROOT))
    folder = archived if settings.results == "archive" else RESULTS / "tables"
    reused = settings.reuse_archive and settings.results == "computed" and archived.exists()
    planned, drawn = jobs(settings), names(settings.tasks, settings.variants)
    if settings.results == "computed":
        say_lost_images(settings.dataset)
        jobfile.add(planned, JOBS)
    return {
        "settings": json.dumps(settings.science(), sort_keys=True),
        "dataset": settings.dataset,
        "data_path": settings.data.path or "",
        "environment": "einorm-gpu" if settings.machine.device == "cuda" else "einorm",
        "machine": settings.machine.model_dump(),
        "jobs": {name: describe(settings, runs) for name, runs in planned.items()},
        "lengths": by_length(list(planned)),
        "gpu_jobs": gpu_jobs(jobfile.left(settings)) if settings.machine.device == "cuda" else [],
        "gpu_minutes": START_UP + 2 * GPU_JOB,
        "shift_tables": [shift_table(settings, t, e, settings.seed) for t in settings.tasks for e in settings.epsilons],
        "shift_codes": {  # by the mark in a table's name, `runs.shift_table`
            mark: {task: drawing_of_shifts(task, kind) for task in TASKS}
            for mark, kind in (("", "own"), ("-release", "release"))
        },
        "collect_code": made_by("collect", READ_SETTINGS),
        "samples_code": made_by("samples", READ_SETTINGS),
        "benchmark_code": made_by("benchmark"),
        "autograd": [relative(path) for path in [ROOT / "tests/oracle.py"] if path.exists()],
        "claims_code": made_by("claims"),
        "collapses": bool(set(COLLAPSE) & set(settings.variants)),
        "collapses_code": made_by("collapses"),
        "format": settings.format,
        "style": relative(STYLE),
        "forest_code": made_by("forest"),
        "explore_code": made_by("explore"),
        "report_code": report_code(list(planned.values())),
        "lineage": relative(lineage.TABLE),
        "bundle_code": made_by("bundle", READ_START),
        "tables": [str(folder / f"{name}.parquet") for name in TABLES],
        "compared": {
            kind: [path for name in names for path in compared(name, raw["preset"], folder)]
            for kind, names in archive.KINDS.items()
        },
        "run_by_run_code": made_by("run_by_run", READ_FOLDER),
        "side_by_side_code": made_by("side_by_side", READ_FOLDER),
        "evidence_code": made_by("evidence", READ_FOLDER),
        "manifest": [str(folder / archive.MANIFEST)] if settings.results == "archive" else [],
        "reuse": str(archived) if reused else "",
        "artifact": relative(ARTIFACT),
        "captions": sorted({relative(caption(name)) for name in [*drawn, FOREST]}),
        "page": parts_of_page("report.*"),
        "explorer_page": parts_of_page("explorer.*", "report.css"),
        "project": relative(ROOT),
        "sources": [relative(path) for _, path in sorted(sources.files(ROOT).items())],
        "preset": raw["preset"],
        "started": json.dumps(config.record(raw, config.read(ROOT / "config.yaml")), sort_keys=True),
        "figures": {name: describe_figure(name) for name in drawn},
    }


def archive_folder(settings, preset):
    """Folder of the archive that the settings refer to, checked if it is used; relative to here where it can be.

    Raises
    ------
    UserError
        If it is used and is damaged or of other settings, or is missing; to take over runs (`reuse_archive`), the
        preset's own archive may be missing.
    """
    folder = Path(settings.archive).expanduser() if settings.archive else Path(relative(ARTIFACT / "archive" / preset))
    if settings.results == "computed" and not settings.reuse_archive:
        return folder
    if settings.results == "archive":
        archive.check(folder, settings)
        say_other_code(folder)
    elif settings.archive or folder.exists():
        archive.check(folder)
    return folder


def compared(name, preset, folder):
    """Path of the runs of a preset, to be shown next to those of others: the chosen preset's own, else those of the
    archive of this name; a list, which is empty where there is no such archive."""
    released = Path(relative(ARTIFACT / "archive" / name))
    shown = folder if name == preset else released
    return [str(shown / "runs.parquet")] if name == preset or released.exists() else []


def say_other_code(folder):
    """Print a note where an archive was trained by code that is not known to give the results of today's."""
    runs = archive.tables.read(folder / "runs.parquet", "runs")
    other = sum(cell["runs"] for cell in lineage.of_cells(runs) if cell["relation"] == "other")
    if other:
        print(
            f"einorm: note: {other} of the {len(runs)} runs in {folder} were trained by older code, which is not known "
            "to give the results of today's (python -m einorm lineage)",
            file=sys.stderr,
        )


def say_lost_images(dataset):
    """Print a note where the images of finished runs are gone: Snakemake would start all training jobs again."""
    images = RESULTS / "data" / f"{dataset}.npz"
    if not images.exists() and any((RESULTS / "runs").rglob("*.parquet")):
        print(
            f"einorm: note: {images} is missing. If a run is left to train, all jobs start again, to find their runs "
            f"finished. Make it first: python -m einorm prepare --dataset {dataset} --downloads results/downloads "
            f"--out {images}",
            file=sys.stderr,
        )


def relative(path):
    """A path as seen from here, for commands that read well."""
    return os.path.relpath(path)


def parts_of_page(*patterns):
    """Templates, styles and scripts of a page, from folder page."""
    return sorted(relative(path) for pattern in patterns for path in (PACKAGE / "artifact" / "page").glob(pattern))


def folder_of(inputs):
    """A rule's param: the folder that holds its input files of this name; empty where there are none."""
    return lambda wildcards, input: (folders_of(inputs)(wildcards, input) or [""])[0]


def folders_of(inputs):
    """A rule's param: the folders that hold its input files of this name."""
    return lambda wildcards, input: [str(Path(path).parent) for path in input[inputs]]


def by_length(names):
    """Jobs (the longest first) in classes of equal number, as far as there are enough: short, medium, long."""
    third = -(-len(names) // 3)
    classes = {"short": names[2 * third :], "medium": names[third : 2 * third], "long": names[:third]}
    return {length: chosen for length, chosen in classes.items() if chosen}


def gpu_jobs(planned):
    """Names of training jobs that one process trains on a GPU, a list each: as many as `GPU_JOB` may take."""
    groups, minutes = [], float("inf")
    for name, runs in planned.items():
        own = minutes_of(runs, SLOW_GPU)
        if minutes + own > GPU_JOB:
            groups, minutes = [*groups, []], 0
        groups[-1].append(name)
        minutes += own
    return groups


def minutes_of(runs, speed):
    """Minutes that a job may take at so many multiply-adds a second."""
    return sum(map(cost, runs)) / speed / 60


def describe(settings, runs):
    """A training job as its rule sees it."""
    first = runs[0]
    variant = f"{first['variant']}, " if "variant" in first else ""
    configurations = ", ".join(str(config) for config in dict.fromkeys(run["config"] for run in runs))
    return {
        "shifts": [f"results/shifts/{shift_table_of(first)}.npz"] if share_shifts(first) else [],
        "minutes": START_UP + round(minutes_of(runs, SLOW_CORE)),
        "code": lineage.representative(first, "fused" if settings.machine.device == "cuda" else "plain"),
        "title": f"{variant}{first['condition']}, epsilon {first['epsilon']:g}, configurations {configurations}",
    }


def describe_figure(name):
    """A figure as its rule sees it."""
    draw = (f"figures/{task_and_module(name)[1]}.py", "draw")  # a module that is imported by a computed name
    return {"code": made_by("figure", draw, READ_FOLDER), "category": category(name), "caption": caption(name).name}


def made_by(command, *places):
    """Fingerprint of all code that decides what a subcommand makes; `places` as in `closure`, which says why."""
    return closure.code(("__main__.py", command), *places)


def report_code(jobs):
    """Fingerprint of what makes a report: its code, and the training codes of the jobs, which it compares runs with."""
    return digest([made_by("report"), sorted({code_of(runs[0]) for runs in jobs})])[:16]


def drawing_of_shifts(task, randomness):
    """Fingerprints of the code that draws a task's shifts: a part of what `training_code` counts, so that a change
    trains again, and new tasks leave the tables of the old ones alone."""
    if randomness == "release":
        return [fingerprint("tasks.py", TASKS[task][0].__name__), fingerprint("release_randomness.py")]
    return [fingerprint("tasks.py", "draw_shifts", TASKS[task][0].__name__), fingerprint("runtime.py", "stream")]


def check_folders():
    """Raise UserError where results or figures cannot be written, or space will not do."""
    for folder in (RESULTS, OUT):
        try:
            folder.mkdir(parents=True, exist_ok=True)
            with tempfile.TemporaryFile(dir=folder):
                pass
        except OSError as error:
            raise UserError(
                f"cannot write to the folder {folder} ({os.strerror(error.errno)}): make it writable, "
                "or run with --directory FOLDER"
            ) from None
        free = shutil.disk_usage(folder).free
        if free < SPACE:
            raise UserError(
                f"only {free >> 20} MB are free for the folder {folder}, {SPACE >> 20} MB are needed: "
                "free some space, or run with --directory FOLDER on another disk"
            )


def check_data_path(path):
    """Raise UserError where data.path is given and is no folder."""
    folder = Path(path or ".").expanduser().absolute()
    if not folder.is_dir():
        raise UserError(
            f"config: data.path = {path!r} is not a folder ({folder}): name the one with the four IDX files, or null"
        )


def check_braces(*paths):
    """Raise UserError where a path holds what Snakemake takes for a wildcard."""
    for path in paths:
        if set("{}") & set(str(path)):
            raise UserError(f"the path {path} holds a brace, which Snakemake takes for a wildcard: rename the folder")
