"""`golden` itself: cases of any width, made from the equations by the oracle, pass; a wrong number in them does not."""

import numpy as np
import oracle
import pytest
import torch
from conftest import REPOSITORY
from einorm.__main__ import main
from einorm.conditions import CONDITIONS
from einorm.network import initial_network
from einorm.runtime import UserError
from einorm.tools.golden import TOLERANCE, replay
from hypothesis import given, settings
from hypothesis import strategies as st
from torch.nn import functional as F  # noqa: N812

LAYERS = ("layer0", "layer1", "readout")
BLOCKS = {"e": "Wex b", "ei": "Wex Wix Wei b", "inorm_sub": "Wex Wix Wei b w", "inorm": "Wex Wix Wei b w Bix"}
BLOCKS["inorm_div"] = "Wex b Bix w"
REPLAYED = [name for name in CONDITIONS if name not in ("inorm_lambda", "lateral_plastic", "e_error_only")]


def write_case(path, condition, width, inputs=31, steps=3, seed=0, silent=False):
    """A golden file, and its arrays; silent: the first hidden layer has no active unit, so that nothing is aligned."""
    kind, rng = CONDITIONS[condition].layer, np.random.default_rng(seed)
    kinds = [kind, kind, "ei"]
    arrays = initial_network(kind, inputs, width, seed, "golden")
    weights = [{name: torch.tensor(W[name]) for name in BLOCKS[k].split()} for k, W in zip(kinds, arrays, strict=True)]
    if silent:
        weights[0]["b"] -= 100
    run = {"lr": 0.05, "lr_wix": 0.02, "lr_wei": 0.01, "lambda": 0.3}
    case = {name: np.array(value) for name, value in run.items()}
    case |= {
        f"initial/{label}/{name}": v.numpy().copy()
        for label, W in zip(LAYERS, weights, strict=True)
        for name, v in W.items()
    }
    x, y = torch.tensor(rng.uniform(0, 1, (steps, 6, inputs))), torch.tensor(rng.integers(0, 10, (steps, 6)))
    rows = [measured_step(weights, condition, *batch, run) for batch in zip(x, y, strict=True)]
    case |= {"x": x.numpy(), "y": y.numpy()} | {name: np.array([row[name] for row in rows]) for name in rows[0]}
    case |= {
        f"final/{label}/{name}": v.detach().numpy()
        for label, W in zip(LAYERS, weights, strict=True)
        for name, v in W.items()
    }
    np.savez(path, **case)
    return case


def measured_step(weights, condition, x, y, run):
    """What a golden file holds of one step, and the step."""
    kind, batch = CONDITIONS[condition].layer, x
    row = {name: [] for name in ("mu", "var", "output_alignment", "gradient_alignment")}
    with torch.no_grad():
        for W in weights[:-1]:
            z, _ = oracle.layer(W, batch, oracle.KIND.get(condition, "inorm"))
            row["mu"].append(float(z.mean()))
            row["var"].append(float(z.var(1, correction=0).mean()))
            ln = F.layer_norm(z, z.shape[1:], eps=1e-5)
            row["output_alignment"].append(cosine(F.relu(ln), F.relu(z)))
            with torch.enable_grad():
                row["gradient_alignment"].append(float(oracle.gradient_alignment(W, batch, condition).nan_to_num(0)))
            batch = F.relu(oracle.normalize(z, condition, W.get("w")))
        row["logits"] = oracle.layer(weights[-1], batch, "ei")[0].numpy()
    if kind == "inorm_sub":
        row |= {name: [np.nan, np.nan] for name in ("output_alignment", "gradient_alignment")}
    return row | {"loss": float(oracle.step(weights, condition, x, y, run))}


def cosine(a, b):
    """Cosine of two arrays; 0 where one of them is 0, as in the release."""
    return float(F.cosine_similarity(a.flatten(), b.flatten(), dim=0, eps=1e-8))


@pytest.mark.parametrize("condition", REPLAYED)
def test_widths_that_are_no_multiple_of_the_padding_are_replayed(tmp_path, condition):
    for width in (11, 21):
        write_case(tmp_path / f"{condition}.npz", condition, width)
        errors = replay(tmp_path / f"{condition}.npz")
        assert max(errors.values()) <= TOLERANCE, (width, errors)


@pytest.mark.parametrize("condition", ["inorm", "gradnorm_full", "lateral_inhibition", "ei_none"])
def test_a_silent_layer_is_replayed(tmp_path, condition):
    case = write_case(tmp_path / f"{condition}.npz", condition, 13, silent=True)
    assert (case["gradient_alignment"][:, 0] == 0).all() and (case["output_alignment"][:, 0] == 0).all()
    errors = replay(tmp_path / f"{condition}.npz")
    assert max(errors.values()) <= TOLERANCE, errors


@settings(max_examples=12, deadline=None)
@given(width=st.integers(2, 40), inputs=st.integers(40, 50), seed=st.integers(0, 99), data=st.data())
def test_a_right_case_passes_and_one_wrong_number_does_not(tmp_path_factory, width, inputs, seed, data):
    path = (
        tmp_path_factory.mktemp("golden") / f"{data.draw(st.sampled_from(['inorm', 'ei_ln', 'gradnorm_center']))}.npz"
    )
    case = write_case(path, path.stem, width, inputs, steps=2, seed=seed)
    assert max(replay(path).values()) <= TOLERANCE
    name = data.draw(
        st.sampled_from(sorted(n for n in case if n.startswith("final/") or n in ("loss", "logits", "mu")))
    )
    place = data.draw(st.integers(0, case[name].size - 1))
    case[name].flat[place] += 1e-6 * (1 + np.abs(case[name]).max())
    np.savez(path, **case)
    assert max(replay(path).values()) > TOLERANCE, name


def test_a_parameter_of_another_shape_is_refused(tmp_path):
    case = write_case(tmp_path / "ei_ln.npz", "ei_ln", 9)
    np.savez(tmp_path / "ei_ln.npz", **case | {"final/layer1/Wex": case["final/layer1/Wex"][:, :-1]})
    with pytest.raises(UserError, match="not a golden vector"):
        replay(tmp_path / "ei_ln.npz")


def test_the_fused_step_says_that_it_needs_a_gpu(monkeypatch, capsys):
    """It blamed the file."""
    monkeypatch.delenv("TRITON_INTERPRET", raising=False)
    assert main(["golden", str(REPOSITORY / "tests" / "golden"), "--step", "fused"]) == 1
    assert "einorm: error: the fused step needs a GPU" in capsys.readouterr().err
