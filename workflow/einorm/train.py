"""Training jobs: a batch of runs side by side, from prepared images to one shard of rows.

Runs of a job share the images, their order and their shifts, so a batch of images is computed once for all.
"""

import json
import platform
import time
from pathlib import Path

import numpy as np
import pandas as pd
import torch

from . import __version__, archive, provenance, tables
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
from .runs import run_digest, training_code
from .runtime import stream
from .tasks import TASKS
from .variants import how

TEST_BATCH = 500  # images per forward pass in evaluation
CHANCE = 10.0  # accuracy (%) of a collapsed run
FACTS = ("lr", "lr_wei", "lr_wix", "hidden_width")


def job(runs, images_path, shifts_path, out, device="auto", threads=1, archived=None):
    """Train a job's runs and write their shard; runs finished in another shard of the cell are taken over.

    Parameters
    ----------
    runs : list of run specifications (`runs.cell_runs`) of one task, variant, condition and epsilon
    images_path, shifts_path : prepared images (`data.prepare`) and shift table (`data.write_shifts`)
    out : path of the shard; its folder holds the shards of the cell
    device : auto (CUDA when there is one), cpu or cuda
    threads : of the maths
    archived : folder of an archive whose finished runs are taken over, too

    Raises
    ------
    UserError
        If CUDA is asked for and absent, data or the archive are missing or damaged, or the shard cannot be written.
    """
    torch.set_num_threads(threads)
    device = choose_device(device)
    code = training_code(runs[0]["condition"], runs[0]["task"])
    finished = finished_rows(Path(out).parent, runs, code, archived)
    left = [run for run in runs if run_digest(run) not in set(finished["digest"])]
    print(f"{len(runs)} runs: {len(runs) - len(left)} finished before, {len(left)} to train on {device}", flush=True)
    parts = [finished]
    if left:
        parts.append(train(left, load(images_path), load_shifts(shifts_path), device, report=print_progress))
        parts[1] = parts[1].assign(device=device, threads=threads, versions=versions(device), code=code)
    shard = pd.concat([part for part in parts if len(part)], ignore_index=True)
    tables.write(shard, "shard", out, {"runs": runs})


def versions(device="cpu"):
    """JSON of what trains here and can matter to a result: versions, and the machine with its GPU if that trains."""
    names = {"python": platform.python_version(), "torch": torch.__version__, "numpy": np.__version__}
    machine = provenance.machine() | ({"gpu": torch.cuda.get_device_name()} if device == "cuda" else {})
    return json.dumps(names | {"einorm": __version__, "machine": machine}, sort_keys=True)


def finished_rows(folder, runs, code, archived=None):
    """Rows of the given runs found in the shards of a folder or in an archive, made by the same training code.

    Raises UserError if the archive is missing or damaged; a damaged shard is passed over.
    """
    wanted = [run_digest(run) for run in runs]
    found = [shard_rows(path) for path in sorted(Path(folder).glob("*.parquet"))]
    if archived:
        archive.check(archived)
        found.append(archive.shard_rows(archived))
    found = [part for part in found if len(part)]
    if not found:
        return pd.DataFrame(columns=tables.SHARD.names)
    rows = pd.concat(found, ignore_index=True)
    rows = rows[rows["digest"].isin(wanted) & (rows["code"] == code)]
    return rows.drop_duplicates(["digest", "epoch"])


def shard_rows(path):
    """Rows of a shard; none if it is damaged, for then its runs are not finished."""
    try:
        return tables.read(path, "shard")
    except tables.DamagedError as error:
        print(f"not taken over: {error}", flush=True)
        return pd.DataFrame(columns=tables.SHARD.names)


def network_of(runs, pixels, dtype=torch.float32, device="cpu"):
    """The `learning.Network` of a batch of runs, with initial weights from each run's own random streams."""
    kind, variant = CONDITIONS[runs[0]["condition"]].layer, how(runs[0])
    depth, precision = variant["hidden_layers"], variant["precision"]
    weights = [
        initial_network(kind, pixels, run["hidden_width"], run["seed"], "initial", run["config"], hidden_layers=depth)
        for run in runs
    ]
    return build(
        runs[0]["condition"],
        weights,
        runs,
        dtype,
        device,
        None if precision == "float32" else getattr(torch, precision),
    )


def train(runs, images, shifts, device="cpu", report=lambda *_: None):
    """Train a batch of runs of one condition and epsilon. A run whose loss is no longer finite stays at chance, 10 %.

    Parameters
    ----------
    runs : list of R run specifications
    images : dict of arrays, `data.load`
    shifts : dict of arrays, `data.load_shifts`
    report : called after every epoch with (epoch, epochs, epoch's rows, seconds so far)

    Returns
    -------
    DataFrame
        One row per run and epoch: columns of a shard (`tables.SCHEMAS`) but device, threads, versions, code.
    """
    first, variant, started = runs[0], how(runs[0]), time.perf_counter()
    apply_shift = TASKS[first["task"]][1]
    n_train = first["train_images"] - variant["validation_images"]
    test = _part(images, "test", slice(first["test_images"]), shifts["test"], device)
    held_out = _part(images, "train", slice(n_train, first["train_images"]), shifts["test"], device)
    training = _part(images, "train", slice(n_train), shifts["train"][0], device, variant["label_smoothing"])
    network = network_of(runs, images["train_images"].shape[1], device=device)
    step = step_on(network, first["batch_size"])
    alive, collapsed_step, records = list(range(len(runs))), {}, []
    for epoch in range(1, first["epochs"] + 1):
        rows = {}
        if alive:
            d = torch.as_tensor(shifts["train"][epoch - 1][:n_train], device=device)
            of_epoch = in_order(variant["order"], (*training[:3], d), first["seed"], epoch)
            losses, metrics = train_epoch(network, of_epoch, apply_shift, first["batch_size"], step)
            test_loss, test_acc = evaluate(network, test, apply_shift)
            metrics |= {"validation_acc": evaluate(network, held_out, apply_shift)[1]} if len(held_out[0]) else {}
            rows = epoch_rows(losses, metrics, test_loss, test_acc)
            steps = losses.shape[0]
            bad = first_bad_steps(losses.cpu().numpy(), test_loss.cpu().numpy())
            collapsed_step |= {alive[i]: (epoch - 1) * steps + first_bad for i, first_bad in bad.items()}
            rows = {alive[i]: row for i, row in enumerate(rows) if i not in bad}
            keep = [i for i in range(len(alive)) if i not in bad]
            alive = [alive[i] for i in keep]
            if bad and alive:
                network = select(network, torch.tensor(keep, device=device))
                step = step_on(network, first["batch_size"])
        undefined = dict.fromkeys(tables.METRICS, np.nan) | {"test_acc": CHANCE}
        rows = [rows.get(r, undefined) | {"epoch": epoch, "run": r} for r in range(len(runs))]
        records += rows
        report(epoch, first["epochs"], rows, time.perf_counter() - started)
    frame = pd.DataFrame(records)
    seconds = (time.perf_counter() - started) / len(runs)
    facts = [run_facts(run, collapsed_step.get(r, -1)) | {"run": r} for r, run in enumerate(runs)]
    return frame.merge(pd.DataFrame(facts), on="run").drop(columns="run").assign(seconds=seconds)


def run_facts(run, collapsed_step):
    """Columns of a shard that are the same in every epoch of a run."""
    facts = {"variant": "paper"} | {name: run[name] for name in (*tables.KEYS, *FACTS) if name in run}
    status = "finished" if collapsed_step < 0 else "collapsed"
    return facts | {"status": status, "collapsed_step": collapsed_step, "digest": run_digest(run)}


def _part(images, part, which, shifts, device, smoothing=LABEL_SMOOTHING):
    """Images (n, pixels) uint8, labels (n), smoothed targets (classes, n) and shifts (n) of a slice of the training or
    test set; the images of a slice take the first shifts."""
    x = torch.as_tensor(images[f"{part}_images"][which], device=device)
    labels = torch.as_tensor(images[f"{part}_labels"][which].astype(np.int64), device=device)
    classes = int(images["train_labels"].max()) + 1
    shifts = torch.as_tensor(shifts[: len(x)], device=device)
    return x, labels, smooth_targets(labels, classes, smoothing), shifts


def in_order(order, training, seed, epoch):
    """The training images of an epoch, with labels, targets and shifts: in file order as published, or shuffled."""
    if order == "file":
        return training
    x, labels, targets, shifts = training
    permutation = torch.from_numpy(stream(seed, "order", epoch).permutation(len(x))).to(x.device)
    return x[permutation], labels[permutation], targets[:, permutation], shifts[permutation]


def train_epoch(network, training, apply_shift, batch_size, step=train_step):
    """One pass over the training images, in the order in which they are given.

    Parameters
    ----------
    training : images (n, pixels) uint8, labels (n), smoothed targets (classes, n), shifts (n)
    apply_shift : function of `tasks.TASKS` that applies a shift
    step : the training step for the network's device (`device.step_on`)

    Returns
    -------
    losses (steps, R) before each update, and the metrics (`learning.measure`) of the last batch before its update
    """
    images, _, targets, shifts = training
    starts = range(0, len(images), batch_size)
    losses = torch.empty(len(starts), len(network.lambdas), device=images.device)
    for i, start in enumerate(starts):
        batch = slice(start, start + batch_size)
        x = apply_shift(images[batch].float().div_(255), shifts[batch])
        if i == len(starts) - 1:
            metrics = measure(network, x)
        losses[i] = step(network, x, targets[:, batch])
    return losses, metrics


def evaluate(network, test, apply_shift):
    """Loss (R) and accuracy (R), in %, on shifted images that are not trained on; test as training in `train_epoch`."""
    images, labels, targets, shifts = test
    runs = len(network.lambdas)
    loss, correct = (torch.zeros(runs, device=images.device) for _ in range(2))
    for start in range(0, len(images), TEST_BATCH):
        batch = slice(start, start + TEST_BATCH)
        x = apply_shift(images[batch].float().div_(255), shifts[batch])
        logits = forward_network(network, x.t())[-1]["z"]
        batch_loss, _ = cross_entropy(logits, targets[:, batch])
        loss += batch_loss * len(x)
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


def print_progress(epoch, epochs, rows, seconds):
    """One line per epoch: medians over the runs of the job, and the time left."""
    loss, accuracy = (np.median([row[name] for row in rows]) for name in ("train_loss", "test_acc"))
    left = int(seconds / epoch * (epochs - epoch))
    print(
        f"epoch {epoch}/{epochs}  loss {loss:.4f}  accuracy {accuracy:.2f} %  time left {left // 60}:{left % 60:02d}",
        flush=True,
    )
