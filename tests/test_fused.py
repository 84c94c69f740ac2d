"""The fused step (`fused`) against the plain one and the golden vectors: on a GPU, or by Triton's interpreter."""

import numpy as np
import pytest
import torch
from einorm.conditions import CONDITIONS
from einorm.learning import build, smooth_targets, train_step
from einorm.tools.golden import TOLERANCE, replay
from test_learning import GOLDEN, batches, random_runs

pytest.importorskip("triton", reason="Triton exists for Linux only")
from einorm.training import fused

CUDA = torch.cuda.is_available()
DEVICE, DTYPE = ("cuda", torch.float32) if CUDA else ("cpu", torch.float64)
RTOL = 1e-5 if CUDA else 1e-10


def both(condition, dtype, widths=(19, 26, 13), steps=3, own_images=False, images=8, weights=None, rates=None):
    """Losses and networks after some steps: the plain step's and the fused step's."""
    if weights is None:
        weights, rates = random_runs(condition, widths)
    plain, quick = (build(condition, weights, rates, dtype, DEVICE) for _ in range(2))
    data = list(batches(steps, batch=images))
    x = torch.stack([batch for batch, _ in data]).to(DEVICE, dtype)
    if own_images:
        x = torch.stack([(x + shift).clamp(0, 1) for shift in torch.linspace(-0.2, 0.2, len(widths))], 1)
    targets = torch.stack([smooth_targets(y, 10, dtype=dtype) for _, y in data]).to(DEVICE)
    losses = torch.stack([train_step(plain, *batch) for batch in zip(x, targets, strict=True)])
    chunk = fused.prepare_chunk(quick, x.shape[1:], steps)
    chunk.x.copy_((x.movedim(0, 1) if own_images else x).reshape(chunk.x.shape))
    chunk.targets.copy_(targets.movedim(0, 1).reshape(chunk.targets.shape))
    fused.train_chunk(quick, chunk, steps)
    return losses, plain, chunk.losses, quick


def assert_equal_training(plain_losses, plain, losses, quick, rtol):
    torch.testing.assert_close(losses, plain_losses, rtol=rtol, atol=0, equal_nan=True)
    for ours, reference in zip(quick.layers, plain.layers, strict=True):
        for name, value in reference.weights().items():
            limits = {"rtol": 0, "atol": rtol * value.abs().max().item()}
            torch.testing.assert_close(ours.weights()[name], value, **limits, msg=lambda m, n=name: f"{n}: {m}")


@pytest.mark.long
@pytest.mark.parametrize("condition", CONDITIONS)
def test_every_condition_trains_as_the_plain_step(condition):
    assert_equal_training(*both(condition, DTYPE), rtol=RTOL)


@pytest.mark.parametrize("path", GOLDEN, ids=lambda path: path.stem)
def test_golden_vectors(path):
    """Computed elsewhere: losses, logits, metrics and parameters, by the kernels."""
    errors = replay(path, DEVICE, "fused")
    assert max(errors.values()) <= (1e-5 if CUDA else TOLERANCE), errors


def test_products_in_float32_are_as_good_as_the_plain_steps():
    """Both against float64, after three steps."""
    exact = both("gradnorm_full", torch.float64)[1] if not CUDA else None
    plain_losses, plain, losses, quick = both("gradnorm_full", torch.float32)
    assert_equal_training(plain_losses, plain, losses, quick, rtol=1e-5)
    for i, layer in enumerate(exact.layers if exact else ()):
        torch.testing.assert_close(quick.layers[i].W.double(), layer.W, rtol=0, atol=1e-6 * layer.W.abs().max().item())


def test_tiles_cover_the_rows_that_a_run_has_and_no_others():
    """Widths beyond a tile, several tiles of inputs, and images of each run's own."""
    assert_equal_training(*both("gradnorm_full", DTYPE, widths=(70, 130), steps=2, own_images=True), rtol=RTOL)
    weights, rates = random_runs("inorm", (70, 130))
    network = build("inorm", weights, rates, DTYPE, DEVICE)
    chunk = fused.prepare_chunk(network, (8, 60), 1)
    for layer, own in zip(network.layers, chunk.layers, strict=True):
        covered = np.zeros(layer.W.shape[:2], int)
        for run, first, end in own["tiles"].tolist():
            covered[run, first:end] += 1
            assert 0 < end - first <= fused.ROWS
        used = [
            row < (inhibitory if name == "Wix" else width)
            for width, inhibitory in zip(own["widths"].tolist(), own["inhibitory"].tolist(), strict=True)
            for name, rows in layer.blocks.items()
            for row in range(rows.stop - rows.start)
        ]
        np.testing.assert_array_equal(covered.ravel(), used)


def test_other_depths_and_batches():
    """One hidden layer and three; a chunk may be shorter than its arrays, and the next one goes on where it ended."""
    from einorm.network import initial_network

    for depth, images in ((1, 5), (3, 32)):
        weights = [initial_network("ei", 60, 20, 0, hidden_layers=depth)]
        rates = [{"lr": 0.05, "lr_wix": 0.2, "lr_wei": 0.03, "lambda": 0.1}]
        assert_equal_training(*both("ei_ln", DTYPE, (20,), 2, False, images, weights, rates), rtol=RTOL)
    weights, rates = random_runs("lateral_plastic", (19, 13))
    networks = [build("lateral_plastic", weights, rates, DTYPE, DEVICE) for _ in range(2)]
    data = [(x.to(DEVICE, DTYPE), smooth_targets(y, 10, dtype=DTYPE).to(DEVICE)) for x, y in batches(3)]
    losses = torch.stack([train_step(networks[0], *batch) for batch in data])
    chunk = fused.prepare_chunk(networks[1], (8, 60), 2)
    for part in (data[:2], data[2:]):
        chunk.x[: 8 * len(part)].copy_(torch.cat([x for x, _ in part]))
        chunk.targets[:, : 8 * len(part)].copy_(torch.cat([targets for _, targets in part], 1))
        fused.train_chunk(networks[1], chunk, len(part))
        torch.testing.assert_close(chunk.losses[: len(part)], losses[: len(part)], rtol=RTOL, atol=0)
        losses = losses[len(part) :]


def test_a_run_that_collapses_turns_to_nan_and_leaves_the_others_alone():
    weights, rates = random_runs("gradnorm_decorrelate", (19, 26))
    rates[0]["lr"] = 1e30 if CUDA else 1e200
    plain_losses, _, losses, _ = both("gradnorm_decorrelate", DTYPE, (19, 26), 4, False, 8, weights, rates)
    assert torch.isnan(losses[-1, 0]) and torch.isfinite(losses[0, 0]) and torch.isfinite(losses[:, 1]).all()
    torch.testing.assert_close(losses[:, 1], plain_losses[:, 1], rtol=RTOL, atol=0)
    first_bad = [torch.isfinite(values[:, 0]).sum() for values in (losses, plain_losses)]
    assert first_bad[0] == first_bad[1], "at the same step"


def test_what_does_not_fit_is_refused():
    assert fused.fits(498, 32) and not fused.fits(513, 32) and not fused.fits(100, 33)
