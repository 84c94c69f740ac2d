"""Where a workflow runs: the package that its commands find, folders that can be written, paths that can be used."""

import os
import shutil
import sys
import tempfile
from pathlib import Path

from ..data import check_images
from ..runtime import PACKAGE, UserError

RESULTS, OUT, BUNDLE = Path("results"), Path("figures"), Path("paper_artifact", "bundle")
SPACE = 200 * 2**20  # bytes: images 55 MB, shift tables 12 MB per epsilon, shards and figures below 50 MB in all


def use_this_clone() -> None:
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


def check_folders() -> None:
    """Raise UserError where results, figures or the bundle cannot be written, or space will not do."""
    for folder in (RESULTS, OUT):
        try:
            folder.mkdir(parents=True, exist_ok=True)
            with tempfile.TemporaryFile(dir=folder):
                pass
        except OSError as error:
            raise UserError(
                f"cannot write to the folder {folder} ({error.strerror}): make it writable, "
                "or run with --directory FOLDER"
            ) from None
        free = shutil.disk_usage(folder).free
        if free < SPACE:
            raise UserError(
                f"only {free >> 20} MB are free for the folder {folder}, {SPACE >> 20} MB are needed: "
                "free some space, or run with --directory FOLDER on another disk"
            )
    for folder in [Path(path) for top in (RESULTS, OUT, BUNDLE) for path, _, _ in os.walk(top)]:
        if not os.access(folder, os.W_OK | os.X_OK):
            raise UserError(f"cannot write to the folder {folder}: make it writable, or run with --directory FOLDER")


def check_data_path(path: str | None) -> None:
    """Raise UserError where data.path is given and is no folder."""
    folder = Path(path or ".").expanduser().absolute()
    if not folder.is_dir():
        raise UserError(
            f"config: data.path = {path!r} is not a folder ({folder}): name the one with the four IDX files, or null"
        )


def check_braces(*paths: Path | str) -> None:
    """Raise UserError where a path holds what Snakemake takes for a wildcard."""
    for path in paths:
        if set("{}") & set(str(path)):
            raise UserError(f"the path {path} holds a brace, which Snakemake takes for a wildcard: rename the folder")


def check_prepared(dataset: str) -> None:
    """Look at the prepared images before a training starts.

    Where those of finished runs are gone, print a note: Snakemake would start all training jobs again. Raises UserError
    where they are of another data set than `data.DATASETS` has now (`data.check_images`).
    """
    images = RESULTS / "data" / f"{dataset}.npz"
    if not images.exists() and any((RESULTS / "runs").rglob("*.parquet")):
        print(
            f"einorm: note: {images} is missing. If a run is left to train, all jobs start again, to find their runs "
            f"finished. Make it first: python -m einorm prepare --dataset {dataset} --downloads results/downloads "
            f"--out {images}",
            file=sys.stderr,
        )
    if images.exists():
        check_images(images, dataset)


def relative(path: Path) -> str:
    """A path as seen from here, for commands that read well."""
    return os.path.relpath(path)
