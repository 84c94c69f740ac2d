"""The published configurations, 0 to 99: learning rates and hidden widths, drawn at random by the authors."""

import csv
from functools import cache
from pathlib import Path
from typing import Any

from .runtime import PACKAGE, UserError

HYPERPARAMETERS = PACKAGE / "hyperparameters.csv"


@cache
def hyperparameters(path: Path = HYPERPARAMETERS) -> list[dict[str, Any]]:
    """The published random configurations, a dict each: lr, lr_wei, lr_wix (per step), hidden_width (units).

    Raises
    ------
    UserError
        If a learning rate or a width is not positive.
    """
    with open(path, newline="", encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    configurations = []
    for row in rows:
        configuration = {name: float(row[name]) for name in ("lr", "lr_wei", "lr_wix")}
        configuration["hidden_width"] = int(row["hidden_width"])
        for name, value in configuration.items():
            if not value > 0:
                raise UserError(f"{path}, config {row['config']}: {name} is {value}, it must be positive")
        configurations.append(configuration)
    return configurations
