"""What the presets cost on this machine: counted runs and jobs, core-hours from a short calibration."""

import time

import numpy as np
import torch

from . import config
from .conditions import CONDITIONS
from .data import ARRAYS
from .runs import cell_runs, cost, jobs
from .train import train

STEPS, TEST_IMAGES = 60, 320  # of a calibration run; as many test images per step as in a full epoch
START_UP = 5.0  # seconds of one core per job for imports and data


def print_budget(path, overrides):
    """Print runs, jobs, padding (its share of the work) and core-hours of every preset, after a short calibration.

    Parameters
    ----------
    path : of config.yaml
    overrides : list of "key=value", applied to every preset
    """
    presets = {name: config.load(path, name, overrides) for name in config.preset_names(path)}
    speeds = calibrate(next(iter(presets.values())))
    print(f"{'preset':12}{'runs':>7}{'jobs':>7}{'padding':>9}{'core-hours':>12}{'on 2 cores':>13}{'on 8 cores':>13}")
    for name, settings in presets.items():
        planned = jobs(settings)
        hours = sum(estimate(runs, speeds) for runs in planned.values()) / 3600
        runs = sum(map(len, planned.values()))
        padding = 1 - sum(sum(map(cost, batch)) for batch in planned.values()) / sum(map(padded_cost, planned.values()))
        times = f"{hours:12.2f}{duration(hours / 2):>13}{duration(hours / 8):>13}"
        print(f"{name:12}{runs:7}{len(planned):7}{padding:9.1%}{times}")


def calibrate(settings):
    """Seconds per unit of `runs.cost` for every kind of hidden layer, from short trainings on noise images."""
    torch.set_num_threads(settings.machine.threads)
    sizes = dict(zip(ARRAYS, (STEPS * 32, STEPS * 32, TEST_IMAGES, TEST_IMAGES), strict=True))
    rng = np.random.default_rng(0)
    images = {
        name: rng.integers(0, 256 if "images" in name else 10, (n, 784) if "images" in name else n, np.uint8)
        for name, n in sizes.items()
    }
    shifts = {"train": np.zeros((1, STEPS * 32), np.float32), "test": np.zeros(TEST_IMAGES, np.float32)}
    short = {"epochs": 1, "train_images": STEPS * 32, "test_images": TEST_IMAGES}
    speeds = {}
    for name in ("e_only_ln", "ei_ln", "inorm_sub", "gradnorm_full"):
        runs = [run | short for run in cell_runs(settings, "luminosity", name, 0.0)[:2]]
        times = []
        for _ in range(4):  # the first is a warm-up
            started = time.perf_counter()
            train(runs, images, shifts)
            times.append(time.perf_counter() - started)
        speeds[CONDITIONS[name].layer] = min(times[1:]) / padded_cost(runs)
    return speeds


def padded_cost(runs):
    """`runs.cost` of a batch, padding included."""
    widest = max(run["hidden_width"] for run in runs)
    return sum(cost(run | {"hidden_width": widest}) for run in runs)


def estimate(runs, speeds):
    """Seconds of one job on one core."""
    return START_UP + speeds[CONDITIONS[runs[0]["condition"]].layer] * padded_cost(runs)


def duration(hours):
    """Hours as text: 12 min, 3.4 h."""
    return f"{hours * 60:.0f} min" if hours < 1.5 else f"{hours:.1f} h"
