"""Training with the release's random numbers: which weights and shifts a run sees, and when mu and var are measured."""

import json

import numpy as np
import pandas as pd
import pytest
import torch
from conftest import REPOSITORY
from einorm import config, release_randomness
from einorm.conditions import CONDITIONS
from einorm.data import load_shifts, write_shifts
from einorm.metrics import measure
from einorm.planning import plan
from einorm.records import jobs, runs, tables
from einorm.runtime import UserError
from einorm.settings import Settings
from einorm.tasks import TASKS
from einorm.training import job, train

SIZES = ("epochs=2", "train_images=650", "test_images=200", "configs=[0, 1]", "randomness=release")
METRICS = ["train_loss", "test_loss", "test_acc", "mu0", "var1", "gradient_alignment0"]


def some_runs(condition="gradnorm_full", *overrides):
    settings = config.load(REPOSITORY / "config.yaml", "smoke", (*SIZES, *overrides))
    return runs.cell_runs(settings, "luminosity", "paper", condition, 0.75)


def shared_shifts():
    return release_randomness.draw_shifts(TASKS["luminosity"][0], 0.75, 0, 2, 650, 200)


def test_specifications_name_it_only_where_it_is_the_releases():
    ours = config.load(REPOSITORY / "config.yaml", "smoke", ("randomness=own",))
    assert "randomness" not in ours.science()
    assert not any("randomness" in run for batch in jobs.jobs(ours).values() for run in batch)
    theirs = config.load(REPOSITORY / "config.yaml", "smoke", ("randomness=release",))
    assert theirs.science()["randomness"] == "release"
    own, released = ({runs.run_digest(r) for b in jobs.jobs(s).values() for r in b} for s in (ours, theirs))
    assert own.isdisjoint(released)
    assert all(name.startswith("luminosity-release/") for name in jobs.jobs(theirs))


def test_every_archived_run_keeps_its_digest():
    for folder in sorted((REPOSITORY / "paper_artifact" / "archive").iterdir()):
        table = tables.read(folder / "runs.parquet", "runs")
        settings = Settings(**json.loads((folder / "manifest.json").read_text())["settings"])
        planned = {runs.run_digest(run) for cell in runs.cells(settings) for run in runs.cell_runs(settings, *cell)}
        assert len(table) and set(table["digest"]) <= planned, folder.name
        assert set(table["randomness"]) == {settings.randomness}


@pytest.mark.parametrize("condition", CONDITIONS)
def test_networks_that_draw_pooling_weights_draw_their_own_shifts(condition):
    layer = CONDITIONS[condition].layer
    alone = release_randomness.sequence(layer, 178) != 0
    assert runs.share_shifts(some_runs(condition)[0]) != alone
    assert runs.share_shifts(some_runs(condition, "randomness=own")[0])


def test_weights_and_shifts_are_the_releases(images):
    network = train.network_of(some_runs(), 784)
    expected = release_randomness.initial_network("inorm", 784, 210, 0)[1]["Wex"]
    np.testing.assert_array_equal(network.layers[1].weights()["Wex"][1, :210, :210], expected.astype(np.float32))
    shifts = train.draw_shifts_of(some_runs())
    assert {name: part.shape for name, part in shifts.items()} == {
        "train": (2, 2, 650), "evaluation": (2, 2, 10), "test": (2, 2, 200)
    }  # fmt: skip
    of_width = release_randomness.draw_shifts(TASKS["luminosity"][0], 0.75, 2 * 210, 2, 650, 200)
    np.testing.assert_array_equal(shifts["test"][1, 1], of_width["test"][1])


@pytest.mark.parametrize("condition", ["gradnorm_full", "lateral_inhibition", "inorm_sub", "inorm"])
def test_a_run_sees_the_same_in_a_batch_and_alone(images, condition):
    """Runs of unlike widths see shifts of their own side by side."""
    both = some_runs(condition)
    together = train.train(both, images, train.draw_shifts_of(both))
    alone = pd.concat(train.train([run], images, train.draw_shifts_of([run])) for run in both)
    columns = METRICS if condition != "inorm_sub" else METRICS[:-1]
    pairs = (frame.sort_values(["config", "epoch"])[columns] for frame in (together, alone))
    np.testing.assert_allclose(*pairs, rtol=2e-3, atol=1e-3)
    other = train.train(both[1:], images, train.draw_shifts_of(both[:1]))
    assert abs(other["test_loss"].to_numpy() - alone[alone["config"] == 1]["test_loss"].to_numpy()).max() > 5e-3


def test_a_collapsed_run_takes_its_shifts_with_it(images):
    both = some_runs("inorm")
    alone = train.train(both[1:], images, train.draw_shifts_of(both[1:]))
    both[0] = both[0] | {"lr": 1e30}
    rows = train.train(both, images, train.draw_shifts_of(both))
    assert (rows[rows["config"] == 0]["status"] == "collapsed").all()
    kept = rows[rows["config"] == 1]
    np.testing.assert_allclose(kept["test_loss"], alone["test_loss"], rtol=1e-3)


def test_mu_and_var_are_of_the_last_evaluated_batch_after_the_updates(images, monkeypatch):
    one, shifts = some_runs("e_only_ln")[:1], shared_shifts()
    networks = []
    real = train.network_of
    monkeypatch.setattr(train, "network_of", lambda *a, **k: networks.append(real(*a, **k)) or networks[-1])
    row = train.train(one, images, shifts).iloc[-1]
    x = torch.from_numpy(images["train_images"][640:650]) / 255 + torch.from_numpy(shifts["evaluation"][1])[:, None]
    after = measure(networks[0], x.clip(0, 1))
    assert row["mu0"] == pytest.approx(after["mu"][0, 0].item(), rel=1e-5)
    assert row["var1"] == pytest.approx(after["var"][0, 1].item(), rel=1e-5)
    alignment = after["gradient_alignment"][0, 0].item()
    assert row["gradient_alignment0"] != pytest.approx(alignment, rel=1e-6), "alignments are of the last training batch"


def test_test_shifts_are_drawn_anew_in_every_epoch(images):
    one, shifts = some_runs("e_only_ln")[:1], shared_shifts()
    fixed = shifts | {"test": np.stack([shifts["test"][0]] * 2)}
    first, second = (train.train(one, images, s).sort_values("epoch")["test_loss"].to_numpy() for s in (shifts, fixed))
    assert first[0] == second[0] and first[1] != second[1]


def test_the_table_of_shared_shifts_is_the_releases(tmp_path):
    write_shifts("luminosity", 0.75, 0, 2, 650, 200, tmp_path / "table.npz", "release")
    table = load_shifts(tmp_path / "table.npz")
    assert all(np.array_equal(table[name], part) for name, part in shared_shifts().items())


def test_jobs_name_a_table_only_where_they_use_it(tmp_path, monkeypatch, images_path):
    monkeypatch.chdir(tmp_path)
    raw = config.read(REPOSITORY / "config.yaml", ["preset=smoke", "conditions=[ei_ln, inorm]", *SIZES])
    planned = plan.experiment(raw)
    shifts = {name.split("/")[1]: job["shifts"] for name, job in planned["jobs"].items()}
    assert shifts == {"ei_ln": ["results/shifts/luminosity/eps0.75-seed0-release-2x650+200.npz"], "inorm": []}
    with pytest.raises(UserError, match="leave --shifts out"):
        job.run(some_runs("inorm"), images_path, tmp_path / "table.npz", tmp_path / "a.parquet")
    with pytest.raises(UserError, match="name it with --shifts"):
        job.run(some_runs("ei_ln"), images_path, None, tmp_path / "a.parquet")
    job.run(some_runs("inorm"), images_path, None, tmp_path / "a.parquet", "cpu")
    shard = tables.read(tmp_path / "a.parquet", "shard")
    assert set(shard["randomness"]) == {"release"} and len(shard) == 4


def test_a_silent_layer_has_alignment_0(images):
    """All its units are off: the release's cosine divides by at least 1e-8."""
    network = train.network_of(some_runs("inorm"), 784)
    network.layers[1].b.sub_(1e6)
    metrics = measure(network, torch.from_numpy(images["train_images"][:32]) / 255)
    assert (metrics["output_alignment"][:, 1] == 0).all() and (metrics["gradient_alignment"][:, 1] == 0).all()
    assert (metrics["output_alignment"][:, 0] > 0).all()
