"""Numbers of the report and of the documentation as a reader sees them."""

from typing import Any

import numpy as np

from ..analysis.judging import decimals


def number(value: float, digits: int = 2) -> str:
    """A number for reading; a dash where there is none."""
    return "–" if not np.isfinite(value) else f"{value:z.{digits}f}".replace("-", "−")


def interval(row: dict[str, Any], prefix: str = "") -> str:
    """An effect's interval for reading; that of the effect whose columns have this prefix."""
    low, high = row[f"{prefix}low"], row[f"{prefix}high"]
    if not np.isfinite([low, high]).all():
        return "–"
    return f"{number(low, decimals(low, high))} to {number(high, decimals(low, high))}"


def size_in_words(verdict: str) -> str:
    """The second verdict for reading after an effect."""
    return verdict if "size" in verdict else f"size {verdict}"


def p_value(value: float) -> str:
    """A p value for reading."""
    return "–" if not np.isfinite(value) else f"{value:.2g}" if value >= 1e-4 else f"{value:.0e}"
