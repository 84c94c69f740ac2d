"""Judging: intervals against limits, the words for them, and what keeps a statement from being judged."""

from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest
from einorm.analysis import judging

NONE = (None, None)
PAIR = SimpleNamespace(conditions=["gradnorm_full", "e_only_ln"], y="e_only_ln", holds=(-0.5, None), partly=(-1, None))
RULES = SimpleNamespace(epsilons=lambda statement: [0, 0.75], epochs=lambda statement: 20)


def runs(epochs=20, epsilons=(0, 0.75), conditions=("gradnorm_full", "e_only_ln")):
    rows = [(condition, epsilon, epochs) for condition in conditions for epsilon in epsilons]
    return pd.DataFrame(rows, columns=["condition", "epsilon", "epochs"])


def result(low, high, **more):
    return {"low": low, "high": high, "n_x": 4, "n_y": 5, "n_pairs": 3, "method": "paired"} | more


@pytest.mark.parametrize(
    ("limits", "inside", "beyond"),
    [
        ((-0.5, 0.5), [(-0.4, 0.4)], [(-2, -0.5), (0.5, 2), (0.6, 0.7)]),
        ((0, None), [(0.1, 5)], [(-1, 0), (-2, -1)]),
        ((None, 0), [(-5, -0.1)], [(0, 1), (1, 2)]),
        (NONE, [(-5, 5)], []),
    ],
)
def test_an_interval_lies_within_limits_beyond_one_or_across(limits, inside, beyond):
    across = [(limits[0], limits[0] + 0.1)] if limits[0] is not None else []
    across += [(limits[1] - 0.1, limits[1])] if limits[1] is not None else []
    for intervals, expected in ((inside, (True, False)), (beyond, (False, True)), (across, (False, False))):
        for low, high in intervals:
            assert (judging.within(low, high, limits), judging.outside(low, high, limits)) == expected, (low, high)


@pytest.mark.parametrize(
    ("limits", "words"),
    [((0, None), "above 0"), ((None, -0.5), "below -0.50"), ((-0.5, 0.5), "between -0.50 and +0.50")],
)
def test_limits_are_put_in_words(limits, words):
    assert judging.region(limits) == words


@pytest.mark.parametrize(
    ("low", "high", "verdict", "reason"),
    [
        (-0.4, 0.3, "reproduced", "-0.40 to +0.30 of the effect lies above -0.50"),
        (-0.9, 0.3, "partly", "+0.30 of the effect lies above -1.00, but reaches across the limit of 'above -0.50'"),
        (-0.9, -0.6, "not reproduced", "lies wholly outside of 'above -0.50'"),
        (-1.2, 0.3, "inconclusive", "reaches across the limit of 'above -0.50': more runs are needed"),
    ],
)
def test_a_verdict_gives_its_reason(low, high, verdict, reason):
    found, words = judging.judge(PAIR, result(low, high), RULES, runs())
    assert found == verdict and words.startswith("the 95 % interval ") and words.endswith(reason)


def test_without_a_second_region_there_is_no_partly():
    strict = SimpleNamespace(**vars(PAIR) | {"partly": None})
    assert judging.judge(strict, result(-0.9, 0.3), RULES, runs())[0] == "inconclusive"


def test_the_shortest_run_of_the_statement_must_be_long_enough():
    short = runs(epochs=19)
    assert judging.too_little(PAIR, result(0, 1), RULES, runs()) == ""
    assert judging.too_little(PAIR, result(0, 1), RULES, pd.concat([runs(), short[:1]])) == (
        "trained for 19 epochs, 20 are needed"
    )
    others = pd.concat([short.assign(condition="inorm"), short.assign(epsilon=0.5), runs()])
    assert judging.too_little(PAIR, result(0, 1), RULES, others) == "", "runs of others do not matter"


@pytest.mark.parametrize(
    ("more", "y", "counts"),
    [({}, "e_only_ln", "3"), ({"method": "unpaired"}, "e_only_ln", "4 v 5"), ({"method": "median"}, None, "4")],
)
@pytest.mark.parametrize("limits", [(-np.inf, np.inf), (0, np.inf), (np.nan, np.nan)])
def test_an_interval_that_is_not_finite_decides_nothing(more, y, counts, limits):
    statement = SimpleNamespace(**vars(PAIR) | {"y": y})
    verdict, reason = judging.judge(statement, result(*limits, **more), RULES, runs())
    assert (verdict, reason) == ("inconclusive", f"too few runs ({counts}) for a 95 % interval")


def test_missing_runs_are_named_for_every_condition_and_epsilon():
    def cell(condition, epsilon):
        return {"condition": condition, "epsilon": epsilon, "finished": 3, "planned": 30}

    assert judging.missing_runs(PAIR, RULES, runs(), []) == ""
    assert judging.missing_runs(PAIR, RULES, runs(), [cell("inorm", 0), cell("e_only_ln", 0.5)]) == ""
    some = [cell("gradnorm_full", 0.75), cell("e_only_ln", 0)]
    assert judging.missing_runs(PAIR, RULES, runs(), some) == (
        "3 of 30 runs of gradnorm_full at epsilon 0.75; 3 of 30 runs of e_only_ln at epsilon 0"
    )
    assert judging.missing_runs(PAIR, RULES, runs(epsilons=(0.75,)), [cell("e_only_ln", 0)]) == (
        "no run of gradnorm_full at epsilon 0; no run of e_only_ln at epsilon 0"
    ), "not named twice"


@pytest.mark.parametrize(
    ("low", "high", "expected"),
    [(-0.49, 0.49, "equal"), (-0.5, 0.2, "open"), (-0.2, 0.5, "open"), (0.5, 1, "different"), (-1, -0.5, "different"),
     (0, np.inf, "open"), (1, np.inf, "open"), (np.nan, np.nan, "open")],
)  # fmt: skip
def test_equality_within_a_margin(low, high, expected):
    assert judging.equivalence({"low": low, "high": high}, 0.5) == expected
