"""The samples table: images of every class with their shifts, for figure 1."""

import tempfile
from pathlib import Path

import numpy as np
import pandas as pd
from pandas import DataFrame

from ..data import Arrays, check_images, load, load_shifts, write_shifts
from ..settings import Settings
from ..tasks import TASKS
from . import tables


def sample_images(task: str, dataset: str, epsilon: float, images: Arrays, shifts: Arrays) -> DataFrame:
    """Rows of the samples table for one epsilon: the first test image of every class, shifted (Fig. 1)."""
    x, labels = images["test_images"], images["test_labels"]
    d = np.atleast_2d(shifts["test"])[-1]  # of the last epoch, where every epoch has its own
    first = [np.flatnonzero(labels == label)[0] for label in np.unique(labels)]
    first = [i for i in first if i < len(d)]
    shifted = TASKS[task][1](x[first].astype(np.float32) / 255, d[first])
    return pd.DataFrame(
        {
            "task": task,
            "dataset": dataset,
            "epsilon": float(epsilon),
            "image": first,
            "label": labels[first].astype(int),
            "shift": d[first].astype(float),
            "pixels": list(shifted),
        }
    )


def write_samples(
    settings: Settings, images_path: Path | str, shift_paths: dict[tuple[str, float], Path], out: Path | str
) -> None:
    """Write the samples table of all tasks and epsilons; `shift_paths` maps (task, epsilon) to shift tables.

    Raises UserError as `data.check_images`, or if `out` cannot be written.
    """
    check_images(images_path, settings.dataset, settings.train_images, settings.test_images)
    images = load(images_path)
    parts = [
        sample_images(task, settings.dataset, epsilon, images, load_shifts(path))
        for (task, epsilon), path in shift_paths.items()
    ]
    tables.write(pd.concat(parts, ignore_index=True), "samples", out, settings.science())


def make_samples(settings: Settings, images_path: Path | str, out: Path | str) -> None:
    """Write the samples table where no shift tables are: they are drawn again. Raises UserError as `write_samples`."""
    sizes = settings.epochs, settings.train_images, settings.test_images
    with tempfile.TemporaryDirectory() as folder:
        paths = {
            (task, epsilon): Path(folder) / f"{task}{epsilon}.npz"
            for task in settings.tasks
            for epsilon in settings.epsilons
        }
        for (task, epsilon), path in paths.items():
            write_shifts(task, epsilon, settings.seed, *sizes, path, settings.randomness)
        write_samples(settings, images_path, paths, out)
