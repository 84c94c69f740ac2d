"""Predictions on E-I networks with the release's casts, on invented runs whose truth is known."""

import numpy as np
import pandas as pd
from conftest import REPOSITORY
from einorm import config
from einorm.analysis import published
from einorm.analysis.casts import NEARER, PREDICTIONS, predictions

THEIRS = published.load(REPOSITORY / "paper_artifact" / "published")["complete"]


def runs_with(noise, drop=0, collapsed=0):
    """The published runs of E-I and E-I LN at epsilon 0.75 with noise (points), each with a configuration."""
    parts, rng = [], np.random.default_rng(0)
    for condition in ("ei_none", "ei_ln"):
        runs = THEIRS[(THEIRS["condition"] == condition) & (THEIRS["epsilon"] == 0.75)].sort_values("config")
        runs = runs.assign(config=range(len(runs)), test_acc=runs["test_acc"] + rng.normal(0, noise, len(runs)))
        parts.append(runs.iloc[: len(runs) - drop])
    runs = pd.concat(parts, ignore_index=True)
    runs.loc[: collapsed - 1, "test_acc"] = 10.0
    return runs


def outcomes(float32, casts):
    return {row["id"]: row["outcome"] for row in predictions(THEIRS, float32, casts)}


def test_they_are_met_by_nearer_runs_and_not_by_equal_or_farther_ones():
    near, far = runs_with(0.02), runs_with(1.0)
    assert set(outcomes(far, near).values()) == {"met"}
    assert outcomes(near, far) == dict.fromkeys(["T1", "T2", "T3", "T4"], "not met") | {"T5": "met"}
    assert outcomes(far, far) == dict.fromkeys(["T1", "T2", "T3", "T4"], "not met") | {"T5": "met"}
    row = predictions(THEIRS, far, near)[0]
    assert row["met_if"] == PREDICTIONS["T1"] and " points, in float32 " in row["found"]


def test_a_missing_run_decides_nothing_and_a_collapsed_one_does():
    assert set(outcomes(runs_with(1.0), runs_with(0.02, drop=1)).values()) == {"not computed"}
    assert set(outcomes(runs_with(1.0), runs_with(0.02).iloc[:0]).values()) == {"not computed"}
    assert outcomes(runs_with(1.0), runs_with(0.02, drop=1, collapsed=1))["T5"] == "not met"


def test_the_rules_are_those_that_were_written_first():
    words = (REPOSITORY / "paper_artifact" / "predictions_casts.md").read_text()
    assert f"smaller than in float32 by {NEARER:g} points or more" in words
    assert all(f"| {name} | " in words for name in PREDICTIONS)


def test_the_preset_trains_what_is_predicted():
    settings = config.load(REPOSITORY / "config.yaml", "casts")
    assert (settings.variants, settings.epsilons, settings.randomness) == (["release_float16"], [0.75], "release")
    assert settings.conditions == ["ei_none", "ei_ln"] and len(settings.configs) == 30
