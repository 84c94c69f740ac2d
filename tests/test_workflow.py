"""The whole workflow under the smoke preset, from raw images to every figure, in a copy of the project."""

import json
import os
import re
import shutil

import pytest
import synthetic
import yaml
from conftest import REPOSITORY, copy_project, snakemake
from einorm.conditions import CONDITIONS
from einorm.figures import FIGURES
from einorm.records import provenance, tables


def planned(folder, *arguments, **options):
    """Jobs that a dry run plans: rule -> number; training jobs of all lengths together as train."""
    done = snakemake(folder, "-n", *arguments, **options)
    assert done.returncode == 0, done.stdout
    if "Nothing to be done" in done.stdout:
        return {}
    block = done.stdout.rsplit("Job stats:", 1)[1].split("total", 1)[0]
    jobs = {}
    for rule, count in re.findall(r"^(\w+)\s+(\d+)$", block, re.M):
        name = "train" if rule.startswith("train_") else rule
        jobs[name] = jobs.get(name, 0) + int(count)
    return jobs


def edited(smoke, tmp_path, file, old, new):
    """A copy of the finished project, time stamps and all, with one file edited."""
    folder = tmp_path / "edited"
    shutil.copytree(smoke, folder)
    text = (folder / file).read_text()
    assert old in text
    (folder / file).write_text(text.replace(old, new, 1))
    return folder


def test_every_figure_and_table_is_made(smoke):
    for name in FIGURES:
        for kind in ("pdf", "png", "csv"):
            assert (smoke / "figures" / f"{name}.{kind}").stat().st_size > 0
    assert (smoke / "paper_artifact" / "bundle" / "report.html").stat().st_size > 0
    assert len((smoke / "results" / "claims" / "claims.csv").read_text().splitlines()) > 25
    runs = tables.read(smoke / "results" / "tables" / "runs.parquet", "runs")
    assert set(runs["condition"]) == set(CONDITIONS)
    assert len(runs) == (len(CONDITIONS) - 1) * 2 + 5 * 2 and not runs.duplicated("digest").any()
    epochs = tables.read(smoke / "results" / "tables" / "epochs.parquet", "epochs")
    assert len(epochs) == 2 * len(runs)
    assert runs.attrs == epochs.attrs and runs.attrs["settings"]["epochs"] == 2
    versions = json.loads(runs["versions"].iloc[0])
    assert versions["torch"] and versions["machine"] == provenance.machine(), "the machine that trains is recorded"


def test_nothing_is_half_written(smoke):
    assert not [path for path in smoke.rglob("*.tmp") if ".snakemake" not in path.parts]


def test_every_job_left_a_log_with_a_line_per_epoch(smoke):
    logs = list((smoke / "results" / "logs" / "train").rglob("*.log"))
    assert len(logs) == planned(smoke, "--forceall")["train"]
    for log in logs:
        assert re.search(r"epoch 2/2  loss ([\d.]+|nan)  accuracy [\d.]+ %  time left 0:00", log.read_text())


def test_long_jobs_start_before_short_ones(smoke):
    log = min((smoke / ".snakemake" / "log").glob("*.log")).read_text()
    jobs = re.findall(r"Training \(a (\w+) job\) (\w+),", log)
    assert {length for length, _ in jobs} == {"long", "medium", "short"}
    for waiting in (True, False):  # runs that share a shift table wait for it; those that draw their own do not
        lengths = [length for length, name in jobs if (CONDITIONS[name].layer in ("e", "ei")) == waiting]
        assert lengths and lengths == sorted(lengths, key=["long", "medium", "short"].index)


def test_a_second_run_has_nothing_to_do(smoke):
    assert "Nothing to be done" in snakemake(smoke).stdout


def test_machine_settings_make_nothing_run_again(smoke):
    assert planned(smoke, "--config", "preset=smoke", "machine={device: cpu, threads: 1}", "data={path: .}") == {}


def test_an_edit_of_a_comment_has_nothing_to_do(smoke, tmp_path):
    folder = edited(smoke, tmp_path, "workflow/einorm/learning.py", '"""One training step', '"""A single training step')
    files = (
        "learning.py",
        "network.py",
        "training/train.py",
        "records/tables.py",
        "figures/style.py",
        "figures/fig3.py",
    )
    for file in files:
        path = folder / "workflow" / "einorm" / file
        path.write_text(path.read_text() + "\n# a comment\n")
    assert planned(folder) == {}


def test_a_new_version_in_the_environment_file_has_nothing_to_do(smoke, tmp_path):
    assert planned(edited(smoke, tmp_path, "envs/einorm.yaml", "ruff=0", "ruff=1")) == {}


@pytest.mark.long
def test_an_edit_of_the_training_code_trains_again(smoke, tmp_path):
    folder = edited(smoke, tmp_path, "workflow/einorm/network.py", "EPS = 1e-5", "EPS = 1e-6")
    assert planned(folder)["train"] == planned(smoke, "--forceall")["train"]


@pytest.mark.long
def test_an_edit_of_how_shifts_are_drawn_draws_them_again(smoke, tmp_path):
    folder = edited(smoke, tmp_path, "workflow/einorm/tasks.py", "rng.uniform(-1, 1, n)", "rng.uniform(-1, 1.5, n)")
    jobs = planned(folder)
    everything = planned(smoke, "--forceall")
    assert {name: jobs[name] for name in ("shifts", "train")} == {
        name: everything[name] for name in ("shifts", "train")
    }
    assert "prepare" not in jobs


def test_an_edit_of_one_error_signal_trains_its_conditions_only(smoke, tmp_path):
    folder = edited(smoke, tmp_path, "workflow/einorm/error_signals.py", "return g / sigma", "return g / sigma * 1.0")
    assert planned(folder)["train"] == 1


def test_an_edit_of_a_figure_draws_it_only(smoke, tmp_path):
    folder = edited(smoke, tmp_path, "workflow/einorm/figures/fig3.py", "grid(2, 2, 4.6,", "grid(2, 2, 4.7,")
    assert planned(folder) == {"all": 1, "fig3": 1, "page": 1}


@pytest.mark.long
def test_one_more_condition_trains_that_condition_only(smoke):
    listed = "[ei_none, ei_ln]"
    assert "train" not in planned(smoke, "--config", "preset=smoke", f"conditions={listed}")
    more = planned(smoke, "--config", "preset=smoke", f"conditions={listed}", "configs=3")
    assert more["train"] == 2


def test_the_peak_memory_of_a_job_is_recorded_and_small(smoke):
    records = [path.read_text().splitlines() for path in (smoke / "results" / "benchmarks").rglob("*.tsv")]
    memory = [dict(zip(*(line.split("\t") for line in lines), strict=True))["max_rss"] for lines in records]
    measured = [float(value) for value in memory if value not in ("NA", "-")]
    assert len(records) == planned(smoke, "--forceall")["train"]
    assert measured and max(measured) < 1500


def test_the_report_is_built_with_every_caption(smoke, tmp_path):
    done = snakemake(smoke, "--report", str(tmp_path / "report.html"))
    assert done.returncode == 0, done.stdout
    page = (tmp_path / "report.html").read_text()
    assert all(f"{name}.png" in page for name in FIGURES)
    assert "Centering of error signals by lateral inhibition with random fixed synapses" in page
    assert all(group in page for group in ("Figure 7", "Beyond the paper", "Claims"))


def test_a_deleted_table_is_collected_without_training(smoke, tmp_path):
    folder = tmp_path / "copy"
    shutil.copytree(smoke, folder)
    (folder / "results" / "tables" / "runs.parquet").unlink()
    assert "train" not in planned(folder)
    assert snakemake(folder, "tables").returncode == 0
    for table in ("runs", "epochs"):
        path = f"results/tables/{table}.parquet"
        assert (folder / path).read_bytes() == (smoke / path).read_bytes()


@pytest.mark.parametrize(("preset", "batches"), [("quick", 40), ("paper", 454)])
def test_larger_presets_plan(tmp_path, preset, batches):
    folder = copy_project(tmp_path)
    jobs = planned(folder, preset=preset)
    assert jobs["train"] == batches and set(FIGURES) <= set(jobs)


def test_the_lambda_sweep_plans_alone(tmp_path):
    jobs = planned(
        copy_project(tmp_path), "--config", "preset=paper", "conditions=[inorm, inorm_lambda]", "epsilons=[0.75]"
    )
    assert jobs["train"] == 46, "180 runs, at most 4 of a kind in a job"


@pytest.mark.parametrize(
    ("config", "says"),
    [
        (["preset=smok"], "did you mean 'smoke'"),
        (["preset=smoke", "epoch=3"], "did you mean 'epochs'"),
        (["preset=smoke", "epsilons=[2]"], "epsilons"),
        (["preset=smoke", "data={path: /absent}"], "data.path"),
    ],
)
def test_a_mistake_stops_before_any_job_with_one_line(tmp_path, config, says):
    done = snakemake(copy_project(tmp_path), "--config", *config)
    lines = [line for line in done.stdout.splitlines() if "einorm: error" in line]
    assert done.returncode == 1 and len(lines) == 1 and says in lines[0]
    assert "Traceback" not in done.stdout and not (tmp_path / "results" / "data").exists()


def test_altered_images_stop_the_workflow_with_one_line(tmp_path):
    folder = copy_project(tmp_path / "project")
    images = tmp_path / "the author's images"  # a name that a shell takes apart if it is not quoted
    images.mkdir()
    (images / "train-images-idx3-ubyte").write_bytes(b"altered")
    done = snakemake(folder, "--config", "preset=smoke", f'data={{path: "{images}"}}')
    lines = [line for line in done.stdout.splitlines() if "einorm: error" in line]
    assert done.returncode != 0 and len(lines) == 1 and "train-images-idx3-ubyte is truncated or altered" in lines[0]
    assert "Traceback" not in done.stdout and not list((folder / "results" / "data").glob("*"))
    assert "run the same command again" in done.stdout


def test_the_shipped_configuration_names_every_figure_condition():
    presets = yaml.safe_load((REPOSITORY / "config.yaml").read_text())["presets"]
    assert set(presets["smoke"]["conditions"]) == set(CONDITIONS)
    assert set(presets["paper"]["conditions"]) == set(CONDITIONS) - set(synthetic.OURS)
    captions = {path.stem for path in (REPOSITORY / "workflow" / "report").glob("*.rst")}
    assert captions == {*FIGURES, "error_signals", "robustness", "claims", "forest"}


def test_the_gpu_profile_plans_many_cells_in_one_job(tmp_path):
    jobs = planned(copy_project(tmp_path), "--workflow-profile", "workflow/profiles/gpu", preset="quick")
    assert sum(count for rule, count in jobs.items() if rule.startswith("train")) == 1


def test_profiles_say_how_never_what():
    from einorm.settings import Settings

    science = set(Settings.model_fields) - {"machine", "data"} | {"preset", "presets"}
    profiles = list((REPOSITORY / "workflow" / "profiles").glob("*/*.yaml"))
    assert profiles
    for path in profiles:
        given = yaml.safe_load(path.read_text())
        assert not set(given) & science and "config" not in given
        lines = path.read_text().splitlines()
        keys = [i for i, line in enumerate(lines) if re.match(r"[\w-]+:", line)]
        assert all(lines[i - 1].startswith("#") for i in keys), "every key is commented"


SHELL = re.compile(r'shell:\n((?:\s+"[^\n]*"\n?)+)')


def test_every_log_has_stderr_and_every_path_that_reaches_a_shell_is_quoted():
    commands = [c for path in (REPOSITORY / "workflow/rules").glob("*.smk") for c in SHELL.findall(path.read_text())]
    assert len(commands) == 17
    for command in commands:
        assert command.rstrip().endswith('> {log:q} 2>&1"')
        assert {f for f in re.findall(r"{([^}]*)}", command) if not f.endswith(":q")} <= {"resources.maths_threads"}


def test_a_traceback_is_in_the_log_and_its_last_line_on_the_terminal(tmp_path):
    folder = copy_project(tmp_path)
    path = folder / "workflow/einorm/figures/fig1.py"
    path.write_text(path.read_text().replace(") -> Drawn:\n", ") -> Drawn:\n    1 / 0\n", 1))
    done = snakemake(folder, "fig1", "--config", "results=archive")
    log = "results/logs/figures/fig1.log"
    assert "Traceback (most recent call last)" in (folder / log).read_text()
    lines = [line for line in done.stdout.splitlines() if line.startswith("einorm: error: ")]
    assert lines == [f"einorm: error: ZeroDivisionError: division by zero (log: {log})"]


CONDA = """#!/bin/sh
case "$*" in
  *info*) echo '{"conda_prefix": "/opt/conda", "root_prefix": "/opt/conda", "platform": "linux-64"}';;
  *version*) echo "conda 24.9.0";;
  *) echo '{"get": {"channel_priority": "strict"}}';;
esac
"""


@pytest.mark.parametrize(("device", "trains_in"), [("cuda", "einorm-gpu"), ("cpu", "einorm")])
def test_training_on_a_gpu_takes_its_conda_environment(tmp_path, monkeypatch, device, trains_in):
    """Planned only, with a stand-in for conda that answers what Snakemake asks."""
    folder, conda = copy_project(tmp_path / "project"), tmp_path / "bin" / "conda"
    conda.parent.mkdir()
    conda.write_text(CONDA)
    conda.chmod(0o755)
    monkeypatch.setenv("PATH", f"{conda.parent}{os.pathsep}{os.environ['PATH']}")
    done = snakemake(
        folder, "-n", "tables", "--sdm", "conda", "--config", "preset=smoke", f"machine={{device: {device}}}"
    )
    wanted = re.findall(r"Conda environment envs/(\S+).yaml will be created", done.stdout)
    assert done.returncode == 0 and set(wanted) == {"einorm", trains_in}, done.stdout
