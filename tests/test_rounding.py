"""How far apart two trainings of the same runs are."""

import numpy as np
import pytest
import synthetic
from einorm.analysis.rounding import SPANS, apart


def trained(epochs, configs=3):
    """Invented rows of table "epochs" whose test accuracy is 80 + its epoch / 10."""
    rows = synthetic.frames(["inorm", "e_only_ln"], configs=configs, epochs=epochs, collapsed=None)["epochs"]
    return rows.assign(test_acc=80 + rows["epoch"] / 10)


def test_the_same_runs_are_compared_epoch_by_epoch():
    """In I-Norm one is 0.5 points above the other up to epoch 5, then 1 below; other runs and epochs do not count."""
    short, long = trained(8), trained(12, configs=5)
    moved = short["condition"] == "inorm"
    short["test_acc"] += np.where(moved, np.where(short["epoch"] <= 5, 0.5, -1), 0)
    found = apart(short, long).set_index(["condition", "epsilon"])
    assert [f"{first} to {last}" for first, last in SPANS] == [*found.columns[1:-1]]
    assert found.loc[("inorm", 0.75)].tolist()[:3] == pytest.approx([3, 0.5, 1])
    assert "e_only_ln" not in found.index.get_level_values(0), "equal in all epochs: batched alike"
    assert found[["11 to 20", "sd"]].isna().all(axis=None), "one of the two has no such epoch"


def test_the_standard_deviation_is_that_of_the_last_epochs_around_0():
    short, long = trained(12), trained(12, configs=5)
    short["test_acc"] += np.where(short["epoch"] == 11, 3.0, np.where(short["epoch"] == 12, -4.0, 0.1))
    assert apart(short, long)["sd"].tolist() == pytest.approx([np.sqrt((9 + 16) / 2)] * len(apart(short, long)))


def test_runs_with_other_random_numbers_are_others():
    rows = trained(2)
    assert apart(rows, rows.assign(randomness="release")).empty
