"""Runs: what a settings' experiment consists of.

A run is (task, dataset, variant, randomness, condition, epsilon, lambda, configuration, seed), identified by the digest
of its specification. The runs of a cell differ in configuration and lambda only.
"""

from typing import Any

from ..conditions import CONDITIONS
from ..hyperparameters import hyperparameters
from ..runtime import digest
from ..settings import Settings
from ..variants import specification

Run = dict[str, Any]  # a specification: all that decides what a run becomes
CELL = ("task", "variant", "condition", "epsilon")  # what names a cell
Cell = tuple[str, str, str, float]  # values of `CELL`
RANDOMNESS = ("own", "release")  # whose random numbers a run starts from and sees


def cells(settings: Settings) -> list[Cell]:
    """(task, variant, condition, epsilon) of every group of runs, in the order of the settings."""
    return [
        (task, variant, condition, epsilon)
        for task in settings.tasks
        for variant in settings.variants
        for condition in settings.conditions
        for epsilon in (settings.lambda_epsilons if condition == "inorm_lambda" else settings.epsilons)
    ]


def cell_runs(settings: Settings, task: str, variant: str, condition: str, epsilon: float) -> list[Run]:
    """Specifications of the runs of one cell (`cells`), a dict each: all that decides what a run becomes."""
    shared = {
        "task": task,
        "dataset": settings.dataset,
        "condition": condition,
        "epsilon": float(epsilon),
        "seed": settings.seed,
        "epochs": settings.epochs,
        "train_images": settings.train_images,
        "test_images": settings.test_images,
        "batch_size": settings.batch_size,
    } | specification(variant)
    if settings.randomness != "own":  # left out there: older runs keep their digests
        shared["randomness"] = settings.randomness
    return [
        shared | {"lambda": lam, "config": config} | hyperparameters()[config]
        for config in settings.configs  # type: ignore[union-attr]  # where they are checked they are a list
        for lam in CONDITIONS[condition].lambdas
    ]


def run_digest(run: Run) -> str:
    """What identifies a run: a finished one with the same digest is never trained again."""
    return digest(run)[:16]


def cell_folder(run: Run) -> str:
    """Folder of the shards of a run's cell, below results/runs."""
    kind = "".join(f"-{run[name]}" for name in ("variant", "randomness") if name in run)
    return f"{run['task']}{kind}/{run['condition']}/eps{run['epsilon']:g}"


def shift_table(settings: Settings, task: str, epsilon: float, seed: int) -> str:
    """Name of a shift table below results/shifts, without its ending: all that decides its content."""
    return shift_table_of(settings.model_dump() | {"task": task, "epsilon": float(epsilon), "seed": seed})


def shift_table_of(run: Run) -> str:
    """`shift_table` of a run's specification."""
    sizes = f"{run['epochs']}x{run['train_images']}+{run['test_images']}"
    release = "-release" if run.get("randomness") == "release" else ""
    return f"{run['task']}/eps{run['epsilon']:g}-seed{run['seed']}{release}-{sizes}"


def share_shifts(run: Run) -> bool:
    """Whether all configurations of a run's cell see the shifts of the cell's table.

    So it is with random numbers of our own. In the release, networks that draw pooling weights see shifts of their own,
    by their width (`release_randomness.sequence`): their job draws them, since a table of each would be large.
    """
    return run.get("randomness", "own") == "own" or not CONDITIONS[run["condition"]].kind.local
