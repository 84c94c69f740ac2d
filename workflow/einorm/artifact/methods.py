"""A paragraph for the methods section of a paper, and entries to cite: all numbers are those of an archive."""

from collections.abc import Iterator
from pathlib import Path

from pandas import DataFrame

from .. import __version__
from ..analysis.selection import collapsed
from ..conditions import CONDITIONS
from ..records import archive, costs, provenance
from ..settings import Settings
from ..variants import PAPER, VARIANTS

RANDOM_NUMBERS = {
    "own": "random numbers of einorm's own streams",
    "release": "the random numbers of the published runs",
}
BIBTEX = """\
@article{{henhaeyono2026,
  title   = {{Inhibitory normalization of error signals improves learning in neural circuits}},
  author  = {{Henha Eyono, R. and Levenstein, D. and Ghosh, A. and Cornford, J. and Richards, B.}},
  journal = {{arXiv:2603.17676}},
  year    = {{2026}}
}}
@software{{einorm,
  title   = {{einorm: a reproducibility artifact for arXiv:2603.17676}},
  author  = {{{{einorm contributors}}}},
  version = {{{version}}}
}}"""


def describe(folder: Path | str) -> str:
    """The paragraph and two entries of BibTeX for the runs of an archive.

    Parameters
    ----------
    folder : of an archive

    Returns
    -------
    str

    Raises
    ------
    UserError
        If it is no archive, or damaged.
    """
    folder = Path(folder)
    manifest, trained = archive.check(folder), archive.trainings(folder)
    held = archive.load(folder)
    sentences = [*what(held["runs"], Settings(**manifest["settings"])), *how_it_ran(held, trained)]
    return f"{' '.join(sentences)}\n\n{BIBTEX.format(version=__version__)}"


def what(runs: DataFrame, settings: Settings) -> Iterator[str]:
    """Sentences: how many networks of which conditions, what they learned, and how; nothing that is only planned."""
    conditions = [name for name in settings.conditions if name in set(runs["condition"])]
    labels = ", ".join(f"{CONDITIONS[name].label} ({name})" for name in conditions)
    epsilons = " and ".join(f"{epsilon:g}" for epsilon in sorted(runs["epsilon"].unique()))
    cells = runs.groupby(["task", "variant", "condition", "epsilon", "lambda_"]).size()
    each = f"{cells.max()}" if cells.min() == cells.max() else f"{cells.min()} to {cells.max()}"
    yield (
        f"We analyze {len(runs):,} networks of {len(conditions)} conditions ({labels}), at epsilon {epsilons}: "
        f"{each} random configurations of learning rates and hidden width each, with seed {settings.seed} and "
        f"{RANDOM_NUMBERS[settings.randomness]}."
    )
    lost = int(collapsed(runs).sum())
    yield (
        f"Each was trained for {settings.epochs} epochs on {settings.train_images:,} images of {settings.dataset} "
        f"({' and '.join(sorted(runs['task'].unique()))} shifts), in file order, by plain stochastic gradient descent "
        f"on batches of {settings.batch_size} with label smoothing of {PAPER['label_smoothing']:g}, in "
        f"{PAPER['precision']}, and tested on {settings.test_images:,} images."
    )
    yield (
        f"Runs whose loss was no longer finite, {lost} of them, stopped and count as 10 % accuracy."
        if lost
        else "No run collapsed."
    )
    trained = [name for name in settings.variants if name in set(runs["variant"])]
    for name in [name for name in trained if name != "paper"]:
        changes = ", ".join(f"{key} {value}" for key, value in VARIANTS[name].items())
        yield f"In {(runs['variant'] == name).sum():,} of them ({name}) another setting takes its place: {changes}."


def how_it_ran(held: dict[str, DataFrame], trained: list[provenance.Facts]) -> Iterator[str]:
    """Sentences: with which software, on what, in how many hours."""
    versions = {key: {t["versions"].get(key) for t in trained} - {None} for key in ("einorm", "torch", "python")}
    named = ", ".join(f"{key} {', '.join(sorted(found))}" for key, found in versions.items() if found)
    commits = sorted({provenance.short(t["commit"]) for t in trained if t.get("commit")})
    at = f" (commit {', '.join(commits)})" if commits else ""
    machines = "; ".join(dict.fromkeys(provenance.machine_name(t["machine"]) for t in trained))
    spent = costs.hours_in_words(costs.cost(held["runs"], held["costs"])["all"])
    yield f"Training used {named}{at} and took {spent} on {machines}."
