"""Other people's machines: their profiles, paths, locales and files change nothing, or are refused in one line."""

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow.parquet as pq
import pytest
import synthetic
from conftest import REPOSITORY, copy_project
from einorm.planning import profiles, surroundings
from einorm.records import tables
from einorm.runtime import UserError, write_csv

pytestmark = pytest.mark.long

SNAKEMAKE = [str(Path(sys.executable).parent / "snakemake")]
SHIFTS = "results/shifts/luminosity/eps0.25-seed0-1x64+10.npz"


def run(command, folder, **environ):
    """A command's exit code and its whole output, in an environment that names no package of this project."""
    env = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"} | environ
    output = {"stdout": subprocess.PIPE, "stderr": subprocess.STDOUT, "encoding": "utf-8", "errors": "replace"}
    done = subprocess.run(list(map(str, command)), cwd=folder, env=env, **output)
    return done.returncode, done.stdout


@pytest.fixture(scope="module")
def shipped(tmp_path_factory):
    return copy_project(tmp_path_factory.mktemp("shipped"))


PROFILES = {  # file -> its text, and how it is named
    "named by its file": ("p/mine.yaml", "config: [seed=5]", ["--profile", "p/mine.yaml"], {}),
    "profile.yaml": ("p/profile.yaml", "config: {configs: 2}", ["--workflow-profile", "p"], {}),
    "of a version, a template": (
        "p/profile.v9+.yaml",
        "__use_yte__: true\nconfig: ?['epochs=' + str(1)]",
        ["--profile", "p"],
        {},
    ),
    "the user's, by name": (
        "home/snakemake/lab/config.yaml",
        "configfile: c.yaml",
        ["--profile", "lab"],
        {},
    ),
    "in the environment": ("p/profile.yaml", "config: ['conditions=[ei_ln]']", [], {"SNAKEMAKE_PROFILE": "p"}),
    "the project's default": ("profiles/default/profile.yaml", "configfile: c.yaml", [], {}),
}


@pytest.mark.parametrize("name", PROFILES)
def test_a_profile_that_decides_results_is_refused_however_it_is_found(shipped, tmp_path, name):
    file, text, options, environ = PROFILES[name]
    environ = environ | {"XDG_CONFIG_HOME": str(tmp_path / "home")}
    for path, content in ((file, text), ("c.yaml", "epsilons: [0.5]")):
        (tmp_path / path).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / path).write_text(content + "\n")
    code, output = run([*SNAKEMAKE, "-n", "-c1", "-s", shipped / "Snakefile", *options], tmp_path, **environ)
    lines = [line for line in output.splitlines() if line.startswith("einorm: error: a profile sets ")]
    assert code == 1 and len(lines) == 1 and "Traceback" not in output, output


def test_what_the_command_line_names_is_not_a_profiles(tmp_path):
    (tmp_path / "c.yaml").write_text("seed: 3\nmachine: {threads: 2}\n")
    given = {"seed": 3, "epochs": 1, "machine": {"threads": 2}}
    command = ["/usr/bin/snakemake", "-nC", "epochs=1", "--configfile", str(tmp_path / "c.yaml")]
    profiles.check_profiles(given, command)
    profiles.check_profiles({"machine": {"device": "cuda"}, "archive": "x"}, ["snakemake"])
    with pytest.raises(UserError, match="a profile sets 'seed'"):
        profiles.check_profiles(given, command[:3])
    profiles.check_profiles(given, ["a program that calls Snakemake's Python interface"])


def test_a_workflow_profile_that_is_not_there_is_refused(shipped, tmp_path):
    """Snakemake would plan everything here, and say nothing."""
    command = [*SNAKEMAKE, "-n", "-c1", "-s", shipped / "Snakefile", "--workflow-profile", "workflow/profiles/slrum"]
    code, output = run(command, tmp_path)
    assert (code, output.count("\n")) == (1, 1) and "there is no profile in workflow/profiles/slrum" in output, output
    profiles.check_profiles({}, ["snakemake", "--workflow-profile", "none"])
    profiles.check_profiles({}, ["snakemake", "--workflow-profile", "elsewhere", "--directory", "x"])


def test_a_configfile_that_would_switch_the_gpu_profile_off_is_refused(tmp_path, monkeypatch):
    monkeypatch.chdir(REPOSITORY)
    (tmp_path / "mine.yaml").write_text("seed: 3\n")
    command = ["snakemake", "--workflow-profile", "workflow/profiles/gpu", "--configfile"]
    with pytest.raises(UserError, match=r"name both, --configfile workflow/profiles/gpu/machine.yaml .+mine.yaml"):
        profiles.check_profiles({}, [*command, str(tmp_path / "mine.yaml")])
    both = ["workflow/profiles/gpu/machine.yaml", str(tmp_path / "mine.yaml")]
    profiles.check_profiles({"seed": 3, "machine": {"device": "cuda"}}, [*command, *both])


def test_a_cluster_whose_command_is_not_here_is_told_before_a_job_starts(tmp_path):
    profile = tmp_path / "config.yaml"
    profile.write_text("cluster-generic-submit-cmd: no-such-qsub -terse\n")
    with pytest.raises(UserError, match="no-such-qsub is not installed here"):
        profiles.check_submission(["snakemake", "--workflow-profile", str(tmp_path)])
    profile.write_text("cluster-generic-submit-cmd: sh -c 'qsub'\n")
    profiles.check_submission(["snakemake", "--workflow-profile", str(tmp_path)])
    profiles.check_submission(["snakemake"])


def test_a_folder_below_the_results_that_cannot_be_written_is_named(monkeypatch, tmp_path):
    monkeypatch.chdir(tmp_path)
    closed = tmp_path / "results" / "logs" / "train"
    closed.mkdir(parents=True)
    surroundings.check_folders()
    monkeypatch.setattr(os, "access", lambda path, mode: Path(path).name != "train")
    with pytest.raises(UserError, match="cannot write to the folder results/logs/train: make it writable"):
        surroundings.check_folders()


HOSTILE = {  # the working folder, the project's folder, files that lie in the working folder, environment
    "a user's own modules": (".", "project", ["random.py", "json.py", "numpy.py", "einorm.py"], {}),
    "a colon in the project's path": ("a:b/project", "a:b/project", [], {}),
    "quotes and a dollar in paths": ("it's $HOME", 'the "project"', [], {}),
    "docstrings taken out": (".", "project", [], {"PYTHONOPTIMIZE": "2"}),
    "a pure ASCII locale": ("für", "für", [], {"LC_ALL": "C", "PYTHONUTF8": "0", "PYTHONCOERCECLOCALE": "0"}),
}


@pytest.mark.parametrize("name", HOSTILE)
def test_a_job_runs_this_checkouts_code_whatever_lies_around_it(tmp_path, name):
    folder, project, files, environ = HOSTILE[name]
    project, folder = tmp_path / project, tmp_path / folder
    for path in (folder, project):
        path.mkdir(parents=True, exist_ok=True)
    copy_project(project)
    for file in files:
        (folder / file).write_text("raise SystemExit('a module of the user was imported')\n")
    code, output = run([*SNAKEMAKE, "-c1", SHIFTS, "-s", project / "Snakefile"], folder, **environ)
    assert code == 0 and (folder / SHIFTS).exists(), output


def test_a_path_that_no_search_path_can_hold_is_refused(monkeypatch, tmp_path):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(surroundings, "PACKAGE", tmp_path.parent / "a:b" / "workflow" / "einorm")
    with pytest.raises(UserError, match=r"a:b/workflow holds ':'.*rename"):
        surroundings.use_this_clone()


COMMAND = [sys.executable, "-m", "einorm"]


def test_commands_by_hand_pass_over_a_users_own_modules(shipped, tmp_path):
    for name in ("random", "json", "string", "numpy"):
        (tmp_path / f"{name}.py").write_text("raise SystemExit('a module of the user was imported')\n")
    config = ["--config", str(shipped / "config.yaml")]
    code, output = run([*COMMAND, "status", *config], tmp_path, PYTHONPATH=str(shipped / "workflow"))
    assert code == 0 and "0 of 80 runs finished" in output, output


def test_a_command_says_where_it_runs_the_code_of_another_checkout(shipped, tmp_path):
    other = copy_project(tmp_path)
    for folder, said in ((other, True), (shipped, False)):
        code, output = run([*COMMAND, "status", "epochs=0"], folder, PYTHONPATH=str(shipped / "workflow"))
        assert code == 1 and (f"this runs the code in {shipped}" in output) == said, output


def test_a_reader_that_closes_its_pipe_ends_a_command_quietly(shipped):
    command = f"{sys.executable} -m einorm --help | head -1; {sys.executable} -u -m einorm status | true"
    code, output = run(["bash", "-c", command], shipped, PYTHONPATH=str(shipped / "workflow"))
    assert code == 0 and "Traceback" not in output and "BrokenPipe" not in output


DRAW = """
import sys, pathlib
import pandas as pd
from einorm.figures import style
figure, axes = style.grid(1, 2, 2)
style.save(figure, pd.DataFrame({"x": [1]}), pathlib.Path(sys.argv[1]))
"""
MATPLOTLIBRC = "text.usetex: True\naxes.facecolor: red\nlines.marker: o\nsavefig.dpi: 33\nfont.sans-serif: Helvetica\n"
MATPLOTLIBRC += "axes.formatter.use_locale: True\nsavefig.bbox: tight\npdf.compression: 0\nfont.family: serif\n"


def test_figures_depend_on_no_matplotlibrc(tmp_path):
    (tmp_path / "a").mkdir()
    (tmp_path / "a" / "matplotlibrc").write_text(MATPLOTLIBRC)
    package = str(surroundings.PACKAGE.parent)
    for folder in (tmp_path, tmp_path / "a"):
        code, output = run([sys.executable, "-c", DRAW, "figure"], folder, PYTHONPATH=package)
        assert code == 0, output
    for kind in ("png", "pdf"):
        assert (tmp_path / f"figure.{kind}").read_bytes() == (tmp_path / "a" / f"figure.{kind}").read_bytes()


OUTER = 'module einorm:\n    snakefile: "{}"\n{}\nuse rule * from einorm as einorm_*\n'


@pytest.mark.parametrize(
    ("text", "target", "planned"),
    [
        (OUTER.format("{}", '    config: {{"preset": "smoke", "epsilons": [0.5]}}'), "einorm_tables", "eps0.5-"),
        (OUTER.format("{}", ""), "figures/fig3.png", "eps0.75-"),
        ('include: "{}"\n', "tables", "eps0.75-"),
    ],
)
@pytest.mark.parametrize("entry", ["Snakefile", "workflow/Snakefile"])
def test_another_workflow_can_use_this_one(shipped, tmp_path, text, target, planned, entry):
    (tmp_path / "outer").mkdir()
    (tmp_path / "outer" / "Snakefile").write_text(text.format(shipped / entry))
    code, output = run([*SNAKEMAKE, "-n", "-c1", "-s", "outer/Snakefile", target], tmp_path)
    assert code == 0 and f"results/shifts/luminosity/{planned}" in output, output


DEPLOYED = 'configfile: "config/config.yaml"\nmodule einorm:\n    snakefile: "{}"\n    config: config\n'
DEPLOYED += "use rule * from einorm\n"


def test_a_project_as_snakedeploy_writes_it_plans_everything(shipped, tmp_path):
    """It copies config/ and names workflow/Snakefile; that of the clone, since jobs call the package beside it."""
    shutil.copytree(shipped / "config", tmp_path / "config")
    (tmp_path / "workflow").mkdir()
    (tmp_path / "workflow" / "Snakefile").write_text(DEPLOYED.format(shipped / "workflow" / "Snakefile"))
    code, output = run([*SNAKEMAKE, "-n", "-c1", "--config", "results=archive"], tmp_path)
    assert code == 0 and re.search(r"^page +1$", output, re.M) and re.search(r"^fig5 +1$", output, re.M), output
    assert "rule train" not in output and "einorm: error" not in output


def test_the_entry_in_the_folder_workflow_plans_and_refuses_as_the_one_at_the_top(shipped, tmp_path):
    entry = [*SNAKEMAKE, "-s", shipped / "workflow" / "Snakefile", "-n", "-c1", "-d", tmp_path / "here"]
    code, output = run([*entry, "--config", "results=archive"], tmp_path)
    assert code == 0 and re.search(r"^everything +1$", output, re.M), output
    (tmp_path / "profile.yaml").write_text("config: [seed=5]")
    code, output = run([*entry, "--profile", tmp_path / "profile.yaml"], tmp_path)
    assert code == 1 and "einorm: error" in output and "seed" in output, output


@pytest.mark.parametrize("entry", ['data={path: "it\'s"}', "archive=it's $HOME", "archive=it's `x`", "archive=a\\b"])
def test_what_a_cluster_job_would_not_get_as_it_was_given_is_refused(entry):
    with pytest.raises(UserError, match="--configfile"):
        profiles.check_hand_over(["snakemake", "-j2", "--config", entry])


@pytest.mark.parametrize(
    ("answer", "edit", "refused"),
    [
        ("echo Slurm accounting storage is disabled >&2; exit 1", "", True),
        ("echo Slurm accounting storage is disabled >&2; exit 1", "slurm-status-command: squeue\n", False),
        ("exit 0", "", False),
    ],
)
def test_a_slurm_cluster_without_accounts_is_told_before_a_job_starts(tmp_path, monkeypatch, answer, edit, refused):
    """Else Snakemake waits for ever for jobs that have ended."""
    sacct = tmp_path / "bin" / "sacct"
    sacct.parent.mkdir()
    sacct.write_text(f"#!/bin/sh\n{answer}\n")
    sacct.chmod(0o755)
    monkeypatch.setenv("PATH", f"{sacct.parent}:{os.environ['PATH']}")
    profile = tmp_path / "slurm"
    profile.mkdir()
    shipped = (REPOSITORY / "workflow" / "profiles" / "slurm" / "config.yaml").read_text()
    (profile / "config.yaml").write_text(shipped + edit)
    command = ["snakemake", "--workflow-profile", str(profile)]
    if refused:
        with pytest.raises(UserError, match=r"accounting storage is disabled.*set slurm-status-command .* in .*slurm"):
            profiles.check_accounting(command)
    else:
        profiles.check_accounting(command)
    profiles.check_accounting(["snakemake", "-j2"])


def test_ordinary_options_are_handed_over_to_a_cluster():
    profiles.check_hand_over(
        ["snakemake", "--config", "preset=paper", "conditions=[ei_ln, inorm]", "archive=it's", "archive=$A"]
    )


def test_braces_in_a_path_are_refused_in_one_line():
    with pytest.raises(UserError, match="holds a brace"):
        surroundings.check_braces("images", "my{archive}")


def test_a_csv_holds_nothing_that_a_spreadsheet_misreads(tmp_path):
    table = pd.DataFrame(
        {"low": [-np.inf, -1.5, np.nan], "high": [np.inf, 2, 3], "rule": ["per ε", "=1+1 is text", None]}
    )
    write_csv(table, tmp_path / "table.csv")
    text = (tmp_path / "table.csv").read_text(encoding="ascii")
    assert "inf" not in text and "per epsilon" in text
    back = pd.read_csv(tmp_path / "table.csv")
    assert back["low"].tolist()[1] == -1.5 and back["low"].isna().tolist() == [True, False, True]


def test_tables_are_packed_by_a_codec_that_every_reader_has(tmp_path):
    tables.write(synthetic.frames()["runs"], "runs", tmp_path / "runs.parquet", {})
    group = pq.ParquetFile(tmp_path / "runs.parquet").metadata.row_group(0)
    assert {group.column(i).compression for i in range(group.num_columns)} == {"GZIP"}


def test_clones_have_unix_line_ends(tmp_path):
    """As git on Windows makes a clone, with core.autocrlf."""
    shutil.copy(REPOSITORY / ".gitattributes", tmp_path)
    (tmp_path / "Makefile").write_bytes(b"run:\n\ttrue\n")
    (tmp_path / "table.parquet").write_bytes(b"PAR1\r\n\n")
    git = ["git", "-c", "core.autocrlf=true", "-c", "user.name=a", "-c", "user.email=a@example.org"]
    for command in (["init", "-q"], ["add", "."], ["commit", "-qm", "all"], ["clone", "-q", ".", "clone"]):
        code, output = run([*git, *command], tmp_path)
        assert code == 0, output
    assert (tmp_path / "clone" / "Makefile").read_bytes() == b"run:\n\ttrue\n"
    assert (tmp_path / "clone" / "table.parquet").read_bytes() == b"PAR1\r\n\n"


def test_a_backend_for_windows_is_passed_over(tmp_path):
    environ = {"PYTHONPATH": str(surroundings.PACKAGE.parent), "MPLBACKEND": "of a desktop"}
    code, output = run([sys.executable, "-c", "import einorm.figures.style"], tmp_path, **environ)
    assert code == 0, output
