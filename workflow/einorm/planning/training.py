"""Training jobs as their rules see them: inputs, fingerprint, time; by length on a CPU, many in a process on a GPU."""

from typing import Any

from ..records import lineage
from ..records.codes import step_of
from ..records.jobs import cost
from ..records.runs import Run, share_shifts, shift_table, shift_table_of
from ..settings import Settings
from ..training import jobfile

# What a training job may take before a cluster ends it: minutes; multiply-adds a second (benchmark.json: 28e9 and up).
START_UP, SLOW_CORE = 10, 5e9
SLOW_GPU, GPU_JOB = 1e12, 60  # the same of a GPU, from a count of bytes; minutes of a job that trains many cells there


def describe_training(settings: Settings, planned: dict[str, list[Run]]) -> dict[str, Any]:
    """The training jobs (`jobs.jobs`) as their rules see them, and the shift tables of the settings."""
    gpu = settings.machine.device == "cuda"
    return {
        "jobs": {name: describe(settings, runs) for name, runs in planned.items()},
        "lengths": by_length(list(planned)),
        "gpu_jobs": gpu_jobs(jobfile.left(settings)) if gpu else [],
        "gpu_minutes": START_UP + 2 * GPU_JOB,
        "shift_tables": [shift_table(settings, t, e, settings.seed) for t in settings.tasks for e in settings.epsilons],
    }


def describe(settings: Settings, runs: list[Run]) -> dict[str, Any]:
    """A training job as its rule sees it."""
    first = runs[0]
    variant = f"{first['variant']}, " if "variant" in first else ""
    configurations = ", ".join(str(config) for config in dict.fromkeys(run["config"] for run in runs))
    return {
        "shifts": [f"results/shifts/{shift_table_of(first)}.npz"] if share_shifts(first) else [],
        "minutes": START_UP + round(minutes_of(runs, SLOW_CORE)),
        "code": lineage.representative(first, step_of(first, settings.machine.device)),
        "title": f"{variant}{first['condition']}, epsilon {first['epsilon']:g}, configurations {configurations}",
    }


def by_length(names: list[str]) -> dict[str, list[str]]:
    """Jobs (the longest first) in classes of equal number, as far as there are enough: short, medium, long."""
    third = -(-len(names) // 3)
    classes = {"short": names[2 * third :], "medium": names[third : 2 * third], "long": names[:third]}
    return {length: chosen for length, chosen in classes.items() if chosen}


def gpu_jobs(planned: dict[str, list[Run]]) -> list[list[str]]:
    """Names of training jobs that one process trains on a GPU, a list each: as many as `GPU_JOB` may take."""
    groups: list[list[str]] = []
    minutes = float("inf")
    for name, runs in planned.items():
        own = minutes_of(runs, SLOW_GPU)
        if minutes + own > GPU_JOB:
            groups, minutes = [*groups, []], 0
        groups[-1].append(name)
        minutes += own
    return groups


def minutes_of(runs: list[Run], speed: float) -> float:
    """Minutes that a job may take at so many multiply-adds a second."""
    return sum(map(cost, runs)) / speed / 60
