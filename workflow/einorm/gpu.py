"""Training on a GPU: the loop of `train.train` with steps in chunks, so that the device never waits for Python.

A chunk is some hundred batches whose images are shifted at once; its steps are one CUDA graph. Two kinds of steps:

- fused: the kernels of `fused`, where Triton is there and the networks fit
- graph: the plain step of `learning`, recorded

Nothing is recorded twice: a run whose loss is no longer finite stays in its batch, and its numbers are dropped.
"""

import importlib.util
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from functools import cache, partial

import numpy as np
import pandas as pd
import torch

from . import network, release_randomness, tables
from .conditions import CONDITIONS
from .learning import build, measure, train_step
from .tasks import TASKS
from .train import (
    CHANCE,
    _part,
    epoch_rows,
    evaluate,
    first_bad_steps,
    in_order,
    run_facts,
    shifted,
    shifts_of_epoch,
)
from .variants import how

CHUNK = 128  # steps, fewer where their images would take more than
CHUNK_BYTES = 2**29
RECORDING = threading.Lock()  # jobs in other threads share the device, but only one records at a time


def train(runs, images, shifts, device="cuda", report=lambda *_: None, kind=None):
    """Train a batch of runs of one condition and epsilon: as `train.train`, to rounding.

    Parameters
    ----------
    kind : "fused" or "graph"; None: `kind_of_step`

    Returns
    -------
    DataFrame
        As `train.train` returns.
    """
    torch.set_float32_matmul_precision("highest")  # no TF32 in the plain step, evaluation and metrics
    first, variant, started = runs[0], how(runs[0]), time.perf_counter()
    apply_shift = TASKS[first["task"]][1]
    n_train = first["train_images"] - variant["validation_images"]
    test = _part(images, "test", slice(first["test_images"]), device)
    held_out = _part(images, "train", slice(n_train, first["train_images"]), device)
    training = _part(images, "train", slice(n_train), device, variant["label_smoothing"])
    everyone, collapsed_step, records = list(range(len(runs))), {}, []
    net = network_of(runs, images["train_images"].shape[1], device)
    steps = None
    for epoch in range(1, first["epochs"] + 1):
        d_train, d_last, d_test = shifts_of_epoch(shifts, epoch, everyone, device)
        if steps is None:
            shape = (*d_train.shape[:-1], first["batch_size"], images["train_images"].shape[1])
            steps = steps_on(net, shape, kind or kind_of_step(runs))
        of_epoch = in_order(variant["order"], (*training, d_train[..., :n_train]), first["seed"], epoch)
        losses, metrics = train_epoch(net, of_epoch, apply_shift, first["batch_size"], steps)
        if d_last is not None:
            x = shifted(training[0][-d_last.shape[-1] :], d_last, apply_shift)
            metrics |= {name: values for name, values in measure(net, x).items() if name in ("mu", "var")}
        test_loss, test_acc = evaluate(net, (*test, d_test), apply_shift)
        if len(held_out[0]):
            metrics["validation_acc"] = evaluate(net, (*held_out, d_test), apply_shift)[1]
        rows = epoch_rows(losses, metrics, test_loss, test_acc)
        bad = first_bad_steps(losses.cpu().numpy(), test_loss.cpu().numpy())
        for r, step in bad.items():
            collapsed_step.setdefault(r, (epoch - 1) * len(losses) + step)
        undefined = dict.fromkeys(tables.METRICS, np.nan) | {"test_acc": CHANCE}
        rows = [(undefined if r in collapsed_step else rows[r]) | {"epoch": epoch, "run": r} for r in everyone]
        records += rows
        report(epoch, first["epochs"], rows, time.perf_counter() - started)
    seconds = (time.perf_counter() - started) / len(runs)
    facts = [run_facts(run, collapsed_step.get(r, -1), "") | {"run": r} for r, run in enumerate(runs)]
    return pd.DataFrame(records).merge(pd.DataFrame(facts), on="run").drop(columns="run").assign(seconds=seconds)


def train_epoch(net, training, apply_shift, batch_size, steps):
    """One pass over the training images: as `train.train_epoch`, with steps in chunks (`steps_on`)."""
    images, _, targets, shifts = training
    last = (len(images) - 1) // batch_size * batch_size
    starts = range(0, last, steps.most * batch_size)
    losses = []
    for batches in [slice(start, min(start + steps.most * batch_size, last)) for start in starts]:
        losses.append(steps(shifted(images[batches], shifts[..., batches], apply_shift), targets[:, batches]))
    x = shifted(images[last:], shifts[..., last:], apply_shift)
    metrics = measure(net, x)
    short = x.shape[-2] < batch_size
    losses.append(train_step(net, x, targets[:, last:])[None] if short else steps(x, targets[:, last:]))
    return torch.cat(losses), metrics


@cache
def has_triton():
    """Whether Triton is there and, on a GPU, works: it compiles a piece of C for it, which needs a compiler."""
    if importlib.util.find_spec("triton") is None:
        return False
    if torch.cuda.is_available():
        from triton.runtime import driver

        try:
            driver.active.get_current_target()
            driver.active.utils  # noqa: B018 - compiled when it is asked for
        except Exception as error:
            print(f"the fused step cannot be compiled here ({error}): the plain one trains", flush=True)
            return False
    return True


def kind_of_step(runs):
    """How a batch of runs is trained on a GPU: "fused", or "graph" where the fused step cannot."""
    if not has_triton():
        return "graph"
    from . import fused

    widest = max(run["hidden_width"] for run in runs)
    return "fused" if fused.fits(widest, runs[0]["batch_size"]) else "graph"


def steps_on(net, shape, kind):
    """The training steps of a network on its device.

    Parameters
    ----------
    net : `learning.Network`, trained in place
    shape : of one batch of images, (B, pixels) or (R, B, pixels)
    kind : "fused" or "graph"

    Returns
    -------
    function
        steps(x, targets) of (n B, pixels) or (R, n B, pixels) and (classes, n B) trains n batches and returns their
        losses (n, R); n is at most steps.most.
    """
    bytes_of_step = np.prod(shape) * net.lambdas.element_size()
    most = int(max(1, min(CHUNK, CHUNK_BYTES // bytes_of_step)))
    steps = (_fused_steps if kind == "fused" else _graph_steps)(net, shape, most)
    steps.most = most
    return steps


def _fused_steps(net, shape, most):
    from . import fused

    chunk, recorded = fused.prepare_chunk(net, shape, most), {}

    def steps(x, targets):
        images = x.shape[-2]
        n = images // chunk.images
        chunk.x[..., :images, :].copy_(x)
        chunk.targets[:, :images].copy_(targets)
        if n not in recorded:
            recorded[n] = record(partial(fused.train_chunk, net, chunk, n), net)
        recorded[n]()
        return chunk.losses[:n].clone()

    return steps


def _graph_steps(net, shape, most):
    x = torch.zeros(shape, device=net.lambdas.device, dtype=net.lambdas.dtype)
    targets = torch.zeros(net.layers[-1].n_e, shape[-2], device=x.device, dtype=x.dtype)
    step = record(lambda: train_step(net, x, targets), net)

    def steps(images, of_images):
        losses = []
        for start in range(0, images.shape[-2], shape[-2]):
            batch = slice(start, start + shape[-2])
            x.copy_(images[..., batch, :])
            targets.copy_(of_images[:, batch])
            losses.append(step().clone())
        return torch.stack(losses)

    return steps


def record(function, net):
    """A CUDA graph of a function that trains `net`: called, it does the same work and returns the same arrays.

    Each graph is recorded on a stream of its own: two of one stream would share the workspace of cuBLAS, which goes
    when one of them does. On a CPU, the function itself.
    """
    if net.lambdas.device.type != "cuda":
        return function
    weights = [value for layer in net.layers for value in (layer.W, layer.Wei, layer.b, layer.w) if value is not None]
    with RECORDING:
        before = [value.clone() for value in weights]
        stream, graph = torch.cuda.Stream(), torch.cuda.CUDAGraph()
        stream.wait_stream(torch.cuda.current_stream())
        with torch.cuda.stream(stream):
            function()  # compiles and loads what it needs, which no recording can
        torch.cuda.current_stream().wait_stream(stream)
        with torch.cuda.graph(graph, stream=stream, capture_error_mode="thread_local"):
            result = function()
        for value, original in zip(weights, before, strict=True):
            value.copy_(original)

    def replay():
        graph.replay()
        return result

    return replay


def network_of(runs, pixels, device):
    """The network of `train.network_of`, from initial weights that jobs share and that threads draw side by side."""
    kind, variant = CONDITIONS[runs[0]["condition"]].layer, how(runs[0])
    depth = variant["hidden_layers"]
    names = [
        ("release", kind, pixels, run["hidden_width"], run["seed"], depth)
        if run.get("randomness") == "release"
        else ("own", kind, pixels, run["hidden_width"], run["seed"], depth, run["config"])
        for run in runs
    ]
    with DRAWING, ThreadPoolExecutor() as threads:
        distinct = list(dict.fromkeys(names))
        drawn = dict(zip(distinct, threads.map(_initial_weights, distinct), strict=True))
    weights = [drawn[name] for name in names]
    return build(runs[0]["condition"], weights, runs, torch.float32, device, variant)


DRAWING = threading.Lock()  # jobs that start from the same weights do not draw them twice


@cache
def _initial_weights(name):
    randomness, kind, pixels, width, seed, depth, *config = name
    if randomness == "release":
        return release_randomness.initial_network(kind, pixels, width, seed, depth)
    return network.initial_network(kind, pixels, width, seed, "initial", *config, hidden_layers=depth)
