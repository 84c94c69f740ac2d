"""The training steps of a GPU: on a GPU where there is one, and on the CPU, whose plain step is their judge."""

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
import torch
from einorm.conditions import CONDITIONS
from einorm.error_signals import ERROR_SIGNALS
from einorm.records import codes, lineage, tables
from einorm.records.tables import METRICS
from einorm.training import gpu, job, jobfile, train
from test_train import some_runs

pytest.importorskip("triton", reason="Triton exists for Linux only")
from einorm.training import fused

CUDA = torch.cuda.is_available()
DEVICES = ("cpu", pytest.param("cuda", marks=pytest.mark.skipif(not CUDA, reason="needs a CUDA device")))
KINDS = ("graph", "fused")
PER_RUN = ["config", "lambda_", "status", "collapsed_step", "digest", "epoch"]

pytestmark = [pytest.mark.parametrize("device", DEVICES), pytest.mark.parametrize("kind", KINDS)]


@pytest.fixture(autouse=True)
def large_tiles(monkeypatch, device):
    """Triton's interpreter takes the same time for tiles of any size."""
    if device == "cpu":
        monkeypatch.setattr(fused, "INPUTS", 256)


def small(condition="gradnorm_full", widths=(24, 17), **changes):
    """Two narrow runs of one epoch: three steps, and one on the last 10 images."""
    pair = some_runs(condition, **{"epochs": 1, "train_images": 106, "test_images": 200} | changes)
    return [run | {"hidden_width": width} for run, width in zip(pair, widths, strict=True)]


def assert_same_rows(ours, cpus, rtol=2e-3, atol=1e-4, accuracy=0.6):
    """Everything that is the same whatever the rounding, and every metric within it; accuracy within one of 200."""
    pd.testing.assert_frame_equal(ours[PER_RUN], cpus[PER_RUN])
    assert list(ours) == list(cpus)
    for name in METRICS:
        limits = {"rtol": 0, "atol": accuracy} if name.endswith("acc") else {"rtol": rtol, "atol": atol}
        np.testing.assert_allclose(ours[name], cpus[name], **limits, err_msg=name)


@pytest.mark.parametrize("condition", CONDITIONS)
def test_an_epoch_of_every_condition_is_the_cpus(images, no_shifts, device, kind, condition):
    """With a partial last batch; losses, accuracy and all metrics."""
    if device == "cpu" and condition not in ("ei_ln", "gradnorm_full"):
        pytest.skip("on a CPU the loop is the same for all; their steps are in test_fused.py")
    chosen = small(condition)
    assert_same_rows(train.train(chosen, images, no_shifts, device, step=kind), train.train(chosen, images, no_shifts))


def test_full_batches_only(images, no_shifts, device, kind):
    chosen = small("e_only_ln", train_images=64)
    assert_same_rows(train.train(chosen, images, no_shifts, device, step=kind), train.train(chosen, images, no_shifts))


def test_a_collapse_in_the_middle_of_a_job(images, device, kind):
    """One run is lost in the second of three epochs, at its second step of two; the other goes on."""
    pair = small("gradnorm_decorrelate", epochs=3, train_images=64, randomness="release")
    shifts = train.draw_shifts_of(pair)
    shifts["train"][1, 0, 40] = np.nan
    ours, cpus = train.train(pair, images, shifts, device, step=kind), train.train(pair, images, shifts)
    lost, kept = (ours[ours["config"] == config] for config in (0, 1))
    assert (lost["status"] == "collapsed").all() and (lost["collapsed_step"] == 3).all()
    assert lost["mu0"].isna().tolist() == [False, True, True] and (kept["status"] == "finished").all()
    assert_same_rows(ours, cpus, rtol=1e-2)


def test_repeats_are_equal_bit_for_bit(images, no_shifts, device, kind):
    first, second = (
        train.train(small(epochs=2), images, no_shifts, device, step=kind).drop(columns="seconds") for _ in range(2)
    )
    pd.testing.assert_frame_equal(first, second)


def test_no_product_is_in_tf32(images, no_shifts, device, kind):
    torch.set_float32_matmul_precision("high")
    try:
        train.train(small("e_only_none", train_images=64), images, no_shifts, device, step=kind)
        assert torch.get_float32_matmul_precision() == "highest"
        assert not torch.backends.cuda.matmul.allow_tf32
    finally:
        torch.set_float32_matmul_precision("highest")


@pytest.mark.parametrize("variant", ["shuffled", "validation", "depth1", "depth3", "no_smoothing"])
def test_variants(images, no_shifts, device, kind, variant):
    changes = {"validation_images": 100, "train_images": 206} if variant == "validation" else {}
    chosen = small("ei_ln", variant=variant, **changes)
    assert_same_rows(train.train(chosen, images, no_shifts, device, step=kind), train.train(chosen, images, no_shifts))


def test_the_releases_random_numbers_give_every_run_its_shifts(images, device, kind):
    chosen = small("inorm", randomness="release")
    shifts = train.draw_shifts_of(chosen)
    assert shifts["train"].ndim == 3
    assert_same_rows(train.train(chosen, images, shifts, device, step=kind), train.train(chosen, images, shifts))


@pytest.mark.parametrize("randomness", ["own", "release"])
def test_initial_weights_are_the_cpus(device, kind, randomness):
    chosen = small("inorm", randomness=randomness)
    ours, cpus = train.network_of(chosen, 784, device=device), train.network_of(chosen, 784)
    for a, b in zip(ours.layers, cpus.layers, strict=True):
        for name, value in b.weights().items():
            assert torch.equal(a.weights()[name].cpu(), value), name


def test_jobs_draw_equal_weights_once(device, kind):
    calls = []
    for names, drawn in (([(3,), (4,), (3,)], [[3], [4], [3]]), ([(4,)], [[4]])):
        assert gpu.draw_once(lambda n: calls.append(n) or [n], names) == drawn
    assert sorted(calls) == [3, 4, 4], "another function draws anew"


def test_a_run_names_the_step_that_trained_it(device, kind):
    run = some_runs()[0]
    assert codes.code_of(run, kind) not in (codes.code_of(run), codes.code_of(run, {*KINDS}.difference([kind]).pop()))
    parts = codes.STEPS[kind]
    fused_parts = ["training/fused.py"], ["training/kernels.py"]
    assert ["training/gpu.py"] in parts and all((part in parts) == (kind == "fused") for part in fused_parts)


def test_long_epochs_are_cut_into_chunks(images, no_shifts, device, kind, monkeypatch):
    """Chunks of two steps, the last one shorter, are trained as one long one."""
    whole = train.train(small("e_only_ln"), images, no_shifts, device, step=kind)
    monkeypatch.setattr(gpu, "CHUNK", 2)
    cut = train.train(small("e_only_ln"), images, no_shifts, device, step=kind)
    assert_same_rows(cut, whole, rtol=1e-4, atol=1e-5, accuracy=0)


def test_a_job_on_a_gpu_records_the_step(device, kind, tmp_path, images_path, monkeypatch):
    """Here the CPU stands for the GPU."""
    chosen = small("e_only_ln", randomness="release")
    assert gpu.step_on("cpu", chosen) == "plain"
    assert gpu.step_on("cuda", chosen) == "fused"
    assert gpu.step_on("cuda", [run | {"hidden_width": 513} for run in chosen]) == "graph"
    assert gpu.step_on("cuda", [run | {"precision": "release"} for run in chosen]) == "plain"
    assert {*codes.FUSED_RULES} <= {*ERROR_SIGNALS}
    with monkeypatch.context() as patch:
        patch.setitem(CONDITIONS, "e_only_ln", replace(CONDITIONS["e_only_ln"], error_signal="a new rule"))
        assert gpu.step_on("cuda", chosen) == "graph", "the kernels do not know the rule"
    monkeypatch.setattr(job, "step_on", lambda device, runs: kind)
    table = tmp_path / "shifts.npz"
    jobfile.draw_table(chosen[0], table)
    out = tmp_path / "runs" / "job.parquet"
    job.run(chosen, images_path, table, out, device, 1, None, lambda *_: None)
    assert set(tables.read(out, "shard")["code"]) == {codes.code_of(chosen[0], kind)}
    assert job.finished_rows(out.parent, chosen).empty, "a CPU's job trains the whole cell: none mixes the two"
    assert len(job.finished_rows(out.parent, chosen, code=codes.code_of(chosen[0], kind))) == 2
    assert lineage.relation(chosen[0], codes.code_of(chosen[0], kind)) == "rounding"
