"""What the presets cost on this machine: counted runs and jobs, core-hours from a short run of the benchmark."""

import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch

from .. import config
from ..conditions import CONDITIONS
from ..records.jobs import cost, jobs
from ..records.runs import Run
from ..runtime import UserError, duration
from ..settings import Settings
from ..variants import ARCHIVED
from .benchmark import FAMILIES, WIDTHS, measure_epoch

Speeds = dict[str, list[float]]  # family -> seconds per unit of `jobs.cost`, at every one of `WIDTHS`
RUNS, STEPS, TEST_IMAGES = 2, 60, 320  # of a measured epoch: as many test images per step as in a full one


def print_budget(path: Path | str, overrides: Sequence[str]) -> None:
    """Print runs, jobs, padding (its share of the work) and core-hours of every preset that can be trained.

    Parameters
    ----------
    path : of config.yaml
    overrides : list of "key=value", applied to every preset
    """
    presets, refused = load_all(path, overrides)
    torch.set_num_threads(next(iter(presets.values())).machine.threads)
    speeds = {family: [seconds_per_cost(family, width) for width in WIDTHS] for family in FAMILIES}
    started = start_up()
    print(f"{'preset':24}{'runs':>7}{'jobs':>7}{'padding':>9}{'core-hours':>12}{'on 2 cores':>13}{'on 8 cores':>13}")
    for name, settings in presets.items():
        if set(ARCHIVED) & set(settings.variants):
            print(f"{name:24}{'its runs are archived and cannot be trained any more':>59}")
            continue
        planned = jobs(settings).values()
        hours = sum(started + estimate(runs, speeds) for runs in planned) / 3600
        padding = 1 - sum(sum(map(cost, runs)) for runs in planned) / sum(map(padded_cost, planned))
        times = f"{hours:12.2f}{duration(hours * 1800):>13}{duration(hours * 450):>13}"
        print(f"{name:24}{sum(map(len, planned)):7}{len(planned):7}{padding:9.1%}{times}")
    for name, error in refused.items():
        print(f"{name:24}{error}")


def load_all(path: Path | str, overrides: Sequence[str]) -> tuple[dict[str, Settings], dict[str, UserError]]:
    """Every preset with the overrides, and why the others refuse them. UserError where all do, or there is none."""
    presets, refused = dict[str, Settings](), dict[str, UserError]()
    for name in config.preset_names(path):
        try:
            presets[name] = config.load(path, name, overrides)
        except UserError as error:
            refused[name] = error
    if not presets:
        raise next(iter(refused.values()), UserError(f"{path} has no presets"))
    return presets, refused


def seconds_per_cost(family: str, width: int) -> float:
    """Seconds per unit of `jobs.cost`, from the best of three short epochs."""
    epochs = [measure_epoch(family, width, RUNS, STEPS * 32, TEST_IMAGES)["seconds"] for _ in range(3)]
    run = {"condition": FAMILIES[family], "hidden_width": width, "dataset": "fashion_mnist"}
    return min(epochs) / (RUNS * cost(run | {"epochs": 1, "train_images": STEPS * 32}))


def speeds_of(benchmark: dict[str, Any]) -> Speeds:
    """As `seconds_per_cost`, per family and width, from a benchmark that was written (`benchmark.run`)."""
    speeds = {}
    for family, condition in FAMILIES.items():
        steps = {
            s["width"]: s["ms_per_run_step"] for s in benchmark["steps"] if (s["family"], s["runs"]) == (family, 2)
        }
        (outside,) = (epoch["outside_steps"] for epoch in benchmark["epochs"] if epoch["family"] == family)
        step = {"condition": condition, "dataset": "fashion_mnist", "epochs": 1, "train_images": 32}
        speeds[family] = [
            steps[width] / 1000 / (1 - outside) / cost(step | {"hidden_width": width}) for width in WIDTHS
        ]
    return speeds


def core_hours(settings: Settings, speeds: Speeds) -> float:
    """Core-hours of training all runs of the settings, at `speeds`."""
    return sum(estimate(runs, speeds) for runs in jobs(settings).values()) / 3600


def start_up() -> float:
    """Seconds that a job's process takes to start and import what it needs."""
    started = time.perf_counter()
    subprocess.run([sys.executable, "-c", "import einorm.training.job"], check=True)
    return time.perf_counter() - started


def padded_cost(runs: list[Run]) -> float:
    """`jobs.cost` of a batch, padding included."""
    widest = max(run["hidden_width"] for run in runs)
    return sum(cost(run | {"hidden_width": widest}) for run in runs)


def estimate(runs: list[Run], speeds: Speeds) -> float:
    """Seconds that one job trains on one core."""
    blocks = CONDITIONS[runs[0]["condition"]].kind.blocks
    family = "I-Norm" if "Bix" in blocks else "E-I" if "Wix" in blocks else "E"  # of the benchmark
    widest = max(run["hidden_width"] for run in runs)
    return np.interp(widest, WIDTHS, speeds[family]) * padded_cost(runs)
