"""How fast training is on a GPU, measured against the card's copies and matrix products in the same process.

All runs of a cell train side by side there, so a row is a family and a number of configurations, each with its own
width: the plain step as a CUDA graph and the fused one (`gpu`), and an epoch with its metrics and evaluation.
"""

import subprocess
import time
from collections.abc import Callable, Collection, Iterable, Sequence
from functools import partial
from typing import Any

import torch

from ..conditions import CONDITIONS
from ..hyperparameters import hyperparameters
from ..learning import Network, build, smooth_targets
from ..network import CLASSES, inhibitory_units, initial_network
from ..tasks import TASKS
from ..training.gpu import steps_on
from ..training.train import evaluate, train_epoch
from .benchmark import BATCH, FAMILIES, PIXELS, REPEATS, TEST_IMAGES, TRAIN_IMAGES

RUNS = (10, 30)  # the widest configuration of the paper's 30 is among the first 10: the same kernels are compiled
KINDS = ("graph", "fused")
COPIED, SQUARE = 2**27, 8192  # numbers that are copied; rows of the matrices that are multiplied
EPOCHS = 50


def synchronize(device: str) -> None:
    """Wait for the device."""
    if device == "cuda":
        torch.cuda.synchronize()


def best_time(function: Callable[[], object], device: str) -> float:
    """Least time (s) of one call over some repeats, the device's work included."""
    function()
    times = []
    for _ in range(REPEATS):
        synchronize(device)
        started = time.perf_counter()
        function()
        synchronize(device)
        times.append(time.perf_counter() - started)
    return min(times)


def peaks(device: str, copied: int = COPIED, square: int = SQUARE) -> dict[str, float]:
    """The card's copies (GB/s, read and written bytes counted) and square products in float32 (GFLOP/s), no TF32."""
    torch.set_float32_matmul_precision("highest")
    source, target = torch.ones(copied, device=device), torch.empty(copied, device=device)
    a, b = torch.randn(2, square, square, device=device)
    out = torch.empty(square, square, device=device)
    return {
        "copy": 8 * copied / best_time(lambda: target.copy_(source), device) / 1e9,
        "square": 2 * square**3 / best_time(lambda: torch.mm(a, b, out=out), device) / 1e9,
    }


def network_of(condition: str, runs: int, device: str) -> Network:
    """A network of the first published configurations of one condition, ready to train.

    The initial weights are those of an E-I network's, Bix too, which saves the time of its singular values.
    """
    chosen = hyperparameters()[:runs]
    weights = [initial_network("ei", PIXELS, run["hidden_width"], 0, i) for i, run in enumerate(chosen)]
    if "Bix" in CONDITIONS[condition].kind.blocks:
        weights = [[layer | {"Bix": layer["Wex"]} for layer in run] for run in weights]
    return build(condition, weights, [run | {"lambda": 0.01} for run in chosen], device=device)


def least_work(network: Network) -> tuple[int, int]:
    """Bytes that a step must move and FLOP that it must do, each run with its own width, in all its products.

    Weights are read and written once, and read once more where the error is passed down.
    """
    moved = done = 0
    inputs = [PIXELS] * len(network.lambdas)
    for i, layer in enumerate(network.layers):
        for r, width in enumerate(layer.widths.flatten().int().tolist()):
            inhibitory = inhibitory_units(width) if layer.n_i else 0
            heights = {"Wex": width, "Wix": inhibitory, "Bix": width}
            rows = sum(heights[name] for name in layer.blocks)
            down = (width + (inhibitory if "Wix" in layer.kind.passes_error else 0)) if i else 0
            moved += layer.W.element_size() * inputs[r] * (2 * rows + down)
            small = (2 + layer.kind.learns("Wei")) * width * inhibitory
            done += 2 * BATCH * (inputs[r] * (2 * rows + down) + small)
            inputs[r] = width
    return moved, done


def measure_step(
    family: str, runs: int, device: str, peak: dict[str, float], kinds: Iterable[str] = KINDS
) -> list[dict[str, Any]]:
    """Rows of the table: for each kind of step ms, GB/s and GFLOP/s of the least work, shares of the card's peaks."""
    condition, rows = FAMILIES[family], []
    shape = (runs, BATCH, PIXELS) if family == "I-Norm" else (BATCH, PIXELS)  # as with the release's shifts
    for kind in kinds:
        network = network_of(condition, runs, device)
        steps = steps_on(network, shape, kind)
        n = steps.most
        x = torch.rand(*shape[:-2], n * BATCH, PIXELS, device=device)
        targets = smooth_targets(torch.randint(0, CLASSES, (n * BATCH,), device=device), CLASSES)
        seconds = best_time(partial(steps, x, targets), device) / n
        moved, done = least_work(network)
        rows.append({
            "family": family,
            "runs": runs,
            "kind": kind,
            "ms_per_step": 1e3 * seconds,
            "gb_per_s": moved / seconds / 1e9,
            "gflops": done / seconds / 1e9,
            "share_of_copy": moved / seconds / 1e9 / peak["copy"],
            "share_of_peak": done / seconds / 1e9 / peak["square"],
            "flops_per_byte": done / moved,
        })  # fmt: skip
    return rows


def measure_epoch(
    family: str, runs: int, device: str, kind: str = "fused", images: int = TRAIN_IMAGES, test_images: int = TEST_IMAGES
) -> dict[str, Any]:
    """Seconds of an epoch with metrics and evaluation, seconds of the evaluation, power (W), and a cell's seconds."""
    network = network_of(FAMILIES[family], runs, device)
    own = (runs,) if family == "I-Norm" else ()
    parts = []
    for n in (images, test_images):
        pixels = torch.randint(0, 256, (n, PIXELS), dtype=torch.uint8, device=device)
        labels = torch.randint(0, CLASSES, (n,), device=device)
        parts.append((pixels, labels, smooth_targets(labels, CLASSES), torch.zeros(*own, n, device=device)))
    shift = TASKS["luminosity"][1]
    steps = steps_on(network, (*own, BATCH, PIXELS), kind)
    train_epoch(network, parts[0], shift, BATCH, steps)  # records
    synchronize(device)
    started = time.perf_counter()
    train_epoch(network, parts[0], shift, BATCH, steps)
    watts = power(device)
    synchronize(device)
    trained = time.perf_counter()
    evaluate(network, parts[1], shift)
    synchronize(device)
    seconds = time.perf_counter() - started
    row: dict[str, Any] = {"family": family, "runs": runs, "kind": kind, "seconds": seconds}
    row |= {"evaluation": seconds - (trained - started), "watts": watts, "cell_seconds": EPOCHS * seconds}
    return row | {"joules_per_cell": None if watts is None else watts * row["cell_seconds"]}


def power(device: str) -> float | None:
    """What the card draws now (W), where nvidia-smi tells, else None."""
    if device != "cuda":
        return None
    asked = ["nvidia-smi", "--query-gpu=power.draw", "--format=csv,noheader,nounits"]
    try:
        return float(subprocess.run(asked, capture_output=True, text=True, timeout=10).stdout.split()[0])
    except (OSError, ValueError, IndexError, subprocess.TimeoutExpired):
        return None


def run(
    device: str = "cuda",
    families: Collection[str] = FAMILIES,
    runs: Sequence[int] = RUNS,
    images: int = TRAIN_IMAGES,
    copied: int = COPIED,
    square: int = SQUARE,
    kinds: Sequence[str] = KINDS,
) -> dict[str, Any]:
    """Measure everything, in a minute of a large card: a JSON-like dict of what the functions above return."""
    peak = peaks(device, copied, square)
    return {
        "device": torch.cuda.get_device_name() if device == "cuda" else device,
        "torch": torch.__version__,
        "peak": peak,
        "steps": [row for f in families for R in runs for row in measure_step(f, R, device, peak, kinds)],
        "epochs": [measure_epoch(f, max(runs), device, kinds[-1], images, images // 6) for f in families],
    }


def print_table(result: dict[str, Any]) -> None:
    """The measurements as a table on the terminal."""
    peak = result["peak"]
    print(f"torch {result['torch']}, {result['device']}")
    print(f"copies {peak['copy']:.0f} GB/s, square products {peak['square']:.0f} GFLOP/s")
    print(f"{'family':8}{'R':>4}  {'step':6}{'ms':>8}{'GB/s':>8}{'of copy':>9}{'GFLOP/s':>9}{'of peak':>9}")
    for row in result["steps"]:
        print(
            f"{row['family']:8}{row['runs']:4}  {row['kind']:6}{row['ms_per_step']:8.3f}{row['gb_per_s']:8.0f}"
            f"{row['share_of_copy']:9.0%}{row['gflops']:9.0f}{row['share_of_peak']:9.0%}"
        )
    for row in result["epochs"]:
        energy = (
            "" if row["watts"] is None else f", {row['watts']:.0f} W, {row['joules_per_cell'] / 3600:.1f} Wh a cell"
        )
        print(
            f"{row['family']:8}{row['kind']}: an epoch of {row['runs']} runs {row['seconds']:.2f} s "
            f"({row['evaluation']:.2f} s on the test set), {EPOCHS} epochs {row['cell_seconds']:.0f} s{energy}"
        )
