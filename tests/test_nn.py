"""`einorm.nn`: networks to take away agree with golden vectors and the training step, and do what the page says."""

import copy
import re
from functools import partial

import einorm
import nbformat
import numpy as np
import pytest
import torch
from conftest import REPOSITORY
from einorm import learning
from einorm.conditions import CONDITIONS
from einorm.data import DATASETS
from einorm.network import initial_network
from einorm.nn import (
    LAYERS,
    EILayer,
    ELayer,
    ErrorSignal,
    INormLayer,
    LayerNorm,
    from_run,
    local_loss,
    log_balance,
    network,
    parameter_groups,
    project_,
    set_weights,
)
from einorm.records.archive import SHOWN
from einorm.runtime import UserError
from einorm.training.train import network_of
from torch.nn.functional import cross_entropy

GOLDEN = sorted((REPOSITORY / "tests" / "golden").glob("*.npz"))
PAGE = REPOSITORY / "docs" / "networks.md"
SNIPPET = re.search(r"^```python\n(.+?)^```$", PAGE.read_text(encoding="utf-8"), re.M | re.S)[1]
ADAM = (1e-3, 1e-3, 1e-3)


@pytest.fixture
def float64():
    torch.set_default_dtype(torch.float64)
    yield
    torch.set_default_dtype(torch.float32)


@pytest.fixture(autouse=True)
def seed():
    torch.manual_seed(0)


def small(condition="gradnorm_full", hidden=12, **options):
    """A small network, and a batch for it."""
    model = network(condition, hidden, inputs=20, lambda_=options.pop("lambda_", 0.3), **options)
    return model, torch.rand(16, 20), torch.randint(10, (16,))


def train(model, optimizer, x, y, steps=1, project=project_):
    """Losses of some steps on a batch: the task's and the local one."""
    losses = []
    for _ in range(steps):
        task, local = cross_entropy(model(x), y, label_smoothing=0.1), local_loss(model)
        optimizer.zero_grad()
        (task + local).backward()
        optimizer.step()
        project(model)
        losses.append((task.item(), local.item()))
    return np.array(losses)


def gradients(model, loss):
    """Names of the parameters that a loss reaches, and their gradients."""
    model.zero_grad()
    loss.backward()
    return {name: p.grad.clone() for name, p in model.named_parameters() if p.grad is not None and p.grad.any()}


def relative(computed, expected):
    return np.abs(np.asarray(computed.detach()) - expected).max() / max(np.abs(expected).max(), 1e-300)


@pytest.mark.parametrize("path", GOLDEN, ids=lambda path: path.stem)
def test_golden_vectors_are_met(path, float64):
    golden = dict(np.load(path))

    def weights(stage):
        return [
            {key.rpartition("/")[2]: golden[key] for key in golden if key.startswith(f"{stage}/{layer}/")}
            for layer in ("layer0", "layer1", "readout")
        ]

    (classes,), (hidden, inputs) = golden["initial/readout/b"].shape, golden["initial/layer0/Wex"].shape
    model = network(path.stem, hidden, inputs, classes, lambda_=float(golden["lambda"]))
    set_weights(model, weights("initial"))
    rates = [float(golden[name]) for name in ("lr", "lr_wix", "lr_wei")]
    optimizer = torch.optim.SGD(parameter_groups(model, *rates))
    for x, y, loss, logits in zip(golden["x"], golden["y"], golden["loss"], golden["logits"], strict=True):
        x, y = torch.tensor(x), torch.tensor(y).long()
        assert relative(model(x), logits) < 1e-8
        assert abs(train(model, optimizer, x, y)[0, 0] - loss) < 1e-8 * loss
    for layer, final in zip(("layer0", "layer1", "readout"), weights("final"), strict=True):
        for name in final.keys() - {"w"}:
            assert relative(model.get_parameter(f"{layer}.{name}"), final[name]) < 1e-8, (layer, name)


@pytest.mark.parametrize("condition", CONDITIONS)
def test_steps_agree_with_those_of_the_workflow(condition, float64):
    run = {"lr": 0.05, "lr_wix": 0.02, "lr_wei": 0.01, "lambda": 0.3}
    weights = initial_network(CONDITIONS[condition].layer, 31, 11, "nn")
    batched = learning.build(condition, [weights], [run], torch.float64)
    model = network(condition, 11, inputs=31, lambda_=run["lambda"])
    set_weights(model, weights)
    optimizer = torch.optim.SGD(parameter_groups(model, run["lr"], run["lr_wix"], run["lr_wei"]))
    for _ in range(4):
        x, y = torch.rand(6, 31), torch.randint(10, (6,))
        loss = learning.train_step(batched, x, learning.smooth_targets(y, 10, dtype=torch.float64))
        assert train(model, optimizer, x, y)[0, 0] == pytest.approx(loss.item(), rel=1e-10)
    shapes = {name: value.shape for name, value in model.state_dict().items()}
    for i, (layer, mine) in enumerate(zip(batched.layers, ("layer0", "layer1", "readout"), strict=True)):
        for name, value in layer.weights().items():
            key = f"signal{i}.w" if name == "w" else f"{mine}.{name}"
            if key in shapes:
                expected = value[0].squeeze(1) if name in "bw" else value[0]
                part = expected[tuple(map(slice, shapes.pop(key)))]
                torch.testing.assert_close(model.state_dict()[key], part, rtol=1e-10, atol=1e-13, msg=key)
    assert not shapes


@pytest.mark.parametrize(
    ("options", "inhibitory"),
    [({}, {"Wix", "Bix"}), ({"divisive": False}, {"Wix", "Wei"}), ({"subtractive": False}, {"Bix"})],
)
def test_inhibition_learns_by_the_local_loss_and_excitation_by_the_task(options, inhibitory):
    layer, x = INormLayer(20, 12, lambda_=0.5, **options), torch.rand(16, 20, requires_grad=True)
    with torch.no_grad():
        layer.b += torch.rand(12)  # away from the normalized start
    task = gradients(layer, layer(x).square().sum())
    assert task.keys() == {"Wex", "b"} and x.grad.any()
    x.grad = None
    assert gradients(layer, layer.local_loss()).keys() == inhibitory and x.grad is None


def test_in_an_ei_layer_the_task_trains_everything():
    layer = EILayer(20, 12)
    assert gradients(layer, layer(torch.rand(16, 20)).square().sum()).keys() == {"Wex", "b", "Wix", "Wei"}


def test_error_signals_are_the_identity_forwards():
    z = torch.randn(8, 3, 12, requires_grad=True)  # with a further axis, as of places
    for rule in ("full", "center", "scale", "decorrelate", "lateral", "lateral_plastic", "unchanged"):
        assert torch.equal(ErrorSignal(rule, units=12)(z), z)
    g = torch.randn(8, 3, 12)
    ErrorSignal("center")(z).backward(g)
    torch.testing.assert_close(z.grad, g - g.mean(-1, keepdim=True))


def test_the_full_rule_on_normalized_activity_is_the_gradient_of_ln(float64):
    z, g = torch.randn(8, 12), torch.randn(8, 12)
    grads = [torch.autograd.grad(f(leaf), leaf, g)[0] for f, leaf in (
        (LayerNorm(), z.clone().requires_grad_()), (ErrorSignal("full", before_ln=True), z.clone().requires_grad_()),
        (LayerNorm(detached=True), z.clone().requires_grad_()))]  # fmt: skip
    torch.testing.assert_close(grads[0], grads[1])
    assert torch.equal(grads[2], g)


@pytest.mark.parametrize("make", [torch.optim.SGD, torch.optim.Adam, torch.optim.AdamW, torch.optim.RMSprop])
def test_any_optimizer_trains_and_signs_are_kept(make):
    model, x, y = small()
    optimizer = make(parameter_groups(model, *((0.1, 0.1, 0.1) if make is torch.optim.SGD else ADAM)))
    losses = train(model, optimizer, x, y, steps=60)
    assert losses[-1, 0] < losses[0, 0] - 0.1
    signed = [p for name, p in model.named_parameters() if name.endswith(("Wex", "Wix", "Wei"))]
    assert len(signed) == 9 and all((p >= 0).all() for p in signed)


def test_without_projection_signs_are_lost_and_a_hook_of_the_optimizer_keeps_them():
    for hook in (False, True):
        model, x, y = small()
        optimizer = torch.optim.Adam(parameter_groups(model, 0.05, 0.05, 0.05))
        if hook:
            optimizer.register_step_post_hook(lambda *_, model=model: project_(model))
        train(model, optimizer, x, y, steps=5, project=lambda _: None)
        assert bool((model.layer0.Wex >= 0).all()) == hook
        assert (model.layer0.Bix < 0).any(), "Bix is free"


def test_a_module_of_ones_own_can_declare_signs():
    class Own(torch.nn.Linear):
        non_negative = ("weight",)

    own = torch.nn.Sequential(Own(5, 5))
    project_(own)
    assert (own[0].weight >= 0).all() and (own[0].bias < 0).any()


def test_parameter_groups_hold_every_parameter_once_at_its_rate():
    model = torch.nn.Sequential(small("lateral_plastic")[0], torch.nn.Linear(10, 10))
    groups = {group["lr"]: group["params"] for group in parameter_groups(model, 1.0, 2.0, 3.0)}
    names = {parameter: name.rpartition(".")[2] for name, parameter in model.named_parameters()}
    assert {rate: {names[p] for p in parameters} for rate, parameters in groups.items()} == {
        1.0: {"Wex", "b", "weight", "bias"}, 2.0: {"Wix", "Bix", "w"}, 3.0: {"Wei"}}  # fmt: skip
    assert sum(map(len, groups.values())) == len(names)
    assert [group["name"] for group in parameter_groups(small("e_only_ln")[0].layer0)] == ["lr"]


def test_weights_are_saved_and_read_and_images_come_in_any_shape(tmp_path):
    model, x, y = small("lateral_inhibition")
    train(model, torch.optim.SGD(parameter_groups(model)), x, y)
    torch.save(model.state_dict(), tmp_path / "weights.pt")
    again, *_ = small("lateral_inhibition")
    assert not torch.equal(again(x), model(x))
    again.load_state_dict(torch.load(tmp_path / "weights.pt"))
    assert torch.equal(again(x.view(16, 1, 4, 5)), model(x))
    assert torch.equal(again.signal0.w, model.signal0.w), "fixed pooling weights are saved, too"


def test_the_seed_of_torch_decides_the_start():
    first, second = small()[0], small()[0]
    torch.manual_seed(0)
    third = small()[0]
    assert torch.equal(first.layer0.Wex, third.layer0.Wex) and not torch.equal(first.layer0.Wex, second.layer0.Wex)


def test_a_network_is_copied_and_pickled_after_a_pass(tmp_path):
    model, x, _ = small()
    model(x)
    copied = copy.deepcopy(model)
    torch.save(model, tmp_path / "model.pt")
    read = torch.load(tmp_path / "model.pt", weights_only=False)
    for other in (copied, read):
        with pytest.raises(UserError, match="call the network first"):
            local_loss(other)
        assert torch.equal(other(x), model(x)) and local_loss(other) == local_loss(model)


@pytest.mark.parametrize("device", ["meta", *["cuda"][: torch.cuda.device_count()]])
@pytest.mark.parametrize("condition", ["gradnorm_full", "lateral_plastic", "ei_ln_detached", "inorm_div"])
def test_everything_moves_to_another_device(condition, device):
    model, x, _ = small(condition)
    model = model.to(device)
    (model(x.to(device)).sum() + local_loss(model)).backward()
    project_(model)
    assert {value.device.type for value in model.state_dict().values()} == {device}


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
@pytest.mark.parametrize("condition", ["gradnorm_full", "ei_ln", "lateral_plastic"])
def test_autocast_keeps_weights_and_losses_in_float32(condition, dtype):
    model, x, y = small(condition, hidden=20)
    exact = gradients(model, cross_entropy(model(x), y) + local_loss(model))["layer0.Wex"]
    with torch.autocast("cpu", dtype):
        loss = cross_entropy(model(x), y) + local_loss(model)
        assert model(1000 * x).isfinite().all(), "squares of divisive inputs do not overflow"
    assert loss.dtype == model.layer0.Wex.dtype == torch.float32
    cast = gradients(model, loss)["layer0.Wex"]
    assert torch.nn.functional.cosine_similarity(cast, exact, 1).median() > 0.95


@pytest.mark.parametrize("condition", ["gradnorm_full", "lateral_plastic"])
def test_compiled_networks_have_the_same_gradients(condition):
    model, x, y = small(condition)
    compiled = torch.compile(model, backend="aot_eager", fullgraph=True)  # whole, and without a C++ compiler
    expected = gradients(model, cross_entropy(model(x), y) + local_loss(model))
    found = gradients(model, cross_entropy(compiled(x), y) + local_loss(compiled))
    for name in expected:
        torch.testing.assert_close(found[name], expected[name], msg=name)


def test_a_run_of_an_archive_starts_from_its_own_weights():
    folder = REPOSITORY / "paper_artifact" / "archive" / SHOWN
    runs = einorm.load(folder)["runs"]
    row = runs[runs["condition"] == "gradnorm_full"].sort_values("hidden_width").iloc[0]
    model, run = from_run(folder, row["digest"][:12])
    assert run["digest"] == row["digest"] and run["lr"] == row["lr"]
    (first, *_, readout) = network_of([run | {"lambda": run["lambda_"]}], 784).layers
    torch.testing.assert_close(model.layer0.Wex, first.weights()["Wex"][0, : run["hidden_width"]], rtol=0, atol=0)
    torch.testing.assert_close(model.readout.Wix[0], readout.weights()["Wix"][0, 0, : run["hidden_width"]])
    with pytest.raises(UserError, match=r"^\d+ runs in .+ have a digest that begins with ''"):
        from_run(folder, "")
    with pytest.raises(UserError, match=r"^0 runs"):
        from_run(folder, "no such")


def test_a_layer_of_one_unit_is_refused():
    """The width of the initial weights divides by n_e - 1."""
    for make in (lambda: EILayer(10, 1), lambda: network("gradnorm_full", hidden=20, classes=1)):
        with pytest.raises(UserError, match="at least 2 excitatory units, not 1"):
            make()


def test_a_network_of_a_run_has_as_many_inputs_as_its_images_have_pixels(monkeypatch):
    folder = REPOSITORY / "paper_artifact" / "archive" / SHOWN
    digest = einorm.load(folder)["runs"].sort_values("hidden_width").iloc[0]["digest"]
    monkeypatch.setitem(DATASETS, "fashion_mnist", DATASETS["fashion_mnist"] | {"pixels": 900})
    assert from_run(folder, digest)[0].layer0.Wex.shape[1] == 900


def test_at_the_start_inhibition_is_the_mean_excitation_and_single_units_are_off():
    model, x = network("ei_none", hidden=100), torch.rand(50, 784)
    excitation, balance = x @ model.layer0.Wex.T, log_balance(model.layer0, x)
    inhibition = excitation - (model.layer0(x) - model.layer0.b)
    torch.testing.assert_close(inhibition, excitation.mean(1, keepdim=True).expand_as(inhibition), rtol=1e-4, atol=0)
    torch.testing.assert_close(balance, (excitation / inhibition).log(), rtol=1e-2, atol=1e-4)
    assert abs(balance.mean()) < 0.01 < balance.mean(0).std()
    assert excitation.mean() > 10 * model.layer0(x).std(1).mean(), "each is many times larger than the difference"
    for layer in (ELayer(20, 12), INormLayer(20, 12, subtractive=False)):
        assert layer(torch.rand(50, 20)).mean() > 0.5
        with pytest.raises(UserError, match="no subtractive inhibition"):
            log_balance(layer, torch.rand(2, 20))


def test_under_adam_inhibition_still_normalizes_while_the_task_is_learned():
    model, x, y = small()
    losses = train(model, torch.optim.Adam(parameter_groups(model, 1e-2, 1e-2, 1e-2)), x, y, steps=150)
    assert losses[-1, 0] < 0.7 * losses[0, 0] and losses[-1, 1] < 0.2 * losses[:40, 1].max()
    assert abs(model.layer0(x).mean(1)).max() < 0.5


def test_adam_leaves_lambda_without_effect(float64):
    def inhibition(lambda_, make, rates):
        torch.manual_seed(0)
        model, x, y = small(lambda_=lambda_)
        for layer in (model.layer0, model.layer1):  # at the very start the local loss is 0
            layer.b.data += torch.rand(12)
        train(model, make(parameter_groups(model, *rates)), x, y, steps=5)
        return model.layer1.Bix.detach()

    one, other, sgd, other_sgd = (inhibition(lambda_, make, rates)
        for make, rates in ((partial(torch.optim.Adam, eps=1e-14), ADAM), (torch.optim.SGD, (0.1, 0.1, 0.1)))
        for lambda_ in (0.1, 10.0))  # fmt: skip
    torch.testing.assert_close(one, other, rtol=1e-2, atol=1e-5)
    assert (sgd - other_sgd).abs().max() > 1e-2


def test_centered_gradients_give_centered_updates_by_sgd_but_not_by_adam(float64):
    for make, centered in ((torch.optim.SGD, True), (torch.optim.Adam, False)):
        model, x, y = small("gradnorm_center")
        train(model, make(parameter_groups(model, 0.1, 0.1, 0.1)), x, y)
        bias = model.layer1.b.detach()
        torch.testing.assert_close(model.layer1.b.grad.sum(), torch.tensor(0.0), rtol=0, atol=1e-12)
        assert (abs(bias.sum()) < 1e-10 * bias.abs().sum()) == centered


def test_clipping_all_gradients_together_lets_the_task_scale_inhibition():
    model, x, y = small()
    norms = []
    for scale in (1, 1000):
        gradients(model, scale * cross_entropy(model(x), y) + local_loss(model))
        before = model.layer1.Bix.grad.norm().item()
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        norms.append((before, model.layer1.Bix.grad.norm().item()))
    assert norms[0][0] == pytest.approx(norms[1][0]) and norms[1][1] < 0.1 * norms[0][1]


def test_weight_decay_pulls_inhibition_but_not_what_is_fixed():
    model, x, y = small(lambda_=0.0)
    before = copy.deepcopy(model)
    train(model, torch.optim.AdamW(parameter_groups(model, *ADAM), weight_decay=1.0), x, y, steps=3)
    assert (model.layer0.Wix < before.layer0.Wix).all() and torch.equal(model.layer0.Wei, before.layer0.Wei)


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        (lambda: network("gradnorm_ful"), "there is no condition gradnorm_ful: take one of"),
        (lambda: network("inorm_lambda"), "give lambda_"),
        (lambda: ErrorSignal("ful"), "there is no error signal ful"),
        (lambda: ErrorSignal("lateral"), "units=..."),
        (lambda: INormLayer(5, 9), "5 inputs, 9 units"),
        (lambda: INormLayer(9, 5, subtractive=False, divisive=False), "take an ELayer"),
    ],
)
def test_mistakes_are_named(wrong, message):
    with pytest.raises(UserError, match=re.escape(message)):
        wrong()


def test_the_snippet_of_the_page_trains_in_twenty_lines(capsys):
    assert len(SNIPPET.splitlines()) <= 20
    exec(SNIPPET, {})
    assert int(re.search(r"(\d+)%", capsys.readouterr().out)[1]) >= 90


def test_the_notebook_trains_both_networks(capsys):
    notebook = nbformat.read(REPOSITORY / "docs" / "layers.ipynb", as_version=4)
    assert not any(cell.get("outputs") for cell in notebook.cells), "the tracked notebook holds no results"
    exec("\n".join(cell.source for cell in notebook.cells if cell.cell_type == "code"), {})
    accuracies = [int(number) for number in re.findall(r"accuracy (\d+) %", capsys.readouterr().out)]
    assert len(accuracies) == 2 and min(accuracies) >= 80


def test_conditions_with_pooling_weights_start_from_the_same_other_weights():
    states = []
    for condition in ("inorm", "lateral_inhibition", "lateral_plastic"):
        torch.manual_seed(1)
        states.append(network(condition, 16).state_dict())
    for state in states[1:]:
        assert all(torch.equal(state[name], values) for name, values in states[0].items())
        assert {*state} - {*states[0]} == {"signal0.w", "signal1.w"}


def test_what_has_no_module_or_is_not_known_any_more_is_named(monkeypatch):
    monkeypatch.setitem(CONDITIONS, "mine", CONDITIONS["inorm"])
    monkeypatch.delitem(LAYERS, "inorm")
    with pytest.raises(UserError, match="layers of kind inorm have no module yet"):
        network("mine")
    with pytest.raises(UserError, match="hidden_layers must be at least 1"):
        network("e_only_ln", hidden_layers=0)
    folder = REPOSITORY / "paper_artifact" / "archive" / SHOWN
    digest = einorm.load(folder)["runs"].query("condition == 'gradnorm_center'")["digest"].iloc[0]
    monkeypatch.delitem(CONDITIONS, "gradnorm_center")
    with pytest.raises(UserError, match="the run's condition, gradnorm_center, is not known here"):
        from_run(folder, digest)
    assert local_loss(torch.nn.ReLU()) == 0
