"""What came of the predictions on why published runs collapse: P1 to P11 of paper_artifact/predictions.md, by rules."""

from typing import Any

import numpy as np
from pandas import DataFrame
from scipy import stats

from ..settings import Settings
from .collapses import PUBLISHED_WAY, counts, listed, of
from .published import Values
from .selection import at_chance

#: Prediction -> when it is met, in words.
PREDICTIONS = {
    "P1": "I-Norm at 0.75 and 0: the runs at chance are in the interval of the published number",
    "P2": "scaling at 0.75: the runs at chance are in the interval of the published number",
    "P3": "centering at 0.75: no run at chance, of ten or more",
    "P4": "I-Norm at 0: runs at chance have the higher learning rates (medians; Mann-Whitney p < 0.05)",
    "P5": "the first tensor that is not finite is a gradient, in 90 % of the collapses",
    "P6": "it is the gradient of q^2, in most collapses",
    "P7": "it is in layer 1, in most collapses",
    "P8": "fewer than half of the collapses are in the first 5 epochs",
    "P9": "I-Norm at 0.75 with loss scaling: at most one of the collapsed runs is at chance",
    "P10": "I-Norm at 0.75 with the earlier local loss: at most one of the collapsed runs is at chance",
    "P11": "runs above chance end within 0.3 points of float32 (median difference, configuration by configuration)",
}
FIRST_EPOCHS, CONTROLS, NEAR = 5, 10, 0.3
Checks = list[tuple[bool | None, str]]  # is it as predicted (None: runs are missing), and the numbers in words


def predictions(runs: DataFrame, settings: Settings, values: Values, float32: DataFrame) -> list[dict[str, str]]:
    """What came of every prediction: a dict each, in their order.

    P5 to P8 and P11 are of complete cells with the published way to train, for the first runs of a cell are its widest.

    Parameters
    ----------
    runs : DataFrame, table "runs" of the preset collapse
    settings : Settings that made the table
    values : published values (`published.load`)
    float32 : DataFrame, table "runs" of the same runs without the release's casts

    Returns
    -------
    list of dict
        id; met_if and found, in words; outcome: met, not met, or not computed.
    """
    table = counts(runs, settings, values)
    cells = {(row["variant"], row["condition"], row["epsilon"]): row for row in table.to_dict("records")}
    whole = [cell for cell, row in cells.items() if row["agrees"] in ("within", "outside")]
    lost = listed(runs, settings).query("status == 'collapsed'")
    lost = lost[[cell in whole for cell in zip(lost["variant"], lost["condition"], lost["epsilon"], strict=True)]]
    inorm, inorm_0 = (cells[PUBLISHED_WAY, "inorm", epsilon] for epsilon in (0.75, 0))
    place = lost["collapsed_in"].astype(str)
    found = {
        "P1": [count_as_published(inorm), count_as_published(inorm_0)],
        "P2": [count_as_published(cells[PUBLISHED_WAY, "gradnorm_scale", 0.75])],
        "P3": [none_at_chance(cells[PUBLISHED_WAY, "gradnorm_center", 0.75])],
        "P4": [higher_rates(runs, inorm_0)],
        "P5": share(place.str.contains("gradient"), lambda k, n: k >= 0.9 * n),
        "P6": share(place.str.endswith("gradient of q^2"), lambda k, n: 2 * k > n),
        "P7": share(place.str.startswith("layer 1:"), lambda k, n: 2 * k > n),
        "P8": share(lost["collapsed_epoch"] <= FIRST_EPOCHS, lambda k, n: 2 * k < n),
        "P9": [rescued(cells["release_scaled", "inorm", 0.75], inorm)],
        "P10": [rescued(cells["release_earlier_loss", "inorm", 0.75], inorm)],
        "P11": [near_float32(runs, float32, cell) for cell in whole],
    }
    return told(found, PREDICTIONS)


def told(found: dict[str, Checks], met_if: dict[str, str]) -> list[dict[str, str]]:
    """What came of predictions, a dict each: id; met_if and found, in words; outcome (`outcome`)."""
    return [
        {"id": name, "met_if": met_if[name], "found": "; ".join(text for _, text in checks if text),
         "outcome": outcome([holds for holds, _ in checks])}
        for name, checks in found.items()
    ]  # fmt: skip


def outcome(checks: list[bool | None]) -> str:
    """One check that fails decides; where none does and one is missing, nothing is decided."""
    if any(check is False for check in checks):
        return "not met"
    return "not computed" if not checks or None in checks else "met"


def count_as_published(cell: dict[str, Any]) -> tuple[bool | None, str]:
    """Whether the number of runs at chance in a cell (`collapses.counts`) is in the interval of the published one."""
    if cell["agrees"] == "not computed":
        return None, ""
    return cell["agrees"] == "within", (
        f"epsilon {cell['epsilon']:g}: {cell['at_chance']} of {cell['finished']} "
        f"(published {cell['published_at_chance']:.0f}, interval {cell['low']:.1f} to {cell['high']:.1f})"
    )


def none_at_chance(cell: dict[str, Any]) -> tuple[bool | None, str]:
    """Whether no run of a cell is at chance, of ten or more."""
    if cell["at_chance"] == 0 and cell["finished"] < CONTROLS:
        return None, ""
    return cell["at_chance"] == 0, f"{cell['at_chance']} of {cell['finished']}"


def higher_rates(runs: DataFrame, cell: dict[str, Any]) -> tuple[bool | None, str]:
    """Whether a cell's runs at chance have higher learning rates lr than the others."""
    if cell["agrees"] == "not computed":
        return None, ""
    chosen = of(runs, *(cell[name] for name in ("variant", "condition", "epsilon")))
    down, up = (chosen["lr"][at_chance(chosen) == lost] for lost in (True, False))
    if not len(down) or not len(up):
        return False, f"{len(down)} of {len(chosen)} at chance"
    p = stats.mannwhitneyu(down, up).pvalue
    higher = down.median() > up.median() and p < 0.05
    return bool(higher), f"medians {down.median():.4f} and {up.median():.4f}, p = {p:.2g}"


def share(chosen: Any, rule: Any) -> Checks:
    """Whether the number of chosen collapses, of all, is as the rule says; nothing where there is none."""
    k, n = int(chosen.sum()), len(chosen)
    return [(rule(k, n), f"{k} of {n}")] if n else []


def rescued(cell: dict[str, Any], published_way: dict[str, Any]) -> tuple[bool | None, str]:
    """Whether at most one run that is at chance with the published way to train still is with another."""
    tried, still, lost = int(cell["chance_as_published"]), int(cell["still_at_chance"]), published_way["at_chance"]
    text = f"{still} of {tried}" if tried else ""
    if still > 1:
        return False, text
    return (True if lost and tried == lost and published_way["agrees"] != "not computed" else None), text


def near_float32(runs: DataFrame, float32: DataFrame, cell: tuple[str, str, float]) -> tuple[bool | None, str]:
    """Whether runs of a cell that are not at chance end where the same runs end in float32."""
    chosen, others = of(runs, *cell), of(float32, "paper", *cell[1:])
    chosen = chosen[~at_chance(chosen)]
    pairs = chosen.merge(others, on=["config", "seed"], suffixes=("", "_float32"))
    if not len(pairs) or len(pairs) < len(chosen):
        return None, ""
    apart = float(np.median((pairs["test_acc"] - pairs["test_acc_float32"]).abs()))
    return apart < NEAR, f"{cell[1]}, epsilon {cell[2]:g}: {apart:.2f} points in {len(pairs)} runs"
