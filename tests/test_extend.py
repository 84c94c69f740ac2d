"""The worked examples of docs/extend.md: each is carried out, as the page says it, in a copy of the project."""

import json
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pandas as pd
import pytest
from conftest import REPOSITORY, copy_project
from einorm.records import tables

pytestmark = pytest.mark.long

PAGE = (REPOSITORY / "docs" / "extend.md").read_text(encoding="utf-8")
MADE = ("results", "figures", ".snakemake")  # folders at the top of the project with what commands make
# An edit's comment: a new file; or in which file, at its end or after the line that begins so.
COMMENT = re.compile(r"<!-- (?:new file|in) (?P<path>[^ ,]+)(?:, (?P<where>append|after: (?P<line>.+)))? -->")
BLOCK = re.compile(
    r"(?:^(?P<prose>[^\n]+)\n(?P<comment><!-- [^\n]+ -->)\n\n)?^```(?P<kind>\w+)\n(?P<text>.*?)^```$", re.M | re.S
)


def examples(page):
    """Section title -> its steps, the matches of `BLOCK`: edits and commands in their order."""
    sections = re.split(r"^## (.+)\n", page, flags=re.M)[1:]
    steps = {title: list(BLOCK.finditer(text)) for title, text in zip(sections[::2], sections[1::2], strict=True)}
    return {title: found for title, found in steps.items() if found}


EXAMPLES = examples(PAGE)


def edit(folder, step):
    """Edit a file of the project as the comment above a block says."""
    comment = COMMENT.fullmatch(step["comment"])
    path = folder / comment["path"]
    assert path.exists() == bool(comment["where"])
    path.parent.mkdir(parents=True, exist_ok=True)
    lines = path.read_text(encoding="utf-8").splitlines(keepends=True) if comment["where"] else []
    at = len(lines)
    if comment["line"]:
        (at,) = (i + 1 for i, line in enumerate(lines) if line.strip().startswith(comment["line"]))
    text = f"\n\n{step['text']}" if step["text"].startswith("def ") else step["text"]  # functions stand apart
    path.write_text("".join([*lines[:at], text, *lines[at:]]), encoding="utf-8")


def shell(commands, folder):
    """Run commands in the project, with this Python and the project's own package first; their output."""
    path = os.pathsep.join([str(Path(sys.executable).parent), os.environ["PATH"]])
    done = subprocess.run(
        ["bash", "-euo", "pipefail", "-c", commands],
        cwd=folder,
        env=os.environ | {"PATH": path, "PYTHONPATH": str(folder / "workflow")},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )
    assert done.returncode == 0, done.stdout
    return done.stdout


def python(script, folder):
    """Run a Python script with the project's package; its output."""
    return shell(f"python - <<'END'\n{script}\nEND", folder)


def files(folder):
    """The project's own files and what is in them."""
    paths = [path.relative_to(folder) for path in folder.rglob("*") if path.is_file()]
    own = [path for path in paths if path.parts[0] not in MADE and "__pycache__" not in path.parts]
    return {path: (folder / path).read_bytes() for path in own}


FINGERPRINTS = """
import json
from einorm.conditions import CONDITIONS
from einorm.records.codes import training_code
from einorm.tasks import TASKS

print(json.dumps({f"{task} {condition}": training_code(condition, task) for task in TASKS for condition in CONDITIONS}))
"""


def fingerprints(folder):
    """Task and condition -> fingerprint of the code that trains it."""
    return json.loads(python(FINGERPRINTS, folder))


@pytest.fixture(scope="module")
def untouched(tmp_path_factory, images_path):
    """A copy of the project with prepared images, its files, and its fingerprints."""
    folder = copy_project(tmp_path_factory.mktemp("untouched"))
    (folder / "results" / "data").mkdir(parents=True)
    shutil.copy2(images_path, folder / "results" / "data")  # with its date, so that it is not prepared again
    return folder, files(folder), fingerprints(folder)


def finished(folder):
    """The runs that an example trained; all of them finished."""
    runs = tables.read(folder / "results" / "tables" / "runs.parquet", "runs")
    assert (runs["status"] == "finished").all()
    return runs


def drawn(folder, name):
    """The plotted points of a figure of which all files are there."""
    assert all((folder / "figures" / f"{name}.{kind}").stat().st_size > 1000 for kind in ("pdf", "png"))
    return pd.read_csv(folder / "figures" / f"{name}.csv")


def a_condition(folder, output):
    assert set(finished(folder)["condition"]) == {"inorm_div", "gradnorm_div"}
    assert re.search(r"^gradnorm_div +1\.0", output, re.M), "the printed table has a row for the condition"
    again = EXAMPLES["A condition"][1]["text"].split("\npython")[0].replace("--cores 2", "-n")
    plan = shell(again.replace("gradnorm_div]", "gradnorm_div, inorm]"), folder)
    assert set(re.findall(r"Training .+ job\) (\w+)", plan)) == {"inorm"}, "only what is new is trained"


SIGNAL = """
import numpy as np
import torch
from einorm.learning import build, hidden_signals
from einorm.network import forward, initial_network

widths = (12, 20)
weights = [initial_network("inorm", 60, width, 0) for width in widths]
rates = {"lr": 0.01, "lr_wix": 0.1, "lr_wei": 0.01, "lambda": 0.01}
network = build("gradnorm_center_sign", weights, [rates] * 2, torch.float64)
layer = network.layers[0]
state = forward(layer, torch.rand(60, 8, dtype=torch.float64))
g = torch.randn_like(state["z"]) * layer.mask
ours = hidden_signals(network, layer, state, g)["h"] * state["q"]
for r, width in enumerate(widths):
    of_run = g[r, :width].numpy()
    centered = of_run - of_run.mean(0)
    expected = np.where(centered > 0, 1, -1) * np.abs(centered).mean(0)
    np.testing.assert_allclose(ours[r, :width].numpy(), expected, rtol=1e-12)
"""


def an_error_signal(folder, output):
    assert set(finished(folder)["condition"]) == {"gradnorm_center", "gradnorm_center_sign"}
    points = drawn(folder, "moments_alignment").query("metric == 'gradient_alignment'").set_index("condition")["value"]
    assert points["gradnorm_center_sign"] != points["gradnorm_center"] and points.abs().max() <= 1
    python(SIGNAL, folder)


def a_kind_of_layer(folder, output):
    shards = [tables.read(path, "shard") for path in (folder / "results" / "runs").rglob("*.parquet")]
    runs = pd.concat(shards).set_index("condition")
    assert set(runs.index) == {"inorm", "inorm_all"} and (runs["status"] == "finished").all()
    assert runs["local_loss0"].nunique() == len(runs), "Wei learned"


def a_data_set(folder, output):
    assert set(finished(folder)["dataset"]) == {"gratings"}
    assert drawn(folder, "fig1")["label"].nunique() == 10
    entry = (folder / "workflow" / "einorm" / "data.py").read_text().split('"fashion_mnist": {')[0]
    sums = re.findall(r"^(\w{64}) ", output, re.M)
    assert len(sums) == 4 and re.findall(r'"(\w{64})"', entry) == sums, "as the page's script prints"


def a_task(folder, output):
    assert set(finished(folder)["task"]) == {"gamma"}
    shifts = drawn(folder, "gamma_fig1")["shift"]
    assert shifts.between(4**-0.75, 4**0.75).all() and shifts.nunique() == 10


def a_figure(folder, output):
    points = drawn(folder, "hidden_width")
    runs = tables.read(folder / "paper_artifact" / "archive" / "quick" / "runs.parquet", "runs")
    shown = runs[runs["condition"].isin(["e_only_ln", "inorm", "gradnorm_full"])]
    assert sorted(points["width"]) == sorted(shown["hidden_width"])
    assert sorted(points["value"]) == pytest.approx(sorted(shown["test_acc"]))


def a_variant(folder, output):
    runs = finished(folder)
    assert set(runs["variant"]) == {"depth6"} and set(runs["condition"]) == {"inorm", "gradnorm_full"}
    for shard in (folder / "results" / "runs").rglob("*.parquet"):
        (run,) = tables.read(shard, "shard").attrs["settings"]["runs"]
        assert run["hidden_layers"] == 6


def a_statement(folder, output):
    row = pd.read_csv(folder / "results" / "claims" / "claims.csv").set_index("id").loc["C5.7"]
    assert row["verdict"] == "inconclusive" and "are needed" in row["reason"] and pd.notna(row["published_effect"])
    assert row["reason"] in output.splitlines()[-1]


BSUB = """#!/bin/sh
# answers as LSF does; the script is the last argument
for script; do :; done
nohup sh "$script" > /dev/null 2>&1 &
echo "Job <$!> is submitted to default queue <normal>." | tee -a ../submitted
"""


def a_cluster(folder, output):
    assert "train_long" in output and not (folder / "results" / "runs").exists(), "planned only"
    bsub = folder.parent / "bin" / "bsub"
    bsub.parent.mkdir()
    bsub.write_text(BSUB)
    bsub.chmod(0o755)
    shifts = "results/shifts/luminosity/eps0.75-seed0-1x640+1000.npz"
    options = "--workflow-profile workflow/profiles/lsf --seconds-between-status-checks 1"
    shell(f"PATH=../bin:$PATH snakemake {shifts} {options}", folder)
    submitted = (folder.parent / "submitted").read_text().splitlines()
    assert (folder / shifts).exists() and len(submitted) == 1


def a_second_project(folder, output):
    trained = re.findall(r"Training .+ job\) (\w+)", output)
    assert set(trained) == {"inorm", "gradnorm_full"} and re.search("^gain +1$", output, re.M)
    assert not (folder.parent / "second" / "results" / "runs").exists(), "planned only"


OUTCOMES = {
    "A condition": a_condition,
    "An error signal": an_error_signal,
    "A kind of layer": a_kind_of_layer,
    "A data set": a_data_set,
    "A task": a_task,
    "A figure": a_figure,
    "A variant of the training": a_variant,
    "A statement": a_statement,
    "A cluster": a_cluster,
    "A second project": a_second_project,
}


def test_the_page_can_be_followed():
    """Every block is a command, or an edit that words announce with the name of its file; nothing else is a block."""
    assert list(EXAMPLES) == list(OUTCOMES)
    blocks = [step for steps in EXAMPLES.values() for step in steps]
    edits = [step for step in blocks if step["comment"]]
    assert len(re.findall("^```", PAGE, re.M)) == 2 * len(blocks) and PAGE.count("<!--") == len(edits)
    for step in blocks:
        assert (step["kind"] == "bash") == (step["comment"] is None)
    for step in edits:
        assert f"`{COMMENT.fullmatch(step['comment'])['path']}`" in step["prose"]


@pytest.mark.parametrize("title", EXAMPLES)
def test_an_example_does_what_it_says(title, tmp_path, untouched):
    """Commands succeed, at most two files of the project change, no old condition is trained again, and the outcome."""
    original, files_before, fingerprints_before = untouched
    folder = tmp_path / "einorm"
    shutil.copytree(original, folder)
    output = ""
    for step in EXAMPLES[title]:
        if step["comment"]:
            edit(folder, step)
        else:
            output += shell(step["text"], folder)
    files_after = files(folder)
    changed = {path for path in files_after | files_before if files_after.get(path) != files_before.get(path)}
    assert len(changed) <= 2 and bool(changed) == (title != "A second project"), changed
    assert fingerprints_before.items() <= fingerprints(folder).items()
    OUTCOMES[title](folder, output)
