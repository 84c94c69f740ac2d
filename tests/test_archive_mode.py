"""The workflow on an archive's tables: nothing trained, nothing downloaded, torch not needed."""

import re
import shutil
import subprocess
import sys

import pytest
from conftest import copy_project, core_seconds, from_archive
from einorm.artifact.verify import faults
from einorm.figures import FIGURES


@pytest.mark.parametrize(
    ("line", "says"),
    [
        ("import torch", "ModuleNotFoundError: torch"),
        ("import urllib.request as r; r.urlopen('http://127.0.0.1:9')", "the network is blocked by a test"),
    ],
)
def test_the_blocks_block(blocked, line, says):
    done = subprocess.run([sys.executable, "-c", line], env=blocked, capture_output=True, text=True)
    assert done.returncode == 1 and says in done.stderr.splitlines()[-1]


def test_everything_is_made_without_training_torch_or_network(redrawn):
    folder, seconds, output = redrawn
    assert not re.search(r"^(train_\w+|prepare|shifts|collect|samples) ", output, re.M)
    assert not (folder / "results" / "runs").exists() and not (folder / "results" / "data").exists()
    assert all((folder / "figures" / f"{name}.png").exists() for name in FIGURES)
    assert (folder / "results" / "claims" / "claims.parquet").exists()
    assert (folder / "paper_artifact" / "bundle" / "report.html").exists()
    jobs = int(re.findall(r"^total +(\d+)$", output, re.M)[0])
    assert seconds < 4 * jobs * start_up(), "a job costs little more than its start"


def start_up():
    """Core-seconds that a process takes to start and import what a figure needs: less on a fast machine, as jobs do."""
    before = core_seconds()
    subprocess.run(
        [sys.executable, "-c", "import einorm.figures.panels, einorm.analysis.published, einorm.records.tables"],
        check=True,
    )
    return core_seconds() - before


@pytest.mark.long
def test_two_builds_of_the_bundle_are_equal(bundled, blocked):
    path = bundled / "paper_artifact" / "bundle" / "einorm-quick.zip"
    first = path.read_bytes()
    done = from_archive(bundled, "artifact", "--force", env=blocked)
    assert done.returncode == 0, done.stdout
    assert path.read_bytes() == first and not faults(path)


@pytest.mark.parametrize(
    ("config", "says"),
    [
        (["epochs=5"], "(epochs 20 there, 5 here)"),
        (["preset=smoke"], "there is no archive in"),
        (["archive=/absent"], "there is no archive in /absent"),
    ],
)
def test_an_archive_that_does_not_fit_is_refused_with_one_line(tmp_path, config, says):
    refused(copy_project(tmp_path), says, config)


def test_an_archive_with_one_byte_changed_is_refused_with_one_line(tmp_path):
    folder = copy_project(tmp_path)
    path = folder / "paper_artifact" / "archive" / "quick" / "runs.parquet"
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.write_bytes(content)
    refused(folder, "runs.parquet was changed since it was archived")


def refused(folder, says, config=()):
    done = from_archive(folder, config=config)
    lines = [line for line in done.stdout.splitlines() if "einorm: error" in line]
    assert done.returncode == 1 and len(lines) == 1 and says in lines[0], done.stdout
    assert "Traceback" not in done.stdout and not list((folder / "figures").glob("*"))


@pytest.mark.long
def test_training_takes_over_the_runs_of_an_archive(tmp_path):
    """The smoke preset is trained once, archived, and computed again elsewhere from that archive."""
    first, second = (copy_project(tmp_path / name) for name in ("first", "second"))
    small = ("preset=smoke", "conditions=[ei_ln, gradnorm_full]", "epsilons=[0.75]")

    def compute(folder, *config):
        command = [sys.executable, "-m", "snakemake", "tables", "--cores", "2", "--config", *small, *config]
        done = subprocess.run(command, cwd=folder, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
        assert done.returncode == 0, done.stdout

    compute(first)
    command = [sys.executable, "-m", "einorm", "archive", *small]
    done = subprocess.run(command, cwd=first, capture_output=True, text=True)
    assert done.returncode == 0 and "4 of 4 runs" in done.stdout, done.stdout + done.stderr
    shutil.copytree(first / "paper_artifact/archive/smoke", tmp_path / "it's an archive")
    compute(second, "reuse_archive=true", "archive=../it's an archive")
    logs = [path.read_text() for path in (second / "results" / "logs" / "train").rglob("*.log")]
    assert logs and all("0 to train" in log and "epoch" not in log for log in logs)
    for table in ("runs", "epochs"):
        path = f"results/tables/{table}.parquet"
        assert (first / path).read_bytes() == (second / path).read_bytes()
