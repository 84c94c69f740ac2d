"""Replay of golden vectors: numbers computed elsewhere, to check the production code against."""

import os
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any
from zipfile import BadZipFile

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from ..conditions import CONDITIONS
from ..learning import Network, build, forward_network, smooth_targets, train_step
from ..metrics import measure
from ..runtime import UserError
from ..training.device import choose_device

Step = Callable[[Network, Tensor, Tensor], Tensor]  # as `learning.train_step`
TOLERANCE = 1e-8
SINGLE = 1e-5  # of what is computed in float32: the fused step on a GPU
LAYERS = ("layer0", "layer1", "readout")
MEASURED = ("mu", "var", "output_alignment", "gradient_alignment")


def replay(path: Path | str, device: str = "cpu", step: str = "plain") -> dict[str, float]:
    """Largest relative errors of one golden file, by quantity.

    Parameters
    ----------
    path : .npz file named after its condition; keys as in tests/golden/README.md
    device : cpu or cuda
    step : plain (`learning.train_step`), in float64, or fused (`fused`), in float32 on CUDA

    Returns
    -------
    dict
        "parameters", "loss", "logits" and the metrics; the error of an array is its largest absolute deviation over
        the reference's largest absolute value.

    Raises
    ------
    UserError
        If the file is no golden vector of a known condition.
    """
    condition = Path(path).stem
    if condition not in CONDITIONS:
        names = ", ".join(CONDITIONS)
        raise UserError(f"{path}: no condition is called {condition}; the file's name must be one of {names}")
    try:
        with np.load(path, allow_pickle=False) as file:
            golden = {key: file[key] for key in file.files}
        return _replay(condition, golden, device, step)
    except (LookupError, ValueError, RuntimeError, OSError, EOFError, BadZipFile) as error:  # RuntimeError: of shapes
        raise UserError(f"{path} is not a golden vector file ({error}): see tests/golden/README.md") from error


def _replay(condition: str, golden: dict[str, NDArray[Any]], device: str, step: str) -> dict[str, float]:
    def weights(layer: str, stage: str) -> dict[str, NDArray[Any]]:
        prefix = f"{stage}/{layer}/"
        return {key.removeprefix(prefix): golden[key] for key in golden if key.startswith(prefix)}

    hyperparameters = {name: float(golden[name]) for name in ("lr", "lr_wix", "lr_wei", "lambda")}
    initial = [weights(layer, "initial") for layer in LAYERS]
    dtype = torch.float32 if (device, step) == ("cuda", "fused") else torch.float64
    network = build(condition, [initial], [hyperparameters], dtype, device)
    train = train_step if step == "plain" else fused_step(network, golden["x"].shape[1:])
    computed: dict[str, list[Tensor]] = {name: [] for name in ("loss", "logits", *MEASURED)}
    given = (torch.as_tensor(golden["x"], dtype=dtype, device=device), torch.as_tensor(golden["y"], device=device))
    for x, y in zip(*given, strict=True):
        logits = forward_network(network, x.t())[-1]["z"][0].t()
        metrics = measure(network, x)
        targets = smooth_targets(y, logits.shape[1], dtype=dtype)
        computed["loss"].append(train(network, x, targets)[0])
        computed["logits"].append(logits)
        for name in MEASURED:
            computed[name].append(metrics[name][0])
    scales = {"mu": np.sqrt(golden["var"].max()), "output_alignment": 1, "gradient_alignment": 1}
    errors = {
        name: relative_error(torch.stack(values).cpu().numpy(), golden[name], scales.get(name, 0))
        for name, values in computed.items()
    }
    finals = [
        relative_error(without_padding(layer.weights()[name][0].cpu(), start[name].shape), reference)
        for layer, start, label in zip(network.layers, initial, LAYERS, strict=True)
        for name, reference in weights(label, "final").items()
    ]
    return {"parameters": max(finals), **errors}


def without_padding(parameter: Tensor, shape: Sequence[int]) -> NDArray[Any]:
    """The part (shape) of a parameter (n, m) of one run that is not padding, which fills its end; an array."""
    rows, columns = shape if len(shape) == 2 else (*shape, 1)
    return parameter[:rows, :columns].numpy().reshape(shape)


def fused_step(network: Network, shape: Sequence[int]) -> Step:
    """The fused step, called as `learning.train_step` on batches of images of this shape (B, pixels)."""
    from ..training import fused

    chunk = fused.prepare_chunk(network, shape, 1)

    def step(network: Network, x: Tensor, targets: Tensor) -> Tensor:
        chunk.x.copy_(x)
        chunk.targets.copy_(targets)
        fused.train_chunk(network, chunk, 1)
        return chunk.losses[0].clone()

    return step


def relative_error(computed: NDArray[Any], reference: NDArray[Any], scale: float = 0) -> float:
    """Largest deviation of an array (...) from its reference, over the reference's largest absolute value.

    It counts where the reference is defined, and is infinite if ours is not there. The scale replaces the largest value
    if it is larger: 1 for cosines, the standard deviation for the mean activity. Where the equations make
    these 0 (LN's gradient and a constant one are orthogonal, say), both sides are nothing but rounding.
    """
    defined = np.isfinite(reference)
    if not defined.any():
        return 0.0
    deviation = np.abs(computed[defined] - reference[defined]).max()
    size = max(scale, np.abs(reference[defined]).max())
    if np.isnan(deviation):
        return float("inf")
    return float(deviation / size) if size > 0 else float(deviation)


def print_replay(folder: Path | str, device: str = "cpu", step: str = "plain") -> int:
    """Replay every .npz of a folder and print the errors; 1 if any is above the tolerance, else 0.

    Raises UserError if there is none, or no CUDA device where one is asked for or needed, or as `replay`.
    """
    if (choose_device(device), step, os.environ.get("TRITON_INTERPRET", "0")) == ("cpu", "fused", "0"):
        raise UserError("the fused step needs a GPU, --device cuda, or Triton's interpreter, TRITON_INTERPRET=1")
    tolerance = SINGLE if (device, step) == ("cuda", "fused") else TOLERANCE
    paths = sorted(Path(folder).glob("*.npz"))
    if not paths:
        raise UserError(f"{folder} holds no .npz file: name a folder of golden vectors, e.g. tests/golden")
    worst = 0.0
    for path in paths:
        errors = replay(path, device, step)
        largest = max(errors, key=lambda name: errors[name])
        worst = max(worst, errors[largest])
        verdict = "ok" if errors[largest] <= tolerance else "FAILED"
        print(f"{path.stem:22} {errors[largest]:8.1e}  {verdict:6}  largest in: {largest}")
    print(f"{len(paths)} conditions, largest relative error {worst:.1e}, tolerance {tolerance:.0e}")
    return int(worst > tolerance)
