"""A short fault campaign; the long one is `make faults`. And the small things that it rests on."""

import os
import signal
import subprocess
import sys
import time

import faults
import pytest
from conftest import copy_project
from einorm import runtime

SMALL = ("preset=smoke", "conditions=[ei_ln]")


def test_every_kind_of_fault_is_survived_once(tmp_path):
    kinds = len(faults.STRIKES) - (os.geteuid() != 0)
    results = faults.campaign(tmp_path, kinds, seed=3, config=SMALL)
    assert len({result["kind"] for result in results}) == kinds
    assert [result for result in results if result["faults"]] == []


def test_the_reader_notices_half_a_file(tmp_path):
    whole = tmp_path / "results" / "a.npz"
    whole.parent.mkdir()
    faults.np.savez(whole, x=faults.np.zeros(1000))
    half = whole.with_name("b.npz")
    half.write_bytes(whole.read_bytes()[:500])
    reader = faults.Reader(tmp_path)
    time.sleep(1)
    assert reader.stop() == [half]


@pytest.mark.long
def test_a_second_workflow_in_the_same_folder_stops_with_a_clear_line(tmp_path):
    folder = copy_project(tmp_path)
    first = faults.snakemake(folder, SMALL)
    faults.collect_output(first)
    while not list(folder.glob("results/logs/train/**/*.log")):
        assert first.poll() is None
        time.sleep(0.1)
    second = faults.snakemake(folder, SMALL)
    output = second.communicate()[0]
    assert second.returncode == 1 and "Directory cannot be locked" in output and "--unlock" in output
    assert "Traceback" not in output and first.wait() == 0


@pytest.mark.long
def test_sigterm_ends_a_training_process_at_once_and_leaves_no_shard(tmp_path):
    folder = copy_project(tmp_path)
    workflow = faults.snakemake(folder, (*SMALL, "epochs=200"))
    lines = faults.collect_output(workflow)
    struck = faults.strike(folder, "training gets SIGTERM", workflow, faults.random.Random(0))
    assert struck is not None
    workflow.send_signal(signal.SIGTERM)
    children = faults.psutil.Process(workflow.pid).children(recursive=True)
    for child in children:
        if faults.is_training(child, "einorm train"):
            child.terminate()
    started = time.monotonic()
    assert workflow.wait(10) == 1 and time.monotonic() - started < 10
    time.sleep(0.5)
    assert not [path for path in folder.glob("results/runs/**/*") if path.is_file()], "neither a shard nor a half one"
    assert any("run the same command again" in line and "--unlock" in line for line in lines), (
        "onerror says what to type"
    )


KILLED = """
import os, signal, sys
from einorm.runtime import atomic_path
with atomic_path(sys.argv[1]) as temporary:
    temporary.write_text("half")
    os.kill(os.getpid(), signal.SIGKILL)
"""


def test_what_a_killed_writer_left_is_cleared_by_a_later_one_a_live_writers_file_is_not(tmp_path):
    path = tmp_path / "table"
    done = subprocess.run([sys.executable, "-c", KILLED, path])
    assert done.returncode == -signal.SIGKILL and not path.exists()
    (left,) = tmp_path.iterdir()
    with runtime.atomic_path(path) as temporary:
        temporary.write_text("whole")
    assert {p.name for p in tmp_path.iterdir()} == {"table", left.name}, "its writer may be alive"
    os.utime(left, (0, time.time() - runtime.DAY - 60))
    with runtime.atomic_path(path) as temporary:
        temporary.write_text("whole")
    assert [p.name for p in tmp_path.iterdir()] == ["table"]
