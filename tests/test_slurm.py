"""The SLURM profile on a real SLURM, started here without systemd: equal tables, cancelled jobs, a killed Snakemake."""

import os
import shutil
import signal
import socket
import subprocess
import sys
import time

import pytest
import yaml
from conftest import copy_project
from faults import finished_runs, tables

pytestmark = pytest.mark.long

PROGRAMS = ("munged", "slurmctld", "slurmd", "sbatch")
READY = os.geteuid() == 0 and all(shutil.which(program) for program in PROGRAMS)
needs_slurm = pytest.mark.skipif(
    not READY and "EINORM_REQUIRE_SLURM" not in os.environ, reason="needs root, and Debian's slurm-wlm and munge"
)
SMALL = ("preset=smoke", "conditions=[ei_ln, gradnorm_full]", "train_images=32000", "epochs=3")
CONFIGURATION = """
ClusterName=einorm
SlurmctldHost={host}(127.0.0.1)
SlurmctldPort={ports[0]}
SlurmdPort={ports[1]}
SlurmUser=root
SlurmdUser=root
AuthType=auth/munge
AuthInfo=socket={folder}/munge.sock
CredType=cred/munge
SlurmctldPidFile={folder}/slurmctld.pid
SlurmdPidFile={folder}/slurmd.pid
SlurmctldLogFile={folder}/slurmctld.log
SlurmdLogFile={folder}/slurmd.log
StateSaveLocation={folder}/state
SlurmdSpoolDir={folder}/spool
ProctrackType=proctrack/linuxproc
TaskPlugin=task/none
JobAcctGatherType=jobacct_gather/none
SelectType=select/cons_tres
SelectTypeParameters=CR_Core_Memory
SchedulerParameters=sched_interval=1,batch_sched_delay=0
AccountingStorageType=accounting_storage/none
JobCompType=jobcomp/none
MpiDefault=none
SwitchType=switch/none
ReturnToService=2
MinJobAge=600
KillWait=5
SlurmdTimeout=15
InactiveLimit=0
NodeName={host} NodeAddr=127.0.0.1 CPUs=2 RealMemory=4000 State=UNKNOWN
PartitionName=debug Nodes={host} Default=YES MaxTime=01:00:00 State=UP
"""


STARTED = []  # processes of Snakemake
PATIENCE = 900  # seconds; on busy cores everything takes long


def free_ports(number):
    sockets = [socket.socket() for _ in range(number)]
    for one in sockets:
        one.bind(("127.0.0.1", 0))
    ports = [one.getsockname()[1] for one in sockets]
    for one in sockets:
        one.close()
    return ports


@pytest.fixture(scope="module")
def slurm(tmp_path_factory):
    """Environment of a running SLURM with one node."""
    folder = tmp_path_factory.mktemp("slurm")
    for name in ("state", "spool"):
        (folder / name).mkdir()
    key = folder / "munge.key"
    key.write_bytes(os.urandom(1024))
    key.chmod(0o600)
    text = CONFIGURATION.format(host=socket.gethostname().split(".")[0], folder=folder, ports=free_ports(2))
    (folder / "slurm.conf").write_text(text)
    env = os.environ | {"SLURM_CONF": str(folder / "slurm.conf")}
    # inside a job Snakemake's plugin drops SLURM_CONF: a cluster has it in /etc, which is not ours to write
    srun = folder / "bin" / "srun"
    srun.parent.mkdir()
    srun.write_text(f'#!/bin/sh\nSLURM_CONF={env["SLURM_CONF"]} exec {shutil.which("srun")} "$@"\n')
    srun.chmod(0o755)
    env["PATH"] = f"{srun.parent}:{env['PATH']}"
    files = {"key-file": "munge.key", "socket": "munge.sock", "pid-file": "munged.pid", "log-file": "munged.log",
             "seed-file": "munged.seed"}  # fmt: skip
    # in the foreground, so that they are our children and end with the test
    commands = [
        ["munged", "--foreground", "--force", *(f"--{option}={folder / name}" for option, name in files.items())],
        ["slurmctld", "-D", "-f", env["SLURM_CONF"]],
        ["slurmd", "-D", "-f", env["SLURM_CONF"], "-N", socket.gethostname().split(".")[0]],
    ]
    daemons = []
    try:
        for command in commands:
            daemons.append(subprocess.Popen(command, env=env, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL))
            time.sleep(1)
        wait_for(lambda: run(env, "sinfo", "-h", "-o", "%t").strip() == "idle", 60)
        yield env
    finally:
        for workflow in STARTED:  # of tests that failed
            workflow.kill()
        run(env, "scancel", "--user=root")
        for daemon in reversed(daemons):
            daemon.terminate()
            daemon.wait(30)


def run(env, *command):
    return subprocess.run(command, env=env, capture_output=True, text=True).stdout


def wait_for(condition, seconds):
    end = time.monotonic() + seconds
    while not (found := condition()):
        assert time.monotonic() < end, "waited in vain"
        time.sleep(0.2)
    return found


def project(folder):
    """A copy of the project whose profile was edited as its comments say for a cluster without accounting."""
    path = copy_project(folder) / "workflow" / "profiles" / "slurm" / "config.yaml"
    text = path.read_text()
    for line in ("slurm-status-command: squeue", "slurm-no-account: true", 'slurm_partition: "cpu"'):
        assert f"# {line}\n" in text
        text = text.replace(f"# {line}\n", f"{line}\n".replace("cpu", "debug"))
    path.write_text(text)
    return folder


def start(env, folder, *config):
    """Start Snakemake on the tables through the profile; a local file system and a small cluster answer at once."""
    command = [sys.executable, "-m", "snakemake", "tables", "--workflow-profile", "workflow/profiles/slurm"]
    command += ["--latency-wait", "5", "--slurm-init-seconds-before-status-checks", "5"]
    command += ["--max-status-checks-per-second", "2", "--config", *config]
    with open(folder / "log", "a") as log:
        STARTED.append(subprocess.Popen(command, cwd=folder, env=env, stdout=log, stderr=subprocess.STDOUT))
    return STARTED[-1]


def finish(process, folder):
    assert process.wait(PATIENCE) == 0, (folder / "log").read_text()[-5000:]


def running(env):
    """Numbers of the jobs that run."""
    return run(env, "squeue", "-h", "-t", "running", "-o", "%i").split()


def training(env, folder):
    """Numbers of the training jobs that run; their logs are named after them."""
    logs = {path.stem for path in folder.glob(".snakemake/slurm_logs/rule_train_*/*/*.log")}
    return [job for job in running(env) if job in logs]


@pytest.fixture(scope="module")
def local(tmp_path_factory):
    """Tables of the small settings, computed without SLURM."""
    folder = copy_project(tmp_path_factory.mktemp("local"))
    command = [sys.executable, "-m", "snakemake", "tables", "--cores", "2", "--config", *SMALL]
    subprocess.run(command, cwd=folder, check=True, capture_output=True)
    return tables(folder)


@needs_slurm
def test_the_smoke_preset_gives_the_tables_of_a_local_run(slurm, smoke, tmp_path):
    folder = project(tmp_path)
    finish(start(slurm, folder, "preset=smoke"), folder)
    assert tables(folder) == tables(smoke)
    log = (folder / "log").read_text()
    assert "has been submitted with SLURM jobid" in log and log.count("SLURM jobid") >= 14


@needs_slurm
def test_a_cancelled_job_is_started_again(slurm, local, tmp_path):
    folder = project(tmp_path)
    workflow = start(slurm, folder, *SMALL)
    wait_for(lambda: list(folder.glob("results/logs/train/**/*.log")), PATIENCE)
    run(slurm, "scancel", wait_for(lambda: training(slurm, folder), PATIENCE)[0])
    finish(workflow, folder)
    assert "CANCELLED" in (folder / "log").read_text() and tables(folder) == local


@needs_slurm
def test_a_killed_snakemake_loses_nothing(slurm, local, tmp_path):
    folder = project(tmp_path)
    workflow = start(slurm, folder, *SMALL)
    wait_for(lambda: list(folder.glob("results/logs/train/**/*.log")), PATIENCE)
    orphans = running(slurm)
    workflow.send_signal(signal.SIGKILL)
    workflow.wait()
    assert running(slurm) == orphans, "SLURM's jobs go on"
    wait_for(lambda: not running(slurm), PATIENCE)
    finished = finished_runs(folder)
    assert finished
    locked = start(slurm, folder, *SMALL)
    assert locked.wait(60) == 1 and "--unlock" in (folder / "log").read_text()
    unlock = [sys.executable, "-m", "snakemake", "--unlock", "--config", *SMALL]
    subprocess.run(unlock, cwd=folder, env=slurm, check=True, capture_output=True)
    finish(start(slurm, folder, *SMALL), folder)
    assert tables(folder) == local
    assert finished.items() <= finished_runs(folder).items(), "what the orphans finished was taken over"


def test_the_gpu_variant_of_the_profile_plans(tmp_path):
    """With its comment taken off: one job for all cells, which asks for a GPU."""
    path = copy_project(tmp_path) / "workflow" / "profiles" / "slurm" / "config.yaml"
    text, variant = path.read_text().split("# GPU variant")
    lines = [line.removeprefix("# ") for line in variant.splitlines()[2:]]
    path.write_text(text + "\n".join(lines))
    assert yaml.safe_load(path.read_text())["configfile"]
    command = [sys.executable, "-m", "snakemake", "-n", "tables", "--workflow-profile", str(path.parent)]
    done = subprocess.run([*command, "--config", *SMALL], cwd=tmp_path, capture_output=True, text=True)
    output = done.stdout + done.stderr
    assert done.returncode == 0 and output.count(": Training many cells") == 1, output


SUBMIT = """#!/bin/sh
# a scheduler of one's own: starts the script, prints a number
echo "$@" >> {folder}/submitted
nohup sh "$6" > /dev/null 2>&1 &
echo $!
"""


def test_the_profile_for_other_schedulers_runs_with_three_lines_edited(tmp_path):
    folder = copy_project(tmp_path / "project")
    submit = tmp_path / "submit"
    submit.write_text(SUBMIT.format(folder=tmp_path))
    submit.chmod(0o755)
    path = folder / "workflow" / "profiles" / "cluster-generic" / "config.yaml"
    lines = path.read_text().splitlines()
    edited = {
        "cluster-generic-submit-cmd": f"{submit} -pe {{threads}} -l {{resources.mem_mb}} {{resources.runtime}}",
        "cluster-generic-cancel-cmd": "kill",
    }
    lines = [next((f"{k}: {v}" for k, v in edited.items() if line.startswith(k)), line) for line in lines]
    path.write_text("\n".join(lines))
    config = ("preset=smoke", "conditions=[ei_ln]", "train_images=320")
    command = [sys.executable, "-m", "snakemake", "tables", "--workflow-profile", "workflow/profiles/cluster-generic"]
    done = subprocess.run([*command, "--config", *config], cwd=folder, capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stdout + done.stderr
    submitted = (tmp_path / "submitted").read_text().splitlines()
    assert len(submitted) == 2 and all(line.startswith("-pe 1 -l ") for line in submitted), (
        "shifts, and one training job"
    )
    assert (folder / "results" / "tables" / "runs.parquet").exists()
