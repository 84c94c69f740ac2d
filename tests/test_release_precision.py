"""The release's casts to float16: numbers by hand, the float32 step where nothing is cast, PyTorch's own autocast."""

import copy
import math

import numpy as np
import oracle
import pytest
import torch
from conftest import REPOSITORY
from einorm import config, learning, metrics, release_precision
from einorm.conditions import CONDITIONS
from einorm.learning import build, select, smooth_targets
from einorm.network import initial_network
from einorm.records import codes, runs
from einorm.release_precision import Product, divisive, first_not_finite, forward_network, rescale, rounded, train_step
from einorm.training import train
from einorm.variants import how, specification
from test_learning import as_tensors
from torch.nn import functional as F  # noqa: N812

INF, NAN = math.inf, math.nan
RATES = {"lr": 0.05, "lr_wix": 0.2, "lr_wei": 0.03, "lambda": 0.1}
LAYERED = ["e_only_ln", "ei_none", "inorm_sub", "inorm", "inorm_div", "gradnorm_full", "gradnorm_scale"]


def network_of(condition, widths=(20,), dtype=torch.float32, variant="release_float16", rates=RATES, device="cpu"):
    """R networks of 60 pixels, and their weights as arrays."""
    kind = CONDITIONS[condition].layer
    weights = [initial_network(kind, 60, width, 0, i) for i, width in enumerate(widths)]
    way = how(specification(variant))
    return build(condition, weights, [rates] * len(widths), dtype, device, way), weights


def batch(dtype=torch.float32, size=32):
    generator = torch.Generator().manual_seed(0)
    x = torch.rand(size, 60, generator=generator, dtype=dtype)
    return x, torch.randint(10, (size,), generator=generator)


def weights_of(network):
    return [value.clone() for layer in network.layers for value in layer.weights().values()]


@pytest.fixture
def no_cast(monkeypatch):
    monkeypatch.setattr(release_precision, "cast", lambda values: values)


def test_values_are_rounded_as_float16_holds_them():
    ulp = 2.0**-24  # of the smallest numbers
    given = [1 + 2**-11, 1 + 3 * 2**-11, 65504, 65519.9, 65520, -1e6, 0.49 * ulp, 0.51 * ulp, 1.6 * ulp, INF, NAN]
    expected = [1, 1 + 2**-9, 65504, 65504, INF, -INF, 0, ulp, 2 * ulp, INF, NAN]
    torch.testing.assert_close(rounded(torch.tensor(given)), torch.tensor(expected), rtol=0, atol=0, equal_nan=True)


@pytest.mark.parametrize(
    ("A", "x", "g", "y", "dA", "dx"),
    [
        (3.0, 2.0, 0.5, 6.0, 1.0, 1.5),
        (300.0, 300.0, 1.0, INF, 300.0, 300.0),  # 90,000 is above 65,504
        (2.0, 0.0, 70000.0, 0.0, NAN, INF),  # the gradient overflows; inf times 0
        (2.0, 4.0, 2e-8, 8.0, 0.0, 0.0),  # the gradient vanishes before it is multiplied
        (2.0, 2.0**-14, 2.0**-12, 2.0**-13, 0.0, 2.0**-11),  # the product of the two does: below 2^-25
        (1 + 2**-12, 1.0, 1.0, 1.0, 1.0, 1.0),  # operands are rounded before
    ],
)
def test_a_product_and_its_gradients_are_float16(A, x, g, y, dA, dx):
    a, b = (torch.tensor([[[value]]], requires_grad=True) for value in (A, x))
    out = Product.apply(a, b, 1)
    out.backward(torch.tensor([[[g]]]))
    found = torch.stack([out.detach().flatten(), a.grad.flatten(), b.grad.flatten()]).flatten()
    torch.testing.assert_close(found, torch.tensor([y, dA, dx]), rtol=0, atol=0, equal_nan=True)


def test_sums_inside_a_product_are_float32():
    ones = torch.ones(1, 1, 4096)
    assert Product.apply(ones, ones.mT * (1 + 2**-10), 1).item() == 4100, "in float16 it would stop growing at 2,048"


def test_divisive_inhibition_is_cast_where_the_release_casts_it():
    """u^2 in float32, then cast; the mean is a product; q^2 + 1e-5 and its root are float16."""
    network, _ = network_of("inorm", (4,))
    layer = network.layers[0]
    u = torch.zeros(1, layer.n_e, 3)
    u[0, :4, 0] = 300.0  # 90,000
    u[0, :4, 1] = 1e-4  # 1e-8 is 0 in float16
    u[0, :4, 2] = torch.tensor([1.0, 2.0, 3.0, 4.0])
    q = divisive(layer, u, lambda name, values, half: values)
    assert torch.equal(q, q[:, :1].expand_as(u)), "every unit has a q of its own, all are equal"
    q = q[0, 0]
    assert q[0] == INF
    assert q[1] == np.sqrt(np.float16(1e-5), dtype=np.float16)
    assert q[2] == np.sqrt(np.float16(7.5) + np.float16(1e-5), dtype=np.float16)


def test_the_gradient_of_q2_is_rounded_in_every_unit_before_the_mean_sums_it():
    """Four units, gradients g of q: of q^2 they are g / (2 q), each in float16, of u 2 u / n of their sum."""
    network, _ = network_of("inorm", (4,))
    layer = network.layers[0]
    u = torch.zeros(1, layer.n_e, 4)
    u[0, :4] = torch.tensor([1.0, 1.0, 0.0, 0.0])  # q is 1 and, where the input is silent, the root of 1e-5
    u[0, 3, 2:] = 2**-12  # a square of 6e-8 is the smallest that float16 holds; a quarter of it is 0
    u.requires_grad_()
    g = torch.zeros_like(u)
    g[0, :4, 0] = 5e-8  # of q^2: 2.5e-8 in every unit, 1e-7 in sum; each alone is below 3e-8
    g[0, 0, 1] = 4.0
    g[0, :4, 2] = 400.0  # of q^2: 63,000 in every unit; their sum is above 65,504, their mean is not
    g[0, 0, 3] = 450.0  # 71,000 in one unit
    q = divisive(layer, u, lambda name, values, half: values)
    assert q[0, 0, 2] == q[0, 0, 3] == np.sqrt(np.float16(1e-5), dtype=np.float16)
    (found,) = torch.autograd.grad(q, u, g)
    assert (found[0, :4, 0] == 0).all()
    torch.testing.assert_close(found[0, :4, 1], torch.ones(4), rtol=1e-3, atol=0)
    torch.testing.assert_close(found[0, 3, 2], torch.tensor(2 * 2**-12 * 400 / (2 * 10**-2.5)), rtol=1e-2, atol=0)
    assert found[0, :3, 3].isnan().all() and found[0, 3, 3] == INF, "inf times 0 is NaN"


def test_gradients_of_q_vanish_and_overflow_with_the_local_loss():
    """A small local loss moves Bix in float32 and with loss scaling, not without; a large one makes the run NaN."""
    moved = {}
    for variant in ("paper", "release_float16", "release_scaled"):
        network, _ = network_of("inorm", rates=RATES | {"lambda": 1e-7})
        network.way = how(specification(variant))
        before = network.layers[0].weights()["Bix"].clone()
        step = learning.train_step if variant == "paper" else train_step
        step(network, batch()[0], smooth_targets(batch()[1], 10))
        moved[variant] = network.layers[0].weights()["Bix"] - before
    assert (moved["release_float16"] == 0).all()
    torch.testing.assert_close(moved["release_scaled"], moved["paper"], rtol=0.02, atol=2e-9)
    network, _ = network_of("inorm", rates=RATES | {"lambda": 1e10})
    train_step(network, batch()[0], smooth_targets(batch()[1], 10))
    assert network.collapsed_in[0].startswith("layer 1: gradient of"), "the gradient comes down from above"
    assert network.layers[1].W.isnan().any()


@pytest.mark.parametrize("condition", CONDITIONS)
def test_without_casts_the_step_is_that_of_float32(no_cast, condition):
    """Three runs of unlike widths, three steps: losses, weights and metrics, in float64."""
    casts, plain = (network_of(condition, (20, 17, 31), torch.float64)[0] for _ in range(2))
    x, y = batch(torch.float64)
    for _ in range(3):
        targets = smooth_targets(y, 10, dtype=torch.float64)
        torch.testing.assert_close(train_step(casts, x, targets), learning.train_step(plain, x, targets))
    torch.testing.assert_close(weights_of(casts), weights_of(plain), rtol=1e-9, atol=1e-12)
    measured = metrics.measure(casts, x, forward_network), metrics.measure(plain, x)
    torch.testing.assert_close(*measured, rtol=1e-7, atol=1e-10, equal_nan=True)
    assert casts.collapsed_in == [""] * 3


@pytest.mark.parametrize("condition", LAYERED)
def test_without_casts_the_step_is_autograds(no_cast, condition):
    network, (weights,) = network_of(condition, dtype=torch.float64)
    reference, (x, y) = as_tensors(weights, CONDITIONS[condition].layer), batch(torch.float64)
    for _ in range(2):
        loss = train_step(network, x, smooth_targets(y, 10, dtype=torch.float64))
        torch.testing.assert_close(loss[0], oracle.step(reference, condition, x, y, RATES), rtol=1e-10, atol=0)


@pytest.mark.parametrize("condition", CONDITIONS)
def test_with_casts_a_step_is_near_that_of_float32(condition):
    """Nothing overflows in these steps: all differ from float32, by rounding only."""
    rates = RATES | {"lambda": 0.01} | ({"lr": 1e-3, "lr_wei": 1e-3} if condition.startswith("e_") else {})
    casts, plain = (network_of(condition, rates=rates)[0] for _ in range(2))
    x, y = batch()
    first = weights_of(plain)
    train_step(casts, x, smooth_targets(y, 10))
    learning.train_step(plain, x, smooth_targets(y, 10))
    start, rough, exact = (torch.cat([w.flatten() for w in ws]) for ws in (first, weights_of(casts), weights_of(plain)))
    assert 0 < (rough - exact).norm() < 0.1 * (exact - start).norm()


def test_the_earlier_local_loss_is_the_distance_from_ln(no_cast):
    """lambda E[(z_loc - LN(h))^2], h a constant: gradients of Wix and Bix from the formula, in plain autograd."""
    network, (weights,) = network_of("inorm", dtype=torch.float64, variant="release_earlier_loss")
    W = as_tensors(weights, "inorm")[0]
    x, y = batch(torch.float64)
    leaves = [W[name].requires_grad_() for name in ("Wix", "Bix")]
    h = (x @ W["Wex"].T + W["b"]).detach()
    q = ((x @ W["Bix"].T).square().mean(1, keepdim=True) + 1e-5).sqrt()
    z = (h - (x @ W["Wix"].T) @ W["Wei"].T) / q
    loss = RATES["lambda"] * F.mse_loss(z, F.layer_norm(h, h.shape[1:]))
    gradients = torch.autograd.grad(loss, leaves)
    expected = [leaf.detach() - RATES["lr_wix"] * g for leaf, g in zip(leaves, gradients, strict=True)]
    train_step(network, x, smooth_targets(y, 10, dtype=torch.float64))
    learned = network.layers[0].weights()
    torch.testing.assert_close(learned["Wix"][0, :2], expected[0].clamp(min=0))
    torch.testing.assert_close(learned["Bix"][0, :20, :60], expected[1])


def test_the_scale_is_halved_after_an_overflow_and_doubled_after_2000_good_steps():
    memory, good = {"scale": torch.full((2,), 65536.0)}, torch.tensor([True, True])
    rescale(memory, torch.tensor([True, False]))
    assert memory["scale"].tolist() == [65536, 32768]
    for _ in range(1999):
        rescale(memory, good)
    assert memory["scale"].tolist() == [131072, 32768], "one good step came before in the first run, none in the second"
    rescale(memory, good)
    assert memory["scale"].tolist() == [131072, 65536]


def test_with_loss_scaling_a_step_that_overflows_is_left_out():
    network, _ = network_of("inorm", (20, 17), variant="release_scaled")
    network.lambdas[1] = 1e10
    before = weights_of(network)
    train_step(network, batch()[0], smooth_targets(batch()[1], 10))
    for old, new in zip(before, weights_of(network), strict=True):
        assert torch.equal(old[1], new[1]) and new.isfinite().all()
    assert not torch.equal(before[0][0], weights_of(network)[0][0]), "the other run learns"
    assert network.memory["scale"].tolist() == [65536, 32768] and network.collapsed_in == ["", ""]
    alone = select(network, torch.tensor([1]))
    assert alone.memory["scale"].tolist() == [32768], "the scale goes with its run"


@pytest.mark.parametrize(
    ("layer", "name", "value", "says"),
    [
        (1, "Wex", NAN, "layer 1: x Wex^T"),
        (0, "b", INF, "layer 0: z of the local loss"),
        (1, "Bix", 1e6, "layer 1: u"),
        (2, "Wex", 1e30, "readout: x W^T"),
    ],
)
def test_the_first_tensor_that_is_not_finite_is_named(layer, name, value, says):
    network, _ = network_of("inorm", (20, 20))
    network.layers[layer].weights()[name][1, :10] = value
    before = copy.deepcopy(weights_of(network))
    found = first_not_finite(network, batch()[0], smooth_targets(batch()[1], 10), 1)
    assert found == says or (math.isnan(value) and "Wex" in found)
    torch.testing.assert_close(weights_of(network), before, rtol=0, atol=0, equal_nan=True)
    train_step(network, batch()[0], smooth_targets(batch()[1], 10))
    assert network.collapsed_in == ["", found], "the run beside it goes on"


def test_a_network_of_nan_says_class_0_and_has_10_percent():
    network, _ = network_of("gradnorm_full", (20, 20))
    network.layers[0].W[0, 0, 0] = NAN
    labels = torch.arange(200) % 10
    test = (torch.full((200, 60), 100, dtype=torch.uint8), labels, smooth_targets(labels, 10), torch.zeros(200))
    loss, accuracy = train.evaluate(network, test, train.TASKS["luminosity"][1], forward_network)
    assert accuracy[0] == 10 and loss.isnan().tolist() == [True, False]
    assert (forward_network(network, batch()[0].mT)[-1]["z"][0].argmax(0) == 0).all()


def some_runs(condition, variant, *overrides, configs="[0, 1]"):
    sizes = ("epochs=2", "train_images=640", "test_images=200", f"configs={configs}", *overrides)
    settings = config.load(REPOSITORY / "config.yaml", "smoke", sizes)
    return runs.cell_runs(settings, "luminosity", variant, condition, 0.75)


@pytest.mark.parametrize("condition", ["ei_ln", "inorm"])
def test_runs_train_from_images_to_rows_and_a_collapse_says_where(images, condition):
    planned = some_runs(condition, "release_float16", "randomness=own")
    shifts = {"train": np.zeros((2, 640), np.float32), "test": np.zeros(200, np.float32)}
    rows = train.train(planned, images, shifts)
    assert (rows["variant"] == "release_float16").all() and (rows["collapsed_in"] == "").all()
    assert rows["test_acc"].between(10, 100).all() and rows["mu0"].notna().all()
    planned[0] = planned[0] | ({"lambda": 1e10} if condition == "inorm" else {"lr": 1e30})
    rows = train.train(planned, images, shifts)
    first, second = (rows[rows["config"] == i] for i in (0, 1))
    assert (first["status"] == "collapsed").all() and (first["test_acc"] == 10).all()
    assert first["collapsed_in"].str.contains(": ").all() and (second["collapsed_in"] == "").all()
    assert (second["status"] == "finished").all()


def test_a_run_in_a_batch_is_the_run_alone():
    together, _ = network_of("inorm", (20, 33))
    both = [select(together, torch.tensor([r])) for r in (0, 1)]
    x, y = batch()
    train_step(together, x, smooth_targets(y, 10))
    for r, alone in enumerate(both):
        train_step(alone, x, smooth_targets(y, 10))
        for many, one in zip(weights_of(together), weights_of(alone), strict=True):
            torch.testing.assert_close(many[r], one[0], rtol=1e-3, atol=1e-4)


def test_codes_of_one_precision_do_not_depend_on_the_other(monkeypatch):
    float32 = codes.training_parts("inorm", "luminosity")
    casts = codes.training_parts("inorm", "luminosity", precision="release")
    assert ["release_precision.py"] in casts and ["release_precision.py"] not in float32
    run = some_runs("inorm", "release_float16")[0]
    assert codes.code_of(run) == codes.training_code("inorm", "luminosity", "release", "release")
    assert codes.code_of(run) != codes.training_code("inorm", "luminosity", "release")
    named = next(names for module, *names in casts if module == "learning.py")
    assert "train_step" not in named, "the float32 step may change without these runs"


def under_autocast(condition, W, x, y, device, lam):
    """Gradients of one I-Norm or E network under PyTorch's own autocast, written op by op in the release's way.

    Returns the loss and, per layer, the gradients by name.
    """
    total = 0
    with torch.autocast(device, dtype=torch.float16):
        for layer in W[:-1]:
            if condition == "e_only_ln":
                z = F.linear(x, layer["Wex"]) + layer["b"]
                x = F.relu(F.layer_norm(z, z.shape[1:]))
                continue
            fixed, n = x.detach(), len(layer["b"])
            h = F.linear(x, layer["Wex"]) + layer["b"]
            p = F.linear(F.linear(fixed, layer["Wix"]), layer["Wei"].detach())
            u = F.linear(fixed, layer["Bix"])
            squares = u.pow(2) if device == "cuda" else u.float().pow(2)  # autocast on a CPU leaves it in float16
            q = (F.linear(squares, torch.full((n, n), 1 / n, device=device)) + 1e-5).sqrt()
            z, local = (h - p.detach()) / q.detach(), (h.detach() - p) / q
            assert q.dtype == torch.float16 and z.dtype == torch.float32
            moments = local.mean(1).square() + (local.var(1, correction=0) - 1).square()
            total = total + lam * moments.mean()
            x = F.relu(oracle.Transform.apply(z, condition, None))
        readout = W[-1]
        logits = F.linear(x, readout["Wex"] - readout["Wei"] @ readout["Wix"]) + readout["b"]
        loss = F.cross_entropy(logits, y, label_smoothing=0.1)
    (loss + total).backward()
    return loss.detach(), [{name: v.grad for name, v in layer.items() if v.grad is not None} for layer in W]


@pytest.mark.parametrize("device", ["cpu", "cuda"])
@pytest.mark.parametrize("condition", ["e_only_ln", "inorm", "gradnorm_full", "gradnorm_scale"])
@pytest.mark.parametrize("overflow", [False, True])
def test_pytorchs_autocast_agrees(condition, device, overflow):
    """Loss and gradients of every weight; where one overflows, both have inf or NaN in the same places."""
    if device == "cuda" and not torch.cuda.is_available():
        pytest.skip("there is no GPU here")
    rates = RATES | ({"lambda": 1e10} if overflow else {})
    network, (weights,) = network_of(condition, rates=rates, device=device)
    x, y = (value.to(device) for value in batch())
    x = x * 1e4 if overflow and condition == "e_only_ln" else x
    W = as_tensors(weights, CONDITIONS[condition].layer)
    W = [{name: v.float().to(device).requires_grad_(name != "w") for name, v in layer.items()} for layer in W]
    before = [{name: v.clone() for name, v in layer.weights().items()} for layer in network.layers]
    loss, gradients = under_autocast(condition, W, x, y, device, rates["lambda"])
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(release_precision, "obey_dale", lambda layer: None)
        ours = train_step(network, x, smooth_targets(y.cpu(), 10).to(device))
    torch.testing.assert_close(ours[0], loss, rtol=2e-3, atol=2e-3, equal_nan=True)
    broken = 0
    for i, layer in enumerate(network.layers):
        for name, theirs in gradients[i].items():
            rate = RATES["lr_wei"] if name == "Wei" else RATES["lr_wix"] if name in ("Wix", "Bix") else RATES["lr"]
            rows = [slice(0, size) for size in theirs.shape]
            moved = (before[i][name] - layer.weights()[name])[0] / rate
            mine = (moved[:, 0] if name == "b" else moved)[tuple(rows)]
            broken += int(not theirs.isfinite().all())
            assert torch.equal(mine.isfinite(), theirs.isfinite()), (i, name)
            size = theirs[theirs.isfinite()].norm()
            assert (mine - theirs)[theirs.isfinite()].norm() <= 0.02 * size + 1e-4, (i, name)
    assert bool(broken) == overflow
