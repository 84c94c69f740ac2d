"""Training of a batch of runs side by side: epochs, evaluation, rows.

Runs of a batch share the images and their order and mostly their shifts (`runs.share_shifts`): then a batch of images
is computed once for all. A step of `codes.STEPS` trains: plain on a CPU, one of `gpu` on a GPU.
"""

import threading
import time
from collections.abc import Callable
from functools import lru_cache
from typing import Any

import numpy as np
import pandas as pd
import torch

from .. import release_precision, release_randomness
from ..conditions import CONDITIONS
from ..learning import Network, build, cross_entropy, forward_network, select, train_step
from ..metrics import error_shares, measure
from ..network import initial_network
from ..records import tables
from ..records.runs import Run, run_digest
from ..tasks import TASKS
from ..variants import how
from . import gpu
from .images import Apply, Arrays, Part, image_parts, in_order, shifted, shifts_of_epoch

Row = dict[str, Any]  # of a shard
Steps = Any  # a function of a batch's images and targets with an attribute, see `plain_steps`
Forward = Callable[..., list[dict[str, torch.Tensor]]]  # called as `forward_network`

#: What computes in a precision: the plain training step and the forward pass.
ARITHMETIC = {
    "float32": (train_step, forward_network),
    "release": (release_precision.train_step, release_precision.forward_network),
}
TEST_BATCH = 500  # images per forward pass in evaluation
CHANCE = 10.0  # accuracy (%) of a collapsed run
UNDEFINED = dict.fromkeys(tables.METRICS, np.nan) | {"test_acc": CHANCE}  # of a collapsed run, or not measured
FACTS = ("lr", "lr_wei", "lr_wix", "hidden_width")


def draw_shifts_of(runs: list[Run]) -> Arrays:
    """Shifts of runs that share no table: as `release_randomness.draw_shifts`, with an axis of runs: (epochs, R, n)."""
    first, draw = runs[0], TASKS[runs[0]["task"]][0]
    kind, variant = CONDITIONS[first["condition"]].layer, how(first)
    images = first["train_images"] - variant["validation_images"], first["test_images"]
    numbers = [release_randomness.sequence(kind, run["hidden_width"], variant["hidden_layers"]) for run in runs]
    with DRAWING:
        drawn = {
            number: _drawn_shifts(draw, first["epsilon"], number, first["epochs"], *images, first["seed"])
            for number in set(numbers)
        }
    return {part: np.stack([drawn[number][part] for number in numbers], 1) for part in drawn[numbers[0]]}


DRAWING = threading.Lock()  # jobs side by side do not draw the same twice, and the next one of an epsilon not again
_drawn_shifts = lru_cache(32)(release_randomness.draw_shifts)


def network_of(runs: list[Run], pixels: int, dtype: torch.dtype = torch.float32, device: str = "cpu") -> Network:
    """The `learning.Network` of a batch of runs."""
    first, variant = runs[0], how(runs[0])
    shared = CONDITIONS[first["condition"]].layer, pixels, variant["hidden_layers"]
    release = first.get("randomness") == "release"
    names = [(release, *shared, run["hidden_width"], run["seed"], None if release else run["config"]) for run in runs]
    weights = gpu.draw_once(initial_weights, names) if device == "cuda" else [initial_weights(*name) for name in names]
    return build(first["condition"], weights, runs, dtype, device, variant)


def initial_weights(
    release: bool, kind: str, pixels: int, depth: int, hidden_width: int, seed: int, config: int | None
) -> list[Arrays]:
    """Initial weights of a run: the release's, or those of our own random streams, which the configuration names."""
    if release:
        return release_randomness.initial_network(kind, pixels, hidden_width, seed, depth)
    return initial_network(kind, pixels, hidden_width, seed, "initial", config, hidden_layers=depth)


def train(
    runs: list[Run],
    images: Arrays,
    shifts: Arrays,
    device: str = "cpu",
    report: Callable[..., object] = lambda *_: None,
    step: str = "plain",
) -> pd.DataFrame:
    """Train a batch of runs of one condition and epsilon. A run whose loss is no longer finite stays at chance, 10 %.

    Parameters
    ----------
    runs : list of R run specifications
    images : dict of arrays, `data.load`
    shifts : dict of arrays, `data.load_shifts` or `draw_shifts_of`
    report : called after every epoch with (epoch, epochs, epoch's rows, seconds so far)
    step : key of `codes.STEPS`

    Returns
    -------
    DataFrame
        One row per run and epoch: columns of a shard (`tables.SCHEMAS`) but device, threads, versions, code.
    """
    torch.set_float32_matmul_precision("highest")  # no TF32 on a GPU
    first, started = runs[0], time.perf_counter()
    parts = image_parts(first, images, device)
    network, in_batch, steps = network_of(runs, parts["train"][0].shape[1], device=device), [*range(len(runs))], None
    collapses: dict[int, tuple[int, str]] = {}
    records: list[Row] = []
    for epoch in range(1, first["epochs"] + 1):
        trained: dict[int, Row] = {}
        if len(collapses) < len(runs):
            drawn = shifts_of_epoch(shifts, epoch, in_batch, device)
            steps = steps or steps_of(network, first, drawn[0], step)
            measured, bad = train_and_measure(network, steps, parts, drawn, first, epoch)
            collapses = {in_batch[i]: (n, network.collapsed_in[i]) for i, n in bad.items()} | collapses
            trained = {r: row for r, row in zip(in_batch, measured, strict=True) if r not in collapses}
            if bad and trained and step == "plain":  # a GPU's steps are recorded: there collapsed runs stay
                keep = [i for i, r in enumerate(in_batch) if r in trained]
                network, in_batch, steps = select(network, torch.tensor(keep, device=device)), [*trained], None
        rows = [UNDEFINED | trained.get(r, {}) | {"epoch": epoch, "run": r} for r in range(len(runs))]
        records += rows
        report(epoch, first["epochs"], rows, time.perf_counter() - started)
    facts = [run_facts(run, *collapses.get(r, (-1, ""))) | {"run": r} for r, run in enumerate(runs)]
    table = pd.DataFrame(records).merge(pd.DataFrame(facts), on="run").drop(columns="run")
    return table.assign(seconds=(time.perf_counter() - started) / len(runs))


def steps_of(network: Network, run: Run, shifts: torch.Tensor, step: str) -> Steps:
    """The training steps of a batch of runs, called as those of `plain_steps`; shifts are those of an epoch."""
    if step == "plain":
        return plain_steps(network, ARITHMETIC[how(run)["precision"]][0])
    pixels = network.layers[0].W.shape[2]
    return gpu.steps_on(network, (*shifts.shape[:-1], run["batch_size"], pixels), step)


def plain_steps(network: Network, step: Callable[..., torch.Tensor] = train_step) -> Steps:
    """A function of a batch's images and targets that trains the network and returns the losses (1, R).

    Its attribute `most` is the number of batches that it takes at once.
    """

    def steps(x: torch.Tensor, targets: torch.Tensor) -> torch.Tensor:
        return step(network, x, targets)[None]

    steps.most = 1  # type: ignore[attr-defined]
    return steps


def train_and_measure(
    network: Network, steps: Steps, parts: dict[str, Part], shifts: Any, run: Run, epoch: int
) -> tuple[list[Row], dict[int, int]]:
    """One epoch of a batch of runs, with metrics and evaluation.

    Parameters
    ----------
    steps : of the network, `steps_of`
    parts : `image_parts`
    shifts : `shifts_of_epoch`
    run : specification of one of the runs

    Returns
    -------
    rows, a dict of metrics per run of the batch; and the runs whose loss is not finite: index -> first such step, the
    steps counted from the beginning of the training
    """
    apply_shift, (_, forward) = TASKS[run["task"]][1], ARITHMETIC[how(run)["precision"]]
    (images, _, _), (of_train, of_last, of_test) = parts["train"], shifts
    training = in_order(how(run)["order"], (*parts["train"], of_train[..., : len(images)]), run["seed"], epoch)
    losses, metrics = train_epoch(network, training, apply_shift, run["batch_size"], steps, forward)
    if of_last is not None:
        after = measure(network, shifted(images[-of_last.shape[-1] :], of_last, apply_shift), forward)
        metrics |= {name: after[name] for name in ("mu", "var")}
    test_loss, test_acc = evaluate(network, (*parts["test"], of_test), apply_shift, forward)
    if len(parts["held_out"][0]):
        metrics["validation_acc"] = evaluate(network, (*parts["held_out"], of_test), apply_shift, forward)[1]
    bad = first_bad_steps(losses.cpu().numpy(), test_loss.cpu().numpy())
    before = (epoch - 1) * len(losses)
    return epoch_rows(losses, metrics, test_loss, test_acc), {r: before + n for r, n in bad.items()}


def run_facts(run: Run, collapsed_step: int, collapsed_in: str) -> Row:
    """Columns of a shard that are the same in every epoch of a run."""
    facts = {"variant": "paper", "randomness": "own", "lambda_": run["lambda"]}
    facts |= {name: run[name] for name in (*tables.KEYS, *FACTS) if name in run}
    status = "finished" if collapsed_step < 0 else "collapsed"
    facts |= {"status": status, "collapsed_step": collapsed_step, "collapsed_in": collapsed_in}
    return facts | {"digest": run_digest(run)}


def train_epoch(
    network: Network,
    training: tuple[torch.Tensor, ...],
    apply_shift: Apply,
    batch_size: int,
    steps: Steps,
    forward: Forward = forward_network,
) -> tuple[torch.Tensor, dict[str, torch.Tensor]]:
    """One pass over the training images, in the order in which they are given.

    Parameters
    ----------
    training : images (n, pixels) uint8, labels (n), smoothed targets (classes, n), shifts (n) or (R, n)
    apply_shift : function of `tasks.TASKS` that applies a shift
    steps : of the network, `steps_of`
    forward : the forward pass, called as `learning.forward_network`

    Returns
    -------
    losses (steps, R) before each update, and the metrics (`metrics`) of the last batch before its update
    """
    images, _, targets, shifts = training
    last = (len(images) - 1) // batch_size * batch_size
    losses = []
    for start in range(0, last, steps.most * batch_size):
        batches = slice(start, min(start + steps.most * batch_size, last))
        losses.append(steps(shifted(images[batches], shifts[..., batches], apply_shift), targets[:, batches]))
    x = shifted(images[last:], shifts[..., last:], apply_shift)
    metrics = measure(network, x, forward) | error_shares(network, x, targets[:, last:])
    losses.append(steps(x, targets[:, last:]))
    return torch.cat(losses), metrics


def evaluate(
    network: Network, test: tuple[torch.Tensor, ...], apply_shift: Apply, forward: Forward = forward_network
) -> tuple[torch.Tensor, torch.Tensor]:
    """Loss (R) and accuracy (R), in %, on shifted images that are not trained on; test as training in `train_epoch`.

    There may be more shifts than images: the images take the first of them.
    """
    images, labels, targets, shifts = test
    runs = len(network.lambdas)
    loss, correct = (torch.zeros(runs, device=images.device) for _ in range(2))
    for start in range(0, len(images), TEST_BATCH):
        batch = slice(start, min(start + TEST_BATCH, len(images)))
        x = shifted(images[batch], shifts[..., batch], apply_shift)
        logits = forward(network, x.mT)[-1]["z"]
        batch_loss, _ = cross_entropy(logits, targets[:, batch])
        loss += batch_loss * x.shape[-2]
        correct += (logits.argmax(1) == labels[batch]).sum(1)
    return loss / len(images), 100 * correct.double() / len(images)


def first_bad_steps(losses: np.ndarray, test_loss: np.ndarray) -> dict[int, int]:
    """Runs whose loss is no longer finite: index in the batch -> first such step of the epoch.

    losses (steps, R) are those of training, test_loss (R) is the one after the epoch. A run whose training losses are
    finite but not its test loss went wrong in the last update.
    """
    bad = ~np.isfinite(np.vstack([losses, test_loss]))
    return {int(r): int(bad[:, r].argmax()) for r in np.flatnonzero(bad.any(0))}


def epoch_rows(
    losses: torch.Tensor, metrics: dict[str, torch.Tensor], test_loss: torch.Tensor, test_acc: torch.Tensor
) -> list[Row]:
    """Metrics of an epoch, a dict of plain numbers per run: losses (steps, R), metrics (R, 2), the test set's (R)."""
    columns = {"train_loss": losses.double().mean(0), "test_loss": test_loss, "test_acc": test_acc}
    columns["validation_acc"] = metrics.pop("validation_acc", torch.full_like(columns["train_loss"], torch.nan))
    for name, values in metrics.items():
        columns |= {f"{name}{i}": values[:, i] for i in range(values.shape[1])}
    numbers = [values.double().cpu().tolist() for values in columns.values()]
    return [dict(zip(columns, row, strict=True)) for row in zip(*numbers, strict=True)]
