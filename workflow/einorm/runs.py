"""Runs and jobs: what a settings' experiment consists of.

A run is (task, dataset, variant, randomness, condition, epsilon, lambda, configuration, seed); a job is a batch of runs
that differ in configuration and lambda only, trained side by side. Both are identified by the digest of their
specification.
"""

from .conditions import CONDITIONS
from .config import hyperparameters
from .data import DATASETS
from .error_signals import ERROR_SIGNALS
from .runtime import digest, fingerprint
from .tasks import TASKS
from .variants import how, specification

# By the benchmark (python -m einorm benchmark): four runs side by side use a core nearly as well as eight, which
# no longer fit its cache at large widths; on a GPU every run of a cell fits.
CPU_RUNS_PER_BATCH = 4
CPU_PADDING = 0.1
RANDOMNESS = ("own", "release")  # whose random numbers a run starts from and sees
# The arithmetic of a precision, as in `training_parts`.
ARITHMETIC = {
    "float32": (["network.py"], ["learning.py"]),
    "release": (
        ["release_precision.py"],
        ["network.py", "initial_network", "stack_network", "select_runs", "moments", "obey_dale"],
        ["learning.py", "build", "select", "measure", "smooth_targets", "cross_entropy", "layer_norm", "learn_pooling"],
    ),
}
CASTS = 3.8  # times as long a step takes in the release's precision, measured at H = 256, R = 4
#: How a step is computed -> the code that adds to `training_parts`: plain on a CPU; fused on a GPU, or graph, where the
#: fused step cannot (`gpu`).
STEPS = {"plain": [], "fused": [["gpu.py"], ["fused.py"]], "graph": [["gpu.py"]]}


def cells(settings):
    """(task, variant, condition, epsilon) of every group of runs, in the order of the settings."""
    return [
        (task, variant, condition, epsilon)
        for task in settings.tasks
        for variant in settings.variants
        for condition in settings.conditions
        for epsilon in (settings.lambda_epsilons if condition == "inorm_lambda" else settings.epsilons)
    ]


def cell_runs(settings, task, variant, condition, epsilon):
    """Specifications of the runs of one cell (`cells`), a dict each: all that decides what a run becomes."""
    shared = {
        "task": task,
        "dataset": settings.dataset,
        "condition": condition,
        "epsilon": float(epsilon),
        "seed": settings.seed,
        "epochs": settings.epochs,
        "train_images": settings.train_images,
        "test_images": settings.test_images,
        "batch_size": settings.batch_size,
    } | specification(variant)
    if settings.randomness != "own":  # left out there: older runs keep their digests
        shared["randomness"] = settings.randomness
    return [
        shared | {"lambda": lam, "config": config} | hyperparameters()[config]
        for config in settings.configs
        for lam in CONDITIONS[condition].lambdas
    ]


def completeness(table, settings):
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
    names, rows = ["task", "variant", "condition", "epsilon"], []
    finished = table.groupby(names).size().to_dict()
    collapsed = table[table["status"] == "collapsed"].groupby(names).size().to_dict()
    for cell in cells(settings):
        counts = {"finished": finished.get(cell, 0), "collapsed": collapsed.get(cell, 0)}
        rows.append(dict(zip(names, cell, strict=True)) | {"planned": len(cell_runs(settings, *cell))} | counts)
    return rows


def incomplete_cells(table, settings):
    """The cells (`completeness`) of the tasks and variants that a table has rows of, of which runs are missing."""
    kinds = set(zip(table["task"], table["variant"], strict=True))
    return [
        cell
        for cell in completeness(table, settings)
        if (cell["task"], cell["variant"]) in kinds and cell["finished"] < cell["planned"]
    ]


def complete_rows(table, settings):
    """Rows of a table of runs without those of `incomplete_cells`: what may be tested and corrected for."""
    names = ["task", "variant", "condition", "epsilon"]
    partial = {tuple(cell[name] for name in names) for cell in incomplete_cells(table, settings)}
    return table.loc[[key not in partial for key in zip(*(table[name] for name in names), strict=True)]]


def run_digest(run):
    """What identifies a run: a finished one with the same digest is never trained again."""
    return digest(run)[:16]


def jobs(settings):
    """All jobs of the settings: name -> list of run specifications; the longest first."""
    batches = []
    for cell in cells(settings):
        runs = cell_runs(settings, *cell)
        batches += batch_by_width(runs, *batch_limits(settings.machine))
    batches.sort(key=lambda batch: -sum(map(cost, batch)))
    return {job_name(batch): batch for batch in batches}


def batch_limits(machine):
    """Largest number of runs in a job, and the most of its arrays that may be padding.

    A GPU is best filled with all runs of a cell; on a CPU core more than a few gain little, and padding is work.
    """
    largest = machine.runs_per_batch
    if machine.device == "cuda":
        return (3000 if largest == "auto" else largest), 1.0
    return (CPU_RUNS_PER_BATCH if largest == "auto" else largest), CPU_PADDING


def batch_by_width(runs, largest, padding):
    """Split runs, widest first, into batches of at most `largest` of which at most the share `padding` is padding."""
    batches = []
    for run in sorted(runs, key=lambda run: (-run["hidden_width"], run["config"], run["lambda"])):
        batch = [*batches[-1], run] if batches else [run]
        used = sum(member["hidden_width"] for member in batch) / (batch[0]["hidden_width"] * len(batch))
        if batches and len(batch) <= largest and 1 - used <= padding:
            batches[-1] = batch
        else:
            batches.append([run])
    return batches


def job_name(runs):
    """Path of a job's shard below results/runs, without its ending."""
    return f"{cell_folder(runs[0])}/{digest(runs)[:12]}"


def cell_folder(run):
    """Folder of the shards of a run's cell, below results/runs."""
    kind = "".join(f"-{run[name]}" for name in ("variant", "randomness") if name in run)
    return f"{run['task']}{kind}/{run['condition']}/eps{run['epsilon']:g}"


def shift_table(settings, task, epsilon, seed):
    """Name of a shift table below results/shifts, without its ending: all that decides its content."""
    return shift_table_of(settings.model_dump() | {"task": task, "epsilon": float(epsilon), "seed": seed})


def shift_table_of(run):
    """`shift_table` of a run's specification."""
    sizes = f"{run['epochs']}x{run['train_images']}+{run['test_images']}"
    release = "-release" if run.get("randomness") == "release" else ""
    return f"{run['task']}/eps{run['epsilon']:g}-seed{run['seed']}{release}-{sizes}"


def share_shifts(run):
    """Whether all configurations of a run's cell see the shifts of the cell's table.

    So it is with random numbers of our own. In the release, networks that draw pooling weights see shifts of their own,
    by their width (`release_randomness.sequence`): their job draws them, since a table of each would be large.
    """
    return run.get("randomness", "own") == "own" or CONDITIONS[run["condition"]].layer in ("e", "ei")


def training_code(condition, task, randomness="own", precision="float32", step="plain"):
    """Fingerprint of the code that trains a condition on a task (`training_parts`) with a step of `STEPS`.

    New conditions, error signals, tasks and data sets leave the fingerprints of the old ones alone. Which other
    fingerprints stand for the same results: `lineage`.
    """
    entry = CONDITIONS[condition]
    kind = [entry.layer, entry.normalization, entry.error_signal]
    parts = training_parts(condition, task, randomness, precision) + STEPS[step]
    return digest([kind, *(fingerprint(module, *names) for module, *names in parts)])[:16]


def code_of(run, step="plain"):
    """`training_code` of a run's specification."""
    precision = how(specification(run.get("variant", "paper")))["precision"]
    return training_code(run["condition"], run["task"], run.get("randomness", "own"), precision, step)


def training_parts(condition, task, randomness="own", precision="float32"):
    """The code that decides what a run becomes: [module, name, ...] each, without names the whole module.

    Listed by hand: what a module imports for other purposes must not make finished runs worthless.
    """
    rule = ERROR_SIGNALS[CONDITIONS[condition].error_signal].__name__
    drawn = [["release_randomness.py"]] if randomness == "release" else []
    return [
        *drawn,
        *ARITHMETIC.get(precision, ()),  # of archived variants the code is gone
        ["train.py", "train"],
        ["variants.py", "how"],
        *([["device.py", "step_on"]] if precision == "float32" else []),
        ["error_signals.py", rule, "center", "full", "unchanged"],
        ["tasks.py", "draw_shifts", *(function.__name__ for function in TASKS[task])],
        ["runtime.py", "stream"],
    ]


def cost(run):
    """Multiply-adds of a run's training: what its time is proportional to, nearly.

    Two products per layer with all weights on its input (drive and update), one for the error passed down; the casts
    of the release's precision count as more of them.
    """
    pixels, H = DATASETS[run["dataset"]]["pixels"], run["hidden_width"]
    blocks = {"e": 1, "ei": 1.1, "inorm_sub": 1.1, "inorm_div": 2, "inorm": 2.1}[CONDITIONS[run["condition"]].layer]
    variant = how(run)
    deeper = variant["hidden_layers"] - 1
    per_image = blocks * H * (2 * pixels + 2 * deeper * H) + deeper * H * H
    per_image *= CASTS if variant["precision"] == "release" else 1
    return run["epochs"] * (run["train_images"] - variant["validation_images"]) * per_image
