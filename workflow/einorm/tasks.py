"""Tasks: how the images vary. Every image gets one number per epoch, drawn by its task and applied to its pixels.

To add one, add two functions and an entry to `TASKS`. Pixels lie in [0, 1]; epsilon, from 0 to 1, is how much they
vary; random numbers come from a NumPy generator, rng.
"""

from collections.abc import Callable
from typing import Any

import numpy as np

from .runtime import stream


def draw_luminosity(rng: Any, epsilon: float, n: int) -> np.ndarray:
    """One shift d ~ U(-eps, +eps) per image, float32 (n), in units of the pixel range (Fig. 1)."""
    return (epsilon * rng.uniform(-1, 1, n)).astype(np.float32)


def shift_luminosity(x: Any, d: Any) -> Any:
    """x' = clamp(x + d, 0, 1) for images x (batch, pixels) in [0, 1] and shifts d (batch); arrays or tensors."""
    return (x + d[:, None]).clip(0, 1)


def draw_contrast(rng: Any, epsilon: float, n: int) -> np.ndarray:
    """One factor c ~ U(1 - eps, 1 + eps) per image, float32 (n)."""
    return (1 + epsilon * rng.uniform(-1, 1, n)).astype(np.float32)


def shift_contrast(x: Any, c: Any) -> Any:
    """x' = clamp(m + c (x - m), 0, 1), m the image's own mean, for images x (batch, pixels) and factors c (batch)."""
    m = x.mean(1)[:, None]
    return (m + c[:, None] * (x - m)).clip(0, 1)


# task -> how a shift is drawn, how it is applied
PAPER_TASK = "luminosity"
TASKS = {"luminosity": (draw_luminosity, shift_luminosity), "contrast": (draw_contrast, shift_contrast)}


def draw_shifts(
    draw: Callable[..., np.ndarray],
    epsilon: float,
    names: tuple[object, ...],
    epochs: int,
    train_images: int,
    test_images: int,
) -> dict[str, np.ndarray]:
    """The shifts of an experiment.

    Every row has its own random stream, so that fewer epochs or images are the beginning of more.

    Parameters
    ----------
    draw : function of `TASKS` that draws
    epsilon : float
    names : tuple, what names the random streams (`runtime.stream`)
    epochs, train_images, test_images : int

    Returns
    -------
    dict of float32 arrays, train (epochs, n) and test (n)
    """
    train = [draw(stream(*names, "train", epoch), epsilon, train_images) for epoch in range(1, epochs + 1)]
    return {"train": np.stack(train), "test": draw(stream(*names, "test"), epsilon, test_images)}
