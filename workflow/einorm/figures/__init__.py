"""Figures: one file each, drawn from the tables. To add one, add a file with `draw` and a caption in workflow/report.

A figure's module has ``draw(tables) -> (Figure, DataFrame of the plotted points)``, where tables maps "runs", "epochs"
and "samples" to DataFrames, and "published" to those of `published.load`. `robustness` draws several and is told which.
Importing this package imports
neither matplotlib nor torch.
"""

from importlib import import_module
from pathlib import Path

from ..runtime import UserError, digest, fingerprint
from ..selection import PAPER_TASK, as_published, of_task
from ..variants import QUESTIONS, asked

SHARED = ("style", "panels")  # modules that are no figures; so are those below
VERSUS = "versus"  # shared by the figures that show published values beside ours
ROBUSTNESS = "robustness"  # draws a figure per question of `QUESTIONS`
FIGURES = sorted(
    path.stem
    for path in Path(__file__).parent.glob("*.py")
    if path.stem not in (*SHARED, VERSUS, ROBUSTNESS, "__init__")
)


def names(tasks, variants=("paper",)):
    """Figures of an experiment: all of `FIGURES` where runs were trained as published, for every task of ours the same
    panels, "<task>_<figure>", and "robustness_<question>" for what further variants answer."""
    ours = [task for task in tasks if task != PAPER_TASK]
    panels = [name for name in FIGURES if not name.startswith("published_")]
    as_published = [*FIGURES, *(f"{task}_{name}" for task in ours for name in panels)] if "paper" in variants else []
    return [*as_published, *(f"{ROBUSTNESS}_{question}" for question in asked(variants))]


def task_and_module(name):
    """The task that a figure shows, and the module that draws it."""
    if name in FIGURES:
        return PAPER_TASK, name
    if name.removeprefix(f"{ROBUSTNESS}_") in QUESTIONS:
        return PAPER_TASK, ROBUSTNESS
    task, _, module = name.partition("_")
    return task, module


def drawing_code(name):
    """Fingerprint of the code that draws a figure."""
    modules = [f"figures/{module}.py" for module in (*SHARED, *imported(task_and_module(name)[1]))]
    modules += ["robustness.py", "variants.py"] if name.startswith(ROBUSTNESS) else []
    marks = fingerprint("runs.py", "incomplete_cells")
    return digest([marks, *(fingerprint(module) for module in [*modules, "conditions.py", "selection.py"])])[:16]


def imported(name):
    """A figure's module and the figure modules that it imports from."""
    source = (Path(__file__).parent / f"{name}.py").read_text(encoding="utf-8")
    return [other for other in (*FIGURES, VERSUS, ROBUSTNESS) if other == name or f"from .{other} import" in source]


def category(name):
    """What a figure is listed under: its figure in the paper, or that it goes beyond it."""
    task, module = task_and_module(name)
    number = module.removeprefix("published_").removeprefix("fig")
    if task != PAPER_TASK:
        return f"Extension: {task}"
    if module == ROBUSTNESS:
        return "Robustness"
    return f"Figure {number}" if number.isdigit() else "Beyond the paper"


def make(name, tables_folder, published_folder, out):
    """Draw a figure from the tables of a folder: out/name.pdf, .png and .csv (the plotted points).

    Parameters
    ----------
    name : one of `names`
    tables_folder : of the tables
    published_folder : of the published values, which some figures show beside ours
    out : folder of the figure

    Raises
    ------
    UserError
        If no figure has this name, or a table is missing or damaged.
    """
    from .. import published, tables
    from .panels import say_incomplete
    from .style import save

    task, module = task_and_module(name)
    if module not in (*FIGURES, ROBUSTNESS):
        raise UserError(f"no figure is called {name}; known are: {', '.join(FIGURES)}")
    settings = tables.settings_of(Path(tables_folder) / "runs.parquet")
    read = {
        table: tables.read(Path(tables_folder) / f"{table}.parquet", table) for table in ("runs", "epochs", "samples")
    }
    asks = [name.removeprefix(f"{ROBUSTNESS}_")] if module == ROBUSTNESS else []
    frames = {table: of_task(frame, task) if asks else as_published(frame, task) for table, frame in read.items()}
    frames["published"] = published.load(published_folder)
    figure, points = import_module(f".{module}", __package__).draw(frames, *asks)
    say_incomplete(figure, points, frames["runs"], settings)
    save(figure, points, Path(out) / name)
