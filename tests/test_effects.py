"""Effects: what is paired with what, clustering by configuration, thirds of the learning rates."""

from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest
from einorm.analysis import effects, stats

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


def test_unpaired_pooled_groups_are_compared_by_configuration_and_tested_by_run():
    x, y = pooled(np.random.default_rng(1))
    x, y = x[x["config"] < 10], y[y["config"] > 1]
    result = effects.difference(x, y, pooled=True)
    means = [group.groupby("config")["value"].mean() for group in (x, y)]
    expected = stats.hodges_lehmann(*means)
    assert (result["effect"], result["low"], result["high"]) == pytest.approx(expected) and result[
        "method"
    ] == "unpaired"
    assert (result["shift"], result["shift_low"], result["shift_high"]) == pytest.approx(expected)
    assert result["superiority"] == pytest.approx(stats.compare(*means)["superiority"])
    assert (result["p"], result["U"]) == tuple(stats.compare(x["value"], y["value"])[name] for name in ("p", "U"))
    assert stats.compare_p(x["value"], y["value"]) == result["p"]


def test_pooled_intervals_cover_the_truth_where_those_of_runs_do_not():
    clustered = runs = 0
    for seed in range(200):
        x, y = pooled(np.random.default_rng(seed), shift=1.0)
        low, high = effects.estimate([x, y], "paired", pooled=True)[1:]
        clustered += low <= 1 <= high
        low, high = effects.estimate([x, y], "paired", pooled=False)[1:]
        runs += low <= 1 <= high
    assert clustered / 200 > 0.92 and runs / 200 < 0.85


def statement(of="difference", x="gradnorm_full", y="e_only_ln", epsilon=0.75, from_epsilon=None, metric="test_acc"):
    conditions = [x] if y is None else [x, y]
    return SimpleNamespace(
        of=of, x=x, y=y, epsilon=epsilon, from_epsilon=from_epsilon, metric=metric, conditions=conditions
    )


def table(configs=9, epsilons=(0, 0.75)):
    """Runs of two conditions with accuracies that follow no pattern, the mean and variance of activity, and a rate."""
    rng, rows = np.random.default_rng(4), []
    for condition in ("gradnorm_full", "e_only_ln"):
        for epsilon in epsilons:
            rows += [(condition, epsilon, i, 0, 1 / (1 + i), "finished") for i in range(configs)]
    frame = pd.DataFrame(rows, columns=["condition", "epsilon", "config", "seed", "lr", "status"])
    return frame.assign(test_acc=80 + rng.normal(0, 2, len(frame)), mu0=rng.normal(0, 1, len(frame)), mu1=0.0)


def accuracies(runs, condition, epsilon=0.75):
    return runs[(runs["condition"] == condition) & (runs["epsilon"] == epsilon)]["test_acc"].to_numpy()


def test_a_paired_difference_comes_with_its_tests_and_the_median_difference():
    runs = table()
    x, y = (accuracies(runs, condition) for condition in ("gradnorm_full", "e_only_ln"))
    found = effects.effect(statement(), runs, "all")
    assert (found["effect"], found["low"], found["high"]) == stats.walsh(x - y) and found["method"] == "paired"
    middle = tuple(found[name] for name in ("median_difference", "median_low", "median_high"))
    assert middle == stats.median_interval(x - y) and found["n_pairs"] == found["n_x"] == found["n_y"] == 9
    assert {name: found[name] for name in ("U", "p", "median_x")} == {
        name: stats.compare(x, y)[name] for name in ("U", "p", "median_x")
    }
    assert found["p_paired"] == stats.paired(x, y)["p_paired"]


def test_a_pooled_effect_is_that_of_the_configurations():
    runs = table()
    groups = effects.groups_of(statement(epsilon="pooled"), runs, "all")
    found, expected = effects.effect(statement(epsilon="pooled"), runs, "all"), effects.difference(*groups, pooled=True)
    assert [found[name] for name in ("effect", "low", "high")] == [expected[name] for name in ("effect", "low", "high")]
    assert (found["n_pairs"], found["n_x"]) == (9, 18)
    level = effects.effect(statement("level", y=None, epsilon="pooled"), runs, "all")
    means = runs[runs["condition"] == "gradnorm_full"].groupby("config")["test_acc"].mean()
    assert (level["effect"], level["low"], level["high"]) == pytest.approx(stats.median_interval(means))


def test_a_trend_is_the_change_of_the_difference_within_configurations():
    runs = table()
    change = np.subtract(*(accuracies(runs, c) for c in ("gradnorm_full", "e_only_ln")))
    change -= np.subtract(*(accuracies(runs, c, 0) for c in ("gradnorm_full", "e_only_ln")))
    found = effects.effect(statement("trend", from_epsilon=0), runs, "all")
    assert (found["effect"], found["low"], found["high"]) == pytest.approx(stats.walsh(change))
    assert (found["method"], found["n_pairs"], found["n_x"], found["n_y"]) == ("trend", 9, 9, 9)
    assert found["median_difference"] == pytest.approx(np.median(change)) and np.isnan(found.get("p", np.nan))


def test_a_level_is_the_median_of_one_group():
    runs = table()
    found = effects.effect(statement("level", y=None), runs, "all")
    assert (found["effect"], found["low"], found["high"]) == stats.median_interval(accuracies(runs, "gradnorm_full"))
    assert (found["method"], found["n_x"], found["n_y"], found["n_pairs"]) == ("median", 9, 0, 0)
    assert found["low_rates"] == np.median(accuracies(runs, "gradnorm_full")[-3:])
    assert np.isnan(found["median_difference"])


def test_groups_without_a_value_have_no_effect_but_are_counted():
    runs = table()
    runs.loc[runs["condition"] == "gradnorm_full", "test_acc"] = np.nan
    found = effects.effect(statement(), runs, "all")
    assert (found["n_x"], found["n_y"], found["n_pairs"], found["method"]) == (0, 9, 0, "none")
    assert np.isnan([found["effect"], found["low"], found["high"], found["low_rates"]]).all()
    assert effects.effect(statement("level", y=None), runs, "all")["n_y"] == 0


def test_values_are_of_one_condition_and_epsilon_or_of_all_epsilons():
    runs = table()
    runs.loc[0, "mu0"] = np.nan
    assert len(effects.defined_values(runs, "gradnorm_full", 0, "mu", "all")) == 8
    values = effects.defined_values(runs, "gradnorm_full", 0.75, "mu", "all")
    chosen = runs[(runs["condition"] == "gradnorm_full") & (runs["epsilon"] == 0.75)]
    assert values["value"].tolist() == (chosen["mu0"] / 2).tolist() and values["lr"].tolist() == chosen["lr"].tolist()
    assert len(effects.defined_values(runs, "gradnorm_full", "pooled", "test_acc", "all")) == 18


def test_the_effect_at_low_and_at_high_learning_rates():
    """The learning rate falls with the configuration: the last third has the lowest."""
    y = group(np.zeros(9))
    found = effects.at_rates([group([1.0, 2, 3, 0, 0, 0, 7, 8, 9]), y], "paired", False)
    assert found == {"low_rates": 8, "high_rates": 2}
    assert effects.at_rates([group([1.0, 2, 3, 4, 5, 6])], "median", False) == {"low_rates": 5.5, "high_rates": 1.5}
    few = effects.at_rates([group([1.0, 2])], "median", False)
    assert np.isnan([few["low_rates"], few["high_rates"]]).all(), "two configurations have no thirds"


def test_of_a_lambda_sweep_the_best_run_of_every_configuration_counts():
    swept = pd.DataFrame({"condition": "inorm_lambda", "epsilon": 0.75, "seed": 0, "lr": 0.1, "status": "finished",
                          "config": [0, 1, 0, 1], "lambda_": [0.1, 0.1, 1, 1], "test_acc": [81.0, 84, 83, 80],
                          "mu0": [1.0, 2, 3, 4], "mu1": [1.0, 2, 3, 4]})  # fmt: skip
    for metric, expected in (("test_acc", {0: 83, 1: 84}), ("mu", {0: 3, 1: 2})):
        values = effects.defined_values(swept, "inorm_lambda", 0.75, metric, "all")
        assert values.set_index("config")["value"].to_dict() == expected, "chosen by accuracy, whatever is measured"
