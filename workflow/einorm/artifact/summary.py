"""The report's first sentences: what was found, made from the verdicts on the statements of claims.yaml."""

from collections.abc import Iterable

import numpy as np
from pandas import DataFrame, Series

from ..analysis.judging import VERDICTS

# What is compared, as sentences with the effect of a statement in words and its verdict.
SENTENCES = (
    ("C4.1", "I-Norm, where inhibition learns to normalize activity, ends {effect} LN+ at epsilon 0.75"),
    ("C5.1", "GradNorm, where inhibition normalizes error signals as well, ends {effect} LN+ at epsilon 0.75"),
    ("C6.1", "I-Norm whose error signals are only centered ends {effect} LN+ at epsilon 0.75"),
    ("C7.1", "Lateral inhibition with random synapses ends {effect} exact centering at epsilon 0.75"),
)
LEVEL = 0.05  # points: less is no difference in words
SIZES_IN_WORDS = {"same size": "have that size here", "differs": "differ", "unclear": "are unclear"}


def summary(judged: DataFrame) -> list[str]:
    """Sentences about verdicts, one where nothing was computed; statements that were not computed are only counted.

    Parameters
    ----------
    judged : DataFrame, rows of claims.csv on all runs of the paper's task

    Returns
    -------
    list of str
    """
    rows = {row["id"]: row for row in judged.to_dict("records")}
    counts = in_words(judged["verdict"], reversed(VERDICTS))
    found = [f"The paper's claims are split into {len(judged)} statements: {counts}."]
    for name, sentence in SENTENCES:
        row = rows.get(name)
        if row and np.isfinite(row["effect"]):
            found.append(f"{sentence.format(effect=distance(row['effect']))} ({name}: {row['verdict']}).")
    compared = judged[judged["size_verdict"].isin(list(SIZES_IN_WORDS))]
    if len(compared):
        words = in_words(compared["size_verdict"].map(SIZES_IN_WORDS), SIZES_IN_WORDS.values())
        found.append(f"Of {len(compared)} statements that were judged and published with an interval, {words}.")
    return found


def in_words(verdicts: Series, order: Iterable[str]) -> str:
    """How many verdicts there are of each kind, in words; what there is none of is left out."""
    counts = verdicts.value_counts()
    return ", ".join(f"{counts[verdict]} {verdict}" for verdict in order if verdict in counts)


def distance(effect: float) -> str:
    """A difference of test accuracy in words."""
    if abs(effect) < LEVEL:
        return "level with"
    return f"{abs(effect):.2f} points {'below' if effect < 0 else 'above'}"
