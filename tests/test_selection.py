"""Which runs count: the published rules, and two kinds of failed runs that are never mixed up."""

import pandas as pd
import pytest
from einorm import selection


def group(accuracies, condition="inorm", epsilon=0.75, collapsed=()):
    status = ["collapsed" if i in collapsed else "finished" for i in range(len(accuracies))]
    return pd.DataFrame(
        {"condition": condition, "epsilon": epsilon, "config": range(len(accuracies)), "test_acc": accuracies}
    ).assign(status=status)


def kept(runs):
    return selection.select_runs(runs, "above_chance")["test_acc"].tolist()


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
    best = selection.select_runs(runs, "top10")
    assert sorted(best["test_acc"]) == [*range(5, 15), *range(65, 75)]
    assert selection.select_runs(runs, "all") is runs
    with pytest.raises(KeyError):
        selection.select_runs(runs, "without_collapsed")
