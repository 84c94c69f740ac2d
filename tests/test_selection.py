"""Which runs count: the published rules, and two kinds of failed runs that are never mixed up."""

import numpy as np
import pandas as pd
import pytest
from einorm.analysis import selection


def group(accuracies, condition="inorm", epsilon=0.75, collapsed=()):
    status = ["collapsed" if i in collapsed else "finished" for i in range(len(accuracies))]
    return pd.DataFrame(
        {"condition": condition, "epsilon": epsilon, "config": range(len(accuracies)), "test_acc": accuracies}
    ).assign(status=status)


def kept(runs):
    return selection.selected(runs, "above_chance")["test_acc"].tolist()


def test_collapsed_runs_are_at_chance_but_not_all_at_chance_have_collapsed():
    runs = group([10.0, 10.0, 9.8, 10.01], collapsed=[0])
    assert selection.at_chance(runs).tolist() == [True, True, True, False]
    assert selection.collapsed(runs).tolist() == [True, False, False, False]


def test_runs_at_chance_are_left_out_where_the_median_is_50_or_more():
    assert kept(group([10.0, 80, 81])) == [80, 81]
    assert kept(group([10.0, 10.0, 81])) == [10, 10, 81], "the median is 10: the figure keeps them"
    assert kept(group([10.0, 90.0])) == [90], "the median is exactly 50"
    assert kept(group([10.0, 89.9])) == [10, 89.9], "the median is just below 50"


def test_the_rule_looks_at_every_condition_and_epsilon_by_itself():
    fine, lost = group([10.0, 80, 81]), group([10.0, 10.0, 81])
    for name, value in (("condition", "gradnorm_scale"), ("epsilon", 0.0)):
        assert kept(pd.concat([fine, lost.assign(**{name: value})], ignore_index=True)) == [80, 81, 10, 10, 81]


def test_the_ten_best_are_chosen_per_condition_and_epsilon_and_an_unknown_rule_is_an_error():
    runs = pd.concat([group(list(range(60, 75))), group(list(range(15)), epsilon=0.0)], ignore_index=True)
    best = selection.selected(runs, "top10")
    assert sorted(best["test_acc"]) == [*range(5, 15), *range(65, 75)]
    assert selection.selected(runs, "all") is runs
    with pytest.raises(KeyError):
        selection.selected(runs, "without_collapsed")


def test_of_equally_good_runs_the_first_configurations_are_taken():
    runs = group([50.0] * 12).sample(frac=1, random_state=0)
    assert sorted(selection.top_runs(runs)["config"]) == list(range(10))
    held_out = group(list(range(12))).assign(validation_acc=range(12, 0, -1))
    assert sorted(selection.top_runs(held_out, "validation_acc")["config"]) == list(range(10))


def test_rows_of_the_paper_are_those_of_its_task_and_its_way_of_training():
    rows = pd.DataFrame({"task": ["luminosity", "luminosity", "contrast"], "variant": ["paper", "depth3", "paper"]})
    assert selection.of_task(rows).index.tolist() == [0, 1] and selection.of_task(rows, "contrast").index.tolist() == [
        2
    ]
    assert selection.as_published(rows).index.tolist() == [0]
    assert selection.as_published(rows, "contrast").index.tolist() == [2]
    assert selection.as_published(rows[["task"]]).index.tolist() == [0, 1], "samples are of no variant"


def test_metrics_are_means_of_both_layers_and_distances_from_0_and_1():
    runs = pd.DataFrame(
        {"test_acc": [80.0, 90], "mu0": [1.0, -3], "mu1": [2.0, 1], "var0": [4.0, 0.1], "var1": [16.0, 0.1]}
    )
    assert selection.metric_values(runs, "test_acc").tolist() == [80, 90]
    assert selection.metric_values(runs, "mu").tolist() == [1.5, -1]
    assert selection.metric_values(runs, "mu_distance").tolist() == [1.5, 1]
    np.testing.assert_allclose(selection.metric_values(runs, "var_distance"), [1, 1])
