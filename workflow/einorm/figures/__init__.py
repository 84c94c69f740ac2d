"""Figures: one file each, drawn from the tables. To add one, add a file with `draw` and a caption in workflow/report.

A figure's module has ``draw(tables) -> (Figure, DataFrame of the plotted points)``. The mapping tables has DataFrames
"runs", "epochs" and "samples", "published" (`published.load`) and "rules" (`statements.load_rules`). `robustness` draws
several and is told which; those of `COMPARED` draw what an analysis found in archives; `error_signals` draws runs of
all variants, and only where some were trained without Dale's principle. Importing this package imports neither
matplotlib nor torch.
"""

from collections.abc import Iterable, Sequence
from importlib import import_module
from pathlib import Path

from pandas import DataFrame

from ..analysis.selection import PAPER_TASK, as_published, of_task
from ..records.archive import PAPER_DATASET
from ..runtime import PACKAGE, UserError, nearest
from ..tasks import TASKS
from ..variants import DALE, QUESTIONS, asked

CAPTIONS = PACKAGE.parent / "report"
STYLE = PACKAGE / "figures" / "einorm.mplstyle"  # the look of all figures, for users to change
FOREST = "forest"  # the figure of all statements: `forest.write` draws it from the claims, not from the tables
SHARED = ("style", "panels")  # modules that are no figures, or none of the tables; so are those below
VERSUS = "versus"  # shared by the figures that show published values beside ours
ROBUSTNESS = "robustness"  # draws a figure per question of `QUESTIONS`
ERROR_SIGNALS = "error_signals"  # draws runs with Dale's principle beside those without it
#: Figures that draw no preset's tables, and of no other task -> files of results/claims, and the rule that makes them.
COMPARED = {
    "run_by_run": ({"points": "run_by_run_points.csv", "agreement": "run_by_run.csv"}, "single_runs"),
    "effects_by_epoch": ({"effects": "effects_by_epoch.csv", "late": "late_effects.csv"}, "late_effects"),
}
FIGURES = sorted(
    path.stem
    for path in Path(__file__).parent.glob("*.py")
    if path.stem not in (*SHARED, VERSUS, ROBUSTNESS, ERROR_SIGNALS, FOREST, "__init__")
)


def known(tasks: Iterable[str], questions: Iterable[str]) -> dict[str, tuple[str, str]]:
    """Name -> (task, module that draws it) of all figures.

    They are those of `FIGURES`, for every task of ours the same panels, "<task>_<figure>", but for the published values
    and runs, "robustness_<question>", and that of error signals.
    """
    found = {name: (PAPER_TASK, name) for name in (*FIGURES, ERROR_SIGNALS)}
    panels = [name for name in FIGURES if not name.startswith("published_") and name not in COMPARED]
    found |= {f"{task}_{name}": (task, name) for task in tasks if task != PAPER_TASK for name in panels}
    return found | {f"{ROBUSTNESS}_{question}": (PAPER_TASK, ROBUSTNESS) for question in questions}


def names(tasks: Iterable[str], variants: Sequence[str] = ("paper",), dataset: str = PAPER_DATASET) -> list[str]:
    """Figures of an experiment: the paper's where runs were trained as published, and what further variants answer.

    Of a data set of ours nothing was published, so that nothing is shown beside it.
    """
    drawn, needed = known(tasks, asked(variants)), {ROBUSTNESS: set(), ERROR_SIGNALS: set(DALE)}
    chosen = [name for name, (_, module) in drawn.items() if needed.get(module, {"paper"}) <= set(variants)]
    return [name for name in chosen if dataset == PAPER_DATASET or not name.startswith("published_")]


def task_and_module(name: str) -> tuple[str, str]:
    """The task that a figure shows, and the module that draws it. Raises UserError if no figure has this name."""
    figures = known(TASKS, QUESTIONS)
    if name not in figures:
        raise UserError(f"no figure is called {name}{nearest(name, figures)}")
    return figures[name]


def caption(name: str) -> Path:
    """Path of a figure's caption."""
    return CAPTIONS / f"{FOREST if name == FOREST else task_and_module(name)[1]}.rst"


def category(name: str) -> str:
    """What a figure is listed under: its figure in the paper, or that it goes beyond it."""
    if name == FOREST:
        return "Claims"
    task, module = task_and_module(name)
    number = module.removeprefix("published_").removeprefix("fig")
    if task != PAPER_TASK:
        return f"Extension: {task}"
    if module == ROBUSTNESS:
        return "Robustness"
    return f"Figure {number}" if number.isdigit() else "Beyond the paper"


def make(
    name: str,
    tables_folder: Path | str,
    published_folder: Path | str,
    rules: Path | str,
    out: Path | str,
    compared: Path | str | None = None,
    vector: str = "pdf",
) -> None:
    """Draw a figure from the tables of a folder: out/name.png, .csv (the plotted points), and .pdf or .svg.

    Parameters
    ----------
    name : one of `names`
    tables_folder : of the tables
    published_folder : of the published values, which some figures show next to ours
    rules : path of claims.yaml: figures that show tests correct them for all tests that it names
    out : folder of the figure
    compared : folder of what was found in archives, for the figures of `COMPARED`; None: not computed
    vector : pdf or svg

    Raises
    ------
    UserError
        If no figure has this name, or a table is missing or damaged.
    """
    from ..analysis import published, statements
    from ..analysis.completeness import complete_rows
    from ..records import tables
    from .panels import say_incomplete
    from .style import save

    task, module = task_and_module(name)
    settings = tables.settings_of(Path(tables_folder) / "runs.parquet")
    read = {
        table: tables.read(Path(tables_folder) / f"{table}.parquet", table) for table in ("runs", "epochs", "samples")
    }
    asks = [name.removeprefix(f"{ROBUSTNESS}_")] if module == ROBUSTNESS else []
    chosen = of_task if module in (ROBUSTNESS, ERROR_SIGNALS) else as_published
    frames = {table: chosen(frame, task) for table, frame in read.items()}
    frames |= {"published": published.load(published_folder), "rules": statements.load_rules(rules)}
    frames["complete"] = complete_rows(frames["runs"], settings)
    frames |= {module: read_compared(module, compared)} if compared else {}
    figure, points = import_module(f".{module}", __package__).draw(frames, *asks)
    if module not in COMPARED:
        say_incomplete(figure, points, frames["runs"], settings)
    save(figure, points, Path(out) / name, vector)


def read_compared(module: str, folder: Path | str) -> dict[str, DataFrame]:
    """DataFrames of a folder by the names of `COMPARED`; raises UserError if one is missing."""
    import pandas as pd

    files, rule = COMPARED[module]
    try:
        return {name: pd.read_csv(Path(folder) / file) for name, file in files.items()}
    except FileNotFoundError as error:
        raise UserError(f"{error.filename} is missing: make it with snakemake {rule}") from None
