"""Runs, jobs, digests and code fingerprints."""

import re

import pytest
import synthetic
from conftest import REPOSITORY
from einorm import config, runtime
from einorm.analysis.completeness import complete_rows, completeness, incomplete_cells
from einorm.conditions import CONDITIONS
from einorm.planning import plan, surroundings
from einorm.records import codes, jobs, runs
from hypothesis import given
from hypothesis import strategies as st


def load(*overrides):
    return config.load(REPOSITORY / "config.yaml", None, overrides)


def test_the_paper_has_all_its_runs():
    planned = [run for batch in jobs.jobs(load("preset=paper")).values() for run in batch]
    assert len(planned) == 13 * 4 * 30 + 5 * 30
    assert len({runs.run_digest(run) for run in planned}) == len(planned)


def test_jobs_hold_runs_of_one_cell_and_little_padding():
    planned = jobs.jobs(load("preset=paper"))
    used = padded = 0
    for name, batch in planned.items():
        assert len({(r["task"], r["condition"], r["epsilon"]) for r in batch}) == 1
        assert len(batch) <= 4
        assert name.startswith(f"luminosity-release/{batch[0]['condition']}/")
        used += sum(r["hidden_width"] for r in batch)
        padded += len(batch) * max(r["hidden_width"] for r in batch)
    assert 1 - used / padded < 0.1


def test_long_jobs_come_first():
    costs = [sum(map(jobs.cost, batch)) for batch in jobs.jobs(load()).values()]
    assert costs == sorted(costs, reverse=True)


def test_runs_per_batch_is_taken_from_the_machine():
    assert all(len(batch) == 1 for batch in jobs.jobs(load("machine={runs_per_batch: 1}")).values())
    cells = jobs.jobs(load("machine={device: cuda}", "configs=30"))
    assert {len(batch) for batch in cells.values()} == {30} and len(cells) == 20
    few = jobs.jobs(load("machine={device: cuda, runs_per_batch: 7}", "configs=30"))
    assert sorted({len(batch) for batch in few.values()}) == [2, 7] and len(few) == 20 * 5


def widths(widths, largest, padding):
    batches = jobs.batch_by_width([{"hidden_width": w, "config": c, "lambda": 0} for c, w in widths], largest, padding)
    return [[(run["config"], run["hidden_width"]) for run in batch] for batch in batches]


def test_batches_are_filled_from_the_widest_on_up_to_their_limits():
    assert widths([(0, 50), (1, 100), (2, 40)], 4, 0.25) == [[(1, 100), (0, 50)], [(2, 40)]], "a quarter is padding"
    assert widths([(0, 50), (1, 100), (2, 40)], 4, 0.24) == [[(1, 100)], [(0, 50), (2, 40)]]
    assert widths([(2, 80), (1, 80), (0, 80)], 2, 0.1) == [[(0, 80), (1, 80)], [(2, 80)]], "equal ones in their order"
    assert widths([(0, 100), (1, 90), (2, 85)], 4, 0.1) == [[(0, 100), (1, 90), (2, 85)]]


HIDDEN_1, HIDDEN_2, BACK = 2 * 784 * 100, 2 * 100 * 100, 100 * 100  # drive and update; the error that is passed down


@pytest.mark.parametrize(
    ("condition", "variant", "expected"),
    [
        ("e_only_ln", "paper", HIDDEN_1 + HIDDEN_2 + BACK),
        ("e_only_ln", "depth1", HIDDEN_1),
        ("e_only_ln", "depth4", HIDDEN_1 + 3 * HIDDEN_2 + 3 * BACK),
        ("e_only_ln", "release_float16", 2.0 * (HIDDEN_1 + HIDDEN_2 + BACK)),
        ("ei_ln", "paper", 1.1 * (HIDDEN_1 + HIDDEN_2) + BACK),
        ("inorm_sub", "paper", 1.1 * (HIDDEN_1 + HIDDEN_2) + BACK),
        ("inorm_div", "paper", 2 * (HIDDEN_1 + HIDDEN_2) + BACK),
        ("inorm", "paper", 2.1 * (HIDDEN_1 + HIDDEN_2) + BACK),
    ],
)
def test_the_cost_of_a_run_is_that_of_its_products(condition, variant, expected):
    (run,) = runs.cell_runs(load("configs=[0]", "epochs=3"), "luminosity", variant, condition, 0)
    assert jobs.cost(run | {"hidden_width": 100}) == pytest.approx(3 * 60000 * expected)


def test_images_that_are_held_out_cost_no_training():
    run, held_out = (
        runs.cell_runs(load("configs=[0]"), "luminosity", variant, "inorm", 0)[0] for variant in ("paper", "validation")
    )
    assert jobs.cost(held_out) == pytest.approx(jobs.cost(run) * 50000 / 60000)


def test_completeness_counts_planned_finished_and_collapsed_runs():
    settings = load("conditions=[inorm, ei_ln]", "epsilons=[0, 0.75]", "configs=4")
    table = synthetic.frames(["inorm", "ei_ln"], collapsed=("inorm", 2))["runs"]
    table = table[(table["condition"] != "ei_ln") | (table["epsilon"] == 0) & (table["config"] != 1)]
    names = ("condition", "epsilon", "planned", "finished", "collapsed")
    counts = {tuple(cell[name] for name in names) for cell in completeness(table, settings)}
    assert counts == {("inorm", 0, 4, 4, 1), ("inorm", 0.75, 4, 4, 1), ("ei_ln", 0, 4, 3, 0), ("ei_ln", 0.75, 4, 0, 0)}
    missing = [(cell["condition"], cell["epsilon"]) for cell in incomplete_cells(table, settings)]
    assert missing == [("ei_ln", 0), ("ei_ln", 0.75)]


def test_tasks_and_variants_that_a_table_does_not_hold_are_not_missing():
    settings = load(
        "conditions=[inorm]", "epsilons=[0]", "configs=4", "tasks=[luminosity, contrast]", "variants=[paper, depth3]"
    )
    table = synthetic.frames(["inorm"], epsilons=(0.0,))["runs"]
    assert len(completeness(table, settings)) == 4 and incomplete_cells(table, settings) == []
    assert complete_rows(table, settings).equals(table)
    for rows in (table[1:], table[:0]):
        assert complete_rows(rows, settings).empty and list(complete_rows(rows, settings)) == list(table)
    (cell,) = incomplete_cells(table[1:], settings)
    assert (cell["task"], cell["variant"], cell["finished"], cell["planned"]) == ("luminosity", "paper", 3, 4)


def test_runs_and_codes_are_named_by_16_digits():
    (run,) = runs.cell_runs(load("configs=[0]"), "luminosity", "paper", "inorm", 0.75)
    names = [runs.run_digest(run), *(codes.training_code(condition, "luminosity") for condition in CONDITIONS)]
    assert all(re.fullmatch("[0-9a-f]{16}", name) for name in names)
    assert runs.cell_folder(run) == "luminosity-release/inorm/eps0.75"
    del run["randomness"]
    assert runs.cell_folder(run) == "luminosity/inorm/eps0.75"
    assert runs.cell_folder(run | {"variant": "depth3", "epsilon": 0.0}) == "luminosity-depth3/inorm/eps0"


def test_a_run_is_the_same_however_jobs_are_cut():
    def digests(*overrides):
        return {runs.run_digest(run) for batch in jobs.jobs(load(*overrides)).values() for run in batch}

    assert digests() == digests("machine={runs_per_batch: 1}") == digests("machine={device: cuda}")
    assert digests().isdisjoint(digests("epochs=21")) and digests().isdisjoint(digests("seed=1"))


@given(st.dictionaries(st.text(), st.integers() | st.floats(allow_nan=False), min_size=2))
def test_digests_do_not_depend_on_key_order(value):
    assert runtime.digest(value) == runtime.digest(dict(reversed(value.items())))
    changed = value | {next(iter(value)): "else"}
    assert runtime.digest(value) != runtime.digest(changed)


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
    before = {c: codes.training_code(c, "luminosity") for c in CONDITIONS}
    monkeypatch.setitem(CONDITIONS, "new", CONDITIONS["inorm"])
    assert before == {c: codes.training_code(c, "luminosity") for c in CONDITIONS if c != "new"}
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
    monkeypatch.setattr(surroundings, "SPACE", 10**18)
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
