"""Jobs: batches of runs of a cell that are trained side by side, and what they cost."""

from ..conditions import CONDITIONS
from ..data import DATASETS
from ..runtime import digest
from ..settings import Machine, Settings
from ..variants import how
from .runs import Run, cell_folder, cell_runs, cells

# By the benchmark (python -m einorm benchmark): four runs side by side use a core nearly as well as eight, which
# no longer fit its cache at large widths; on a GPU every run of a cell fits.
CPU_RUNS_PER_BATCH = 4
CPU_PADDING = 0.1
# Times as long a step takes in the release's precision, measured at R = 4 and H = 150 to 450. E-I layers, whose Wix
# learns from the task's error, also multiply Wei by Wix in every step.
CASTS, CASTS_EI = 2.0, 3.5


def jobs(settings: Settings) -> dict[str, list[Run]]:
    """All jobs of the settings: name -> list of run specifications; the longest first."""
    batches = []
    for cell in cells(settings):
        runs = cell_runs(settings, *cell)
        batches += batch_by_width(runs, *batch_limits(settings.machine))
    batches.sort(key=lambda batch: -sum(map(cost, batch)))
    return {job_name(batch): batch for batch in batches}


def batch_limits(machine: Machine) -> tuple[int, float]:
    """Largest number of runs in a job, and the most of its arrays that may be padding.

    A GPU is best filled with all runs of a cell; on a CPU core more than a few gain little, and padding is work.
    """
    largest = machine.runs_per_batch
    if machine.device == "cuda":
        return (3000 if largest == "auto" else largest), 1.0
    return (CPU_RUNS_PER_BATCH if largest == "auto" else largest), CPU_PADDING


def batch_by_width(runs: list[Run], largest: int, padding: float) -> list[list[Run]]:
    """Split runs, widest first, into batches of at most `largest` of which at most the share `padding` is padding."""
    batches: list[list[Run]] = []
    for run in sorted(runs, key=lambda run: (-run["hidden_width"], run["config"], run["lambda"])):
        batch = [*batches[-1], run] if batches else [run]
        used = sum(member["hidden_width"] for member in batch) / (batch[0]["hidden_width"] * len(batch))
        if batches and len(batch) <= largest and 1 - used <= padding:
            batches[-1] = batch
        else:
            batches.append([run])
    return batches


def job_name(runs: list[Run]) -> str:
    """Path of a job's shard below results/runs, without its ending."""
    return f"{cell_folder(runs[0])}/{digest(runs)[:12]}"


def cost(run: Run) -> float:
    """Multiply-adds of a run's training: what its time is proportional to, nearly.

    Two products per layer with all weights on its input (drive and update), one for the error passed down; the casts
    of the release's precision count as more of them.
    """
    pixels, H = DATASETS[run["dataset"]]["pixels"], run["hidden_width"]
    kind = CONDITIONS[run["condition"]].kind
    rows = {"Wex": 1, "Wix": 0.1, "Bix": 1}  # of the weights on the input, per excitatory unit
    blocks = sum(rows[name] for name in kind.blocks)
    variant = how(run)
    deeper = variant["hidden_layers"] - 1
    per_image = blocks * H * (2 * pixels + 2 * deeper * H) + deeper * H * H
    if variant["precision"] == "release":
        per_image *= CASTS_EI if "Wix" in kind.task else CASTS
    return run["epochs"] * (run["train_images"] - variant["validation_images"]) * per_image
