"""Training jobs on real images, a few steps each."""

import json
import os
import platform
import re
import subprocess
import sys
import time

import numpy as np
import pandas as pd
import pytest
import torch
from conftest import REPOSITORY, run_documented
from einorm import config
from einorm.__main__ import main
from einorm.conditions import CONDITIONS
from einorm.data import write_shifts
from einorm.planning import plan
from einorm.records import jobs, provenance, runs, tables
from einorm.runtime import UserError
from einorm.tools import budget
from einorm.training import device, job, train
from einorm.training import images as images_of
from einorm.variants import ARCHIVED, VARIANTS, trained


def some_runs(condition="gradnorm_full", configs=(0, 1), epsilon=0.75, variant="paper", **changes):
    listed = "[" + ",".join(map(str, configs)) + "]"
    overrides = ("epochs=2", "train_images=640", "test_images=200", f"configs={listed}", "randomness=own")
    settings = config.load(REPOSITORY / "config.yaml", "smoke", overrides)
    return [run | changes for run in runs.cell_runs(settings, "luminosity", variant, condition, epsilon)]


@pytest.fixture
def shifts_path(tmp_path):
    write_shifts("luminosity", 0.75, 0, 2, 640, 200, tmp_path / "shifts.npz")
    return tmp_path / "shifts.npz"


@pytest.mark.parametrize("condition", ["ei_ln", "inorm_sub", "gradnorm_full"])
def test_every_epoch_of_every_run_has_its_metrics(images, no_shifts, condition):
    rows = train.train(some_runs(condition), images, no_shifts)
    assert rows.groupby("config")["epoch"].apply(list).tolist() == [[1, 2]] * 2
    defined = [m for m in tables.METRICS if not re.search("alignment|local|validation", m)]
    assert np.isfinite(rows[defined]).all().all()
    assert (rows["output_alignment0"].isna() == (condition == "inorm_sub")).all()
    assert (rows["local_loss1"].isna() == (condition == "ei_ln")).all()
    assert (rows["status"] == "finished").all() and (rows["collapsed_step"] == -1).all()


def test_training_learns(images, no_shifts):
    rows = train.train(some_runs("e_only_ln", train_images=2000, epochs=3), images, no_shifts)
    last = rows[rows["epoch"] == 3]
    assert (last["test_acc"] > 45).all(), "far above chance after 190 steps"
    assert (last["train_loss"].to_numpy() < rows[rows["epoch"] == 1]["train_loss"].to_numpy()).all()


def test_training_is_the_same_each_time(images, no_shifts):
    first, second = (train.train(some_runs(), images, no_shifts).drop(columns="seconds") for _ in range(2))
    pd.testing.assert_frame_equal(first, second)


def test_a_run_does_not_depend_on_its_batch(images, no_shifts):
    together = train.train(some_runs(configs=(0, 2)), images, no_shifts)
    alone = train.train(some_runs(configs=(2,)), images, no_shifts)
    columns = ["train_loss", "test_loss", "mu0", "var1", "gradient_alignment0"]
    ours = together[together["config"] == 2][columns].to_numpy()
    np.testing.assert_allclose(ours, alone[columns].to_numpy(), rtol=1e-3, atol=1e-4)


def test_collapsed_runs_stay_at_chance_and_leave_the_others_alone(images, no_shifts):
    pair = some_runs()
    pair[0]["lr"] = 1e30
    rows = train.train(pair, images, no_shifts)
    lost, kept = (rows[rows["config"] == c] for c in (0, 1))
    assert (lost["status"] == "collapsed").all() and (lost["test_acc"] == 10).all() and lost["mu0"].isna().all()
    assert (lost["collapsed_step"] >= 0).all() and (lost["collapsed_step"] < 20).all()
    alone = train.train(pair[1:], images, no_shifts)
    assert (kept["status"] == "finished").all()
    np.testing.assert_allclose(kept["test_loss"], alone["test_loss"], rtol=1e-3)


def test_a_job_whose_runs_all_collapsed_has_all_its_rows(images, no_shifts):
    rows = train.train(some_runs(lr=1e30), images, no_shifts)
    assert len(rows) == 4 and (rows["status"] == "collapsed").all()


def test_collapse_in_the_last_update_is_seen_in_the_test_loss():
    losses = np.array([[1.0, np.nan, 1.0], [1.0, np.nan, 1.0]])
    assert train.first_bad_steps(losses, np.array([1.0, np.nan, np.inf])) == {1: 0, 2: 2}


def test_accuracy_and_loss_are_those_of_the_shifted_test_set(images):
    network = train.network_of(some_runs("e_only_ln"), 784)
    shifts = torch.linspace(-0.5, 0.5, 1200)
    part = (*images_of.image_part(images, "test", slice(1200)), shifts)
    loss, accuracy = train.evaluate(network, part, train.TASKS["luminosity"][1])
    x = (torch.from_numpy(images["test_images"][:1200]) / 255 + shifts[:, None]).clamp(0, 1)
    logits = train.forward_network(network, x.t())[-1]["z"]
    y = torch.from_numpy(images["test_labels"][:1200]).long()
    for r in range(2):
        assert accuracy[r] == pytest.approx(100 * (logits[r].argmax(0) == y).double().mean().item(), abs=0.2)
        expected = torch.nn.functional.cross_entropy(logits[r].t(), y, label_smoothing=0.1)
        assert loss[r] == pytest.approx(expected.item(), rel=1e-4)


def test_a_job_writes_a_shard_and_a_line_per_epoch(tmp_path, images_path, shifts_path, capsys):
    out = tmp_path / "runs" / "job.parquet"
    job.run(some_runs(), images_path, shifts_path, out, "cpu", 1)
    shard = tables.read(out, "shard")
    assert len(shard) == 4 and (shard["device"] == "cpu").all() and (shard["threads"] == 1).all()
    assert set(shard["digest"]) == {runs.run_digest(run) for run in some_runs()}
    progress = capsys.readouterr().out
    for word in ("epoch 1/2", "epoch 2/2", "loss", "accuracy", "time left"):
        assert word in progress


def test_a_job_records_its_cpu_time_in_which_it_does_not_wait(tmp_path, images_path, shifts_path, monkeypatch):
    def waiting(*args):
        time.sleep(1)
        return train.train(*args)

    monkeypatch.setattr(job, "train", waiting)
    before = time.process_time()
    job.run(some_runs(), images_path, shifts_path, tmp_path / "job.parquet", "cpu", 1)
    cpu_seconds = tables.read(tmp_path / "job.parquet", "shard").groupby("digest")["cpu_seconds"].first()
    assert 0 < cpu_seconds.sum() <= time.process_time() - before, "time asleep is no CPU time"


def test_threads_come_from_the_job_whatever_the_environment_says(tmp_path, images_path, shifts_path):
    code = "import sys, json, torch; from einorm.training import job; "
    code += "job.run(json.loads(sys.argv[1]), *sys.argv[2:], 'cpu', 1)"
    command = [sys.executable, "-c", f"{code}; print('threads', torch.get_num_threads())"]
    arguments = [json.dumps(some_runs()[:1]), images_path, shifts_path, tmp_path / "runs" / "job.parquet"]
    environment = os.environ | {"OMP_NUM_THREADS": "7", "MKL_NUM_THREADS": "7"}
    done = subprocess.run([*command, *arguments], env=environment, capture_output=True, text=True)
    assert done.stdout.splitlines()[-1] == "threads 1", done.stderr


def test_a_run_records_the_machine_and_the_gpu_that_train_it(monkeypatch):
    monkeypatch.setattr(torch.cuda, "get_device_name", lambda: "a GPU")
    on_cpu, on_gpu = json.loads(job.versions("cpu")), json.loads(job.versions("cuda"))
    assert on_cpu["machine"] == provenance.machine() and on_gpu["machine"] == provenance.machine() | {"gpu": "a GPU"}
    assert on_cpu["torch"] == torch.__version__ and on_cpu["machine"]["cores"] >= 1


def test_a_finished_run_is_never_trained_again(tmp_path, images_path, shifts_path, capsys, monkeypatch):
    job.run(some_runs(), images_path, shifts_path, tmp_path / "runs" / "a.parquet")
    trained = []
    real = train.train
    monkeypatch.setattr(job, "train", lambda left, *a, **k: trained.extend(left) or real(left, *a, **k))
    job.run(some_runs(configs=(0, 1, 2)), images_path, shifts_path, tmp_path / "runs" / "b.parquet")
    assert [run["config"] for run in trained] == [2]
    assert len(tables.read(tmp_path / "runs" / "b.parquet", "shard")) == 6
    job.run(some_runs(configs=(1,)), images_path, shifts_path, tmp_path / "runs" / "c.parquet")
    assert len(trained) == 1 and len(tables.read(tmp_path / "runs" / "c.parquet", "shard")) == 2


def test_runs_of_other_code_are_not_taken_over(tmp_path, images_path, shifts_path, monkeypatch):
    job.run(some_runs(), images_path, shifts_path, tmp_path / "runs" / "a.parquet")
    assert len(job.finished_rows(tmp_path / "runs", some_runs())) == 4
    monkeypatch.setattr(job, "code_of", lambda run, step="plain": "other code")
    assert job.finished_rows(tmp_path / "runs", some_runs()).empty


def test_cuda_asked_for_and_absent_is_one_line(capsys):
    if torch.cuda.is_available():
        assert device.choose_device("cuda") == "cuda"
    else:
        with pytest.raises(UserError, match=r"machine\.device is cuda.*auto or cpu"):
            device.choose_device("cuda")


def test_nothing_waits_for_the_device_inside_an_epoch(images, no_shifts, monkeypatch):
    """On a GPU every such call would stop the queue; losses and counts stay on the device until the epoch ends."""
    run = some_runs("lateral_inhibition")
    network = train.network_of(run, 784)
    sizes = (("train", 320), ("test", 600))
    parts = [(*images_of.image_part(images, part, slice(n)), torch.zeros(n)) for part, n in sizes]

    def forbidden(*_):
        raise AssertionError("a call that waits for the device")

    with monkeypatch.context() as patch:
        for name in ("item", "tolist", "cpu", "numpy", "nonzero", "__bool__", "__int__", "__float__", "__index__"):
            patch.setattr(torch.Tensor, name, forbidden)
        losses, metrics = train.train_epoch(
            network, parts[0], train.TASKS["luminosity"][1], 32, train.plain_steps(network)
        )
        test_loss, test_acc = train.evaluate(network, parts[1], train.TASKS["luminosity"][1])
    assert losses.shape == (10, 2) and test_acc.shape == (2,)
    assert (
        torch.isfinite(losses).all()
        and torch.isfinite(test_loss).all()
        and set(metrics) == {*tables.LAYERED, *tables.SHARES}
    )


@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device")
@pytest.mark.parametrize("condition", CONDITIONS)
def test_cuda_agrees_with_the_cpu(images, no_shifts, condition):
    on_cpu, on_cuda = (train.train(some_runs(condition), images, no_shifts, d) for d in ("cpu", "cuda"))
    np.testing.assert_allclose(on_cuda["train_loss"], on_cpu["train_loss"], rtol=1e-2)


@pytest.mark.long
def test_budget_prints_every_preset():
    lines = run_documented("docs/reproduce.md", "python -m einorm budget", REPOSITORY).splitlines()
    assert [line.split()[0] for line in lines] == ["preset", *config.preset_names(REPOSITORY / "config.yaml")]
    paper = lines[3].split()
    assert paper[1] == "1710" and float(paper[4]) > float(lines[2].split()[4]) > 0
    assert float(paper[3].rstrip("%")) < 10


def test_shuffling_changes_the_order_and_nothing_else(images, no_shifts):
    part = (*images_of.image_part(images, "train", slice(500)), torch.arange(500.0))
    shuffled = images_of.in_order("shuffled", part, 0, 1)
    order = shuffled[3].long()
    assert sorted(order.tolist()) == list(range(500)) and not torch.equal(order, torch.arange(500))
    assert torch.equal(shuffled[0], part[0][order]) and torch.equal(shuffled[1], part[1][order])
    assert torch.equal(shuffled[2], part[2][:, order])
    again, other = images_of.in_order("shuffled", part, 0, 1), images_of.in_order("shuffled", part, 0, 2)
    assert torch.equal(again[3], shuffled[3]) and not torch.equal(other[3], shuffled[3])


def test_a_validation_split_is_held_out(images, no_shifts):
    """The last images are not trained on: the rest trains as it does alone, and their accuracy is measured."""
    held_out = some_runs("e_only_ln", train_images=960, variant="validation", validation_images=320)
    rows = train.train(held_out, images, no_shifts)
    alone = train.train(some_runs("e_only_ln", train_images=640), images, no_shifts)
    assert rows["train_loss"].equals(alone["train_loss"]) and rows["test_acc"].equals(alone["test_acc"])
    assert alone["validation_acc"].isna().all()
    labels = images["train_labels"].copy()
    labels[640:960] = (labels[640:960] + 1) % 10
    wrong = train.train(held_out, images | {"train_labels": labels}, no_shifts)
    assert wrong["test_acc"].equals(rows["test_acc"]), "their labels train nothing"
    assert (rows["validation_acc"] > 30).all() and (wrong["validation_acc"] < 20).all(), "their labels are measured"


def test_a_preset_that_refuses_an_override_does_not_stop_the_budget_of_the_others():
    presets, refused = budget.load_all(REPOSITORY / "config.yaml", ["seed=1"])
    assert list(refused) == ["robustness_seed"] and "seed1 has seed 1" in str(refused["robustness_seed"])
    assert {*presets, *refused} == {*config.preset_names(REPOSITORY / "config.yaml")}
    with pytest.raises(UserError, match="unknown key 'sed'"):
        budget.load_all(REPOSITORY / "config.yaml", ["sed=1"])


@pytest.mark.parametrize("variant", trained())
def test_every_variant_trains(images, no_shifts, variant):
    changes = {"validation_images": 100} if variant == "validation" else {}
    rows = train.train(some_runs("inorm", configs=(0,), variant=variant, **changes), images, no_shifts)
    assert (rows["variant"] == variant).all() and np.isfinite(rows["train_loss"]).all()


def test_a_variant_is_another_run_and_the_papers_keep_their_identity():
    """Digests of the paper's runs are those of before there were variants: archived runs stay usable."""
    digests = {variant: runs.run_digest(some_runs(variant=variant)[0]) for variant in VARIANTS}
    assert len(set(digests.values())) == len(VARIANTS)
    quick = config.load(REPOSITORY / "config.yaml", None, ["preset=quick"])
    archived = tables.read(REPOSITORY / "paper_artifact" / "archive" / "quick" / "runs.parquet", "runs")
    planned = {runs.run_digest(run) for batch in jobs.jobs(quick).values() for run in batch}
    assert planned == set(archived["digest"])


@pytest.mark.parametrize("variant", ARCHIVED)
def test_variants_whose_code_is_gone_are_refused_in_one_line(tmp_path, monkeypatch, images_path, variant):
    """Their digests stay: `test_release_training.py` recomputes those of every archived run."""
    monkeypatch.chdir(tmp_path)
    raw = config.read(REPOSITORY / "config.yaml", ["preset=smoke", f"variants=[paper, {variant}]"])
    with pytest.raises(UserError, match=f"{variant} is archived and cannot be trained any more: leave it out"):
        plan.experiment(raw)
    with pytest.raises(UserError, match="archived"):
        job.run(some_runs(variant=variant), images_path, tmp_path / "shifts.npz", tmp_path / "shard.parquet")
    archived = config.read(REPOSITORY / "config.yaml", ["preset=robustness_precision", "results=archive"])
    assert "robustness_precision" in plan.experiment(archived)["figures"]


HELD = """
import sys, torch
from einorm.training.device import keep_freed_memory
def resident():
    return int(next(line.split()[1] for line in open("/proc/self/status") if line.startswith("VmRSS")))
if sys.argv[1:] == ["kept"]:
    assert keep_freed_memory()
torch.ones(10)
before = resident()
tensors = [torch.ones(3_000_000) for _ in range(8)]
del tensors
print(resident() - before)
"""


@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="mallopt is a function of glibc")
def test_memory_of_freed_tensors_is_kept_for_the_next_ones():
    """Eight tensors of 12 MB are freed: how many kB the process still holds, by default and told to keep them."""
    env = os.environ | {"PYTHONPATH": str(REPOSITORY / "workflow")}
    given_back, kept = [
        int(subprocess.run([sys.executable, "-c", HELD, *how], env=env, capture_output=True, check=True).stdout)
        for how in ([], ["kept"])
    ]
    assert given_back < 20_000 and kept > 80_000


def test_a_config_without_presets_has_no_budget(tmp_path):
    (tmp_path / "none.yaml").write_text("presets: {}\n")
    with pytest.raises(UserError, match="none.yaml has no presets"):
        budget.load_all(tmp_path / "none.yaml", [])


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        ("--epsilon nan --seed 0 --epochs 1", "nan is not between 0 and 1"),
        ("--epsilon 0.5 --seed -1 --epochs 1", "-1 is not between 0 and 2"),
        ("--epsilon 0.5 --seed 0 --epochs 0", "0 is not at least 1"),
        ("--epsilon 0.5 --seed 0 --epochs 1 --train-images 60001", "60001 is more than 60000"),
    ],
)
def test_shift_tables_that_no_config_asks_for_are_refused(tmp_path, capsys, arguments, says):
    words = ["shifts", "--task", "luminosity", "--out", str(tmp_path / "out.npz"), *arguments.split()]
    with pytest.raises(SystemExit) as ended:
        main([*words, *(["--train-images", "1"] if "--train" not in arguments else []), "--test-images", "1"])
    assert ended.value.code == 2 and says in capsys.readouterr().err and not (tmp_path / "out.npz").exists()
