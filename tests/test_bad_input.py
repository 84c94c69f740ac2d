"""What users get wrong: the exit code is not 0, one line names what and how to mend it, and nothing is written."""

import gzip
import os
import shutil
import subprocess
import sys

import numpy as np
import pytest
from conftest import copy_project
from einorm.records.jobs import job_name
from einorm.training import jobfile

EINORM = [sys.executable, "-m", "einorm"]
SNAKEMAKE = [sys.executable, "-m", "snakemake", "-n", "--cores", "1"]
TOO_OLD = "import sys; sys.version_info = (3, 10, 0); sys.path.insert(0, 'workflow'); import einorm"


def edit(path, old, new):
    """Change a file of the project; `old` must be there."""

    def change(folder):
        text = (folder / path).read_text()
        assert old in text
        (folder / path).write_text(text.replace(old, new, 1))

    return change


def write(path, content):
    def change(folder):
        (folder / path).parent.mkdir(parents=True, exist_ok=True)
        (folder / path).write_bytes(content if isinstance(content, bytes) else content.encode())

    return change


def cut(path):
    def change(folder):
        content = (folder / path).read_bytes()
        (folder / path).write_bytes(content[: len(content) // 2])

    return change


def flip(path):
    def change(folder):
        content = bytearray((folder / path).read_bytes())
        content[len(content) // 2] ^= 1
        (folder / path).write_bytes(content)

    return change


def unwritable(folder):
    """results on a file system that takes no files, not even root's."""
    shutil.rmtree(folder / "results", ignore_errors=True)
    (folder / "results").symlink_to("/sys/kernel")


def without(package):
    """A package that cannot be imported: found before the installed one, since it lies beside ours."""
    return write(f"workflow/{package}.py", f"raise ModuleNotFoundError('gone', name='{package}')\n")


def images(folder, *, content=None, missing=False):
    """A folder with four IDX files of the right names."""
    names = [f"{part}-{kind}" for part in ("train", "t10k") for kind in ("images-idx3-ubyte", "labels-idx1-ubyte")]
    for name in names[1 if missing else 0 :]:
        write(f"idx/{name}.gz", gzip.compress(bytes(100)) if content is None else content)(folder)


def pickled(folder):
    """An images file that holds a pickled object in place of numbers."""
    np.savez(folder / "images.npz", train_images=np.array([{}], dtype=object))
    job_file(folder)


def job_file(folder):
    """A job file of one job of one run."""
    run = {"condition": "ei_ln", "task": "luminosity", "dataset": "fashion_mnist", "epsilon": 0, "lambda": 0}
    run |= {"config": 0, "seed": 0, "epochs": 1, "train_images": 1, "test_images": 1, "batch_size": 1}
    jobfile.write({job_name([run | {"hidden_width": 9}]): [run | {"hidden_width": 9}]}, folder / "jobs.json")


TRAIN = [*EINORM, "train", "--jobs", "jobs.json", "--images", "images.npz", "--shifts", "shifts", "--out", "runs"]
ARCHIVE = "paper_artifact/archive/quick"
FROM_ARCHIVE = [*SNAKEMAKE, "--config", "results=archive"]
JUDGE = [*EINORM, "claims", "--tables", ARCHIVE, "--rules", "paper_artifact/claims.yaml", "--published"]
JUDGE += ["paper_artifact/published", "--out", "out"]
DRAW = [*EINORM, "figure", "fig2", "--tables", ARCHIVE, "--rules", "paper_artifact/claims.yaml", "--published"]
DRAW += ["paper_artifact/published", "--out", "out"]
PREPARE = [*EINORM, "prepare", "--dataset", "fashion_mnist", "--downloads", "d", "--path", "idx", "--out", "x.npz"]
SHIFTS = [*EINORM, *["shifts", "--task", "volume", "--epsilon", "0", "--seed", "0", "--epochs", "1", "--out", "s.npz"]]
SHIFTS += ["--train-images", "1", "--test-images", "1"]
COLLECT = [*EINORM, "collect", "--shards", "absent", "--out", "out", "--settings"]
COLLECT += ['{"epochs": 1, "conditions": ["inorm"], "epsilons": [0], "configs": [0]}']
PROFILE = [*SNAKEMAKE, "--workflow-profile", "mine"]

VALUES = {  # overrides of config.yaml -> words of the line
    "preset=quik": ("preset", "did you mean 'quick'"),
    "preset=null": ("preset", "known are"),
    "epochz=3": ("unknown key 'epochz'", "did you mean 'epochs'"),
    "epochs=0": ("epochs = 0", "greater than or equal to 1"),
    "epochs=1.5": ("epochs = 1.5", "integer"),
    "epochs=many": ("epochs = 'many'", "integer"),
    "epochs": ("'epochs' is no override", "key=value"),
    "epochs=[": ("epochs=[", "YAML"),
    "conditions=[inrm]": ("conditions", "did you mean 'inorm'"),
    "conditions=[]": ("conditions", "at least 1"),
    "conditions=inorm": ("conditions", "list", "write conditions=[inorm]"),
    "epsilons=0.75": ("epsilons", "list", "write epsilons=[0.75]"),
    "conditions=[inorm, inorm]": ("conditions", "twice"),
    "conditions=[[inorm]]": ("conditions", "string"),
    "epsilons=[1.5]": ("epsilons", "less than or equal to 1"),
    "epsilons=[.nan]": ("epsilons", "nan"),
    "epsilons=[a]": ("epsilons", "number"),
    "lambda_epsilons=[-1]": ("lambda_epsilons", "greater than or equal to 0"),
    "configs=101": ("configs", "0 to 99"),
    "configs=[-1]": ("configs", "0 to 99"),
    "train_images=70000": ("train_images", "60000"),
    "test_images=0": ("test_images", "greater than or equal to 1"),
    "batch_size=-32": ("batch_size", "greater than or equal to 1"),
    "dataset=fashion-mnist": ("dataset", "did you mean 'fashion_mnist'"),
    "tasks=[luminosit]": ("tasks", "did you mean 'luminosity'"),
    "seed=-1": ("seed", "greater than or equal to 0"),
    "machine={threads: 0}": ("machine.threads", "greater than or equal to 1"),
    "machine={device: tpu}": ("machine.device", "'cpu'"),
    "machine={runs_per_batch: 0}": ("machine.runs_per_batch", "1"),
    "machine={gpus: 1}": ("machine: unknown key 'gpus'", "known are"),
    "machine=fast": ("machine", "fast"),
    "data={pth: x}": ("data: unknown key 'pth'", "did you mean 'path'"),
    "results=maybe": ("results", "'computed'"),
    "reuse_archive=perhaps": ("reuse_archive", "boolean"),
}

CASES = {  # name -> what is spoiled, command, words of the line
    "config.yaml is missing": (lambda f: (f / "config.yaml").unlink(), SNAKEMAKE, ("cannot read", "config.yaml")),
    "config.yaml is no YAML": (edit("config.yaml", "data:", "data: ["), SNAKEMAKE, ("config.yaml is not YAML",)),
    "config.yaml with tabs": (edit("config.yaml", "  path:", "\tpath:"), SNAKEMAKE, ("config.yaml is not YAML",)),
    "config.yaml is a list": (write("config.yaml", "- a\n"), SNAKEMAKE, ("config.yaml must be a mapping",)),
    "config.yaml is empty": (write("config.yaml", ""), SNAKEMAKE, ("config.yaml must be a mapping",)),
    "config.yaml is binary": (write("config.yaml", b"\xff\xfe\x00"), SNAKEMAKE, ("config.yaml is not YAML",)),
    "config.yaml builds objects": (
        edit("config.yaml", "preset: quick", "preset: !!python/object/apply:os.system ['touch hacked']"),
        SNAKEMAKE,
        ("config.yaml is not YAML",),
    ),
    "a preset misspells a key": (edit("config.yaml", "epochs: 20", "epoch: 20"), SNAKEMAKE, ("preset quick", "epochs")),
    "a preset lacks a key": (edit("config.yaml", "    epochs: 20\n", ""), SNAKEMAKE, ("epochs is missing",)),
    "presets are a list": (edit("config.yaml", "presets:", "presets: []\nrest:"), SNAKEMAKE, ("`presets` must map",)),
    "unknown preset": (None, [*SNAKEMAKE, "--config", "preset=quik"], ("did you mean 'quick'",)),
    "a relative data.path is no folder": (
        None,
        [*SNAKEMAKE, "--config", "data={path: absent}"],
        ("'absent'", "/absent)"),
    ),
    "data.path is no folder": (None, [*SNAKEMAKE, "--config", "data={path: /absent}"], ("data.path = '/absent'",)),
    "a profile with science": (
        write("mine/config.yaml", "config: [epochs=3]\n"),
        PROFILE,
        ("a profile sets 'epochs'", "never what to compute"),
    ),
    "a profile with science as a mapping": (
        write("mine/config.yaml", "config:\n  preset: paper\n"),
        PROFILE,
        ("a profile sets 'preset'", "--config"),
    ),
    "a profile whose configfile has science": (
        lambda f: [write("mine/config.yaml", "configfile: s.yaml\n")(f), write("s.yaml", "seed: 3\n")(f)],
        PROFILE,
        ("a profile sets 'seed'",),
    ),
    "the default profile with science": (
        write("profiles/default/config.yaml", "config: [seed=1]\n"),
        SNAKEMAKE,
        ("a profile sets 'seed'",),
    ),
    "no archive": (None, [*FROM_ARCHIVE, "archive=/absent"], ("there is no archive in /absent",)),
    "another archive": (None, [*FROM_ARCHIVE, "seed=1"], ("made with other settings", "seed 0 there, 1 here")),
    "an archive with a changed byte": (
        flip(f"{ARCHIVE}/epochs.parquet"),
        FROM_ARCHIVE,
        ("epochs.parquet was changed",),
    ),
    "an archive without a manifest's end": (
        cut(f"{ARCHIVE}/manifest.json"),
        FROM_ARCHIVE,
        ("manifest.json is damaged",),
    ),
    "an archive to reuse that is not there": (
        None,
        [*SNAKEMAKE, "--config", "preset=smoke", "reuse_archive=true", "archive=elsewhere"],
        ("there is no archive in /", "/elsewhere:"),
    ),
    "an archive that names files elsewhere": (
        edit(f"{ARCHIVE}/manifest.json", '"runs.parquet": {', '"../../../runs.parquet": {'),
        FROM_ARCHIVE,
        ("manifest.json is damaged",),
    ),
    "results cannot be written": (unwritable, SNAKEMAKE, ("cannot write to the folder results", "--directory")),
    "a package of a command is missing": (without("pandas"), DRAW, ("pandas is missing", "requirements.lock")),
    "an old Python": (None, [sys.executable, "-c", TOO_OLD], ("3.11 or newer",)),
    "make with an old Python": (None, ["make", "-s", "PYTHON=false"], ("Python 3.11, 3.12 or 3.13", "PYTHON=")),
    "CUDA that is absent": (job_file, [*TRAIN, "--device", "cuda"], ("CUDA", "device")),
    "an unknown device": (None, [*TRAIN, "--device", "gpu"], ("--device", "'cuda'")),
    "images are missing": (job_file, TRAIN, ("images.npz is missing",)),
    "images with a pickle in them": (pickled, TRAIN, ("images.npz cannot be read", "delete it")),
    "no job file": (None, TRAIN, ("cannot read jobs.json", "python -m einorm jobs")),
    "a job file that is none": (write("jobs.json", "[1"), TRAIN, ("jobs.json is no job file",)),
    "a job file that was changed": (write("jobs.json", '{"a": [{}]}'), TRAIN, ("jobs.json is no job file",)),
    "a job that is not in its file": (job_file, [*TRAIN, "--only", "inorm"], ("holds no job inorm",)),
    "no thread": (job_file, [*TRAIN, "--threads", "0"], ("--threads", "at least 1")),
    "no epoch of shifts": (None, [*EINORM, "shifts", "--epochs", "0"], ("--epochs", "at least 1")),
    "no benchmark to show": (None, [*EINORM, "benchmark", "--show", "no.json"], ("cannot read no.json", "--json")),
    "a benchmark that is none": (
        write("b.json", "{"),
        [*EINORM, "benchmark", "--show", "b.json"],
        ("b.json is no benchmark",),
    ),
    "golden vectors that are no zip": (
        write("golden/inorm.npz", "PK\x03\x04 and no more"),
        [*EINORM, "golden", "golden"],
        ("inorm.npz is not a golden vector file",),
    ),
    "no jobs at once": (job_file, [*TRAIN, "--at-once", "0"], ("--at-once", "at least 1")),
    "an unknown data set": (None, [*PREPARE, "--dataset", "letters"], ("letters", "fashion_mnist")),
    "images that are no gzip": (lambda f: images(f, content=b"x"), PREPARE, ("idx/", "cannot be read", "replace")),
    "images of another data set": (images, PREPARE, ("idx/", "sha256")),
    "one file of the images is missing": (
        lambda f: images(f, missing=True),
        PREPARE,
        ("idx", "train-images-idx3-ubyte"),
    ),
    "an unknown task": (None, SHIFTS, ("volume", "luminosity")),
    "an unknown figure": (None, [*DRAW[:4], "fig99", *DRAW[5:]], ("fig99", "did you mean 'fig")),
    "a damaged table": (cut(f"{ARCHIVE}/runs.parquet"), DRAW, ("runs.parquet is damaged",)),
    "a missing table": (lambda f: (f / ARCHIVE / "epochs.parquet").unlink(), DRAW, ("epochs.parquet is missing",)),
    "a table that is another": (
        lambda f: shutil.copy(f / ARCHIVE / "samples.parquet", f / ARCHIVE / "runs.parquet"),
        DRAW,
        ("runs.parquet is no runs table",),
    ),
    "published values without a column": (
        edit("paper_artifact/published/published_runs.csv", "condition", "conditon"),
        JUDGE,
        ("published_runs.csv", "condition"),
    ),
    "published values that are no numbers": (
        edit("paper_artifact/published/published_tests.csv", "0.7581321119576172", "none"),
        JUDGE,
        ("published_tests.csv", "p"),
    ),
    "published values are missing": (
        lambda f: (f / "paper_artifact/published/published_summary.csv").unlink(),
        JUDGE,
        ("published_summary.csv is missing",),
    ),
    "claims.yaml with a misspelt key": (
        edit("paper_artifact/claims.yaml", "margin:", "margim:"),
        JUDGE,
        ("claims.yaml", "margi"),
    ),
    "golden vectors are missing": (None, [*EINORM, "golden", "absent"], ("absent", "npz")),
    "shards are missing": (None, COLLECT, ("is missing",)),
    "settings that are no JSON": (None, [*COLLECT, "--settings", "{"], ("--settings", "JSON")),
    "nothing to archive": (None, [*EINORM, "archive", "preset=smoke"], ("no finished run", "run snakemake")),
    "a config file that is not there": (None, [*EINORM, "status", "--config", "no.yaml"], ("cannot read no.yaml",)),
    "no tables for the report": (
        None,
        [*EINORM, "report", "--tables", "absent", "--claims", "a", "--figures", "b", "--artifact", "c", "--out", "d"],
        ("absent/runs.parquet is missing",),
    ),
    "an unknown subcommand": (None, [*EINORM, "trian"], ("trian", "train")),
}


def files(folder):
    """Every file of a folder with its size and date, but for what Python and Snakemake keep to themselves."""
    paths = [p for p in folder.rglob("*") if p.is_file() and not {".snakemake", "__pycache__"} & set(p.parts)]
    return {str(path): (path.stat().st_size, path.stat().st_mtime_ns) for path in paths}


def refused(folder, command, says):
    before = files(folder)
    env = os.environ | {"PYTHONPATH": str(folder / "workflow")}
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True, env=env)
    output = done.stdout + done.stderr
    lines = [line for line in output.splitlines() if line.startswith("einorm: error: ")]
    assert done.returncode in (1, 2) and len(lines) == 1, output
    assert all(word in lines[0] for word in says), lines[0]
    assert "Traceback" not in output
    if command[:3] == EINORM:
        assert done.stderr.splitlines() == lines, "nothing but the line"
    assert files(folder) == before, "nothing was written"


@pytest.fixture(scope="module")
def shipped(tmp_path_factory):
    return copy_project(tmp_path_factory.mktemp("shipped"))


@pytest.mark.parametrize("value", VALUES)
def test_a_wrong_value_is_refused_with_one_line(shipped, value):
    refused(shipped, [*EINORM, "status", value], VALUES[value])


@pytest.mark.long
@pytest.mark.parametrize("name", CASES)
def test_a_mistake_is_refused_with_one_line(tmp_path, name):
    spoil, command, says = CASES[name]
    folder = copy_project(tmp_path)
    if spoil:
        spoil(folder)
    refused(folder, command, says)


@pytest.mark.skipif(os.geteuid() != 0, reason="a small disk can only be made as root")
def test_too_little_space_is_refused_with_one_line(tmp_path):
    folder = copy_project(tmp_path)
    (folder / "results").mkdir(exist_ok=True)
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=50m", "tmpfs", folder / "results"], check=True)
    try:
        refused(folder, SNAKEMAKE, ("only 50 MB are free", "--directory"))
    finally:
        subprocess.run(["umount", folder / "results"], check=True)
