"""Training codes: the same on every Python, those of the archives, and which earlier ones count as today's."""

import ast
import json
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pandas as pd
import pytest
from conftest import REPOSITORY
from einorm import config, runtime, variants
from einorm.conditions import CONDITIONS
from einorm.planning import archives, training
from einorm.records import archive, codes, lineage, runs, tables
from einorm.runtime import UserError
from einorm.settings import Settings
from einorm.tasks import TASKS
from einorm.tools import lineage_driver, lineage_proof
from einorm.tools.lineage_proof import SILENT, difference
from einorm.training import job

SHIPPED = REPOSITORY / "paper_artifact" / "archive"
OTHER_PYTHON = """
import json, sys, types
sys.modules["numpy"] = types.ModuleType("numpy")  # fingerprints need the standard library only
from einorm.runtime import fingerprint
print(json.dumps([fingerprint(module, *names) for module, *names in json.load(sys.stdin)]))
"""


def other_pythons():
    """Executables of the Pythons 3.12 and later that this machine has."""
    versions = Path(os.environ.get("PYENV_ROOT", Path.home() / ".pyenv")) / "versions"
    found = [str(path) for path in sorted(versions.glob("3.1[2-9]*/bin/python"))]
    found += filter(None, (shutil.which(f"python3.{minor}") for minor in range(12, 20)))
    return [path for path in found if subprocess.run([path, "--version"], capture_output=True).returncode == 0]


def test_the_codes_of_the_campaign_are_todays_or_proved_equal():
    for name in (archive.SHOWN, "robustness_seed"):
        for cell in lineage.of_cells(tables.read(SHIPPED / name / "runs.parquet", "runs")):
            assert cell["relation"] in ("today", "equal") and cell["commits"], cell


def test_the_codes_of_0_1_are_pinned():
    """Of commit 0755b9d, which trained the 600 runs: computed then, by Python 3.11's own ast.dump."""
    pinned = {"ei_none": "c86a4edf85469be7", "e_only_ln": "98ab5b9fb6cd29f9", "gradnorm_full": "4906c27ae0a816cd"}
    for condition, code in pinned.items():
        assert code in lineage.equal_codes(codes.training_code(condition, "luminosity"))


def test_the_codes_that_began_the_reproduction_are_pinned():
    """Of commit 8c6a7be, which had runs of the paper's preset in training when the code was changed."""
    for condition, code in {"inorm": "ddcdb0aec4556982", "ei_ln": "7e2de8bdb6acaeb9"}.items():
        assert code in lineage.equal_codes(codes.training_code(condition, "luminosity", "release"))


def test_codes_do_not_depend_on_the_python():
    pythons = other_pythons()
    if not pythons:
        pytest.skip("no other Python is installed here")
    parts = [p for c in CONDITIONS for t in TASKS for p in codes.training_parts(c, t)]
    parts = [json.loads(text) for text in dict.fromkeys(map(json.dumps, parts))]
    expected = [runtime.fingerprint(module, *names) for module, *names in parts]
    environment = os.environ | {"PYTHONPATH": str(REPOSITORY / "workflow")}
    for python in pythons:
        command = [python, "-c", OTHER_PYTHON]
        done = subprocess.run(command, input=json.dumps(parts), env=environment, capture_output=True, text=True)
        assert done.returncode == 0, done.stderr
        assert json.loads(done.stdout) == expected, python


@pytest.mark.parametrize("definition", ["A, B = {}, 2", "A: int = {}", "(A, *B) = [{}, 2]", "A = {}", "A = 0\nA += {}"])
def test_a_constant_is_followed_however_it_is_defined(module, definition):
    source = definition + "\n\ndef f(x):\n    return x + A\n\nC = 5\n"
    assert module(source.format(1), "f") != module(source.format(3), "f")
    assert module(source.format(1), "f") == module(source.format(1).replace("C = 5", "C = 6"), "f")


def row(code, same_as, kind="equal"):
    return dict.fromkeys(lineage.COLUMNS, "") | {"code": code, "same_as": same_as, "kind": kind}


@pytest.fixture
def today(monkeypatch):
    monkeypatch.setattr(lineage, "code_of", lambda run, step="plain": {"plain": "d"}.get(step, step))


def test_proofs_chain_and_rounding_is_told_apart(today):
    table = [row("a", "b"), row("b", "c", "rounding"), row("c", "d"), row("x", "y")]
    assert lineage.equal_codes("d", table) == ["c", "d"]
    assert lineage.counting_codes({}, table) == [["c", "d"], ["fused"], ["graph"], ["a", "b"]]
    assert lineage.counting_codes({"variant": "float16"}, table) == [["c", "d"], ["fused"], ["graph"]]
    assert lineage.counting_codes({}, []) == [["d"], ["fused"], ["graph"]]


def test_a_proved_change_of_code_makes_no_job_run_again(today, monkeypatch):
    monkeypatch.setattr(lineage, "_table", lambda: [row("c", "d")])
    assert lineage.representative({}) == "c"
    monkeypatch.setattr(lineage, "_table", lambda: [row("b", "c"), row("c", "d")])
    assert lineage.representative({}) == "b"


@pytest.mark.parametrize(
    ("rows", "kept"),
    [
        ("0d 1c", "0d 1c"),  # equal codes complete a cell together
        ("0d 1a", "0d"),  # a rounding's run does not complete it
        ("0a 1b", "0a 1b"),  # a cell that is complete in another rounding counts as it is
        ("0a 1b 0d", "0a 1b"),
        ("0a 1b 0d 1d", "0d 1d"),
        ("0x 1x", ""),  # a foreign code never counts
    ],
)
def test_a_cell_never_mixes_roundings(rows, kept):
    table = pd.DataFrame([{"digest": text[0], "code": text[1]} for text in rows.split()])
    chosen = lineage.choose_rows(table, ["0", "1"], [["c", "d"], ["a", "b"]])
    assert " ".join(chosen["digest"] + chosen["code"]) == kept


def test_a_table_that_mixes_roundings_is_refused():
    cell = {"task": "luminosity", "variant": "paper", "randomness": "own", "condition": "inorm", "epsilon": 0.75}
    rows = pd.DataFrame([cell | {"code": "a"}, cell | {"code": "b"}])
    with pytest.raises(UserError, match="inorm at epsilon 0.75.*round differently"):
        lineage.check_unmixed(rows)
    with pytest.raises(UserError, match="delete results/runs/luminosity/inorm/eps0.75 to train"):
        lineage.check_unmixed(rows)
    with pytest.raises(UserError, match="delete results/runs/luminosity-seed1-release/inorm/eps0.75 to train"):
        lineage.check_unmixed(rows.assign(variant="seed1", randomness="release"))
    lineage.check_unmixed(rows.iloc[:1])


def table(**columns):
    return pd.DataFrame({"config": [8, 39], "epoch": [1, 1], "status": ["finished"] * 2} | columns)


def test_a_difference_names_the_first_number():
    then, now = table(test_acc=[50.0, 51.0]), table(test_acc=[50.0, 51.25])
    reason, _ = difference("scale", then, now, double=False)
    assert "scale, configuration 39, epoch 1: test_acc" in reason and "51.25" in reason and "51.0" in reason
    assert difference("scale", then, then.copy(), double=False) == ("", "")


def test_float64_allows_rounding_and_no_more():
    then = table(train_loss=[2.0, 3.0])
    assert difference("", then, table(train_loss=[2.0 + 1e-10, 3.0]), double=True) == ("", "")
    assert difference("", then, table(train_loss=[2.0 + 1e-10, 3.0]), double=False)[0]
    assert difference("", then, table(train_loss=[2.0 + 1e-8, 3.0]), double=True)[0]


def test_alignments_of_silent_layers_may_become_0_and_that_is_noted():
    nan = float("nan")
    then = table(output_alignment0=[nan, 0.5])
    assert difference("", then, table(output_alignment0=[0.0, 0.5]), double=False) == ("", SILENT)
    assert difference("", then, table(output_alignment0=[0.1, 0.5]), double=False)[0]
    assert difference("", table(mu0=[nan, 0.5]), table(mu0=[0.0, 0.5]), double=False)[0]


def git(folder, *arguments):
    identity = ["-c", "user.name=test", "-c", "user.email=test@example.org"]
    return subprocess.run(["git", "-C", folder, *identity, *arguments], capture_output=True, text=True, check=True)


def einorm(folder, *arguments):
    environment = os.environ | {"PYTHONPATH": str(folder / "workflow"), "OMP_NUM_THREADS": "1"}
    command = [sys.executable, "-m", "einorm", *arguments]
    return subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True)


@pytest.fixture(scope="module")
def project(tmp_path_factory):
    """A repository whose last commit is today's code, edited since: three rules, in three ways."""
    folder = tmp_path_factory.mktemp("lineage")
    left_out = shutil.ignore_patterns("__pycache__", "*.egg-info")
    shutil.copytree(REPOSITORY / "workflow", folder / "workflow", ignore=left_out)
    shutil.copytree(REPOSITORY / "tests" / "golden", folder / "tests" / "golden")
    package = folder / "workflow" / "einorm"
    for name, left_out in (
        ("variants", r'    "(depth.|validation|release_scaled|release_earlier_loss)": .*\n'),
        ("tasks", r', "contrast": .*(?=})'),
    ):
        path = package / f"{name}.py"  # a few ways to train, on one task, do here
        path.write_text(re.sub(left_out, "", path.read_text()))
    git(folder, "init", "-q")
    git(folder, "add", ".")
    git(folder, "commit", "-qm", "today")
    rules = folder / "workflow" / "einorm" / "error_signals.py"
    text = rules.read_text()
    edits = {
        "return g - mean_units(g, layer)": "mean = mean_units(g, layer)\n    return g - mean",  # another name
        "g - (layer.w * g).sum(1, keepdim=True)": "g - (layer.w * g * 3).sum(1, keepdim=True) / 3",  # another rounding
        "return g / sigma": "return g / (1.01 * sigma)",  # another rule
    }
    for before, after in edits.items():
        assert text.count(before) == 1
        text = text.replace(before, after)
    rules.write_text(text)
    return folder


@pytest.mark.long
def test_a_renamed_variable_is_entered_and_a_changed_rule_refused(project, images_path):
    conditions = ("gradnorm_center", "lateral_inhibition", "gradnorm_scale")
    done = einorm(project, "lineage", "HEAD", "--conditions", *conditions, "--images", images_path, "--epochs", "1")
    assert done.returncode == 1, done.stderr + done.stdout
    table = lineage.entries(project / "workflow" / "einorm" / "lineage.csv")
    assert table[: len(lineage.entries())] == lineage.entries(), "what was proved before stays"
    of_head = git(project, "rev-parse", "--short=12", "HEAD").stdout.strip()
    entered = [row for row in table if row["commit"] == of_head]
    kinds = {(row["condition"], row["kind"]) for row in entered}
    assert kinds == {("gradnorm_center", "equal"), ("lateral_inhibition", "rounding")}
    code = codes.training_code("gradnorm_center", "luminosity")
    assert code in [row["code"] for row in entered]
    refused = next(line for line in done.stdout.splitlines() if "gradnorm_scale on luminosity, own" in line)
    assert "REFUSED" in refused and "configuration" in refused and "epoch 1" in refused
    listed = einorm(project, "lineage").stdout
    assert f"{code} (equal, commit {of_head})" in listed


def test_a_commit_that_is_not_there_is_named(project, images_path, tmp_path):
    done = einorm(project, "lineage", "nowhere", "--images", images_path)
    assert done.returncode == 1 and "nowhere is no commit" in done.stderr and "Traceback" not in done.stderr
    done = einorm(project, "lineage", "HEAD", "--images", tmp_path / "none.npz")
    assert done.returncode == 1 and "none.npz is missing" in done.stderr


def test_the_commit_that_trains_is_recorded(project, tmp_path):
    show = ["-c", "from einorm.records.provenance import commit; print(commit())"]
    environment = os.environ | {"PYTHONPATH": str(project / "workflow")}
    command = [sys.executable, *show]
    recorded = subprocess.run(command, env=environment, capture_output=True, text=True, check=True).stdout.strip()
    assert recorded == git(project, "rev-parse", "--short=12", "HEAD").stdout.strip() + "+changes"
    shutil.copytree(project / "workflow", tmp_path / "unpacked" / "workflow")
    changed = git(project, "diff", "--name-only").stdout.split()
    git(project, "stash")
    with open(project / "workflow" / "profiles" / "slurm" / "config.yaml", "a") as profile:
        profile.write("# edited for a cluster\n")
    recorded = subprocess.run(command, env=environment, capture_output=True, text=True, check=True).stdout.strip()
    assert recorded == git(project, "rev-parse", "--short=12", "HEAD").stdout.strip(), "a profile decides nothing"
    git(project, "checkout", "workflow/profiles")
    git(project, "stash", "pop")
    assert changed and git(project, "diff", "--name-only").stdout.split() == changed
    environment |= {"PYTHONPATH": str(tmp_path / "unpacked" / "workflow")}
    recorded = subprocess.run(command, env=environment, capture_output=True, text=True, check=True).stdout.strip()
    assert recorded == "None", "a bundle, or a folder inside another repository"


def test_a_run_of_a_foreign_code_is_not_taken_over(tmp_path):
    rows = archive.all_rows(SHIPPED / archive.SHOWN)
    rows = rows[(rows["condition"] == "e_only_ln") & (rows["epsilon"] == 0.75) & (rows["config"] == 0)]
    settings = tables.read(SHIPPED / archive.SHOWN / "runs.parquet", "runs").attrs["settings"]
    run = runs.cell_runs(Settings(**settings), "luminosity", "paper", "e_only_ln", 0.75)[0]
    tables.write(rows, "shard", tmp_path / "a.parquet", {})
    assert len(job.finished_rows(tmp_path, [run])) == 50
    tables.write(rows.assign(code="foreign"), "shard", tmp_path / "a.parquet", {})
    assert not len(job.finished_rows(tmp_path, [run]))
    assert len(job.finished_rows(tmp_path, [run], SHIPPED / archive.SHOWN)) == 50


def test_an_archive_of_other_code_is_said_to_be_one(capsys, tmp_path):
    archives.say_other_code(SHIPPED / archive.SHOWN)
    assert capsys.readouterr().err == ""
    runs_table = tables.read(SHIPPED / archive.SHOWN / "runs.parquet", "runs").head(3)
    tables.write(runs_table.assign(code=["foreign", *runs_table["code"][1:]]), "runs", tmp_path / "runs.parquet", {})
    archives.say_other_code(tmp_path)
    assert "1 of the 3 runs" in capsys.readouterr().err


@pytest.fixture
def made_up(monkeypatch, tmp_path):
    """Proofs on invented rows: equal for inorm, rounded for ei_ln, another rule for e_only_ln; the table of proofs."""
    losses = {"inorm": (2.0, 2.0), "ei_ln": (2.0 + 1e-4, 2.0 + 1e-12), "e_only_ln": (2.0 + 1e-4, 2.0 + 1e-4)}
    keys = [f"{condition} luminosity own float32" for condition in losses]

    def drive(trees, cases, images, double=False):
        rows = [{name: table(train_loss=[2.0, 3.0]) for name in cases}]
        rows.append({name: table(train_loss=[losses[name.split()[0]][double], 3.0]) for name in cases})
        return list(zip(({key: f"then {key}" for key in keys}, {key: f"now {key}" for key in keys}), rows, strict=True))

    monkeypatch.setattr(lineage_proof, "drive", drive)
    monkeypatch.setattr(lineage_proof, "check_out", lambda commit, folder: "0123456789abcdef")
    path = tmp_path / "lineage.csv"
    lineage_proof.enter([], path)
    return path


def test_what_differs_in_float32_is_proved_in_float64_or_refused(made_up, tmp_path, capsys):
    (tmp_path / "images.npz").touch()
    assert lineage_proof.prove_and_enter("HEAD", tmp_path / "images.npz", table=made_up) == 1
    entered = {row["condition"]: row for row in lineage.entries(made_up)}
    assert {name: row["kind"] for name, row in entered.items()} == {"inorm": "equal", "ei_ln": "rounding"}
    assert (
        entered["inorm"]["commit"] == "0123456789ab"
        and entered["inorm"]["same_as"] == "now inorm luminosity own float32"
    )
    printed = capsys.readouterr().out
    assert "own random numbers, precision float32: then e_only_ln luminosity own float32 REFUSED" in printed
    assert "2 entered, 1 refused" in printed
    again = lineage_proof.prove_and_enter("HEAD", tmp_path / "images.npz", ["inorm", "ei_ln"], table=made_up)
    assert again == 0 and len(lineage.entries(made_up)) == 2, "what was proved is not proved again"


def test_a_proof_of_rounding_needs_the_golden_vectors(made_up, tmp_path, monkeypatch):
    (tmp_path / "images.npz").touch()
    monkeypatch.setattr("einorm.tools.golden.replay", lambda path: {"loss": 1e-6})
    assert lineage_proof.prove_and_enter("HEAD", tmp_path / "images.npz", ["ei_ln"], table=made_up) == 1
    assert lineage.entries(made_up) == []


def test_a_proof_looks_at_every_way_to_train():
    cases = {}
    for precision in ("float32", "release"):
        cases |= lineage_proof.cases_of(f"inorm luminosity own {precision}", 2, double=False)
    ways = {json.dumps(variants.how(run)) for batch in cases.values() for run in batch}
    assert ways == {json.dumps(variants.PAPER | variants.VARIANTS[v]) for v in variants.trained() if "seed" not in v}
    assert all(len({run["hidden_width"] for run in batch}) == 3 for batch in cases.values())


@pytest.mark.parametrize(
    ("variant", "device", "step"),
    [
        ("paper", "cpu", "plain"),
        ("paper", "cuda", "fused"),
        ("no_dale", "cuda", "graph"),
        ("release_float16", "cuda", "plain"),
    ],
)
def test_a_rule_has_the_code_of_the_step_that_trains_there(variant, device, step):
    overrides = (f"variants=[{variant}]", f"machine={{device: {device}}}")
    settings = config.load(REPOSITORY / "config.yaml", "smoke", overrides)
    chosen = runs.cell_runs(settings, "luminosity", variant, "inorm", 0.75)
    assert training.describe(settings, chosen)["code"] == lineage.representative(chosen[0], step)


def test_the_driver_trains_what_its_package_knows(images):
    settings = config.load(REPOSITORY / "config.yaml", "smoke", ("epochs=1", "train_images=64", "test_images=32"))
    (run, _) = runs.cell_runs(settings, "luminosity", "paper", "inorm", 0.75)
    for randomness in ("own", "release"):
        rows = lineage_driver.train_case([run | {"randomness": randomness}], images)
        assert len(rows) == 1 and rows["train_loss"].notna().all() and "seconds" not in rows
    assert lineage_driver.train_case([run | {"condition": "later"}], images) == "no later on luminosity"
    assert lineage_driver.train_case([run | {"variant": "later"}], images) == "no variant later"
    written = lineage_driver.plan_syntax(runtime.PACKAGE / "runtime.py")
    tree = ast.parse("def f(a, *, b=[]):\n    return f'{a!r:>{b}}'")
    assert written(tree) == runtime.syntax(tree)
    if sys.version_info < (3, 12):
        assert written(tree) == ast.dump(tree)
    known = lineage_driver.codes({"syntax": ""})
    assert known["inorm luminosity own float32"] == codes.training_code("inorm", "luminosity")
    assert known["inorm luminosity release float32"] == codes.training_code("inorm", "luminosity", "release")
    assert known["inorm luminosity own release"] == codes.training_code("inorm", "luminosity", "own", "release")


def test_codes_that_count_are_listed(capsys):
    lineage_proof.print_lineage()
    lines = capsys.readouterr().out.splitlines()
    assert len(lines) == len(CONDITIONS) * len(TASKS) * 2
    (line,) = [text for text in lines if text.split()[:3] == ["gradnorm_full", "luminosity", "own"]]
    assert "4906c27ae0a816cd (equal, commit 0755b9d" in line and "3559fcc5b1cd2f61 (rounding" in line
