"""The published values: digitized runs, summaries and tests of the paper's figures (paper_artifact/published)."""

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from pandas import DataFrame
from scipy.stats import norm

from ..runtime import UserError
from . import stats
from .selection import TOP

Values = dict[str, DataFrame]  # `load`
COLUMNS = {
    "runs": "figure,panel,condition,epsilon,metric,value,paired_condition,paired_value,point,kind,canonical",
    "summary": "figure,panel,condition,epsilon,metric,statistic,value,bin_left,bin_right,basis",
    "tests": "figure,panel,epsilon,group_x,group_y,n_x,n_y,U,p,kind",
}
NUMBERS = ("value", "paired_value", "n_x", "n_y", "U", "p")
POOLED = "pooled(0,0.25,0.5,0.75)"
EPSILONS = [0, 0.25, 0.5, 0.75]
#: Sizes of the published training, by the keys of `settings.Settings`; of configurations their number.
TRAINED = {"epochs": 50, "configs": 30, "train_images": 60000, "test_images": 10000, "batch_size": 32}


def load(folder: Path | str) -> Values:
    """Tables "runs", "summary" and "tests" of the published values, and "complete" (`as_runs`), a DataFrame each.

    Raises
    ------
    UserError
        If a file is missing, is no CSV, lacks a column or holds a text where numbers belong.
    """
    tables = {}
    for name, columns in COLUMNS.items():
        path = Path(folder) / f"published_{name}.csv"
        try:
            table = pd.read_csv(path, dtype={"epsilon": str})
        except FileNotFoundError:
            raise UserError(f"{path} is missing: restore it from the project's release") from None
        except (pd.errors.ParserError, pd.errors.EmptyDataError, UnicodeDecodeError):
            raise UserError(f"{path} is no CSV table: restore it from the project's release") from None
        lacking = [column for column in columns.split(",") if column not in table]
        if lacking:
            raise UserError(f"{path} lacks the column {lacking[0]}: restore it from the project's release")
        texts = [column for column in NUMBERS if column in table and not pd.api.types.is_numeric_dtype(table[column])]
        if texts:
            raise UserError(f"{path}: the column {texts[0]} holds a text: restore the file from the project's release")
        tables[name] = table
    return tables | {"complete": as_runs(tables["runs"])}


def epsilon_name(epsilon: float | str) -> str:
    """An epsilon as the CSV files write it."""
    return POOLED if epsilon == "pooled" else f"{float(epsilon):g}"


def complete_runs(published: Values, condition: str, epsilon: float | str) -> Any:
    """Test accuracies (%) of a condition of which all 30 runs were published; empty otherwise."""
    runs = published["runs"]
    chosen = runs[(runs["canonical"] == 1) & (runs["condition"] == condition)]
    if epsilon != "pooled":
        chosen = chosen[chosen["epsilon"] == epsilon_name(epsilon)]
    return chosen["value"].to_numpy()


def as_runs(runs: DataFrame) -> DataFrame:
    """The conditions of which every run was published, as a table of runs.

    Parameters
    ----------
    runs : DataFrame, table "runs" of the published values

    Returns
    -------
    DataFrame
        condition, epsilon, config, seed, lr (NaN), test_acc (%). A config names a point of a scatter at an epsilon:
        equal ones are runs of one configuration, but configurations are not the same across epsilons or, but for
        those of Figs. 4 and 5, across figures. These two show the same runs of LN+ in the same order.
    """
    chosen = runs[runs["canonical"] == 1]
    epsilon = chosen["epsilon"].astype(float)
    config = chosen["point"].astype(int) + 1000 * (100 * epsilon).astype(int) + 10**6 * (chosen["figure"] == "Fig2")
    columns = {"condition": chosen["condition"], "epsilon": epsilon, "config": config, "seed": 0, "lr": np.nan}
    return pd.DataFrame(columns | {"test_acc": chosen["value"]}).reset_index(drop=True)


def matched_runs(published: Values, figure: str, panel: str, epsilon: float | None) -> DataFrame:
    """Points of a published scatter: DataFrame with x, y (test accuracy, %) and epsilon, a row per configuration."""
    runs = published["runs"]
    chosen = runs[(runs["figure"] == figure) & (runs["panel"] == panel) & (runs["kind"] == "scatter_y")]
    chosen = chosen if epsilon is None else chosen[chosen["epsilon"] == epsilon_name(epsilon)]
    return pd.DataFrame(
        {"x": chosen["paired_value"], "y": chosen["value"], "epsilon": chosen["epsilon"].astype(float)}
    ).reset_index(drop=True)


def statistic(
    published: Values,
    condition: str,
    epsilon: float | str,
    metric: str,
    name: str,
    figure: str | None = None,
    panel: str | None = None,
) -> Any:
    """One published summary value; NaN where the figures show none."""
    table = published["summary"]
    chosen = table[
        (table["condition"] == condition)
        & (table["epsilon"] == epsilon_name(epsilon))
        & (table["metric"] == metric)
        & (table["statistic"] == name)
    ]
    for column, value in (("figure", figure), ("panel", panel)):
        if value is not None:
            chosen = chosen[chosen[column] == value]
    return float(chosen["value"].iloc[0]) if len(chosen) else np.nan


def bins(published: Values, figure: str, panel: str, condition: str, epsilon: float | str) -> DataFrame:
    """Published histogram: DataFrame with bin_left, bin_right and value (runs)."""
    table = published["summary"]
    here = (table["figure"] == figure) & (table["panel"] == panel) & (table["condition"] == condition)
    chosen = table[here & (table["epsilon"] == epsilon_name(epsilon)) & (table["statistic"] == "hist_count")]
    return chosen[["bin_left", "bin_right", "value"]].reset_index(drop=True)


def median(published: Values, figure: str, panel: str, condition: str, epsilon: float | str, metric: str) -> Any:
    """Published median of a panel: read, or the middle of the histogram's median bin; NaN where there is none."""
    value = statistic(published, condition, epsilon, metric, "median", figure, panel)
    if np.isfinite(value):
        return value
    histogram = bins(published, figure, panel, condition, epsilon)
    if len(histogram):
        middle = int(np.searchsorted(histogram["value"].cumsum(), histogram["value"].sum() / 2))
        return float(histogram.loc[middle, ["bin_left", "bin_right"]].mean())
    return statistic(published, condition, epsilon, metric, "median")


def check_tests(published: Values) -> DataFrame:
    """Every printed Mann-Whitney test, computed again.

    Returns
    -------
    DataFrame
        figure, panel, epsilon, group_x, group_y, printed_U, printed_p, U, p, basis, agrees. The basis is "runs" where
        both groups are published in full; otherwise only p can be checked, from the printed U and a whole-numbered
        tie term.
    """
    rows = []
    for test in published["tests"].query("kind == 'printed'").itertuples():
        epsilon = "pooled" if test.epsilon == POOLED else test.epsilon
        x, y = (complete_runs(published, group, epsilon) for group in (test.group_x, test.group_y))
        if epsilon == "pooled":
            x, y = (_best(published, group) for group in (test.group_x, test.group_y))
        if (len(x), len(y)) == (test.n_x, test.n_y):
            again = stats.compare(x, y)
            U, p, basis = again["U"], again["p"], "runs"
            agrees = bool(np.isclose(p, test.p, rtol=1e-12, atol=0)) and (np.isnan(test.U) or test.U == U)
        else:
            U, p, basis = test.U, *_by_tie_term(test)
            agrees = bool(np.isclose(p, test.p, rtol=1e-9, atol=0))
        rows.append(
            (test.figure, test.panel, test.epsilon, test.group_x, test.group_y, test.U, test.p, U, p, basis, agrees)
        )
    columns = "figure,panel,epsilon,group_x,group_y,printed_U,printed_p,U,p,basis,agrees"
    return pd.DataFrame(rows, columns=columns.split(","))


def _best(published: Values, condition: str) -> Any:
    runs = published["runs"]
    chosen = runs[(runs["canonical"] == 1) & (runs["condition"] == condition)]
    best = chosen.sort_values("value", ascending=False).groupby("epsilon").head(TOP)
    return best["value"].to_numpy()


def _by_tie_term(test: Any) -> tuple[float, str]:
    """p from the printed U with the whole-numbered tie term that comes nearest to the printed p."""
    n = test.n_x + test.n_y
    z = abs(norm.isf(test.p / 2))
    variance = ((abs(test.U - test.n_x * test.n_y / 2) - 0.5) / z) ** 2
    tie_term = round((n + 1 - variance * 12 / (test.n_x * test.n_y)) * n * (n - 1))
    return stats.mann_whitney_p(test.U, test.n_x, test.n_y, tie_term), f"U and a tie term of {tie_term}"
