"""How fast training is on this machine, measured against what its matrix products could do at best.

Everything is measured in one process on one thread count: the machine's peak, the step of every family, the
share of an epoch outside the steps, and the same step by plain autograd (tests/oracle.py) where the tests are at hand.
"""

import importlib.util
import json
import time
from collections.abc import Callable, Collection
from functools import partial
from pathlib import Path
from typing import Any

import torch

from ..conditions import CONDITIONS
from ..learning import Network, build, smooth_targets, train_step
from ..network import CLASSES, initial_network
from ..runtime import PACKAGE, UserError, atomic_path
from ..tasks import TASKS
from ..training.train import evaluate, plain_steps, train_epoch

FAMILIES = {"E": "e_only_ln", "E-I": "ei_ln", "I-Norm": "gradnorm_full"}
RUNS = (1, 2, 4, 8)
WIDTHS = (128, 256, 488)
BATCH, PIXELS, SQUARE = 32, 784, 1024
TRAIN_IMAGES, TEST_IMAGES = 60000, 10000
REPEATS = 5  # of a measurement, of which the best counts
ORACLE = PACKAGE.parents[1] / "tests" / "oracle.py"


def best_time(function: Callable[[], object], seconds: float = 0.3) -> float:
    """Least time (s) of one call over some repeats, each long enough to be measured."""
    function()
    started = time.perf_counter()
    function()
    calls = max(1, int(seconds / REPEATS / max(time.perf_counter() - started, 1e-7)))
    times = []
    for _ in range(REPEATS):
        started = time.perf_counter()
        for _ in range(calls):
            function()
        times.append((time.perf_counter() - started) / calls)
    return min(times)


def peaks() -> dict[str, float]:
    """GFLOP/s of matrix products: a large square one, and drive and update of layer 0 at R = 4, H = 256, I-Norm."""
    a, b = torch.randn(2, SQUARE, SQUARE)
    out = torch.empty(SQUARE, SQUARE)
    rows = 4 * (2 * 256 + 25)
    W, x, G = torch.randn(rows, PIXELS), torch.randn(BATCH, PIXELS), torch.randn(rows, BATCH) * 1e-9
    products = {
        "square": (lambda: torch.mm(a, b, out=out), 2 * SQUARE**3),
        "drive": (lambda: torch.mm(W, x.t()), 2 * rows * PIXELS * BATCH),
        "update": (lambda: W.addmm_(G, x), 2 * rows * PIXELS * BATCH),
    }
    return {name: flops / best_time(function) / 1e9 for name, (function, flops) in products.items()}


def bandwidth() -> dict[str, float]:
    """GB/s of copying an array, read and written bytes counted: from memory (256 MB) and from cache (1 MB)."""
    speeds = {}
    for name, size in (("memory", 2**26), ("cache", 2**18)):
        source, target = torch.ones(size), torch.empty(size)
        speeds[name] = 8 * size / best_time(partial(target.copy_, source)) / 1e9
    return speeds


def network_of(condition: str, width: int, runs: int) -> Network:
    """A network of `runs` equal widths of one condition, ready to train."""
    weights = [initial_network(CONDITIONS[condition].layer, PIXELS, width, r) for r in range(runs)]
    rates = [{"lr": 1e-3, "lr_wix": 1e-2, "lr_wei": 1e-4, "lambda": 0.01}] * runs
    return build(condition, weights, rates)


def step_flops(network: Network) -> int:
    """Multiplications and additions in the matrix products that one step of the method needs."""
    total = 0
    for i, layer in enumerate(network.layers):
        runs, rows, inputs = layer.W.shape
        total += 2 * rows * inputs + (layer.passing.shape[1] * inputs if i > 0 else 0)
        inhibitory_products = 2 + layer.kind.learns("Wei")  # where there is inhibition
        total += inhibitory_products * layer.n_e * layer.n_i
    return 2 * BATCH * runs * total


def step_bytes(network: Network) -> int:
    """Bytes of weights that one step moves at least: read for the drive, read and written for the update."""
    return sum(3 * layer.W.numel() * layer.W.element_size() for layer in network.layers)


def measure_step(family: str, width: int, runs: int, peak: float) -> dict[str, Any]:
    """One row of the table: time per step of one run, GFLOP/s, share of the peak."""
    network = network_of(FAMILIES[family], width, runs)
    x = torch.rand(BATCH, PIXELS)
    targets = smooth_targets(torch.randint(0, CLASSES, (BATCH,)), CLASSES)
    seconds = best_time(lambda: train_step(network, x, targets))
    flops = step_flops(network)
    return {
        "family": family,
        "width": width,
        "runs": runs,
        "ms_per_run_step": 1e3 * seconds / runs,
        "gflops": flops / seconds / 1e9,
        "share_of_peak": flops / seconds / 1e9 / peak,
        "flops_per_byte": flops / step_bytes(network),
    }


def measure_epoch(
    family: str, width: int = 256, runs: int = 4, images: int = TRAIN_IMAGES, test_images: int = TEST_IMAGES
) -> dict[str, Any]:
    """Seconds of an epoch of full size, and the shares of it outside the training steps and in evaluation alone."""
    network = network_of(FAMILIES[family], width, runs)
    parts = []
    for n in (images, test_images):
        pixels = torch.randint(0, 256, (n, PIXELS), dtype=torch.uint8)
        labels = torch.randint(0, CLASSES, (n,))
        parts.append((pixels, labels, smooth_targets(labels, CLASSES), torch.zeros(n)))
    shift = TASKS["luminosity"][1]
    inside = 0.0

    def timed_step(*arguments: Any) -> Any:
        nonlocal inside
        started = time.perf_counter()
        loss = train_step(*arguments)
        inside += time.perf_counter() - started
        return loss

    started = time.perf_counter()
    train_epoch(network, parts[0], shift, BATCH, plain_steps(network, timed_step))
    trained = time.perf_counter()
    evaluate(network, parts[1], shift)
    seconds = time.perf_counter() - started
    shares = {"outside_steps": 1 - inside / seconds, "evaluation": 1 - (trained - started) / seconds}
    return {"family": family, "width": width, "runs": runs, "seconds": seconds, **shares}


def measure_oracle(family: str, width: int) -> dict[str, Any]:
    """Milliseconds of a step of one run by autograd (tests/oracle.py) in float32."""
    spec = importlib.util.spec_from_file_location("oracle", ORACLE)
    assert spec and spec.loader  # a Python file has both
    oracle = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(oracle)
    network = network_of(FAMILIES[family], width, 1)
    weights = [
        {name: value[0].squeeze(-1).clone() if name in ("b", "w") else value[0].clone() for name, value in W.items()}
        for W in (layer.weights() for layer in network.layers)
    ]
    x, y = torch.rand(BATCH, PIXELS), torch.randint(0, CLASSES, (BATCH,))
    rates = {"lr": 1e-3, "lr_wix": 1e-2, "lr_wei": 1e-4, "lambda": 0.01}
    seconds = best_time(lambda: oracle.step(weights, FAMILIES[family], x, y, rates))
    return {"family": family, "width": width, "ms": 1e3 * seconds}


def run(
    threads: int = 1,
    families: Collection[str] = FAMILIES,
    widths: Collection[int] = WIDTHS,
    runs: Collection[int] = RUNS,
    images: int = TRAIN_IMAGES,
) -> dict[str, Any]:
    """Measure everything, in some minutes: a JSON-like dict of what `peaks`, `bandwidth` and so on return."""
    torch.set_num_threads(threads)
    peak = peaks()
    return {
        "threads": threads,
        "torch": torch.__version__,
        "instructions": torch.backends.cpu.get_cpu_capability(),
        "peak_gflops": peak,
        "bandwidth": bandwidth(),
        "steps": [measure_step(f, H, R, peak["square"]) for f in families for H in widths for R in runs],
        "epochs": [measure_epoch(family, images=images, test_images=images // 6) for family in families],
        "oracle": [measure_oracle(f, H) for f in families for H in widths] if ORACLE.exists() else [],
    }


def print_table(result: dict[str, Any]) -> None:
    """The measurements as a table on the terminal."""
    peak = result["peak_gflops"]
    listed = ", ".join(f"{name} {value:.0f}" for name, value in peak.items())
    print(f"torch {result['torch']}, {result['instructions']}, {result['threads']} thread(s)")
    print(f"peak of matrix products (GFLOP/s): {listed}")
    print(f"{'family':8}{'H':>5}{'R':>4}{'ms per run-step':>17}{'GFLOP/s':>9}{'of peak':>9}")
    for row in result["steps"]:
        print(
            f"{row['family']:8}{row['width']:5}{row['runs']:4}{row['ms_per_run_step']:17.3f}"
            f"{row['gflops']:9.1f}{row['share_of_peak']:9.0%}"
        )
    for row in result["epochs"]:
        outside = f"{row['outside_steps']:.1%} of it outside the steps ({row['evaluation']:.1%} on the test set)"
        print(f"{row['family']:8}an epoch of {row['runs']} runs, H = {row['width']}: {row['seconds']:.2f} s, {outside}")
    for row in result["oracle"]:
        same = [r for r in result["steps"] if (r["family"], r["width"]) == (row["family"], row["width"])]
        ratio = row["ms"] / min(r["ms_per_run_step"] for r in same)
        print(f"{row['family']:8}autograd, H = {row['width']}: {row['ms']:.2f} ms a step, {ratio:.1f} times ours")


def read_json(path: Path | str) -> dict[str, Any]:
    """The measurements that `write_json` wrote. Raises UserError if the file is missing or holds none."""
    try:
        result: dict[str, Any] = json.loads(Path(path).read_text(encoding="utf-8"))
        if not {"torch", "steps", "epochs"} <= set(result):
            raise ValueError(f"no measurements in {path}")
    except OSError as error:
        raise UserError(f"cannot read {path}: {error.strerror}; write it with --json {path}") from None
    except (ValueError, TypeError):
        raise UserError(f"{path} is no benchmark: write it with --json {path}") from None
    return result


def write_json(result: dict[str, Any], path: Path | str) -> None:
    """Write the measurements of `run` as JSON. Raises UserError if the file cannot be written."""
    with atomic_path(path) as temporary:
        temporary.write_text(json.dumps(result, indent=1) + "\n")
