"""How much of what settings plan a table of runs holds: what is incomplete is shown as such and not judged."""

from typing import Any

from pandas import DataFrame

from ..records.runs import CELL, cell_runs, cells
from ..settings import Settings
from .selection import collapsed


def completeness(table: DataFrame, settings: Settings) -> list[dict[str, Any]]:
    """How much of what the settings plan a table of runs holds.

    Parameters
    ----------
    table : DataFrame "runs"
    settings : Settings that made the table (`tables.settings_of`)

    Returns
    -------
    list of dict
        For every cell (`cells`): task, variant, condition, epsilon, and the number of runs planned, finished (collapsed
        ones are), collapsed.
    """
    names, rows = [*CELL], []
    finished = table.groupby(names).size().to_dict()
    lost = table[collapsed(table)].groupby(names).size().to_dict()
    for cell in cells(settings):
        counts = {"finished": finished.get(cell, 0), "collapsed": lost.get(cell, 0)}
        rows.append(dict(zip(names, cell, strict=True)) | {"planned": len(cell_runs(settings, *cell))} | counts)
    return rows


def incomplete_cells(table: DataFrame, settings: Settings) -> list[dict[str, Any]]:
    """The cells (`completeness`) of the tasks and variants that a table has rows of, of which runs are missing."""
    kinds = set(zip(table["task"], table["variant"], strict=True))
    return [
        cell
        for cell in completeness(table, settings)
        if (cell["task"], cell["variant"]) in kinds and cell["finished"] < cell["planned"]
    ]


def complete_rows(table: DataFrame, settings: Settings) -> DataFrame:
    """Rows of a table of runs without those of `incomplete_cells`: what may be tested and corrected for."""
    partial = {tuple(cell[name] for name in CELL) for cell in incomplete_cells(table, settings)}
    return table.loc[[key not in partial for key in zip(*(table[name] for name in CELL), strict=True)]]
