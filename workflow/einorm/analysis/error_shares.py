"""Where error signals point, in the runs that tell: medians of the shares that `metrics.error_shares` takes.

And whether what was predicted of them, before there were any (paper_artifact/predictions_error_signals.md), is met.
"""

from typing import Any

import numpy as np
import pandas as pd
from pandas import DataFrame

from ..conditions import CONDITIONS
from ..records.tables import LAYERS, SHARES
from ..variants import DALE
from .collapse_predictions import outcome

#: Share -> what it is a share of, and in which direction.
MEANING = {
    "g_common": "error at the layer (g),\ncommon mode",
    "h_common": "error at the\nexcitation (h),\ncommon mode",
    "h_along": "error at the\nexcitation (h),\nalong the activity",
    "update_common": "update of Wex,\ncommon mode",
}


def medians(rows: DataFrame) -> DataFrame:
    """Median share per group of runs.

    Parameters
    ----------
    rows : DataFrame, table "epochs" (then a group per epoch, too) or "runs"

    Returns
    -------
    DataFrame
        variant, condition, epsilon, epoch (of table "epochs"), layer, share (one of `tables.SHARES`), value, n (runs
        that have one); conditions in the order of `CONDITIONS`. Groups without any value are left out.
    """
    by = ["variant", "condition", "epsilon", *(["epoch"] if "epoch" in rows else [])]
    parts = []
    for layer in LAYERS:
        columns = {f"{share}{layer}": share for share in SHARES}
        long = rows[[*by, *columns]].rename(columns=columns).melt(by, var_name="share")
        groups = long.groupby([*by, "share"])["value"].agg(value="median", n="count").reset_index()
        parts.append(groups.assign(layer=layer))
    found = pd.concat(parts)
    return found[found["n"] > 0].sort_values([*by, "share", "layer"], key=_in_order, ignore_index=True)


def _in_order(values: Any) -> Any:
    """What a column is sorted by."""
    return values.map([*CONDITIONS].index) if values.name == "condition" else values


#: Prediction -> what is compared, in words. Met where the first number is larger in every comparison of `comparisons`.
PREDICTIONS = {
    "S1": "I-Norm, layer 0: the common share of g, and 0.3",
    "S2": "layer 0: half of the common share of g in I-Norm, and that in centering",
    "S3": "layer 0: 0.15, and the distance of scaling's common share of h from I-Norm's",
    "S4": "layer 0: decorrelating's common share of h, and half of I-Norm's",
    "S5": "I-Norm, layer 0: half of the common share of h, and the share along the activity",
    "S6": "layer 0: the common share of I-Norm's update, and five times that of centering's",
    "S7": "I-Norm, layers 0 and 1: the common share of g at epsilon 0.75, and at 0",
    "S8": "I-Norm: the common share of g in layer 0, and in layer 1",
    "S9": "I-Norm, layer 0: the common share of g without Dale's principle, and half of that with it",
    "S10": "centering's accuracy less I-Norm's at 0.75 without Dale's principle, and half of that with it (points)",
}
EPSILONS = (0, 0.75)


def predictions(runs: DataFrame) -> DataFrame:
    """What came of every prediction: a row each, in their order.

    Parameters
    ----------
    runs : DataFrame, table "runs", of complete cells (`completeness.complete_rows`)

    Returns
    -------
    DataFrame
        id; compared, in words; numbers, a list of pairs, one per epsilon (S7: per layer; S10: of 0.75); outcome: met,
        not met, or not computed.
    """
    rows = []
    for name, pairs in comparisons(runs).items():
        checks = [None if np.isnan(pair).any() else pair[0] > pair[1] for pair in pairs]
        rows.append({"id": name, "compared": PREDICTIONS[name], "numbers": pairs, "outcome": outcome(checks)})
    return pd.DataFrame(rows)


def comparisons(runs: DataFrame) -> dict[str, list[tuple[float, float]]]:
    """The numbers that each of `PREDICTIONS` compares; NaN where runs are missing."""
    shares = medians(runs).set_index(["variant", "condition", "epsilon", "layer", "share"])["value"]
    accuracies = runs.groupby(["variant", "condition", "epsilon"])["test_acc"].median()
    (paper, without), centering = DALE, "gradnorm_center"

    def of(share: str, condition: str, epsilon: float, layer: int = 0, variant: str = paper) -> float:
        return float(shares.get((variant, condition, epsilon, layer, share), np.nan))

    def gap(variant: str) -> float:
        """Centering's accuracy less I-Norm's, in points, at epsilon 0.75."""
        centered, plain = (accuracies.get((variant, c, EPSILONS[1]), np.nan) for c in (centering, "inorm"))
        return float(centered - plain)

    def at_both(pair: Any) -> list[tuple[float, float]]:
        return [pair(epsilon) for epsilon in EPSILONS]

    def distance(epsilon: float) -> float:
        return abs(of("h_common", "gradnorm_scale", epsilon) - of("h_common", "inorm", epsilon))

    return {
        "S1": at_both(lambda e: (of("g_common", "inorm", e), 0.3)),
        "S2": at_both(lambda e: (of("g_common", "inorm", e) / 2, of("g_common", centering, e))),
        "S3": at_both(lambda e: (0.15, distance(e))),
        "S4": at_both(lambda e: (of("h_common", "gradnorm_decorrelate", e), of("h_common", "inorm", e) / 2)),
        "S5": at_both(lambda e: (of("h_common", "inorm", e) / 2, of("h_along", "inorm", e))),
        "S6": at_both(lambda e: (of("update_common", "inorm", e), 5 * of("update_common", centering, e))),
        "S7": [(of("g_common", "inorm", 0.75, layer), of("g_common", "inorm", 0, layer)) for layer in LAYERS],
        "S8": at_both(lambda e: (of("g_common", "inorm", e, 0), of("g_common", "inorm", e, 1))),
        "S9": at_both(lambda e: (of("g_common", "inorm", e, variant=without), of("g_common", "inorm", e) / 2)),
        "S10": [(gap(without), gap(paper) / 2)],
    }
