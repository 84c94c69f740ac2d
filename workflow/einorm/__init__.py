"""Inhibitory normalization of error signals (arXiv:2603.17676), reproduced."""

import sys
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pathlib import Path

    from pandas import DataFrame

__version__ = "0.1.0"

MISSING_PACKAGE = "the package {} is missing: install the environment (pip install --no-deps -r envs/requirements.lock)"

if sys.version_info < (3, 11):  # noqa: UP036 (pip checks it only where the package is installed)
    sys.exit(f"einorm: error: this is Python {sys.version.split()[0]}, 3.11 or newer is needed: use another python")


def load(folder: "Path | str") -> "dict[str, DataFrame]":
    """Tables of an archive, or of a results/tables folder, as pandas frames.

    Parameters
    ----------
    folder : str or Path, e.g. ``"paper_artifact/archive/quick"``

    Returns
    -------
    dict of DataFrames
        "runs" (a row per run, metrics after its last epoch), "epochs" (a row per run and epoch), "costs" (wall and
        CPU seconds per run) and "samples" (images of Fig. 1). Accuracies are in %; in runs and epochs the metrics of
        the hidden layers stand per layer (mu0, mu1, ...) and as their mean (mu, ...), as in the figures.

    Raises
    ------
    einorm.runtime.UserError
        If a table is missing, damaged or changed since it was archived.
    """
    from .records.archive import load  # brings pandas, which an ordinary start does without

    return load(folder)
