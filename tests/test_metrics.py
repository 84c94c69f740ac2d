"""Metrics of a network: alignments against autograd, shares of error signals against their definition."""

import oracle
import pytest
import torch
from einorm.conditions import CONDITIONS
from einorm.learning import build, forward_network, send_back, smooth_targets, train_step
from einorm.metrics import error_shares, measure
from einorm.records import tables
from einorm.variants import PAPER
from test_learning import as_tensors, batches, random_runs

WIDTHS = [12, 33]  # padded to 40


@pytest.mark.parametrize(
    "condition", [c for c in CONDITIONS if CONDITIONS[c].layer != "inorm_sub" and c != "e_error_only"]
)
def test_gradient_alignment_equals_autograd(condition):
    weights, rates = random_runs(condition, [17, 30])
    network = build(condition, weights, rates, torch.float64)
    (x, _), *_ = batches(1)
    rule = "inorm" if condition == "inorm_lambda" else condition
    ours = measure(network, x)["gradient_alignment"][:, 0]
    W = [as_tensors(run, CONDITIONS[condition].layer)[0] for run in weights]
    expected = torch.stack([oracle.gradient_alignment(layer, x, rule) for layer in W])
    torch.testing.assert_close(ours, expected, rtol=1e-9, atol=1e-12)


@pytest.fixture
def batch():
    ((x, y),) = batches(1)
    return x, smooth_targets(y, 10, dtype=torch.float64)


def network_of(condition, **way):
    weights, rates = random_runs(condition, WIDTHS)
    return build(condition, weights, rates, torch.float64, way=PAPER | way)


@pytest.mark.parametrize("condition", CONDITIONS)
def test_shares_are_those_of_projections(condition, batch):
    """Run by run, without padding: the squared length of each direction's projection, by the signals' own."""
    network, (x, targets) = network_of(condition), batch
    shares = error_shares(network, x, targets)
    assert set(shares) == set(tables.SHARES)
    states = forward_network(network, x.mT)
    error = (states[-1]["z"].softmax(1) - targets) / len(x)
    for i, g, signals, _ in list(send_back(network, states, error))[1:]:
        for r, n in enumerate(WIDTHS):
            z = states[i]["z"][r, :n]
            common = torch.ones_like(z) / n**0.5
            along = (z - z.mean(0)) / (z - z.mean(0)).norm(dim=0)
            for name, signal in (("g", g[r, :n]), ("h", signals["h"][r, :n])):
                for direction, unit in (("common", common), ("along", along)):
                    expected = (signal * unit).sum(0).square().sum() / signal.square().sum()
                    torch.testing.assert_close(shares[f"{name}_{direction}"][r, i], expected, rtol=1e-9, atol=1e-12)


@pytest.mark.parametrize("dale", [True, False])
@pytest.mark.parametrize("condition", ["ei_none", "e_only_ln", "inorm", "gradnorm_center"])
def test_the_share_of_the_update_is_that_of_what_a_step_does(condition, dale, batch):
    network, (x, targets) = network_of(condition, dale=dale), batch
    before = [layer.weights()["Wex"].clone() for layer in network.layers]
    shares = error_shares(network, x, targets)["update_common"]
    assert all(torch.equal(layer.weights()["Wex"], W) for layer, W in zip(network.layers, before, strict=True))
    train_step(network, x, targets)
    for i, layer in enumerate(network.layers[:2]):
        for r, n in enumerate(WIDTHS):
            change = (layer.weights()["Wex"] - before[i])[r, :n]
            expected = n * change.mean(0).square().sum() / change.square().sum()
            torch.testing.assert_close(shares[r, i], expected, rtol=1e-6, atol=1e-9)


def test_rules_remove_the_direction_that_they_are_named_for(batch):
    found = {name: error_shares(network_of(name), *batch) for name in
             ("e_only_ln", "inorm", "gradnorm_center", "gradnorm_scale", "gradnorm_decorrelate")}  # fmt: skip
    for condition in ("e_only_ln", "gradnorm_center"):
        assert found[condition]["h_common"].max() < 1e-12 and found[condition]["g_common"].min() > 1e-3
    assert found["e_only_ln"]["h_along"].max() < 1e-6, "but for the 1e-5 that LN adds to the variance"
    for name in ("common", "along"):
        for condition in ("inorm", "gradnorm_scale"):
            ratio = found[condition][f"h_{name}"] / found[condition][f"g_{name}"]
            assert ((ratio > 0.5) & (ratio < 2)).all(), "divided by a number per image, its direction stays"
    assert (found["gradnorm_decorrelate"]["h_along"] < found["inorm"]["h_along"]).all()


def test_there_is_no_share_of_nothing(batch):
    """A network with one hidden layer has no layer 1; the release's casts send errors back elsewhere."""
    weights, rates = random_runs("inorm", WIDTHS)
    shallow = build("inorm", [[run[0], run[2]] for run in weights], rates, torch.float64)
    for values in error_shares(shallow, *batch).values():
        assert torch.isfinite(values[:, 0]).all() and torch.isnan(values[:, 1]).all()
    assert error_shares(network_of("inorm", precision="release"), *batch) == {}
