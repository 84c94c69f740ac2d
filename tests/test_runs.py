"""Runs, jobs, digests and code fingerprints."""

import pytest
from conftest import REPOSITORY
from einorm import config, plan, runs, runtime
from einorm.conditions import CONDITIONS
from hypothesis import given
from hypothesis import strategies as st


def load(*overrides):
    return config.load(REPOSITORY / "config.yaml", None, overrides)


def test_the_paper_has_all_its_runs():
    planned = [run for batch in runs.jobs(load("preset=paper")).values() for run in batch]
    assert len(planned) == 13 * 4 * 30 + 5 * 30
    assert len({runs.run_digest(run) for run in planned}) == len(planned)


def test_jobs_hold_runs_of_one_cell_and_little_padding():
    planned = runs.jobs(load("preset=paper"))
    used = padded = 0
    for name, batch in planned.items():
        assert len({(r["task"], r["condition"], r["epsilon"]) for r in batch}) == 1
        assert len(batch) <= runs.CPU_RUNS_PER_BATCH
        assert name.startswith(f"luminosity/{batch[0]['condition']}/")
        used += sum(r["hidden_width"] for r in batch)
        padded += len(batch) * max(r["hidden_width"] for r in batch)
    assert 1 - used / padded < 0.1


def test_long_jobs_come_first():
    costs = [sum(map(runs.cost, batch)) for batch in runs.jobs(load()).values()]
    assert costs == sorted(costs, reverse=True)


def test_runs_per_batch_is_taken_from_the_machine():
    assert all(len(batch) == 1 for batch in runs.jobs(load("machine={runs_per_batch: 1}")).values())
    cells = runs.jobs(load("machine={device: cuda}", "configs=30"))
    assert {len(batch) for batch in cells.values()} == {30} and len(cells) == 20


def test_a_run_is_the_same_however_jobs_are_cut():
    def digests(*overrides):
        return {runs.run_digest(run) for batch in runs.jobs(load(*overrides)).values() for run in batch}

    assert digests() == digests("machine={runs_per_batch: 1}") == digests("machine={device: cuda}")
    assert digests().isdisjoint(digests("epochs=21")) and digests().isdisjoint(digests("seed=1"))


@given(st.dictionaries(st.text(), st.integers() | st.floats(allow_nan=False), min_size=2))
def test_digests_do_not_depend_on_key_order(value):
    assert runtime.digest(value) == runtime.digest(dict(reversed(value.items())))
    changed = value | {next(iter(value)): "else"}
    assert runtime.digest(value) != runtime.digest(changed)


@pytest.fixture
def module(tmp_path, monkeypatch):
    monkeypatch.setattr(runtime, "PACKAGE", tmp_path)

    def fingerprint(code, *names):
        (tmp_path / "module.py").write_text(code)
        return runtime.fingerprint("module.py", *names)

    return fingerprint


CODE = 'def f(x):\n    """Doc."""\n    return g(x)\n\n\ndef g(x):\n    return x + ONE\n\n\nONE = 1\n'


def test_comments_docstrings_and_layout_leave_a_fingerprint_alone(module):
    same = CODE.replace("Doc.", "Other.").replace("x + ONE", "(x  +  ONE)  # why")
    assert module(CODE) == module(same)
    assert module(CODE) != module(CODE.replace("x + ONE", "x - ONE"))


def test_a_fingerprint_of_names_follows_what_they_use(module):
    assert module(CODE, "f") != module(CODE.replace("ONE = 1", "ONE = 2"), "f")
    assert module(CODE, "f") == module(CODE + "\n\ndef h():\n    return 3\n", "f")
    assert module(CODE, "g") == module(CODE.replace("return g(x)", "return 0"), "g")


def test_a_new_condition_or_signal_leaves_the_others_fingerprints_alone(monkeypatch):
    before = {c: runs.training_code(c, "luminosity") for c in CONDITIONS}
    monkeypatch.setitem(CONDITIONS, "new", CONDITIONS["inorm"])
    assert before == {c: runs.training_code(c, "luminosity") for c in CONDITIONS if c != "new"}
    assert before["gradnorm_scale"] != before["gradnorm_center"]


def raw(**overrides):
    import yaml

    return yaml.safe_load((REPOSITORY / "config.yaml").read_text()) | overrides


def test_folders_that_cannot_be_written_are_found_before_any_job(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "results").write_text("a file where the folder should be")
    with pytest.raises(runtime.UserError, match="folder results"):
        plan.experiment(raw())


def test_a_full_disk_is_found_before_any_job(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(plan, "SPACE", 10**18)
    with pytest.raises(runtime.UserError, match="MB are free.*needed"):
        plan.experiment(raw())


def test_a_wrong_data_path_is_found_before_any_job(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(runtime.UserError, match="'/absent' is not a folder"):
        plan.experiment(raw(data={"path": "/absent"}))


def test_a_full_disk_while_writing_leaves_the_old_file(tmp_path):
    target = tmp_path / "table"
    target.write_text("old")
    with pytest.raises(runtime.UserError, match="no space left to write"), runtime.atomic_path(target) as temporary:
        temporary.write_text("half")
        raise OSError(28, "No space left on device")
    assert target.read_text() == "old" and list(tmp_path.iterdir()) == [target]


def test_an_unwritable_folder_is_named(tmp_path):
    with pytest.raises(runtime.UserError, match="make .* writable"), runtime.atomic_path(tmp_path / "a"):
        raise PermissionError(13, "Permission denied")
