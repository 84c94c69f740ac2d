"""The batched, hand-written training step against golden vectors, autograd and the method's own properties."""

import subprocess
import sys
from dataclasses import replace

import numpy as np
import oracle
import pytest
import torch
from conftest import REPOSITORY
from einorm.conditions import CONDITIONS, KINDS, LayerKind
from einorm.error_signals import ERROR_SIGNALS, mean_units
from einorm.learning import (
    build,
    cross_entropy,
    forward_network,
    layer_norm,
    send_back,
    smooth_targets,
    train_step,
)
from einorm.metrics import error_shares, measure
from einorm.network import initial_layer, initial_network, stack_layers
from einorm.tools.golden import TOLERANCE, replay
from einorm.variants import PAPER
from hypothesis import given, settings
from hypothesis import strategies as st
from synthetic import OURS

GOLDEN = sorted((REPOSITORY / "tests" / "golden").glob("*.npz"))


def random_runs(condition, widths, n_in=60, seed=0):
    """Weights and hyperparameters of runs with unequal widths and rates."""
    rng = np.random.default_rng(seed)
    weights = [initial_network(CONDITIONS[condition].layer, n_in, width, seed, width) for width in widths]
    rates = [
        {"lr": rng.uniform(0.01, 0.1), "lr_wix": rng.uniform(0.01, 0.5), "lr_wei": rng.uniform(0.01, 0.1)}
        | {"lambda": rng.choice([0.01, 0.1, 1.0])}
        for _ in widths
    ]
    return weights, rates


def batches(steps, n_in=60, batch=8, seed=0):
    generator = torch.Generator().manual_seed(seed)
    for _ in range(steps):
        x = torch.rand(batch, n_in, generator=generator, dtype=torch.float64)
        yield x, torch.randint(0, 10, (batch,), generator=generator)


def as_tensors(weights, kind):
    names = {"e": ("Wex", "b"), "ei": ("Wex", "Wix", "Wei", "b")}
    names["inorm_sub"] = (*names["ei"], "w")
    names["inorm"] = (*names["inorm_sub"], "Bix")
    names["inorm_div"] = ("Wex", "b", "Bix", "w")
    kinds = [kind] * (len(weights) - 1) + ["ei"]
    return [{name: torch.tensor(W[name]) for name in names[k]} for W, k in zip(weights, kinds, strict=True)]


@pytest.mark.parametrize("path", GOLDEN, ids=lambda path: path.stem)
def test_golden_vectors(path):
    errors = replay(path)
    assert max(errors.values()) <= TOLERANCE, errors


def test_all_golden_vectors_are_here():
    assert {path.stem for path in GOLDEN} == set(CONDITIONS) - {"inorm_lambda", *OURS}  # ours have no golden vectors


def test_golden_command_prints_every_condition_and_fails_on_a_wrong_number(tmp_path):
    command = [sys.executable, "-m", "einorm", "golden"]
    done = subprocess.run([*command, GOLDEN[0].parent], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert all(path.stem in done.stdout for path in GOLDEN)
    wrong = dict(np.load(GOLDEN[0]))
    wrong["loss"] = wrong["loss"] * (1 + 1e-6)
    np.savez(tmp_path / GOLDEN[0].name, **wrong)
    done = subprocess.run([*command, tmp_path], capture_output=True, text=True)
    assert done.returncode == 1
    assert "FAILED" in done.stdout and "loss" in done.stdout


@pytest.mark.parametrize(
    ("name", "content", "says"),
    [("nonsense.npz", b"", "no condition is called"), ("inorm.npz", b"garbage", "not a golden vector")],
)
def test_golden_refuses_foreign_files(tmp_path, name, content, says, capsys):
    from einorm.__main__ import main

    (tmp_path / name).write_bytes(content)
    assert main(["golden", str(tmp_path)]) == 1
    assert says in capsys.readouterr().err


def test_golden_refuses_an_empty_folder(tmp_path, capsys):
    from einorm.__main__ import main

    assert main(["golden", str(tmp_path)]) == 1
    assert "holds no .npz" in capsys.readouterr().err


@pytest.mark.parametrize("condition", CONDITIONS)
@pytest.mark.parametrize("seed", [0, 1])
def test_step_equals_autograd(condition, seed):
    """R = 3 runs of unequal widths, 5 steps: losses and all parameters equal those of autograd, run by run."""
    widths = np.random.default_rng(seed).integers(11, 40, 3).tolist()
    weights, rates = random_runs(condition, widths, seed=seed)
    network = build(condition, weights, rates, torch.float64)
    reference = [as_tensors(W, CONDITIONS[condition].layer) for W in weights]
    rule = "inorm" if condition == "inorm_lambda" else condition
    for x, y in batches(5, seed=seed):
        loss = train_step(network, x, smooth_targets(y, 10, dtype=torch.float64))
        expected = [oracle.step(W, rule, x, y, run) for W, run in zip(reference, rates, strict=True)]
        torch.testing.assert_close(loss, torch.stack(expected), rtol=1e-10, atol=0)
    for r, layers in enumerate(reference):
        for layer, W in zip(network.layers, layers, strict=True):
            for name, value in W.items():
                ours = layer.weights()[name][r].squeeze(-1) if value.dim() == 1 else layer.weights()[name][r]
                ours = ours[tuple(map(slice, value.shape))]
                torch.testing.assert_close(
                    ours, value.detach(), rtol=1e-7, atol=1e-9, msg=lambda m, n=name: f"{n}: {m}"
                )


@pytest.mark.parametrize("condition", CONDITIONS)
def test_batched_runs_equal_single_runs(condition):
    """Neither padding nor neighbours change a run: R = 3 with unequal widths equals R = 1 each, metrics included."""
    weights, rates = random_runs(condition, [12, 33, 20])
    together = build(condition, weights, rates, torch.float64)
    alone = [build(condition, [W], [run], torch.float64) for W, run in zip(weights, rates, strict=True)]
    for x, y in batches(4):
        targets = smooth_targets(y, 10, dtype=torch.float64)
        metrics, *singles = [measure(each, x) | error_shares(each, x, targets) for each in (together, *alone)]
        for name, values in metrics.items():
            expected = torch.cat([single[name] for single in singles])
            torch.testing.assert_close(values, expected, rtol=1e-8, atol=1e-11, equal_nan=True)
        expected = torch.cat([train_step(network, x, targets) for network in alone])
        torch.testing.assert_close(train_step(together, x, targets), expected, rtol=1e-10, atol=0)


@pytest.mark.parametrize("condition", CONDITIONS)
@settings(deadline=None, max_examples=8)
@given(seed=st.integers(0, 10**6), steps=st.integers(1, 6))
def test_dales_principle_holds_after_any_number_of_steps(condition, seed, steps):
    weights, rates = random_runs(condition, [11, 14], n_in=20, seed=seed)
    network = build(condition, weights, rates, torch.float64)
    for x, y in batches(steps, n_in=20, seed=seed):
        train_step(network, x, smooth_targets(y, 10, dtype=torch.float64))
    for layer in network.layers:
        for name, value in layer.weights().items():
            if name in ("Wex", "Wix", "Wei"):
                assert (value >= 0).all(), name
        padding = layer.mask[:, :, 0] == 0
        assert (layer.weights()["Wex"][padding] == 0).all(), "padding must stay empty"


def test_without_dales_principle_weights_change_their_signs():
    weights, rates = random_runs("gradnorm_full", [12])
    networks = [
        build("gradnorm_full", weights, rates, torch.float64, way=PAPER | {"dale": dale}) for dale in (True, False)
    ]
    for x, y in batches(30):
        for network in networks:
            train_step(network, x, smooth_targets(y, 10, dtype=torch.float64))
    lowest = [min(layer.non_negative.min().item() for layer in network.layers) for network in networks]
    assert lowest[0] == 0 and lowest[1] < -0.01


@pytest.mark.parametrize("condition", ["ei_ln", "inorm", "gradnorm_full"])
def test_error_signals_are_those_that_weights_learn_from(condition):
    """Sent back, they change nothing; times the input and the rates they are what a step subtracts from the weights."""
    weights, rates = random_runs(condition, [12, 9])
    network = build(condition, weights, rates, torch.float64, way=PAPER | {"dale": False})
    ((x, y),) = batches(1)
    targets = smooth_targets(y, 10, dtype=torch.float64)
    before = [layer.W.clone() for layer in network.layers]
    states = forward_network(network, x.mT)
    error = (cross_entropy(states[-1]["z"], targets)[1].exp() - targets) / len(x)
    found = [(i, signals["h"], G @ states[i]["x"].mT) for i, _, signals, G in send_back(network, states, error)]
    assert [i for i, *_ in found] == [2, 1, 0]
    assert all(torch.equal(layer.W, W) for layer, W in zip(network.layers, before, strict=True))
    train_step(network, x, targets)
    for i, h, gradient in found:
        layer = network.layers[i]
        torch.testing.assert_close(before[i] - layer.W, network.rates[i]["W"] * gradient)
        assert h.shape == (2, layer.n_e, len(x))


@pytest.mark.parametrize("depth", [1, 3, 4])
@pytest.mark.parametrize("condition", ["ei_ln", "inorm", "gradnorm_full"])
def test_other_depths_equal_autograd(condition, depth):
    kind = CONDITIONS[condition].layer
    weights = [initial_network(kind, 60, 20, 0, hidden_layers=depth)]
    run = {"lr": 0.05, "lr_wix": 0.2, "lr_wei": 0.03, "lambda": 0.1}
    network = build(condition, weights, [run], torch.float64)
    reference = as_tensors(weights[0], kind)
    for x, y in batches(4):
        loss = train_step(network, x, smooth_targets(y, 10, dtype=torch.float64))
        torch.testing.assert_close(loss[0], oracle.step(reference, condition, x, y, run), rtol=1e-10, atol=0)
    metrics = measure(network, x)
    assert torch.isnan(metrics["mu"][:, 1]).all() == (depth == 1) and torch.isfinite(metrics["mu"][:, 0]).all()


def test_a_new_kind_of_layer_is_one_entry(monkeypatch):
    """I-Norm whose Wei learns from the local loss, too: the example of docs/extend.md equals autograd."""
    monkeypatch.setitem(KINDS, "all", LayerKind("all", task=("Wex",), local=("Wix", "Wei", "Bix")))
    monkeypatch.setitem(CONDITIONS, "inorm_all", replace(CONDITIONS["inorm"], layer="all"))
    monkeypatch.setitem(oracle.KIND, "inorm_all", "all")
    weights = initial_network("all", 60, 20, 0)
    run = {"lr": 0.05, "lr_wix": 0.2, "lr_wei": 0.03, "lambda": 0.1}
    network = build("inorm_all", [weights], [run], torch.float64)
    reference = as_tensors(weights, "inorm")
    for x, y in batches(4):
        loss = train_step(network, x, smooth_targets(y, 10, dtype=torch.float64))
        torch.testing.assert_close(loss[0], oracle.step(reference, "inorm_all", x, y, run), rtol=1e-10, atol=0)
    Wei, moved = network.layers[0].Wei[0, :20], torch.tensor(weights[0]["Wei"])
    torch.testing.assert_close(Wei, reference[0]["Wei"].detach())
    assert (Wei != moved).any()


def test_hidden_widths_are_padded_to_multiples_and_padding_stays_zero():
    weights, rates = random_runs("inorm", [21, 18])
    network = build("inorm", weights, rates)
    first, second, readout = network.layers
    assert (first.n_e, second.n_e, readout.n_e) == (24, 24, 10) and first.W.shape[2] == 60
    assert second.W.shape[2] == readout.W.shape[2] == 24
    for _ in range(3):
        train_step(network, torch.rand(8, 60), smooth_targets(torch.arange(8), 10))
    for r, width in enumerate((21, 18)):
        assert not second.weights()["Wex"][r, width:].any() and not second.W[r, :, width:].any()
        assert second.weights()["Wex"][r, :width, :width].all(1).any()


def plain_layer(n, runs=1):
    """A layer of given width, for functions that only need widths and masks."""
    layer = {"Wex": np.ones((n, n)), "b": np.zeros(n), "w": np.full(n, 1 / n)}
    return stack_layers("e", [layer] * runs, n, n, torch.float64)


@settings(deadline=None, max_examples=30)
@given(n=st.integers(5, 60), batch=st.integers(1, 9), seed=st.integers(0, 10**6))
def test_layer_norm_has_mean_0_and_variance_1(n, batch, seed):
    z = torch.randn(1, n, batch, generator=torch.Generator().manual_seed(seed), dtype=torch.float64) * 100
    normalized, _ = layer_norm(z, plain_layer(n))
    torch.testing.assert_close(normalized.mean(1), torch.zeros(1, batch, dtype=torch.float64), rtol=0, atol=1e-9)
    torch.testing.assert_close(
        normalized.var(1, correction=0), torch.ones(1, batch, dtype=torch.float64), rtol=0, atol=1e-5
    )


@settings(deadline=None, max_examples=30)
@given(n=st.integers(3, 60), seed=st.integers(0, 10**6))
def test_ln_error_signal_equals_autograd_of_layer_norm(n, seed):
    generator = torch.Generator().manual_seed(seed)
    z, g = (torch.randn(1, n, 4, generator=generator, dtype=torch.float64) for _ in range(2))
    z.requires_grad_(True)
    torch.nn.functional.layer_norm(z.mT, (n,), eps=1e-5).mT.backward(g)
    layer = plain_layer(n)
    normalized, sigma = layer_norm(z.detach(), layer)
    torch.testing.assert_close(ERROR_SIGNALS["layer_norm"](g, normalized, sigma, layer), z.grad)


def test_error_signals_do_what_their_names_say():
    layer = plain_layer(30)
    g, z = torch.randn(2, 1, 30, 4, dtype=torch.float64)
    z = layer_norm(z, layer)[0]
    sigma = torch.full((1, 1, 4), 2.0, dtype=torch.float64)

    def mean(a):
        return mean_units(a.clone(), layer)

    zero = torch.zeros(1, 1, 4, dtype=torch.float64)
    torch.testing.assert_close(mean(ERROR_SIGNALS["center"](g, z, sigma, layer)), zero)
    torch.testing.assert_close(ERROR_SIGNALS["scale"](g, z, sigma, layer), g / 2)
    uncorrelated = ERROR_SIGNALS["decorrelate"](g, z, sigma, layer)
    torch.testing.assert_close(mean(uncorrelated * z), zero, atol=1e-4, rtol=0)
    torch.testing.assert_close(mean(ERROR_SIGNALS["full"](g, z, sigma, layer)), zero)
    # equal synapses w = 1/n make lateral inhibition exact centering
    same = ERROR_SIGNALS["lateral"](g, z, sigma, layer)
    torch.testing.assert_close(same, ERROR_SIGNALS["center"](g, z, sigma, layer))
    assert ERROR_SIGNALS["unchanged"](g, z, sigma, layer) is g


def test_initial_weights_have_the_methods_statistics():
    W = initial_layer("inorm", 784, 400, 0, "test")
    s = np.sqrt(2 * 400 / (784 * 399))
    assert W["Wex"].mean() == pytest.approx(s, rel=0.02)
    assert W["Wex"].std() == pytest.approx(s, rel=0.03)
    np.testing.assert_allclose(W["Wei"].sum(1), 1)
    np.testing.assert_allclose(W["Wix"], np.repeat(W["Wex"].mean(0)[None], 40, 0))
    difference = W["Wex"] - W["Wei"] @ W["Wix"]
    np.testing.assert_allclose(W["Bix"].T @ W["Bix"], difference.T @ difference, atol=1e-10)
    assert W["w"].sum() == pytest.approx(1) and (W["w"] >= 0).all()
    assert initial_layer("ei", 400, 10, 0)["Wix"].shape == (1, 400)


def test_conditions_start_from_the_same_weights():
    layers = [initial_network(kind, 50, 20, 7, 3)[0]["Wex"] for kind in ("e", "ei", "inorm")]
    np.testing.assert_array_equal(layers[0], layers[1])
    np.testing.assert_array_equal(layers[0], layers[2])
    assert not np.array_equal(layers[0], initial_network("e", 50, 20, 8, 3)[0]["Wex"])
