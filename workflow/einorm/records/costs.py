"""Costs: what runs took, on CPUs and on GPUs, two units that are never added up."""

from typing import Any

from pandas import DataFrame

from .tables import KEYS


def hours(runs: DataFrame) -> dict[str, float]:
    """What runs took, core-hours and GPU-hours apart.

    Parameters
    ----------
    runs : DataFrame with the columns device, threads and seconds (wall time of a run's batch by its number of runs)

    Returns
    -------
    dict
        core_hours: wall time by threads, of the runs trained on a CPU; gpu_hours: wall time, of those on a GPU.
    """
    on_cpu = runs["device"] == "cpu"
    core_seconds = (runs["seconds"] * runs["threads"])[on_cpu].sum()
    return {"core_hours": float(core_seconds) / 3600, "gpu_hours": float(runs["seconds"][~on_cpu].sum()) / 3600}


def hours_in_words(spent: dict[str, float], digits: int = 1) -> str:
    """`hours` for reading: the unit that nothing was spent of is left out, unless both are."""
    units = {"core_hours": "core-hours", "gpu_hours": "GPU-hours"}
    parts = [f"{spent[key]:,.{digits}f} {unit}" for key, unit in units.items() if spent[key]]
    return " and ".join(parts) or f"{0:.{digits}f} core-hours"


def cost(runs: DataFrame, costs: DataFrame) -> dict[str, Any]:
    """What the runs took (`hours`), per condition and in all: core-hours and GPU-hours apart."""
    runs = runs.merge(costs, on=[*KEYS], validate="1:1")
    groups = runs.groupby("condition", sort=False)
    return {"conditions": {name: hours(group) for name, group in groups}, "all": hours(runs)}
