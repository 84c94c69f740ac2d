"""The explorer: every run of some tables in one page that works alone, with panels that are linked by configuration.

Altair says what the panels show, vl-convert brings the libraries that draw them; `page/explorer.js` links the panels.
"""

from collections.abc import Iterable
from pathlib import Path
from typing import Any, Literal

import altair as alt
import numpy as np
import vl_convert
from matplotlib.colors import to_hex
from matplotlib.markers import MarkerStyle
from pandas import DataFrame, Series

from .. import __version__
from ..analysis.selection import CHANCE, PAPER_TASK, defined
from ..conditions import CONDITIONS, label
from ..figures import style
from ..records import archive, tables
from ..runtime import atomic_path
from . import template

Scale = Literal["linear", "log"]
Kind = dict[str, Any]  # of run: id, name and look
GREY = (0.45, 0.45, 0.45)  # of conditions that have no colour
FIRST = ("e_only_ln", "inorm", "gradnorm_full")  # conditions that are shown at first: the paper's argument
CURVE_VALUES = 250_000  # numbers in all learning curves: more, and the page would exceed 3 MB
RUN_COLUMNS = {  # column of the runs -> significant digits
    **dict.fromkeys(("lr", "lr_wei", "lr_wix", "test_acc"), 4),
    **dict.fromkeys(("train_loss", "test_loss", "output_alignment", "gradient_alignment"), 4),
}
AXES: dict[str, tuple[str, Scale]] = {  # of the first panel: column -> title, kind of scale
    "lr": ("Learning rate", "log"),
    "lr_wei": ("Learning rate of Wei", "log"),
    "lr_wix": ("Learning rate of Wix", "log"),
    "hidden_width": ("Hidden units per layer", "linear"),
}
CURVES = {  # metric -> title
    "test_acc": "Test accuracy (%)",
    "test_loss": "Test loss",
    "train_loss": "Training loss",
    "gradient_alignment": "Gradient alignment (cosine)",
    "output_alignment": "Output alignment (cosine)",
}
ALIGNMENTS = ("gradient_alignment", "output_alignment")
# Dashes of lines, in the order in which conditions take them.
DASHES = [[1, 0], [6, 2], [2, 2], [6, 2, 2, 2], [10, 3], [1, 3], [10, 2, 2, 2], [4, 4], [8, 2, 2, 2, 2, 2]]
CHOSEN = "length(chosen) == 0 || indexof(chosen, datum.config) >= 0"
FOCUSED = "datum.run === focus"


def write(folder: Path | str, out: Path | str) -> None:
    """Write the explorer of the runs in a folder of tables: equal tables and libraries, equal bytes.

    Parameters
    ----------
    folder : of the tables, an archive's (then checked) or results/tables
    out : path of the HTML file

    Raises
    ------
    UserError
        If a table is missing or damaged.
    """
    frames = archive.load(folder)
    runs = frames["runs"].assign(kind=kinds_of(frames["runs"])).reset_index(drop=True)
    runs.attrs = {}  # the settings, which pandas would copy deeply in every operation
    kinds = describe_kinds(runs)
    context = {
        "kinds": kinds,
        "axes": {name: title for name, (title, _) in AXES.items()},
        "curves": CURVES,
        "alignments": {name: CURVES[name] for name in ALIGNMENTS},
        "choices": {name: choices(runs[name]) for name in ("epsilon", "task", "variant")},
        "kind": archive.kind_of(frames["runs"].attrs["settings"]),
        "settings": frames["runs"].attrs["settings"],
        "digest": frames["runs"].attrs["digest"],
        "version": __version__,
        "data": {
            **{"runs": columns(runs), **curves(runs, frames["epochs"]), "kinds": kinds},
            **{"charts": charts(kinds), "chance": CHANCE},
        },
        "style": template.part("report.css") + template.part("explorer.css"),
        "script": template.part("explorer.js"),
        "libraries": libraries(),
    }
    page = template.render("explorer.html", context)
    with atomic_path(out) as temporary:
        temporary.write_text(page, encoding="utf-8")


def libraries() -> str:
    """Vega, Vega-Lite (the version that Altair writes for) and Vega-Embed, as JavaScript of an HTML page."""
    version = ".".join(alt.SCHEMA_VERSION.removeprefix("v").split(".")[:2])
    bundle = vl_convert.javascript_bundle(vl_version=version)  # type: ignore[call-arg]  # the stub demands a snippet
    return bundle.replace("</script", "<\\/script")


def kinds_of(runs: DataFrame) -> Series:
    """What is compared, a text per run: its condition, and the weight of the local loss where a condition has many."""
    swept = runs.groupby("condition")["lambda_"].transform("nunique") > 1
    return runs["condition"].where(~swept, runs["condition"] + " " + runs["lambda_"].map("{:g}".format))


def describe_kinds(runs: DataFrame) -> list[Kind]:
    """Id, name and look of every kind of run (`kinds_of`), a dict each, in the order of `CONDITIONS`."""
    found = runs.drop_duplicates("kind")[["kind", "condition", "lambda_"]]
    order = [*CONDITIONS, *sorted({*found["condition"]} - {*CONDITIONS})]
    found = found.sort_values(["condition", "lambda_"], key=lambda c: c.map(order.index) if c.name[0] == "c" else c)
    looks, kinds = look_of(order), []
    first = {*FIRST} & {*found["condition"]} or {*found["condition"]}
    for kind, condition, weight in found.itertuples(index=False):
        name = label(condition) + ("" if kind == condition else f" (λ = {weight:g})")
        kinds.append({"id": kind, "label": name, "first": condition in first, **looks[condition]})
    return kinds


def look_of(conditions: Iterable[str]) -> dict[str, dict[str, Any]]:
    """Condition -> colour and marker (those of the figures) and dashes."""
    return {
        condition: {
            "colour": to_hex(GREY if style.colour(condition) == style.GREY else style.colour(condition)),
            "shape": outline(style.marker(condition)),
            "dash": DASHES[i % len(DASHES)],
        }
        for i, condition in enumerate(conditions)
    }


def outline(marker: str) -> str:
    """A marker of matplotlib as SVG path, from -1.1 to 1.1."""
    shape = MarkerStyle(marker)
    (corners,) = shape.get_path().transformed(shape.get_transform()).to_polygons()
    corners = np.asarray(corners) * [1, -1] * 1.1 / np.abs(corners).max()  # in SVG y points down
    return "M" + "L".join(f"{x:.2f},{y:.2f}" for x, y in corners + 0.0) + "Z"


def choices(values: Series) -> dict[str, Any]:
    """The options of a control, and the one that is chosen at first: the paper's own, or the largest epsilon."""
    found = sorted(values.unique().tolist())
    first = {"task": PAPER_TASK, "variant": "paper"}.get(values.name, found[-1])
    named = [(value, f"{value:g}" if values.name == "epsilon" else value) for value in found]
    return {"options": named, "first": first if first in found else found[0]}


def columns(runs: DataFrame) -> dict[str, list[Any]]:
    """The runs as the page holds them: column -> list, rounded; None where a value is not defined."""
    runs = with_meaning(runs)
    exact = {name: runs[name].tolist() for name in ("kind", "task", "variant", "epsilon", "config", "hidden_width")}
    rounded = {name: [shorter(v, digits) for v in runs[name]] for name, digits in RUN_COLUMNS.items()}
    return exact | rounded | {"status": runs["status"].tolist()}


def with_meaning(rows: DataFrame) -> DataFrame:
    """Rows without the gradient alignments that say nothing about their condition (`selection.defined`)."""
    meant = {condition: defined(condition, "gradient_alignment") for condition in rows["condition"].unique()}
    return rows.assign(gradient_alignment=rows["gradient_alignment"].where(rows["condition"].map(meant)))


def shorter(value: float, digits: int) -> float | None:
    """A number with so many significant digits, or None where there is none."""
    return float(f"{value:.{digits}g}") if np.isfinite(value) else None


def curves(runs: DataFrame, epochs: DataFrame) -> dict[str, Any]:
    """The learning curves: the epochs that are kept, and of every metric a list per run, in the order of the runs."""
    keys = [*tables.KEYS]
    number = runs[keys].assign(run=runs.index)
    rows = with_meaning(epochs).merge(number, on=keys, validate="m:1")
    kept = kept_epochs(sorted(rows["epoch"].unique().tolist()), len(runs) * len(CURVES))
    rows = rows[rows["epoch"].isin(kept)]
    table = {}
    for metric in CURVES:
        wide = rows.pivot(index="run", columns="epoch", values=metric).reindex(runs.index, columns=kept)
        table[metric] = [[shorter(v, 3) for v in curve] for curve in wide.to_numpy(float)]
    return {"epochs": kept, "curves": table}


def kept_epochs(epochs: list[int], values_per_epoch: int) -> list[int]:
    """The epochs of the learning curves: all, or every second, third ... to the last, so that the page stays small."""
    step = -(-len(epochs) * values_per_epoch // CURVE_VALUES)
    return epochs[::-1][::step][::-1]


def charts(kinds: list[Kind]) -> dict[str, dict[str, Any]]:
    """Panel -> what it can show -> Vega-Lite specification, without data."""
    paired = {f"paired {kind['id']}": paired_chart(kind, kinds) for kind in kinds}
    by_axis = {name: run_chart(name, title, scale, kinds) for name, (title, scale) in AXES.items()}
    return {
        "accuracy": {name: chart.to_dict() for name, chart in (by_axis | paired).items()},
        "curves": {name: curve_chart(title, kinds).to_dict() for name, title in CURVES.items()},
        "alignment": {name: run_chart(name, CURVES[name], "linear", kinds).to_dict() for name in ALIGNMENTS},
    }


def run_chart(column: str, title: str, scale: Scale, kinds: list[Kind], *below: alt.Chart) -> alt.LayerChart:
    """Test accuracy of every run against a column of the runs; `below`: charts to draw first."""
    axis = alt.Axis(labelOverlap="greedy", labelSeparation=8)
    x = alt.X(f"{column}:Q", title=title, axis=axis, scale=alt.Scale(type=scale, nice=False, padding=12))
    y = alt.Y("test_acc:Q", title=CURVES["test_acc"], scale=alt.Scale(nice=False, padding=12))
    look = {"color": coloured(kinds), "shape": alt.Shape("kind:N", scale=scale_of(kinds, "shape"), legend=None)}
    look |= {"opacity": shown(0.85), "size": focused(220, 60), "stroke": focused("black", "transparent")}
    dots = alt.Chart().mark_point(filled=True, strokeWidth=2, aria=False).encode(x, y, **look)
    return finish(*below, dots.add_params(brush()))


def paired_chart(kind: Kind, kinds: list[Kind]) -> alt.LayerChart:
    """Test accuracy of every run against that of another condition in the same configuration, with the diagonal."""
    ends = alt.Chart().transform_aggregate(low="min(test_acc)", high="max(test_acc)", l="min(paired)", h="max(paired)")
    ends = ends.transform_calculate(paired="[min(datum.low, datum.l), max(datum.high, datum.h)]")
    ends = ends.transform_flatten(["paired"])
    diagonal = ends.mark_line(color="#8a8a8a", strokeDash=[4, 3], aria=False).encode(x="paired:Q", y="paired:Q")
    return run_chart("paired", f"{CURVES['test_acc'][:-4]} of {kind['label']} (%)", "linear", kinds, diagonal)


def curve_chart(title: str, kinds: list[Kind]) -> alt.LayerChart:
    """A metric over the epochs: a thin line per run, a thick one for the median of each condition."""
    x = alt.X("epoch:Q", title="Epoch", axis=alt.Axis(tickMinStep=1), scale=alt.Scale(nice=False))
    y = alt.Y("value:Q", title=title, scale=alt.Scale(nice=False, padding=8))
    dash = alt.StrokeDash("kind:N", scale=scale_of(kinds, "dash"), legend=None)
    look = {"color": focused("black", coloured(kinds)), "opacity": shown(0.3), "strokeWidth": focused(2.5, 1)}
    lines = alt.Chart().mark_line(aria=False).encode(x, y, detail="run:N", **look)
    medians = alt.Chart().transform_filter(CHOSEN).mark_line(strokeWidth=3, aria=False)
    medians = medians.encode(x, alt.Y("median(value):Q", title=title), color=coloured(kinds), strokeDash=dash)
    return finish(lines.add_params(brush()), medians)


def coloured(kinds: list[Kind]) -> alt.Color:
    """Colour of a mark by its kind of run."""
    return alt.Color("kind:N", scale=scale_of(kinds, "colour"), legend=None)


def scale_of(kinds: list[Kind], look: str) -> alt.Scale:
    """Scale from the kinds of runs to one of their looks: colour, marker or dash."""
    return alt.Scale(domain=[kind["id"] for kind in kinds], range=[kind[look] for kind in kinds])


def shown(opacity: float) -> Any:
    """Opacity of the chosen configurations, which are all as long as none is chosen; the others are faint."""
    chosen = alt.when(FOCUSED).then(alt.value(1)).when(CHOSEN).then(alt.value(opacity))
    return chosen.otherwise(alt.value(0.06))


def focused(there: Any, elsewhere: Any) -> Any:
    """A look of the run that has the focus, and the look of all others: values, or an encoding for the others."""
    others = elsewhere if isinstance(elsewhere, alt.Color) else alt.value(elsewhere)
    return alt.when(FOCUSED).then(alt.value(there)).otherwise(others)


def brush() -> alt.Parameter:
    """The selection by dragging, of one name in all panels."""
    return alt.selection_interval(name="brush")


def finish(*layers: alt.Chart) -> alt.LayerChart:
    """Layers as one panel, which knows what is chosen and what has the focus, and fits the page."""
    named = [layer.properties(name=f"layer_{i}") for i, layer in enumerate(layers)]
    panel = alt.layer(*named, data=alt.NamedData(name="rows"), width="container", height=300)
    panel = panel.add_params(alt.param("chosen", value=[]), alt.param("focus", value=-1))
    panel = panel.configure(font="system-ui, sans-serif", background="white", aria=False)
    return panel.configure_axis(labelFontSize=12, titleFontSize=13, titleFontWeight="normal", gridColor="#e8e8e8")
