"""Figures as the report shows them: a small picture, its caption, and its content in words for who cannot see it."""

import base64
import io
from pathlib import Path
from typing import Any

import pandas as pd
from pandas import DataFrame
from PIL import Image

from ..conditions import label
from ..figures import caption, category
from ..runtime import UserError
from .wording import number

GROUPS_IN_ALT = 12
# Columns of plotted points that tell groups of them apart.
KEYS = ("rule", "group", "series", "variant", "layer", "lambda_", "share", "metric", "condition", "epsilon")
COLOURS = 128  # of a picture


def figure(name: str, folder: Path) -> dict[str, str]:
    """A figure as the page shows it: data URI, caption, and an alternative text from its plotted points.

    Raises UserError if the figure is missing.
    """
    png, points = folder / f"{name}.png", folder / f"{name}.csv"
    for path in (png, points):
        if not path.is_file():
            raise UserError(f"{path} is missing: make it with snakemake {name}")
    text = caption(name).read_text(encoding="utf-8").strip()
    return {
        "name": name,
        "category": category(name),
        "caption": text,
        "image": "data:image/png;base64," + base64.b64encode(smaller(png)).decode(),
        "alt": f"{'. '.join(text.split('. ')[:2]).rstrip('.')}. {alternative_text(points)}",
    }


def smaller(path: Path) -> bytes:
    """Bytes of a PNG with a palette of its colours, a third of the size: the report stays below 3 MB."""
    picture = Image.open(path).convert("RGB").quantize(COLOURS, dither=Image.Dither.NONE)
    with io.BytesIO() as out:
        picture.save(out, "png", optimize=True)
        return out.getvalue()


def alternative_text(path: Path) -> str:
    """The content of a figure in words, from its plotted points: medians per panel, condition and epsilon."""
    try:
        points = pd.read_csv(path)
    except pd.errors.EmptyDataError:
        return "not computed."
    panels = points.groupby("panel", sort=False) if "panel" in points else [("", points)]
    lines = [
        f"{panel}: {line}".lstrip(": ")
        for panel, part in panels
        for line in panel_lines(part.dropna(axis=1, how="all"))
    ]
    more = len(lines) - GROUPS_IN_ALT
    text = "; ".join(lines[:GROUPS_IN_ALT]) + (f"; and {more} more groups" if more > 0 else "")
    return f"{len(points)} plotted values. {text}".strip()


def panel_lines(points: DataFrame) -> list[str]:
    """What one panel shows, a text per group of points: distances, medians of pairs, or medians of values."""
    if "source" in points:
        far = points[points["source"] == "distance"].dropna(subset="distance")
        return [f"{label(r.condition)} at epsilon {r.epsilon}, distance {number(r.distance)}" for r in far.itertuples()]
    if {"x", "y"} <= set(points):
        medians = points.groupby("epsilon")[["x", "y"]].median()
        return [f"epsilon {e:g}, medians {number(m.x)} (x) and {number(m.y)} (y)" for e, m in medians.iterrows()]
    if not {"condition", "value"} <= set(points):
        return []
    last = points[points["epoch"] == points["epoch"].max()] if "epoch" in points else points
    keys = [key for key in KEYS if key in last and last[key].nunique() > 1] or ["condition"]
    if {"series", "condition"} <= set(keys) and last.groupby(["series", "condition"]).ngroups == last[
        "series"
    ].nunique():
        keys.remove("series")  # it is the condition's name
    medians = last.groupby(keys, sort=False)["value"].median()
    return [f"{words(keys, group)}, median {number(value)}" for group, value in medians.items()]


def words(keys: list[str], group: Any) -> str:
    """A group of plotted points in words."""
    values = dict(zip(keys, group if isinstance(group, tuple) else (group,), strict=True))
    named = {"condition": label, "epsilon": "epsilon {:g}".format}
    return ", ".join(named.get(key, str)(value) for key, value in values.items())
