"""The training step of `learning` in few kernels, for a GPU: each weight is read and written once where that suffices.

The functions below have the names of those in `network`, `error_signals` and `learning` whose equations they hold, and
its symbols; the plain step is their judge (tests/test_fused.py). What differs is when weights change: the update of W
waits for the next product that needs W,

    W <- clamp(W - G x^T),  y = W x'    (`update_and_drive`; x of this step, x' of the next)

so that steps come in chunks, after which nothing is pending (`train_chunk`). All runs of a cell train at once, each
with its own widths: tables of tiles name the rows that a run has, and padding is neither read nor written. A run that
collapses turns to NaN and leaves the others alone.

The kernels are written in Triton, which comes with torch for CUDA. With TRITON_INTERPRET=1 they run on a CPU, in
float64, too. Products in float32 are three of TF32 ("tf32x3"), as accurate as float32.
"""

from dataclasses import dataclass

import torch
import triton
import triton.language as tl

from .network import EPS as PLAIN_EPS
from .network import inhibitory_units

EPS = tl.constexpr(PLAIN_EPS)
PRODUCTS = "tf32x3"
ROWS, INPUTS = 64, 32  # of a tile of W
INHIBITORY = tl.constexpr(16)  # columns of Wei at a time, in `forward`
LEAST = 16  # of either side of a product in Triton
WARPS = 16  # of a kernel whose block holds all units of a run
MOST_IMAGES = 32  # of a batch
WIDEST = 512  # units of a hidden layer: all of a run lie in one block


# Means over the units of a run, n of them: arrays (units, images) are zero where `inside` is false.


@triton.jit
def mean_units(a, n):
    """Mean over the units: (units, images) -> (1, images)."""
    return tl.sum(a, 0)[None, :] / n


@triton.jit
def moments(z, n, inside):
    """Mean, deviations, zero where not inside, and population variance over the units."""
    mean = mean_units(z, n)
    deviation = tl.where(inside, z - mean, 0.0)
    return mean, deviation, mean_units(deviation * deviation, n)


@triton.jit
def layer_norm(z, n, inside):
    """LN(z) over the units, and sigma(z)."""
    _, deviation, variance = moments(z, n, inside)
    sigma = tl.sqrt(variance + EPS)
    return deviation / sigma, sigma


@triton.jit
def clamp(a):
    """max(a, 0), NaN stays NaN."""
    return tl.where(a < 0, 0.0, a)


@triton.jit
def product(a, b, PRODUCTS: tl.constexpr):
    """The matrix product a b, accumulated in its own type."""
    return tl.dot(a, b, input_precision=PRODUCTS, out_dtype=a.dtype)


@triton.jit
def error_signal(g, z, sigma, w, n, RULE: tl.constexpr):
    """The rules of `error_signals`."""
    if RULE == "center":
        g = g - mean_units(g, n)
    elif RULE == "scale":
        g = g / sigma
    elif RULE == "decorrelate":
        g = g - z * mean_units(g * z, n)
    elif RULE == "full" or RULE == "layer_norm":
        g = (g - z * mean_units(g * z, n) - mean_units(g, n)) / sigma
    elif RULE == "lateral" or RULE == "lateral_plastic":
        g = g - tl.sum(w * g, 0)[None, :]
    return g


@triton.jit
def update_and_drive(
    W, G, rates, old, new, y, tiles, inputs,
    rows_of_layer, pitch, nonnegative, images, old_run, new_run, unit_stride, image_stride,
    UPDATE: tl.constexpr, DRIVE: tl.constexpr, ROWS: tl.constexpr, INPUTS: tl.constexpr, IMAGES: tl.constexpr,
    PRODUCTS: tl.constexpr,
):  # fmt: skip
    """`network.drive` after the pending `learning.update` of W and `network.obey_dale`, for some rows of W of one run.

    W (R, rows, inputs), G and y (R, rows, images), rates (R, rows); old and new, the layer's input x of the last step
    and of this one, with strides for their runs, units and images; tiles (n, 3): run, first row, end.
    """
    run = tl.load(tiles + 3 * tl.program_id(0))
    row = tl.load(tiles + 3 * tl.program_id(0) + 1) + tl.arange(0, ROWS)
    rows = row < tl.load(tiles + 3 * tl.program_id(0) + 2)
    n_in = tl.load(inputs + run)
    image = tl.arange(0, IMAGES)
    batch = image < images
    signals = (run * rows_of_layer + row)[:, None] * images + image[None, :]
    drive = tl.zeros((ROWS, IMAGES), W.dtype.element_ty)
    if UPDATE:
        g = tl.load(G + signals, rows[:, None] & batch[None, :], 0.0)
        g *= tl.load(rates + run * rows_of_layer + row, rows, 0.0)[:, None]
    for first in range(0, n_in, INPUTS):
        unit = first + tl.arange(0, INPUTS)
        units = unit < n_in
        at = W + (run * rows_of_layer + row)[:, None] * pitch + unit[None, :]
        here = rows[:, None] & units[None, :]
        w = tl.load(at, here, 0.0)
        if UPDATE:
            x = old + run * old_run + image[:, None] * image_stride + unit[None, :] * unit_stride
            w -= product(g, tl.load(x, batch[:, None] & units[None, :], 0.0), PRODUCTS)
            w = tl.where(row[:, None] < nonnegative, clamp(w), w)
            tl.store(at, w, here)
        if DRIVE:
            x = new + run * new_run + unit[:, None] * unit_stride + image[None, :] * image_stride
            drive += product(w, tl.load(x, units[:, None] & batch[None, :], 0.0), PRODUCTS)
    if DRIVE:
        tl.store(y + signals, drive, rows[:, None] & batch[None, :])


@triton.jit
def forward(
    y, b, Wei, rate, widths, inhibitory, rows_of_layer, n_e, n_i, images,
    WIX: tl.constexpr, BIX: tl.constexpr, LN: tl.constexpr, UNITS: tl.constexpr, IMAGES: tl.constexpr,
    PRODUCTS: tl.constexpr,
):  # fmt: skip
    """`network.forward` after the drive, normalization and ReLU of a hidden layer, for one run.

    y (R, rows, images): in the rows of Wex, z takes the place of the drive; rate (R, n_e, images).
    """
    run = tl.program_id(0)
    n = tl.load(widths + run)
    unit, image = tl.arange(0, UNITS), tl.arange(0, IMAGES)
    batch = (image < images)[None, :]
    inside = (unit < n)[:, None] & batch
    at = y + (run * rows_of_layer + unit)[:, None] * images + image[None, :]
    z = tl.load(at, inside, 0.0) + tl.load(b + run * n_e + unit, unit < n, 0.0)[:, None]
    if WIX:
        end = tl.load(inhibitory + run)
        for first in range(0, end, INHIBITORY):
            i = first + tl.arange(0, INHIBITORY)
            wei = Wei + (run * n_e + unit)[:, None] * n_i + i[None, :]
            wei = tl.load(wei, (unit < n)[:, None] & (i < end)[None, :], 0.0)
            a = y + (run * rows_of_layer + n_e + i)[:, None] * images + image[None, :]
            z -= product(wei, tl.load(a, (i < end)[:, None] & batch, 0.0), PRODUCTS)
    if BIX:
        u = tl.load(at + (rows_of_layer - n_e) * images, inside, 0.0)
        z = z / tl.sqrt(mean_units(u * u, n) + EPS)
    z = tl.where(inside, z, 0.0)
    tl.store(at, z, inside)
    if LN:
        z, _ = layer_norm(z, n, inside)
    tl.store(rate + (run * n_e + unit)[:, None] * images + image[None, :], clamp(z), inside)


@triton.jit
def inhibitory_signals(
    p, G, Wei, y, rate_wei, run, n, inhibitory, rows_of_layer, n_e, n_i, images,
    LEARNS: tl.constexpr, INHIBITORY: tl.constexpr, IMAGES: tl.constexpr, ROWS: tl.constexpr, PRODUCTS: tl.constexpr,
):  # fmt: skip
    """Of `learning.update`: the signals Wei^T p at the inhibitory units, and the update of Wei where it learns.

    p (R, n_e, images) has just been written by the same block.
    """
    tl.debug_barrier()
    image, i = tl.arange(0, IMAGES), tl.arange(0, INHIBITORY)
    batch, some = (image < images)[None, :], i < tl.load(inhibitory + run)
    rows = (run * rows_of_layer + n_e + i)[:, None] * images + image[None, :]
    a = tl.load(y + rows, some[:, None] & batch, 0.0)
    signals = tl.zeros((INHIBITORY, IMAGES), Wei.dtype.element_ty)
    for first in range(0, n, ROWS):
        unit = first + tl.arange(0, ROWS)
        at = run * n_e + unit
        here = (unit < n)[:, None] & some[None, :]
        wei = tl.load(Wei + at[:, None] * n_i + i[None, :], here, 0.0)
        signal = tl.load(p + at[:, None] * images + image[None, :], (unit < n)[:, None] & batch, 0.0)
        signals += product(tl.trans(wei), signal, PRODUCTS)
        if LEARNS:
            step = tl.load(rate_wei + at, unit < n, 0.0)[:, None] * signal
            tl.store(Wei + at[:, None] * n_i + i[None, :], clamp(wei - product(step, tl.trans(a), PRODUCTS)), here)
    tl.store(G + rows, signals, some[:, None] & batch)


@triton.jit
def send_back(
    dx, y, G, p, b, Wei, w, lambdas, rate_b, rate_wei, rate_w, widths, inhibitory,
    rows_of_layer, n_e, n_i, images,
    WIX: tl.constexpr, BIX: tl.constexpr, LEARNS: tl.constexpr, NORMALIZATION: tl.constexpr, RULE: tl.constexpr,
    UNITS: tl.constexpr, INHIBITORY: tl.constexpr, IMAGES: tl.constexpr, ROWS: tl.constexpr, PRODUCTS: tl.constexpr,
):  # fmt: skip
    """`learning.hidden_signals` of one run, `learning.learn_pooling`, and `learning.update` of b and Wei, if it LEARNS.

    dx (R, n_e, images), the task's error at the rates; G (R, rows, images), the signals that W waits for; p (R, n_e,
    images), those of subtractive inhibition.
    """
    run = tl.program_id(0)
    n = tl.load(widths + run)
    unit, image = tl.arange(0, UNITS), tl.arange(0, IMAGES)
    inside = (unit < n)[:, None] & (image < images)[None, :]
    row = (run * rows_of_layer + unit)[:, None] * images + image[None, :]
    z = tl.load(y + row, inside, 0.0)
    g = tl.load(dx + (run * n_e + unit)[:, None] * images + image[None, :], inside, 0.0)
    pool = z
    if RULE == "lateral" or RULE == "lateral_plastic":
        pool = tl.load(w + run * n_e + unit, unit < n, 0.0)[:, None]
    normalized, sigma = layer_norm(z, n, inside)
    g = tl.where((normalized if NORMALIZATION == "ln" else z) > 0, g, 0.0)
    if NORMALIZATION == "learned":
        mean, deviation, variance = moments(z, n, inside)
        h = error_signal(g, z, sigma, pool, n, RULE)
        per_unit = 2 * tl.load(lambdas + run) / (n * images)
        if BIX:
            u = tl.load(y + row + (rows_of_layer - n_e) * images, inside, 0.0)
            q = tl.sqrt(mean_units(u * u, n) + EPS)
            excess = 2 * (variance - 1)
            subtractive = -(excess * deviation + mean) * per_unit / q
            dq = -(mean * mean + excess * variance) * per_unit * n / q
            h = h / q
            tl.store(G + row + (rows_of_layer - n_e) * images, u * (dq / (q * n)), inside)
        else:
            subtractive = tl.zeros_like(z) - per_unit * mean
    else:
        h = error_signal(g, normalized, sigma, pool, n, RULE)
        subtractive = -h
    h = tl.where(inside, h, 0.0)
    tl.store(G + row, h, inside)
    at = run * n_e + unit
    old = tl.load(b + at, unit < n, 0.0)
    tl.store(b + at, old - tl.load(rate_b + at, unit < n, 0.0) * tl.sum(h, 1), unit < n)
    if RULE == "lateral_plastic":
        delta = g * images
        left = mean_units(delta, n) - tl.sum(pool * delta, 0)[None, :]
        slope = tl.sum(2 * left * delta, 1) / images
        old = tl.load(w + at, unit < n, 0.0)
        tl.store(w + at, clamp(old + tl.load(rate_w + at, unit < n, 0.0) * slope), unit < n)
    if WIX:
        tl.store(p + (run * n_e + unit)[:, None] * images + image[None, :], subtractive, inside)
        inhibitory_signals(
            p, G, Wei, y, rate_wei, run, n, inhibitory, rows_of_layer, n_e, n_i, images,
            LEARNS, INHIBITORY, IMAGES, ROWS, PRODUCTS,
        )  # fmt: skip


@triton.jit
def readout(
    y, G, p, b, Wei, rate_b, rate_wei, targets, losses, widths, inhibitory,
    rows_of_layer, n_e, n_i, images, row_of_targets,
    UNITS: tl.constexpr, INHIBITORY: tl.constexpr, IMAGES: tl.constexpr, ROWS: tl.constexpr, PRODUCTS: tl.constexpr,
):  # fmt: skip
    """Logits, `learning.cross_entropy` and its gradient, and `learning.update` of b and Wei, for one run."""
    run = tl.program_id(0)
    n = tl.load(widths + run)
    unit, image = tl.arange(0, UNITS), tl.arange(0, IMAGES)
    inside = (unit < n)[:, None] & (image < images)[None, :]
    row = (run * rows_of_layer + unit)[:, None] * images + image[None, :]
    at = run * n_e + unit
    bias = tl.load(b + at, unit < n, 0.0)
    z = tl.load(y + row, inside, 0.0) + bias[:, None]
    for i in range(0, tl.load(inhibitory + run)):
        a = tl.load(y + (run * rows_of_layer + n_e + i) * images + image, image < images, 0.0)
        z -= tl.load(Wei + at * n_i + i, unit < n, 0.0)[:, None] * a[None, :]
    z = tl.where(inside, z, float("-inf"))
    z = z - tl.where(image < images, tl.max(z, 0), 0.0)[None, :]
    log_p = z - tl.log(tl.sum(tl.exp(z), 0))[None, :]
    target = tl.load(targets + unit[:, None] * row_of_targets + image[None, :], inside, 0.0)
    tl.store(losses + run, tl.sum(tl.sum(tl.where(inside, target * log_p, 0.0), 0), 0) / -images)
    h = tl.where(inside, (tl.exp(log_p) - target) / images, 0.0)
    tl.store(G + row, h, inside)
    tl.store(b + at, bias - tl.load(rate_b + at, unit < n, 0.0) * tl.sum(h, 1), unit < n)
    tl.store(p + at[:, None] * images + image[None, :], -h, inside)
    inhibitory_signals(
        p, G, Wei, y, rate_wei, run, n, inhibitory, rows_of_layer, n_e, n_i, images,
        True, INHIBITORY, IMAGES, ROWS, PRODUCTS,
    )  # fmt: skip


@triton.jit
def pass_down(
    W, G, dx, tiles, widths, inhibitory, rows_of_layer, pitch, n_e, images,
    WIX: tl.constexpr, INPUTS: tl.constexpr, ROWS: tl.constexpr, IMAGES: tl.constexpr, PRODUCTS: tl.constexpr,
):  # fmt: skip
    """Of `learning.update`: dL/dx = W^T G of the rows that pass the task's error on, for some inputs of one run.

    WIX: whether the rows of Wix do; tiles (n, 3): run, first input, end; dx (R, inputs, images).
    """
    run = tl.load(tiles + 3 * tl.program_id(0))
    unit = tl.load(tiles + 3 * tl.program_id(0) + 1) + tl.arange(0, INPUTS)
    units = unit < tl.load(tiles + 3 * tl.program_id(0) + 2)
    image = tl.arange(0, IMAGES)
    batch = (image < images)[None, :]
    error = tl.zeros((INPUTS, IMAGES), W.dtype.element_ty)
    for block in tl.static_range(1 + WIX):
        start = block * n_e
        end = start + tl.load((inhibitory if block else widths) + run)
        for first in range(start, end, ROWS):
            row = first + tl.arange(0, ROWS)
            rows = row < end
            w = W + (run * rows_of_layer + row)[None, :] * pitch + unit[:, None]
            w = tl.load(w, rows[None, :] & units[:, None], 0.0)
            g = G + (run * rows_of_layer + row)[:, None] * images + image[None, :]
            error += product(w, tl.load(g, rows[:, None] & batch, 0.0), PRODUCTS)
    tl.store(dx + (run * pitch + unit)[:, None] * images + image[None, :], error, units[:, None] & batch)


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
    layers: list[dict]


def fits(width, images):
    """Whether the kernels can train hidden layers of at most so many units on batches of so many images."""
    return width <= WIDEST and images <= MOST_IMAGES


def prepare_chunk(network, x_shape, steps):
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
    empty = {"dtype": network.lambdas.dtype, "device": network.lambdas.device}
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


def _arrays(layer, inputs, images):
    """What the kernels need of a layer: widths (R) of its parts, tiles of its rows and inputs, and room for y and the
    signals G (R, rows, B), p (R, n_e, B), dx (R, inputs, B) and the rates of two steps (2, R, n_e, B)."""
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


def _tiles(run, first, length):
    """Tiles (run, first, end) of `ROWS` that cover so many rows."""
    end = first + length
    return [(run, start, min(start + ROWS, end)) for start in range(first, end, ROWS)]


def _integers(values, layer):
    return torch.tensor(values, dtype=torch.int32, device=layer.W.device)


def train_chunk(network, chunk, steps):
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


def _input(chunk, i, s):
    """The input of layer i in a step, and the strides of its runs, units and images."""
    if i == 0:
        x = chunk.x[..., s * chunk.images :, :]
        return x, x.stride(0) if x.dim() == 3 else 0, 1, x.stride(-2)
    rate = chunk.layers[i - 1]["rate"][s % 2]
    return rate, *rate.stride()


def _drive(network, chunk, i, pending, s):
    """Layer i: the update of step `pending` - 1 and the drive of step s; None: not this one."""
    layer, own = network.layers[i], chunk.layers[i]
    old = _input(chunk, i, s if pending is None else pending - 1)
    new = old if s is None else _input(chunk, i, s)
    update_and_drive[(len(own["tiles"]),)](
        layer.W, own["G"], network.rates[i]["W"], old[0], new[0], own["y"], own["tiles"], own["inputs"],
        *layer.W.shape[1:], layer.n_e + layer.n_i, chunk.images, old[1], *new[1:],
        UPDATE=pending is not None, DRIVE=s is not None, ROWS=ROWS, INPUTS=INPUTS, IMAGES=_block(chunk.images),
        PRODUCTS=PRODUCTS,
    )  # fmt: skip


def _forward(network, chunk, i, s):
    layer, own = network.layers[i], chunk.layers[i]
    forward[(len(network.lambdas),)](
        own["y"], layer.b, layer.Wei, own["rate"][s % 2], own["widths"], own["inhibitory"],
        layer.W.shape[1], layer.n_e, layer.n_i, chunk.images,
        WIX="Wix" in layer.blocks, BIX="Bix" in layer.blocks, LN=network.condition.normalization == "ln",
        UNITS=_block(layer.n_e), IMAGES=_block(chunk.images), PRODUCTS=PRODUCTS, num_warps=WARPS,
    )  # fmt: skip


def _send_back(network, chunk, i):
    layer, own, rates, condition = network.layers[i], chunk.layers[i], network.rates[i], network.condition
    send_back[(len(network.lambdas),)](
        chunk.layers[i + 1]["dx"], own["y"], own["G"], own["p"], layer.b, layer.Wei, layer.w, network.lambdas,
        rates["b"], rates["Wei"], rates["w"], own["widths"], own["inhibitory"],
        layer.W.shape[1], layer.n_e, layer.n_i, chunk.images,
        WIX="Wix" in layer.blocks, BIX="Bix" in layer.blocks, LEARNS=layer.kind.learns("Wei"),
        NORMALIZATION=condition.normalization, RULE=condition.error_signal,
        UNITS=_block(layer.n_e), INHIBITORY=_block(layer.n_i),
        IMAGES=_block(chunk.images), ROWS=INPUTS, PRODUCTS=PRODUCTS, num_warps=WARPS,
    )  # fmt: skip


def _readout(network, chunk, s):
    layer, own, rates = network.layers[-1], chunk.layers[-1], network.rates[-1]
    readout[(len(network.lambdas),)](
        own["y"], own["G"], own["p"], layer.b, layer.Wei, rates["b"], rates["Wei"],
        chunk.targets[:, s * chunk.images :], chunk.losses[s], own["widths"], own["inhibitory"],
        layer.W.shape[1], layer.n_e, layer.n_i, chunk.images, chunk.targets.stride(0),
        UNITS=_block(layer.n_e), INHIBITORY=_block(layer.n_i), IMAGES=_block(chunk.images), ROWS=LEAST,
        PRODUCTS=PRODUCTS,
    )  # fmt: skip


def _pass_down(layer, chunk, i):
    own = chunk.layers[i]
    pass_down[(len(own["tiles_of_inputs"]),)](
        layer.W, own["G"], own["dx"], own["tiles_of_inputs"], own["widths"], own["inhibitory"],
        *layer.W.shape[1:], layer.n_e, chunk.images,
        WIX="Wix" in layer.kind.passes_error, INPUTS=ROWS, ROWS=INPUTS, IMAGES=_block(chunk.images), PRODUCTS=PRODUCTS,
    )  # fmt: skip


def _block(size):
    """The least length of a block that holds so many elements."""
    return max(LEAST, triton.next_power_of_2(size))
