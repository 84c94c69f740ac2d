"""Where error signals point, in the runs that tell: medians of the shares that `metrics.error_shares` takes."""

from typing import Any

import pandas as pd
from pandas import DataFrame

from ..conditions import CONDITIONS
from ..records.tables import SHARES

#: Share -> what it is a share of, and in which direction.
MEANING = {
    "g_common": "error g at the layer,\ncommon mode",
    "h_common": "error h at the excitation,\ncommon mode",
    "h_along": "error h at the excitation,\nalong the activity",
    "update_common": "update of Wex,\ncommon mode",
}
LAYERS = (0, 1)


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
