"""Training jobs: a batch of runs side by side, from prepared images to one shard of rows.

Runs of a job share the images and their order and mostly their shifts (`runs.share_shifts`): then a batch of images is
computed once for all.
"""

import json
import platform
import threading
import time
from functools import lru_cache
from pathlib import Path

import numpy as np
import pandas as pd
import torch

from . import __version__, archive, lineage, provenance, release_precision, release_randomness, tables
from .codes import code_of
from .conditions import CONDITIONS
from .data import load, load_shifts
from .device import choose_device, step_on
from .learning import (
    LABEL_SMOOTHING,
    build,
    cross_entropy,
    forward_network,
    measure,
    select,
    smooth_targets,
    train_step,
)
from .network import initial_network
from .runs import run_digest, share_shifts
from .runtime import UserError, stream
from .tasks import TASKS
from .variants import check_trained, how

#: What computes in a precision: a function that gives the training step for a network's device, and the forward pass.
ARITHMETIC = {
    "float32": (step_on, forward_network),
    "release": (release_precision.step_on, release_precision.forward_network),
}
TEST_BATCH = 500  # images per forward pass in evaluation
CHANCE = 10.0  # accuracy (%) of a collapsed run
FACTS = ("lr", "lr_wei", "lr_wix", "hidden_width")


def print_progress(epoch, epochs, rows, seconds):
    """One line per epoch: medians over the runs of the job, and the time left."""
    loss, accuracy = (np.median([row[name] for row in rows]) for name in ("train_loss", "test_acc"))
    left = int(seconds / epoch * (epochs - epoch))
    print(
        f"epoch {epoch}/{epochs}  loss {loss:.4f}  accuracy {accuracy:.2f} %  time left {left // 60}:{left % 60:02d}",
        flush=True,
    )


def job(runs, images_path, shifts_path, out, device="auto", threads=1, archived=None, report=None, trainer=None):
    """Train a job's runs and write their shard; runs finished in another shard of the cell are taken over.

    Parameters
    ----------
    runs : list of run specifications (`runs.cell_runs`) of one task, variant, condition and epsilon
    images_path : prepared images (`data.prepare`)
    shifts_path : shift table (`data.write_shifts`); None for runs that share none (`runs.share_shifts`) and draw theirs
    out : path of the shard; its folder holds the shards of the cell
    device : auto (CUDA when there is one), cpu or cuda
    threads : of the maths
    archived : folder of an archive whose finished runs are taken over, too
    report : called after every epoch, see `train`; None: `print_progress`
    trainer : the function that trains, called as `train`, and the name of its step in `codes.STEPS`; None: `train`

    Raises
    ------
    UserError
        If the variant is only archived; if shifts are given where the runs draw their own, or the reverse; if CUDA is
        asked for and absent, data or the archive are missing or damaged, or the shard cannot be written.
    """
    check_trained(run.get("variant", "paper") for run in runs)
    if share_shifts(runs[0]) != (shifts_path is not None):
        raise UserError("these runs share a table of shifts: name it with --shifts" if shifts_path is None else
                        "these runs draw their own shifts: leave --shifts out")  # fmt: skip
    torch.set_num_threads(threads)
    device = choose_device(device)
    train_on, step = trainer or (train, "plain")
    code = code_of(runs[0], step)
    finished = finished_rows(Path(out).parent, runs, archived, code)
    left = [run for run in runs if run_digest(run) not in set(finished["digest"])]
    print(f"{len(runs)} runs: {len(runs) - len(left)} finished before, {len(left)} to train on {device}", flush=True)
    parts = [finished]
    if left:
        shifts = load_shifts(shifts_path) if shifts_path else draw_shifts_of(left)
        parts.append(train_on(left, prepared(images_path), shifts, device, report=report or print_progress))
        facts = {"device": device, "threads": threads, "versions": versions(device), "code": code}
        parts[1] = parts[1].assign(**facts)
    shard = pd.concat([part for part in parts if len(part)], ignore_index=True)
    tables.write(shard, "shard", out, {"runs": runs})


prepared = lru_cache(1)(load)  # images: jobs of one process share them


def versions(device="cpu"):
    """JSON of what trains here and can matter to a result: versions, git commit, and the machine with its GPU if that
    trains."""
    names = {"python": platform.python_version(), "torch": torch.__version__, "numpy": np.__version__}
    machine = provenance.machine() | ({"gpu": torch.cuda.get_device_name()} if device == "cuda" else {})
    names |= {"einorm": __version__, "commit": provenance.commit(), "machine": machine}
    return json.dumps(names, sort_keys=True)


def finished_rows(folder, runs, archived=None, code=None):
    """Rows of the given runs that count (`lineage`), from the shards of a folder and from an archive.

    code is that of the step which would train them, `codes.code_of`; by default the CPU's.

    Where the archive's cell is complete and rounds differently, all runs come from it: no cell mixes roundings.

    Raises UserError if the archive is missing or damaged; a damaged shard is passed over.
    """
    equal = lineage.equal_codes(code or code_of(runs[0]))
    found = [archive.cell_rows(archived, runs[0])] if archived else []
    if not found or found[0]["code"].isin(equal).all():
        shards = [shard_rows(path) for path in sorted(Path(folder).glob("*.parquet"))]
        found += [part[part["code"].isin(equal)] for part in shards]
    found = [part[part["digest"].isin([run_digest(run) for run in runs])] for part in found]
    found = [part for part in found if len(part)]
    if not found:
        return pd.DataFrame(columns=tables.SHARD.names)
    return pd.concat(found, ignore_index=True).drop_duplicates(["digest", "epoch"])


def shard_rows(path):
    """Rows of a shard; none if it is damaged, for then its runs are not finished."""
    try:
        return tables.read(path, "shard")
    except tables.DamagedError as error:
        print(f"not taken over: {error}", flush=True)
        return pd.DataFrame(columns=tables.SHARD.names)


def draw_shifts_of(runs):
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


def network_of(runs, pixels, dtype=torch.float32, device="cpu"):
    """The `learning.Network` of a batch of runs, with initial weights of our own random streams or of the release's."""
    kind, variant = CONDITIONS[runs[0]["condition"]].layer, how(runs[0])
    depth = variant["hidden_layers"]

    def initial(run):
        H, seed = run["hidden_width"], run["seed"]
        if run.get("randomness") == "release":
            return release_randomness.initial_network(kind, pixels, H, seed, depth)
        return initial_network(kind, pixels, H, seed, "initial", run["config"], hidden_layers=depth)

    weights = [initial(run) for run in runs]
    return build(runs[0]["condition"], weights, runs, dtype, device, variant)


def train(runs, images, shifts, device="cpu", report=lambda *_: None):
    """Train a batch of runs of one condition and epsilon. A run whose loss is no longer finite stays at chance, 10 %.

    Parameters
    ----------
    runs : list of R run specifications
    images : dict of arrays, `data.load`
    shifts : dict of arrays, `data.load_shifts` or `draw_shifts_of`
    report : called after every epoch with (epoch, epochs, epoch's rows, seconds so far)

    Returns
    -------
    DataFrame
        One row per run and epoch: columns of a shard (`tables.SCHEMAS`) but device, threads, versions, code.
    """
    first, variant, started = runs[0], how(runs[0]), time.perf_counter()
    apply_shift = TASKS[first["task"]][1]
    n_train = first["train_images"] - variant["validation_images"]
    test = _part(images, "test", slice(first["test_images"]), device)
    held_out = _part(images, "train", slice(n_train, first["train_images"]), device)
    training = _part(images, "train", slice(n_train), device, variant["label_smoothing"])
    network = network_of(runs, images["train_images"].shape[1], device=device)
    step_for, forward = ARITHMETIC[variant["precision"]]
    alive, collapses, records = list(range(len(runs))), {}, []
    for epoch in range(1, first["epochs"] + 1):
        rows = {}
        if alive:
            d_train, d_last, d_test = shifts_of_epoch(shifts, epoch, alive, device)
            if epoch == 1:
                shape = (*d_train.shape[:-1], first["batch_size"], images["train_images"].shape[1])
                step = step_for(network, shape)
            of_epoch = in_order(variant["order"], (*training, d_train[..., :n_train]), first["seed"], epoch)
            losses, metrics = train_epoch(network, of_epoch, apply_shift, first["batch_size"], step, forward)
            if d_last is not None:
                x = shifted(training[0][-d_last.shape[-1] :], d_last, apply_shift)
                after = measure(network, x, forward)
                metrics |= {name: after[name] for name in ("mu", "var")}
            test_loss, test_acc = evaluate(network, (*test, d_test), apply_shift, forward)
            if len(held_out[0]):
                metrics["validation_acc"] = evaluate(network, (*held_out, d_test), apply_shift, forward)[1]
            rows = epoch_rows(losses, metrics, test_loss, test_acc)
            steps = losses.shape[0]
            bad = first_bad_steps(losses.cpu().numpy(), test_loss.cpu().numpy())
            collapses |= {alive[i]: ((epoch - 1) * steps + n, network.collapsed_in[i]) for i, n in bad.items()}
            rows = {alive[i]: row for i, row in enumerate(rows) if i not in bad}
            keep = [i for i in range(len(alive)) if i not in bad]
            alive = [alive[i] for i in keep]
            if bad and alive:
                network = select(network, torch.tensor(keep, device=device))
                step = step_for(network, (*[len(alive)] * (len(shape) - 2), *shape[-2:]))
        undefined = dict.fromkeys(tables.METRICS, np.nan) | {"test_acc": CHANCE}
        rows = [rows.get(r, undefined) | {"epoch": epoch, "run": r} for r in range(len(runs))]
        records += rows
        report(epoch, first["epochs"], rows, time.perf_counter() - started)
    frame = pd.DataFrame(records)
    seconds = (time.perf_counter() - started) / len(runs)
    facts = [run_facts(run, *collapses.get(r, (-1, ""))) | {"run": r} for r, run in enumerate(runs)]
    return frame.merge(pd.DataFrame(facts), on="run").drop(columns="run").assign(seconds=seconds)


def shifts_of_epoch(shifts, epoch, alive, device):
    """Shifts of an epoch: of training, of the batch that mu and var are measured on, and of the test images.

    Parameters
    ----------
    shifts : as in `train`
    epoch : int, from 1
    alive : indices of the runs that are still training

    Returns
    -------
    three tensors (n), or (R, n) where runs see shifts of their own; the second is None with random numbers of our own,
    which measure mu and var on the last training batch, and whose test shifts are the same in every epoch
    """

    def of_epoch(part):
        d = torch.as_tensor(part[epoch - 1], device=device)
        return d if d.dim() == 1 else d[alive]

    if "evaluation" not in shifts:
        return of_epoch(shifts["train"]), None, torch.as_tensor(shifts["test"], device=device)
    return tuple(of_epoch(shifts[name]) for name in ("train", "evaluation", "test"))


def run_facts(run, collapsed_step, collapsed_in):
    """Columns of a shard that are the same in every epoch of a run."""
    facts = {"variant": "paper", "randomness": "own", "lambda_": run["lambda"]}
    facts |= {name: run[name] for name in (*tables.KEYS, *FACTS) if name in run}
    status = "finished" if collapsed_step < 0 else "collapsed"
    facts |= {"status": status, "collapsed_step": collapsed_step, "collapsed_in": collapsed_in}
    return facts | {"digest": run_digest(run)}


def _part(images, part, which, device, smoothing=LABEL_SMOOTHING):
    """Images (n, pixels) uint8, labels (n) and smoothed targets (classes, n) of a slice of the training or test set."""
    x = torch.as_tensor(images[f"{part}_images"][which], device=device)
    labels = torch.as_tensor(images[f"{part}_labels"][which].astype(np.int64), device=device)
    classes = int(images["train_labels"].max()) + 1
    return x, labels, smooth_targets(labels, classes, smoothing)


def shifted(images, shifts, apply_shift):
    """Images (B, pixels) uint8 with their shifts (B): (B, pixels); with shifts (R, B) of each run: (R, B, pixels)."""
    x = images.float().div_(255)
    if shifts.dim() == 1:
        return apply_shift(x, shifts)
    return apply_shift(x.repeat(len(shifts), 1), shifts.flatten()).view(len(shifts), *x.shape)


def in_order(order, training, seed, epoch):
    """The training images of an epoch, with labels, targets and shifts: in file order as published, or shuffled."""
    if order == "file":
        return training
    x, labels, targets, shifts = training
    permutation = torch.from_numpy(stream(seed, "order", epoch).permutation(len(x))).to(x.device)
    return x[permutation], labels[permutation], targets[:, permutation], shifts[..., permutation]


def train_epoch(network, training, apply_shift, batch_size, step=train_step, forward=forward_network):
    """One pass over the training images, in the order in which they are given.

    Parameters
    ----------
    training : images (n, pixels) uint8, labels (n), smoothed targets (classes, n), shifts (n) or (R, n)
    apply_shift : function of `tasks.TASKS` that applies a shift
    step : the training step, called as `learning.train_step`
    forward : the forward pass, called as `learning.forward_network`

    Returns
    -------
    losses (steps, R) before each update, and the metrics (`learning.measure`) of the last batch before its update
    """
    images, _, targets, shifts = training
    starts = range(0, len(images), batch_size)
    losses = torch.empty(len(starts), len(network.lambdas), device=images.device)
    for i, start in enumerate(starts):
        batch = slice(start, start + batch_size)
        x = shifted(images[batch], shifts[..., batch], apply_shift)
        if i == len(starts) - 1:
            metrics = measure(network, x, forward)
        losses[i] = step(network, x, targets[:, batch])
    return losses, metrics


def evaluate(network, test, apply_shift, forward=forward_network):
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


def first_bad_steps(losses, test_loss):
    """Runs whose loss is no longer finite: index in the batch -> first such step of the epoch.

    losses (steps, R) are those of training, test_loss (R) is the one after the epoch. A run whose training losses are
    finite but not its test loss went wrong in the last update.
    """
    bad = ~np.isfinite(np.vstack([losses, test_loss]))
    return {int(r): int(bad[:, r].argmax()) for r in np.flatnonzero(bad.any(0))}


def epoch_rows(losses, metrics, test_loss, test_acc):
    """Metrics of an epoch, a dict of plain numbers per run: losses (steps, R), metrics (R, 2), the test set's (R)."""
    columns = {"train_loss": losses.double().mean(0), "test_loss": test_loss, "test_acc": test_acc}
    columns["validation_acc"] = metrics.pop("validation_acc", torch.full_like(columns["train_loss"], torch.nan))
    for name, values in metrics.items():
        columns |= {f"{name}{i}": values[:, i] for i in range(values.shape[1])}
    columns = {name: values.double().cpu().tolist() for name, values in columns.items()}
    return [dict(zip(columns, row, strict=True)) for row in zip(*columns.values(), strict=True)]
