"""The training step of `learning` in few kernels, for a GPU: each weight is read and written once where that suffices.

The equations are in `kernels`, under their names of `network`, `error_signals` and `learning`; the plain step is their
judge (tests/test_fused.py). What differs is when weights change: the update of W waits for the next product that needs
W,

    W <- clamp(W - G x^T),  y = W x'    (`kernels.update_and_drive`; x of this step, x' of the next)

so that steps come in chunks, after which nothing is pending (`train_chunk`). All runs of a cell train at once, each
with its own widths: tables of tiles name the rows that a run has. A run that collapses turns to NaN and leaves the
others alone.

Triton comes with torch for CUDA. With TRITON_INTERPRET=1 the kernels run on a CPU, in float64, too. Products in float32
are three of TF32 ("tf32x3"), as accurate as float32.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import torch
import triton

from ..network import Layer, inhibitory_units
from . import kernels

if TYPE_CHECKING:
    from ..learning import Network

PRODUCTS = "tf32x3"
ROWS, INPUTS = 64, 32  # of a tile of W
LEAST = 16  # of either side of a product in Triton
WARPS = 16  # of a kernel whose block holds all units of a run
MOST_IMAGES = 32  # of a batch
WIDEST = 512  # units of a hidden layer: all of a run lie in one block


@dataclass
class Chunk:
    """Some steps on the device: their input and output, and what the kernels need between them.

    Attributes
    ----------
    x : (steps * B, pixels) or (R, steps * B, pixels), shifted images in their order
    targets : (classes, steps * B), smoothed
    losses : (steps, R), before each update
    images : int, B
    layers : list of dicts of arrays, one per layer, see `_arrays`
    """

    x: torch.Tensor
    targets: torch.Tensor
    losses: torch.Tensor
    images: int
    layers: list[dict[str, torch.Tensor]]


def fits(width: int, images: int) -> bool:
    """Whether the kernels can train hidden layers of at most so many units on batches of so many images."""
    return width <= WIDEST and images <= MOST_IMAGES


def prepare_chunk(network: "Network", x_shape: Sequence[int], steps: int) -> Chunk:
    """Arrays for chunks of at most `steps` steps.

    Parameters
    ----------
    network : `learning.Network`, trained in place
    x_shape : of one batch, (B, pixels) or (R, B, pixels)

    Returns
    -------
    `Chunk`; whoever trains fills its x and targets from the front
    """
    *runs, images, pixels = x_shape
    R, classes = len(network.lambdas), network.layers[-1].n_e
    empty: dict[str, Any] = {"dtype": network.lambdas.dtype, "device": network.lambdas.device}
    inputs, layers = [pixels] * R, []
    for layer in network.layers:
        layers.append(_arrays(layer, inputs, images))
        inputs = layers[-1]["widths"].tolist()
    return Chunk(
        x=torch.zeros(*runs, steps * images, pixels, **empty),
        targets=torch.zeros(classes, steps * images, **empty),
        losses=torch.zeros(steps, -(-R // LEAST) * LEAST, **empty)[:, :R],  # each step's is aligned
        images=images,
        layers=layers,
    )


def _arrays(layer: Layer, inputs: list[int], images: int) -> dict[str, torch.Tensor]:
    """What the kernels need of a layer: widths (R) of its parts, tiles of its rows and inputs, and room.

    The room is for y and the signals G (R, rows, B), p (R, n_e, B), dx (R, inputs, B) and the rates of two steps
    (2, R, n_e, B).
    """
    widths = [int(width) for width in layer.widths.flatten()]
    inhibitory = [min(inhibitory_units(width), layer.n_i) for width in widths]
    used = {"Wex": widths, "Wix": inhibitory, "Bix": widths}
    parts = [(r, rows.start, used[name][r]) for r in range(len(widths)) for name, rows in layer.blocks.items()]
    room = layer.W.new_zeros
    return {
        "widths": _integers(widths, layer),
        "inhibitory": _integers(inhibitory, layer),
        "inputs": _integers(inputs, layer),
        "tiles": _integers([tile for part in parts for tile in _tiles(*part)], layer),
        "tiles_of_inputs": _integers([tile for r, n in enumerate(inputs) for tile in _tiles(r, 0, n)], layer),
        "y": room(*layer.W.shape[:2], images),
        "G": room(*layer.W.shape[:2], images),
        "p": room(len(widths), layer.n_e, images),
        "dx": room(len(widths), layer.W.shape[2], images),
        "rate": room(2, len(widths), layer.n_e, images),
    }


def _tiles(run: int, first: int, length: int) -> list[tuple[int, int, int]]:
    """Tiles (run, first, end) of `ROWS` that cover so many rows."""
    end = first + length
    return [(run, start, min(start + ROWS, end)) for start in range(first, end, ROWS)]


def _integers(values: Sequence[Any], layer: Layer) -> torch.Tensor:
    return torch.tensor(values, dtype=torch.int32, device=layer.W.device)


def train_chunk(network: "Network", chunk: Chunk, steps: int) -> None:
    """`learning.train_step` on the first `steps` batches of a chunk, one after the other, in place.

    The losses are in chunk.losses[:steps]. Nothing waits for the device, so that a CUDA graph can record it.
    """
    for s in range(steps):
        for i in range(len(network.layers)):
            _drive(network, chunk, i, s if s else None, s)
            if i < len(network.layers) - 1:
                _forward(network, chunk, i, s)
        _readout(network, chunk, s)
        for i in reversed(range(len(network.layers))):
            if i < len(network.layers) - 1:
                _send_back(network, chunk, i)
            if i > 0:
                _pass_down(network.layers[i], chunk, i)
    for i in range(len(network.layers)):
        _drive(network, chunk, i, steps, None)


def _input(chunk: Chunk, i: int, s: int) -> tuple[torch.Tensor, int, int, int]:
    """The input of layer i in a step, and the strides of its runs, units and images."""
    if i == 0:
        x = chunk.x[..., s * chunk.images :, :]
        return x, x.stride(0) if x.dim() == 3 else 0, 1, x.stride(-2)
    rate = chunk.layers[i - 1]["rate"][s % 2]
    run, unit, image = rate.stride()
    return rate, run, unit, image


def _drive(network: "Network", chunk: Chunk, i: int, pending: int | None, s: int | None) -> None:
    """Layer i: the update of step `pending` - 1 and the drive of step s; None: not this one."""
    layer, own = network.layers[i], chunk.layers[i]
    old = _input(chunk, i, pending - 1 if pending is not None else s or 0)
    new = old if s is None else _input(chunk, i, s)
    kernels.update_and_drive[(len(own["tiles"]),)](
        layer.W, own["G"], network.rates[i]["W"], old[0], new[0], own["y"], own["tiles"], own["inputs"],
        *layer.W.shape[1:], layer.n_e + layer.n_i, chunk.images, old[1], *new[1:],
        UPDATE=pending is not None, DRIVE=s is not None, ROWS=ROWS, INPUTS=INPUTS, IMAGES=_block(chunk.images),
        PRODUCTS=PRODUCTS,
    )  # fmt: skip


def _forward(network: "Network", chunk: Chunk, i: int, s: int) -> None:
    layer, own = network.layers[i], chunk.layers[i]
    kernels.forward[(len(network.lambdas),)](
        own["y"], layer.b, layer.Wei, own["rate"][s % 2], own["widths"], own["inhibitory"],
        layer.W.shape[1], layer.n_e, layer.n_i, chunk.images,
        WIX="Wix" in layer.blocks, BIX="Bix" in layer.blocks, LN=network.condition.normalization == "ln",
        UNITS=_block(layer.n_e), IMAGES=_block(chunk.images), PRODUCTS=PRODUCTS, num_warps=WARPS,
    )  # fmt: skip


def _send_back(network: "Network", chunk: Chunk, i: int) -> None:
    layer, own, rates, condition = network.layers[i], chunk.layers[i], network.rates[i], network.condition
    kernels.send_back[(len(network.lambdas),)](
        chunk.layers[i + 1]["dx"], own["y"], own["G"], own["p"], layer.b, layer.Wei, layer.w, network.lambdas,
        rates["b"], rates["Wei"], rates["w"], own["widths"], own["inhibitory"],
        layer.W.shape[1], layer.n_e, layer.n_i, chunk.images,
        WIX="Wix" in layer.blocks, BIX="Bix" in layer.blocks, LEARNS=layer.kind.learns("Wei"),
        NORMALIZATION=condition.normalization, RULE=condition.error_signal,
        UNITS=_block(layer.n_e), INHIBITORY=_block(layer.n_i),
        IMAGES=_block(chunk.images), ROWS=INPUTS, PRODUCTS=PRODUCTS, num_warps=WARPS,
    )  # fmt: skip


def _readout(network: "Network", chunk: Chunk, s: int) -> None:
    layer, own, rates = network.layers[-1], chunk.layers[-1], network.rates[-1]
    kernels.readout[(len(network.lambdas),)](
        own["y"], own["G"], own["p"], layer.b, layer.Wei, rates["b"], rates["Wei"],
        chunk.targets[:, s * chunk.images :], chunk.losses[s], own["widths"], own["inhibitory"],
        layer.W.shape[1], layer.n_e, layer.n_i, chunk.images, chunk.targets.stride(0),
        UNITS=_block(layer.n_e), INHIBITORY=_block(layer.n_i), IMAGES=_block(chunk.images), ROWS=LEAST,
        PRODUCTS=PRODUCTS,
    )  # fmt: skip


def _pass_down(layer: Layer, chunk: Chunk, i: int) -> None:
    own = chunk.layers[i]
    kernels.pass_down[(len(own["tiles_of_inputs"]),)](
        layer.W, own["G"], own["dx"], own["tiles_of_inputs"], own["widths"], own["inhibitory"],
        *layer.W.shape[1:], layer.n_e, chunk.images,
        WIX="Wix" in layer.kind.passes_error, INPUTS=ROWS, ROWS=INPUTS, IMAGES=_block(chunk.images), PRODUCTS=PRODUCTS,
    )  # fmt: skip


def _block(size: int) -> int:
    """The least length of a block that holds so many elements."""
    return max(LEAST, triton.next_power_of_2(size))
