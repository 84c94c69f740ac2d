"""Check a GPU in one go, within four minutes of a large one, and write what was found to one JSON file.

`python tests/gpu_check.py --images results/data/fashion_mnist.npz --out gpu.json` (`make gpu-check`). It needs torch
with Triton, numpy, pandas, pyarrow, pydantic and yaml, and no more. Exit code 1 if a check fails; a section that cannot
be run is recorded with its error, and the others go on. `--tiny --device cpu` tries the script itself, by Triton's
interpreter.

- golden: the golden vectors by the plain step (float64) and by the fused one (float32)
- steps: every condition, the fused step against the plain one, with the widths of real runs
- loop: an epoch on the device against the CPU; a collapse; equal repeats; no TF32
- streams: NumPy's random streams are those of the machine that made the archive
- benchmark: `benchmark_gpu.run`
- control: two archived cells trained again; the distributions of their accuracies compared with the CPU's
"""

import argparse
import hashlib
import json
import math
import os
import shutil
import subprocess
import sys
import time
import traceback
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np

PROJECT = Path(__file__).parents[1]
sys.path.insert(0, str(PROJECT / "workflow"))
CONTROL = ("gradnorm_full", "e_only_ln")
EPSILON = 0.75
CONFIGS = 10  # the first ones, of which one is the widest of the 30: kernels are compiled as for a whole cell
COLLAPSE_CONDITION = "gradnorm_decorrelate"
#: sha256 of a shift table's first epoch and of one initial Wex, on the machine that made the archive
STREAMS = {
    "shifts": "0585a353bfa8775f4a0cf9c2f693e0580371d48dd52971ddf6ee5e85e6441bab",
    "Wex": "a63ac9b7ac428ab7410221b1d3e09e8bd9d1e84022d6682dccec9b4a9a1ef183",
}


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--images", type=Path, required=True, help="prepared images")
    parser.add_argument("--out", type=Path, required=True, help="JSON file")
    parser.add_argument("--device", default="cuda", choices=("cuda", "cpu"))
    parser.add_argument("--tiny", action="store_true", help="sizes that try the script itself")
    parser.add_argument("--sections", nargs="+", choices=list(SECTIONS), default=list(SECTIONS))
    parser.add_argument("--compile", nargs="+", metavar="CONDITION", help=argparse.SUPPRESS)
    args = parser.parse_args()
    if args.device == "cpu":
        os.environ["TRITON_INTERPRET"] = "1"
    if args.compile:
        return compile_kernels(args.compile)
    if args.tiny:
        from einorm.training import fused, gpu

        fused.INPUTS = 256  # the interpreter takes the same time for tiles of any size
        gpu.CHUNK = 2
    started, result = time.perf_counter(), {"machine": machine(args.device), "sections": {}}
    failed = []
    for name in args.sections:
        begun = time.perf_counter()
        try:
            found = SECTIONS[name](args)
        except Exception as error:  # the next section may still tell something
            traceback.print_exc()
            found = {"passed": False, "error": f"{type(error).__name__}: {error}"}
        found["seconds"] = round(time.perf_counter() - begun, 1)
        failed += [] if found["passed"] else [name]
        result["sections"][name] = found
        result |= {"passed": not failed, "failed": failed, "seconds": round(time.perf_counter() - started, 1)}
        args.out.write_text(json.dumps(result, indent=1) + "\n")
        print(f"{name}: {'ok' if found['passed'] else 'FAILED'}, {found['seconds']} s", flush=True)
    return int(bool(failed))


def machine(device):
    """What checks here."""
    import torch

    try:
        from triton import __version__ as triton
    except ImportError:
        triton = None
    facts = {"python": sys.version.split()[0], "torch": torch.__version__, "triton": triton, "numpy": np.__version__}
    if device == "cuda":
        facts |= {"gpu": torch.cuda.get_device_name(), "capability": list(torch.cuda.get_device_capability())}
    return facts | {"cores": os.cpu_count(), "compiler": shutil.which("gcc") or shutil.which("clang")}


def compile_first(args):
    """Compile all conditions' kernels in processes of their own, since one would take them in turn."""
    from einorm.conditions import CONDITIONS

    if args.device != "cuda":
        return {"passed": True}
    names = list(CONDITIONS)
    groups = [names[i::6] for i in range(6)]
    command = [sys.executable, __file__, "--images", str(args.images), "--out", str(args.out), "--compile"]
    processes = [subprocess.Popen([*command, *group], stderr=subprocess.PIPE, text=True) for group in groups]
    errors = [process.communicate()[1] for process in processes]
    bad = [error.strip().splitlines()[-1] for p, error in zip(processes, errors, strict=True) if p.returncode]
    return {"passed": not bad, "errors": bad}


def compile_kernels(conditions):
    """Train a chunk of each condition with the sizes of real runs, and its golden vectors."""
    from einorm.tools import golden

    for condition in conditions:
        for own in (False, True):
            compare_steps(condition, "cuda", own_images=own)
        path = PROJECT / "tests" / "golden" / f"{condition}.npz"
        if path.exists():
            golden.replay(path, "cuda", "fused")


def compare_steps(condition, device, own_images=False, configs=CONFIGS, steps=2):
    """Largest relative deviations of the fused step from the plain one after some steps: losses, weights."""
    import torch
    from einorm.learning import smooth_targets, train_step
    from einorm.tools.benchmark_gpu import network_of
    from einorm.training import fused

    plain, quick = (network_of(condition, configs, device) for _ in range(2))
    generator = torch.Generator().manual_seed(0)
    own = (configs,) if own_images else ()
    x = torch.rand(*own, steps * 32, 784, generator=generator).to(device)
    targets = smooth_targets(torch.randint(0, 10, (steps * 32,), generator=generator), 10).to(device)
    chunk = fused.prepare_chunk(quick, (*own, 32, 784), steps)
    chunk.x.copy_(x)
    chunk.targets.copy_(targets)
    fused.train_chunk(quick, chunk, steps)
    batches = [slice(32 * s, 32 * s + 32) for s in range(steps)]
    losses = torch.stack([train_step(plain, x[..., batch, :], targets[:, batch]) for batch in batches])
    pairs = {"losses": (chunk.losses[:steps], losses)}
    for i, (ours, reference) in enumerate(zip(quick.layers, plain.layers, strict=True)):
        weights = reference.weights()
        pairs |= {f"{name}{i}": (value, weights[name]) for name, value in ours.weights().items()}
    return {name: float((a - b).abs().max() / b.abs().max().clamp(min=1e-30)) for name, (a, b) in pairs.items()}


def golden(args):
    from einorm.tools import golden

    paths = sorted((PROJECT / "tests" / "golden").glob("*.npz"))[:: 12 if args.tiny else 1]
    found = {}
    for step, limit in (("plain", golden.TOLERANCE), ("fused", golden.SINGLE)):
        errors = {path.stem: max(golden.replay(path, args.device, step).values()) for path in paths}
        found[step] = {"limit": limit, "largest": max(errors.values()), "errors": errors}
    return found | {"passed": all(part["largest"] <= part["limit"] for part in found.values())}


def steps(args):
    from einorm.conditions import CONDITIONS

    sizes = {"configs": 1, "steps": 1} if args.tiny else {}
    names = ["ei_ln"] if args.tiny else list(CONDITIONS)
    errors = {f"{name}{' own images' * own}": compare_steps(name, args.device, own, **sizes)
              for name in names for own in (False, True)}  # fmt: skip
    worst = {name: max(found.values()) for name, found in errors.items()}
    return {"passed": max(worst.values()) <= 1e-5, "limit": 1e-5, "worst": worst}


def loop(args):
    """The loop on the device against the CPU's, as tests/test_gpu.py has it."""
    import torch
    from einorm.data import load
    from einorm.records.tables import METRICS
    from einorm.training import train

    images, found = load(args.images), {}
    kind = "fused"
    for condition in ("ei_ln",) if args.tiny else ("ei_ln", "e_only_ln", "inorm_sub", "gradnorm_full"):
        few = {"widths": (24, 17)} if args.tiny else {"configs": range(CONFIGS)}
        chosen = runs_of(condition, 1, 40 if args.tiny else 650, **few)
        shifts = train.draw_shifts_of(chosen)
        on_cpu, first, second = (
            train.train(chosen, images, shifts),
            *(train.train(chosen, images, shifts, args.device, step=kind) for _ in range(2)),
        )
        # 21 steps of training amplify rounding: metrics within 1 %, accuracy within 1.5 points
        limits = {name: {"rtol": 1e-2, "atol": 1.5 if name.endswith("acc") else 2e-3} for name in METRICS}
        close = {name: np.allclose(first[name], on_cpu[name], equal_nan=True, **limits[name]) for name in METRICS}
        wrong = [name for name in METRICS if not close[name]]
        equal = first.drop(columns="seconds").equals(second.drop(columns="seconds"))
        deviation = float(np.nanmax(np.abs(first["train_loss"] / on_cpu["train_loss"] - 1)))
        found[condition] = {"differs": wrong, "repeats_equal": equal, "loss_deviation": deviation}
    chosen = runs_of(COLLAPSE_CONDITION, 3, 64, (24, 17))
    shifts = train.draw_shifts_of(chosen)
    shifts["train"][1, 0, 40] = np.nan
    ours, cpus = train.train(chosen, images, shifts, args.device, step=kind), train.train(chosen, images, shifts)
    facts = ["config", "epoch", "status", "collapsed_step"]
    collapse = ours[facts].equals(cpus[facts]) and np.allclose(ours["mu0"], cpus["mu0"], rtol=1e-2, equal_nan=True)
    tf32 = torch.backends.cuda.matmul.allow_tf32
    good = all(not part["differs"] and part["repeats_equal"] for part in found.values())
    return {
        "passed": bool(good and collapse and not tf32),
        "conditions": found,
        "collapse": bool(collapse),
        "tf32": tf32,
    }


def runs_of(condition, epochs, train_images, widths=None, configs=(0, 1), preset="paper"):
    """Specifications of some runs with the release's random numbers."""
    from einorm import config
    from einorm.records import runs

    settings = config.load(PROJECT / "config.yaml", preset)
    cell = runs.cell_runs(settings, "luminosity", "paper", condition, EPSILON)
    chosen = [run for run in cell if run["config"] in configs] if configs else cell
    sizes = {"epochs": epochs, "train_images": train_images, "test_images": 1000} if epochs else {}
    chosen = [run | sizes for run in chosen]
    return [run | {"hidden_width": w} for run, w in zip(chosen, widths, strict=True)] if widths else chosen


def streams(args):
    from einorm.network import initial_layer
    from einorm.tasks import TASKS, draw_shifts

    table = draw_shifts(TASKS["luminosity"][0], 0.75, (0, "shift", "luminosity", 0.75), 1, 1000, 10)["train"]
    drawn = {"shifts": table, "Wex": initial_layer("e", 784, 100, 0, "initial", 0, "layer0")["Wex"].astype(np.float32)}
    found = {name: hashlib.sha256(np.ascontiguousarray(array)).hexdigest() for name, array in drawn.items()}
    return {"passed": found == STREAMS, "sha256": found}


def benchmark(args):
    from einorm.tools import benchmark_gpu

    sizes = {"families": ["E-I"], "runs": (1,), "images": 96, "copied": 2**20, "square": 64, "kinds": ("graph",)}
    result = benchmark_gpu.run(args.device, **(sizes if args.tiny else {}))
    benchmark_gpu.print_table(result)
    return result | {"passed": True}


def control(args):
    """Two cells of the replication, trained on the device side by side, against the archive's CPU runs of them."""
    import pandas as pd
    from einorm.data import load, load_shifts
    from einorm.records.runs import shift_table_of
    from einorm.training import gpu, jobfile, train

    images = load(args.images)
    archived = pd.read_parquet(PROJECT / "paper_artifact" / "archive" / "replication" / "runs.parquet")
    cells = {}
    for condition in CONTROL:
        chosen = runs_of(condition, 1, 64, None, range(2), "replication") if args.tiny else runs_of(
            condition, None, None, None, None, "replication")  # fmt: skip
        cells[condition] = chosen
    table = args.out.parent / f"{shift_table_of(chosen[0])}.npz"
    jobfile.draw_table(chosen[0], table)
    step = "graph" if args.tiny else gpu.step_on(args.device, chosen)
    shifts, begun = load_shifts(table), time.perf_counter()

    def train_cell(condition):
        with jobfile.own_stream(args.device):
            return train.train(cells[condition], images, shifts, args.device, step=step)

    with ThreadPoolExecutor(len(cells)) as threads:
        trained = dict(zip(cells, threads.map(train_cell, cells), strict=True))
    both, found = time.perf_counter() - begun, {}
    for condition, rows in trained.items():
        last = rows[rows["epoch"] == rows["epoch"].max()].set_index("config")
        cell = archived[(archived["condition"] == condition) & (archived["epsilon"] == EPSILON)].set_index("config")
        ours, theirs = last["test_acc"].sort_index(), cell["test_acc"].reindex(last.index).sort_index()
        found[condition] = {
            "runs": len(ours),
            "collapsed": [int((part["status"] == "collapsed").sum()) for part in (last, cell)],
            "median": [float(ours.median()), float(theirs.median())],
            "ks_p": kolmogorov_smirnov(ours.to_numpy(), theirs.to_numpy()),
            "rank_correlation": float(ours.rank().corr(theirs.rank())),
            "median_difference_of_pairs": float((ours - theirs).median()),
            "test_acc": {str(config): float(value) for config, value in ours.items()},
        }
    passed = args.tiny or all(
        part["ks_p"] > 0.05 and abs(part["median_difference_of_pairs"]) < 0.1 for part in found.values()
    )
    return {"passed": bool(passed), "seconds_of_both": round(both, 1), "epsilon": EPSILON, "cells": found,
            "step": step}  # fmt: skip


def kolmogorov_smirnov(a, b):
    """p of the two-sample test, by the limiting distribution with Stephens's correction for small samples."""
    points = np.sort(np.concatenate([a, b]))
    distance = np.abs(
        np.searchsorted(np.sort(a), points, "right") / len(a) - np.searchsorted(np.sort(b), points, "right") / len(b)
    ).max()
    n = math.sqrt(len(a) * len(b) / (len(a) + len(b)))
    t = (n + 0.12 + 0.11 / n) * distance
    return (
        float(min(1, max(0, 2 * sum((-1) ** (k - 1) * math.exp(-2 * (k * t) ** 2) for k in range(1, 101)))))
        if t > 0.2
        else 1.0
    )


SECTIONS = {
    "compile": compile_first,
    "streams": streams,
    "golden": golden,
    "steps": steps,
    "loop": loop,
    "benchmark": benchmark,
    "control": control,
}

if __name__ == "__main__":
    sys.exit(main())
