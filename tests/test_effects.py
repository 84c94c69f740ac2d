"""Effects: what is paired with what, clustering by configuration, thirds of the learning rates."""

import numpy as np
import pandas as pd
import pytest
from einorm import effects, stats

EPSILONS = (0, 0.25, 0.5, 0.75)


def group(values, epsilon=0.75, configs=None):
    """A group of runs as `effects.defined_values` gives it; the learning rate falls with the configuration."""
    values = np.asarray(values, float)
    configs = np.arange(len(values)) if configs is None else np.asarray(configs)
    return pd.DataFrame({"epsilon": epsilon, "config": configs, "seed": 0, "lr": 1 / (1 + configs), "value": values})


def test_runs_are_paired_by_configuration_whatever_their_order():
    x, y = group(np.arange(8.0) ** 2), group(np.arange(8.0))
    result = effects.difference(x.sample(frac=1, random_state=0), y.sample(frac=1, random_state=1))
    expected = stats.walsh(np.arange(8.0) ** 2 - np.arange(8.0))
    assert (result["effect"], result["low"], result["high"]) == expected and result["method"] == "paired"


def test_a_run_without_its_match_makes_the_groups_unpaired():
    x, y = group(np.arange(8.0)), group(np.arange(8.0))
    assert effects.method_of([x[:7], y], False) == "paired", "the smaller group is matched as a whole"
    assert effects.method_of([x[:7], y[1:]], False) == "unpaired"
    assert effects.method_of([x[:5], y[:5]], False) == "unpaired", "five pairs leave no interval"


def pooled(rng, configs=12, between=3.0, within=0.3, shift=0.0):
    """Two groups at four epsilons; the difference has a part that belongs to the configuration."""
    of_config = np.repeat(rng.normal(shift, between, configs), 4)
    where = {"epsilon": np.tile(EPSILONS, configs), "config": np.repeat(np.arange(configs), 4), "seed": 0, "lr": 0.1}
    y = pd.DataFrame(where | {"value": rng.normal(0, within, 4 * configs)})
    return y.assign(value=y["value"] + of_config + rng.normal(0, within, 4 * configs)), y


def test_pooled_intervals_count_configurations_and_not_runs():
    x, y = pooled(np.random.default_rng(0))
    result = effects.difference(x, y, pooled=True)
    d = (x["value"] - y["value"]).to_numpy().reshape(12, 4).mean(axis=1)
    assert (result["effect"], result["low"], result["high"]) == pytest.approx(stats.walsh(d))
    assert result["n_x"] == 48 and result["n_pairs"] == 12
    alone = effects.estimate([x], "median", pooled=True)
    assert alone == pytest.approx(stats.median_interval(x["value"].to_numpy().reshape(12, 4).mean(axis=1)))


def test_pooled_intervals_cover_the_truth_where_those_of_runs_do_not():
    clustered = runs = 0
    for seed in range(200):
        x, y = pooled(np.random.default_rng(seed), shift=1.0)
        low, high = effects.estimate([x, y], "paired", pooled=True)[1:]
        clustered += low <= 1 <= high
        low, high = effects.estimate([x, y], "paired", pooled=False)[1:]
        runs += low <= 1 <= high
    assert clustered / 200 > 0.92 and runs / 200 < 0.85


def test_the_effect_at_low_and_at_high_learning_rates():
    """The learning rate falls with the configuration: the last third has the lowest."""
    y = group(np.zeros(9))
    found = effects.at_rates([group([1.0, 2, 3, 0, 0, 0, 7, 8, 9]), y], "paired", False)
    assert found == {"low_rates": 8, "high_rates": 2}
    assert effects.at_rates([group([1.0, 2, 3, 4, 5, 6])], "median", False) == {"low_rates": 5.5, "high_rates": 1.5}
    few = effects.at_rates([group([1.0, 2])], "median", False)
    assert np.isnan([few["low_rates"], few["high_rates"]]).all(), "two configurations have no thirds"
