"""status: what the files of a campaign show, while it runs and after."""

import os
import re
import time

import pytest
from einorm.records import lineage
from einorm.records.jobs import cost, jobs
from einorm.tools.status import SILENCE, failures, job_state, print_status, status, time_left, written
from test_archive import settings, write_shards


def log_of(results, name, text, age=0):
    path = results / "logs" / "train" / f"{name}.log"
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)
    then = time.time() - age
    os.utime(path, (then, then))


def numbers(results, chosen, condition, epsilon):
    table, *_ = status(chosen, results)
    row = table[(table["condition"] == condition) & (table["epsilon"] == epsilon)].iloc[0]
    return {name: int(row[name]) for name in ("planned", "finished", "running", "failed", "left")}


def test_runs_are_counted_by_condition_and_epsilon(tmp_path):
    chosen = settings()
    write_shards(tmp_path / "runs", chosen, configs=[0])
    first = numbers(tmp_path, chosen, "ei_ln", 0.75)
    assert first == {"planned": 2, "finished": 1, "running": 0, "failed": 0, "left": 1}
    table, left, at_work = status(chosen, tmp_path)
    assert table["planned"].sum() == 8 and table["finished"].sum() == 4 and left["cpu"] > 0 and not at_work


def test_logs_tell_running_failed_and_stopped_jobs_apart(tmp_path):
    chosen = settings()
    names = {(runs[0]["condition"], runs[0]["epsilon"]): name for name, runs in jobs(chosen).items()}
    log_of(tmp_path, names["ei_ln", 0], "2 runs\nepoch 1/2  loss 1\n")
    log_of(tmp_path, names["ei_ln", 0.75], "2 runs\neinorm: error: no space left\n")
    log_of(tmp_path, names["gradnorm_full", 0], "2 runs\nepoch 1/2  loss 1\n", age=10 * SILENCE)
    assert numbers(tmp_path, chosen, "ei_ln", 0)["running"] == 2
    failed = numbers(tmp_path, chosen, "ei_ln", 0.75)
    assert (failed["failed"], failed["left"], failed["running"]) == (2, 2, 0)
    assert numbers(tmp_path, chosen, "gradnorm_full", 0)["left"] == 2, "killed: its log grows no more"
    _, left, at_work = status(chosen, tmp_path)
    log_of(tmp_path, names["ei_ln", 0], "2 runs\n")
    assert at_work == {"cpu": 1} and left["cpu"] < status(chosen, tmp_path)[1]["cpu"], "half of a running job is done"


def test_hours_of_cores_and_of_gpus_are_told_apart(tmp_path):
    """Half of the runs are left; the finished ones took an hour on two threads, or half an hour of a GPU."""
    chosen = settings(conditions="[ei_ln]", configs="[0, 1, 2, 3]")
    job = next(name for name, runs in jobs(chosen).items() if runs[0]["epsilon"] == 0)
    write_shards(tmp_path / "runs", chosen, configs=[0], threads=2, seconds=3600.0)
    on_cpu, left = status(chosen, tmp_path)[1], {}
    assert set(on_cpu) == {"cpu"}
    write_shards(tmp_path / "runs", chosen, configs=[1], device="cuda", threads=2, seconds=1800.0)
    _, left, at_work = status(chosen, tmp_path)
    work = {
        config: sum(cost(r) for runs in jobs(chosen).values() for r in runs if r["config"] == config)
        for config in range(4)
    }
    open_work = work[2] + work[3]
    assert left == pytest.approx({"cpu": open_work / work[0] * 2 * 7200, "cuda": open_work / work[1] * 2 * 1800})
    assert re.fullmatch(
        r"about [\d.]+ h of one core or [\d.]+ (h|min) of one GPU left; no job is running", time_left(left, at_work, 2)
    )
    log_of(tmp_path, job, "4 runs: 2 finished before, 2 to train on cuda\n")
    assert status(chosen, tmp_path)[2] == {"cuda": 1}


@pytest.mark.parametrize(
    ("at_work", "threads", "says"),
    [
        ({"cpu": 4}, 1, "2.0 h with the 4 jobs now running"),
        ({"cpu": 4}, 2, "60 min with the 4 jobs now running"),
        ({"cuda": 2}, 2, "60 min with the 2 jobs now running"),
        ({"cpu": 4, "cuda": 2}, 1, "40 min with the 6 jobs now running"),
    ],
)
def test_the_time_left_is_that_of_the_jobs_at_work(at_work, threads, says):
    text = time_left({"cpu": 8 * 3600, "cuda": 2 * 3600}, at_work, threads)
    assert text == f"about 8.0 h of one core or 2.0 h of one GPU left: {says}"


def test_a_first_job_on_a_gpu_has_no_time_yet():
    assert "first on their device" in time_left({"cpu": 3600}, {"cuda": 1}, 1)


def test_runs_of_another_rounding_count_as_finished_where_they_do_for_training(tmp_path, monkeypatch):
    chosen = settings(epsilons="[0.75]")
    write_shards(tmp_path / "runs", chosen, code="old")
    monkeypatch.setattr(lineage, "counting_codes", lambda run: [["today"], ["old"]])
    assert status(chosen, tmp_path)[0]["finished"].sum() == 4


def test_other_training_code_and_damaged_shards_are_not_finished(tmp_path):
    chosen = settings(epsilons="[0.75]")
    write_shards(tmp_path / "runs", chosen, code="old")
    assert status(chosen, tmp_path)[0]["finished"].sum() == 0
    write_shards(tmp_path / "runs", chosen)
    path = sorted((tmp_path / "runs").rglob("*.parquet"))[0]
    path.write_bytes(path.read_bytes()[:200])
    assert status(chosen, tmp_path)[0]["finished"].sum() == 2


@pytest.mark.parametrize(
    ("configs", "says"), [([0], "4 of 8 runs finished, 0 of them collapsed\nabout"), ([0, 1], "8 of 8 runs finished")]
)
def test_it_is_printed(tmp_path, capsys, configs, says):
    write_shards(tmp_path / "runs", settings(), configs=configs)
    print_status(settings(), tmp_path)
    printed = capsys.readouterr().out
    assert says in printed and "gradnorm_full" in printed
    assert ("left: " not in printed) and ("no job is running" in printed) == (configs == [0])


def test_a_folder_that_is_not_there_is_named(tmp_path, capsys):
    print_status(settings(), tmp_path / "absent")
    printed = capsys.readouterr()
    assert "0 of 8 runs finished" in printed.out and f"there is no folder {tmp_path / 'absent'}" in printed.err


def test_gpu_jobs_which_train_many_cells_are_counted_by_their_logs(tmp_path, capsys):
    log_of(tmp_path, "gpu-0", "4 to train on cuda\nepoch 1/2  loss 1\n")
    log_of(tmp_path, "gpu-1", "einorm: error: no space left\n")
    print_status(settings(), tmp_path)
    assert "GPU jobs: 1 running, 1 failed; " in capsys.readouterr().out


def test_it_knows_nothing_of_a_job_that_never_started(tmp_path):
    assert job_state(tmp_path / "absent.log", SILENCE) == ("waiting", 0, None)


TRACEBACK = 'Traceback (most recent call last):\n  File "training/train.py", line 1, in train\nMemoryError: too large\n'


def test_what_failed_is_said_in_a_line_each_with_its_log(tmp_path):
    log_of(tmp_path, "user", "1 runs\neinorm: error: no space left\n")
    log_of(tmp_path, "crash", f"epoch 1/2\n{TRACEBACK}")
    log_of(tmp_path, "fine", "epoch 1/2\nUserWarning: einorm: error: is quoted here only\n")
    folder = tmp_path / "logs" / "train"
    before = {path: date for path, date in written(tmp_path).items() if path.stem == "fine"}
    log_of(tmp_path, "earlier", TRACEBACK)
    before |= {path: date for path, date in written(tmp_path).items() if path.stem == "earlier"}
    assert failures(tmp_path / "logs", before) == [
        f"einorm: error: MemoryError: too large (log: {folder / 'crash.log'})",
        f"einorm: error: no space left (log: {folder / 'user.log'})",
    ]
    assert job_state(folder / "crash.log", SILENCE) == ("failed", 0, None)


def test_a_job_that_has_done_its_last_epoch_is_about_to_finish():
    assert time_left({"cpu": 0.0}, {"cpu": 1}, 1) == "the 1 jobs now running are about to finish"


def test_results_that_are_a_file_hold_nothing(tmp_path):
    (tmp_path / "README.md").write_text("")
    assert status(settings(), tmp_path / "README.md")[0]["finished"].sum() == 0
