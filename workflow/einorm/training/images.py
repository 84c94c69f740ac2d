"""The images that a batch of runs sees: parts of a data set, their order, and their shifts."""

from typing import Any

import numpy as np
import torch

from ..learning import LABEL_SMOOTHING, smooth_targets
from ..records.runs import Run
from ..runtime import stream
from ..variants import how

Arrays = dict[str, np.ndarray]
Part = tuple[torch.Tensor, torch.Tensor, torch.Tensor]  # images, labels, targets
Apply = Any  # a function of `tasks.TASKS` that applies a shift


def image_parts(run: Run, images: Arrays, device: str) -> dict[str, Part]:
    """The images of a run: train, held_out and test.

    Each is (images (n, pixels) uint8, labels (n), smoothed targets (classes, n)). held_out are the last training images
    where the variant measures its accuracy on them.
    """
    variant = how(run)
    n = run["train_images"] - variant["validation_images"]
    return {
        "train": image_part(images, "train", slice(n), device, variant["label_smoothing"]),
        "held_out": image_part(images, "train", slice(n, run["train_images"]), device),
        "test": image_part(images, "test", slice(run["test_images"]), device),
    }


def image_part(
    images: Arrays, part: str, which: slice, device: str = "cpu", smoothing: float = LABEL_SMOOTHING
) -> Part:
    """Images, labels and targets, as in `image_parts`, of a slice of the training or test set."""
    x = torch.as_tensor(images[f"{part}_images"][which], device=device)
    labels = torch.as_tensor(images[f"{part}_labels"][which].astype(np.int64), device=device)
    classes = int(images["train_labels"].max()) + 1
    return x, labels, smooth_targets(labels, classes, smoothing)


def shifted(images: torch.Tensor, shifts: torch.Tensor, apply_shift: Apply) -> torch.Tensor:
    """Images (B, pixels) uint8 with their shifts (B): (B, pixels); with shifts (R, B) of each run: (R, B, pixels)."""
    x = images.float().div_(255)
    if shifts.dim() == 1:
        return apply_shift(x, shifts)
    return apply_shift(x.repeat(len(shifts), 1), shifts.flatten()).view(len(shifts), *x.shape)


def in_order(order: str, training: tuple[torch.Tensor, ...], seed: int, epoch: int) -> tuple[torch.Tensor, ...]:
    """The training images of an epoch, with labels, targets and shifts: in file order as published, or shuffled."""
    if order == "file":
        return training
    x, labels, targets, shifts = training
    permutation = torch.from_numpy(stream(seed, "order", epoch).permutation(len(x))).to(x.device)
    return x[permutation], labels[permutation], targets[:, permutation], shifts[..., permutation]


def shifts_of_epoch(
    shifts: Arrays, epoch: int, alive: list[int], device: str
) -> tuple[torch.Tensor, torch.Tensor | None, torch.Tensor]:
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

    def of_epoch(part: np.ndarray) -> torch.Tensor:
        d = torch.as_tensor(part[epoch - 1], device=device)
        return d if d.dim() == 1 else d[alive]

    if "evaluation" not in shifts:
        return of_epoch(shifts["train"]), None, torch.as_tensor(shifts["test"], device=device)
    return of_epoch(shifts["train"]), of_epoch(shifts["evaluation"]), of_epoch(shifts["test"])
