"""Job files, and processes that train many jobs."""

import os
import signal
import subprocess
import sys
import threading

import pandas as pd
import pytest
from conftest import REPOSITORY, run_documented
from einorm import config
from einorm.__main__ import main
from einorm.records import archive, jobs, tables
from einorm.runtime import UserError
from einorm.training import jobfile
from test_train import some_runs

SMALL = ("preset=smoke", "epochs=2", "train_images=640", "test_images=200", "configs=[0, 1]", "epsilons=[0.75]")


def planned(*conditions, **changes):
    batches = [some_runs(condition, **changes) for condition in conditions]
    return {jobs.job_name(batch): batch for batch in batches}


@pytest.fixture
def job_path(tmp_path):
    jobfile.write(planned("e_only_ln", "ei_ln"), tmp_path / "jobs.json")
    return tmp_path / "jobs.json"


def train(job_path, images_path, *options):
    folder = job_path.parent
    where = ["--images", images_path, "--shifts", folder / "shifts", "--out", folder / "runs", "--device", "cpu"]
    return list(map(str, ["train", "--jobs", job_path, *where, *options]))


def trained(folder):
    """Condition -> rows of the shards below a folder."""
    shards = [tables.read(path, "shard") for path in sorted(folder.rglob("*.parquet")) if ".kept." not in path.name]
    return {rows["condition"].iloc[0]: rows for rows in shards}


def test_the_jobs_of_a_file_are_those_of_the_settings(tmp_path, capsys):
    out = tmp_path / "jobs.json"
    assert main(["jobs", "--config", str(REPOSITORY / "config.yaml"), "--out", str(out), *SMALL]) == 0
    settings = config.load(REPOSITORY / "config.yaml", overrides=SMALL)
    assert jobfile.read(out) == jobs.jobs(settings)
    assert f"{len(jobs.jobs(settings))} jobs" in capsys.readouterr().out


def test_jobs_that_an_archive_holds_finished_are_left_out():
    """The replication's archive is complete: nothing is left of it, and of more conditions only those."""
    folder = REPOSITORY / "paper_artifact" / "archive" / "replication"
    replication = config.load(REPOSITORY / "config.yaml", None, ["preset=replication"])
    finished = archive.load(folder)["runs"]
    assert len(finished) == sum(map(len, jobfile.left(replication).values())) and not jobfile.left(replication, folder)
    more = config.load(REPOSITORY / "config.yaml", None, ["preset=replication", "conditions=[inorm, inorm_div]"])
    assert {batch[0]["condition"] for batch in jobfile.left(more, folder).values()} == {"inorm_div"}


def test_jobs_of_one_epsilon_come_together_in_the_order_of_the_settings():
    order = ["preset=paper", "epsilons=[0.75, 0, 0.25, 0.5]", "machine={device: cuda}"]
    left = jobfile.left(config.load(REPOSITORY / "config.yaml", None, order))
    epsilons = [batch[0]["epsilon"] for batch in left.values()]
    assert list(dict.fromkeys(epsilons)) == [0.75, 0, 0.25, 0.5] and len(epsilons) == 13 * 4 + 1
    assert epsilons == sorted(epsilons, key=[0.75, 0, 0.25, 0.5].index)


def test_jobs_are_added_to_a_file_and_none_is_lost(job_path):
    """A workflow that is planned beside one that runs leaves its jobs alone; the same jobs write nothing."""
    os.utime(job_path, (1, 1))
    jobfile.add(planned("e_only_ln"), job_path)
    assert job_path.stat().st_mtime == 1
    jobfile.add(planned("inorm"), job_path)
    assert jobfile.read(job_path) == planned("e_only_ln", "ei_ln", "inorm")
    job_path.write_text("[1")
    jobfile.add(planned("inorm"), job_path)
    assert jobfile.read(job_path) == planned("inorm")


def test_a_changed_run_is_refused(job_path):
    job_path.write_text(job_path.read_text().replace('"epochs": 2', '"epochs": 3', 1))
    with pytest.raises(UserError, match="was changed"):
        jobfile.read(job_path)


def test_jobs_side_by_side_train_as_one_by_one(tmp_path, job_path, images_path, capsys):
    assert main(train(job_path, images_path, "--at-once", "2")) == 0
    together = trained(tmp_path / "runs")
    assert set(together) == {"e_only_ln", "ei_ln"} and len(capsys.readouterr().out.splitlines()) == 4
    for name in jobfile.read(job_path):
        other = tmp_path / "alone"
        other.mkdir(exist_ok=True)
        jobfile.write(jobfile.read(job_path, [name]), other / "jobs.json")
        assert main(train(other / "jobs.json", images_path)) == 0
    assert "epoch 2/2" in capsys.readouterr().out
    for condition, rows in trained(tmp_path / "alone" / "runs").items():
        drop = ["seconds", "cpu_seconds", "versions"]
        pd.testing.assert_frame_equal(rows.drop(columns=drop), together[condition].drop(columns=drop))


def test_a_killed_process_loses_the_job_it_is_in_and_no_other(tmp_path, images_path, capsys):
    """With --keep even if what is known to be written is removed, as Snakemake does after a failure."""
    path = tmp_path / "jobs.json"
    jobfile.write(planned("e_only_ln") | planned("ei_ln", epochs=1000), path)
    command = [sys.executable, "-m", "einorm", *train(path, images_path, "--keep")]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
    assert any("e_only_ln" in line for line in process.stdout)  # waits for the first job's line
    process.send_signal(signal.SIGKILL)
    process.wait()
    for shard in (tmp_path / "runs").rglob("*.parquet"):
        if ".kept." not in shard.name:
            shard.unlink()
    jobfile.write(planned("e_only_ln"), path)
    assert main(train(path, images_path)) == 0
    assert "2 finished before, 0 to train" in capsys.readouterr().out
    assert len(trained(tmp_path / "runs")["e_only_ln"]) == 4


@pytest.mark.parametrize("at_once", ["1", "2"])
def test_ctrl_c_stops_what_runs_and_starts_nothing_else(tmp_path, images_path, at_once):
    path = tmp_path / "jobs.json"
    jobfile.write(planned("e_only_ln") | planned("ei_ln", "ei_none", epochs=1000), path)
    command = [sys.executable, "-m", "einorm", *train(path, images_path, "--at-once", at_once)]
    process = subprocess.Popen(
        command,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),  # tests in the background ignore it
    )
    assert any("e_only_ln" in line for line in process.stdout)  # waits for the first job's line
    process.send_signal(signal.SIGINT)
    _, error = process.communicate(timeout=60)
    assert process.returncode == 130
    assert error.startswith("einorm: error: stopped by Ctrl-C: ") and error.count("\n") == 1
    assert set(trained(tmp_path / "runs")) == {"e_only_ln"} and not list(tmp_path.rglob("*.tmp"))


class Clock:
    """Time that passes only while a job works: as many seconds as the job costs units of work."""

    def __init__(self):
        self.now = 0

    def __call__(self):
        return self.now


def queue(costs, monkeypatch, **options):
    """The jobs that a queue works on, and those that it leaves."""
    clock, done = Clock(), []
    monkeypatch.setattr(jobfile, "cost", lambda run: run)

    def work(name, batch):
        done.append(name)
        clock.now += sum(batch)

    left = jobfile.run_queue({str(i): [cost] for i, cost in enumerate(costs)}, work, clock=clock, **options)
    return done, left


def test_no_job_is_started_that_would_not_end_by_the_deadline(monkeypatch):
    assert queue([5, 4, 4, 1], monkeypatch) == (["0", "1", "2", "3"], [])
    assert queue([5, 4, 4, 1], monkeypatch, deadline=10) == (["0", "1", "3"], ["2"]), "a shorter one takes its place"
    assert queue([5, 4], monkeypatch, deadline=1) == (["0"], ["1"]), "how long the first takes nobody knows"


def test_when_a_job_fails_the_others_go_on():
    done, both = [], threading.Barrier(2, timeout=30)

    def work(name, batch):
        if name in "ab":
            both.wait()  # two are worked on at once
        if name == "a":
            raise UserError("a is wrong")
        done.append(name)

    run = some_runs()[:1]
    with pytest.raises(UserError, match="a is wrong"):
        jobfile.run_queue(dict.fromkeys("abc", run), work, at_once=2)
    assert sorted(done) == ["b", "c"]


def test_a_job_may_be_longer_than_an_argument(tmp_path):
    overrides = ["preset=smoke", "configs=100", "conditions=[inorm_lambda]", "machine={device: cuda}"]
    left = jobfile.left(config.load(REPOSITORY / "config.yaml", None, overrides))
    jobfile.write(left, tmp_path / "jobs.json")
    assert (tmp_path / "jobs.json").stat().st_size > 2**17 and jobfile.read(tmp_path / "jobs.json") == left


def test_the_documented_command_writes_what_is_left(tmp_path):
    """The whole paper for a GPU: a job for each cell."""
    for name in ("workflow", "config.yaml", "paper_artifact"):
        (tmp_path / name).symlink_to(REPOSITORY / name)
    printed = run_documented("docs/cluster.md", "python -m einorm jobs", tmp_path)
    assert "53 jobs, 1710 runs" in printed and len(jobfile.read(tmp_path / "jobs.json")) == 53
