"""The same settings give the same bytes: on one core and on two, in any order, without a network, again and again.

Between machines sums are rounded differently and training amplifies that: there, a tolerance judges.
"""

import random
import subprocess
import sys

import numpy as np
import pandas as pd
import pytest
from conftest import REPOSITORY, copy_project
from einorm import config
from einorm.figures import FIGURES
from einorm.records import tables
from einorm.records.jobs import jobs
from einorm.records.runs import cell_runs
from einorm.tasks import TASKS, draw_shifts
from einorm.training import train

pytestmark = pytest.mark.long

SMALL = ("preset=smoke", "conditions=[ei_ln, inorm, gradnorm_full]", "machine={runs_per_batch: 1}")
SAME = [f"results/tables/{name}.parquet" for name in ("runs", "epochs", "samples")]
SAME += ["results/claims/claims.parquet", "results/claims/comparisons.csv"]
SAME += [f"figures/{name}.{kind}" for name in FIGURES for kind in ("pdf", "png", "csv")]


def snakemake(folder, *arguments, **options):
    command = [sys.executable, "-m", "snakemake", *arguments, "--config", *SMALL]
    done = subprocess.run(command, cwd=folder, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, **options)
    assert done.returncode == 0, done.stdout


@pytest.fixture(scope="module")
def two_cores(tmp_path_factory):
    folder = copy_project(tmp_path_factory.mktemp("two"))
    snakemake(folder, "figures", "claims", "--cores", "2")
    return folder


def test_one_core_any_order_and_no_network_give_the_same_bytes(two_cores, tmp_path, blocked_network):
    """Jobs one by one in a shuffled order on one core; only `prepare` may need a network, and it is done before."""
    folder = copy_project(tmp_path)
    snakemake(folder, "results/data/fashion_mnist.npz", "--cores", "1")
    names = list(jobs(config.load(folder / "config.yaml", overrides=SMALL)))
    random.Random(1).shuffle(names)
    for name in names[:3]:
        snakemake(folder, f"results/runs/{name}.parquet", "--cores", "1", env=blocked_network)
    snakemake(folder, "figures", "claims", "--cores", "1", env=blocked_network)
    different = [name for name in SAME if (folder / name).read_bytes() != (two_cores / name).read_bytes()]
    assert not different and len(SAME) > 50


def test_another_machine_agrees_within_a_tolerance(images):
    """The first epochs of two archived runs, trained here: accuracy within 2 points, loss within 5 %."""
    archived = tables.read(REPOSITORY / "paper_artifact" / "archive" / "quick" / "epochs.parquet", "epochs")
    quick = config.load(REPOSITORY / "config.yaml", None, ["preset=quick"])
    for condition in ("ei_ln", "gradnorm_full"):
        run = cell_runs(quick, "luminosity", "paper", condition, 0)[0] | {"epochs": 1}
        draw, _ = TASKS["luminosity"]
        shifts = draw_shifts(draw, 0.0, (0, "shift", "luminosity", 0.0), 1, 60000, 10000)
        here = train.train([run], images, shifts).iloc[0]
        keys = {"condition": condition, "epsilon": 0.0, "config": run["config"], "epoch": 1}
        there = archived[(archived[list(keys)] == pd.Series(keys)).all(axis=1)].iloc[0]
        assert np.isclose(here["test_acc"], there["test_acc"], atol=2, rtol=0)
        assert np.isclose(here["train_loss"], there["train_loss"], rtol=0.05)
