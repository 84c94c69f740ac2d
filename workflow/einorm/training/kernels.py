"""The Triton kernels of the fused step (`fused`), one source for all conditions: rules are compile-time constants.

The functions have the names of those in `network`, `error_signals` and `learning` whose equations they hold, and their
symbols. Each works on one run, or on some rows of one; padding is neither read nor written.
"""

import triton
import triton.language as tl

from ..network import EPS as PLAIN_EPS

EPS = tl.constexpr(PLAIN_EPS)
INHIBITORY = tl.constexpr(16)  # columns of Wei at a time, in `forward`


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
    else:
        tl.static_assert(RULE == "unchanged")
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
    """The signals Wei^T p at the inhibitory units (`learning.send_back`), and `learning.update` of Wei where it learns.

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
    """Of `learning.send_back`: dL/dx = W^T G of the rows that pass the task's error on, for some inputs of one run.

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
