"""Archives: what is written is checked, parts are merged, and nothing that does not fit is let in."""

import hashlib
import json
import shutil
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow.parquet as pq
import pytest
import synthetic
from conftest import REPOSITORY, copy_project, run_documented
from einorm import config
from einorm.__main__ import main
from einorm.artifact import archiving
from einorm.planning import archives
from einorm.records import archive, lineage, provenance, tables
from einorm.records.codes import code_of
from einorm.records.runs import cell_folder, cell_runs, cells, run_digest
from einorm.runtime import UserError

SHIPPED = REPOSITORY / "paper_artifact" / "archive" / "quick"


def settings(**changes):
    overrides = {"preset": "smoke", "conditions": "[ei_ln, gradnorm_full]", "epsilons": "[0, 0.75]"} | changes
    return config.load(REPOSITORY / "config.yaml", None, [f"{key}={value}" for key, value in overrides.items()])


def write_shards(folder, chosen, configs=(0, 1), code=None, **columns):
    """Shards of some configurations with invented numbers, in the places and with the digests of real ones."""
    for cell in cells(chosen):
        *_, condition, epsilon = cell
        runs = [run for run in cell_runs(chosen, *cell) if run["config"] in configs]
        if not runs:
            continue
        rows = []
        for run in runs:
            data = synthetic.frames([condition], [float(epsilon)], configs=1, epochs=chosen.epochs, collapsed=None)
            wide = data["epochs"].merge(data["runs"].drop(columns=[*tables.METRICS, "epochs"]), on=list(tables.KEYS))
            wide = wide.merge(data["costs"], on=list(tables.KEYS))
            facts = {"code": code or code_of(run), "digest": run_digest(run), "config": run["config"]}
            rows.append(wide.assign(**facts | columns))
        path = folder / cell_folder(runs[0]) / f"{min(configs)}.parquet"
        path.parent.mkdir(parents=True, exist_ok=True)
        tables.write(pd.concat(rows), "shard", path, {"runs": []})
    return folder


@pytest.fixture
def samples(tmp_path):
    return write_samples(tmp_path / "samples.parquet", settings())


def write_samples(path, chosen):
    tables.write(synthetic.samples(chosen.epsilons), "samples", path, chosen.science())
    return path


def test_what_was_finished_is_archived(tmp_path, samples):
    out, chosen = tmp_path / "archive", settings()
    manifest = archiving.write(chosen, "smoke", write_shards(tmp_path / "runs", chosen), samples, out)
    assert manifest == archive.check(out, chosen) == json.loads((out / "manifest.json").read_text())
    assert manifest["complete"] and sum(cell["finished"] for cell in manifest["cells"]) == 8
    assert manifest["core_hours"] == round(8 / 3600, 3) and manifest["machine"]["cores"] >= 1
    runs = tables.read(out / "runs.parquet", "runs")
    assert len(runs) == 8 and runs.attrs["settings"] == chosen.science()
    assert {path.name for path in tmp_path.iterdir()} == {"runs", "archive", "samples.parquet"}, "nothing left behind"


def test_a_kill_while_an_archive_is_replaced_loses_nothing(tmp_path, samples, monkeypatch):
    """Between its two renames nothing has the archive's name; the next start finds the old one."""
    out, chosen = tmp_path / "archive", settings()
    archiving.write(chosen, "smoke", write_shards(tmp_path / "runs", chosen, configs=[0]), samples, out)
    renames, rename = [], Path.rename

    def killed(path, target):
        renames.append(path)
        if len(renames) == 2:
            raise KeyboardInterrupt
        return rename(path, target)

    monkeypatch.setattr(Path, "rename", killed)
    with pytest.raises(KeyboardInterrupt):
        archiving.write(chosen, "smoke", write_shards(tmp_path / "more", chosen, configs=[1]), samples, out)
    monkeypatch.undo()
    assert not out.exists() and len(renames) == 2
    shutil.rmtree(tmp_path / "runs")
    manifest = archiving.write(chosen, "smoke", tmp_path / "more", samples, out)
    assert sum(cell["finished"] for cell in manifest["cells"]) == 8, "those of the old archive, too"
    assert {path.name for path in tmp_path.iterdir()} == {"more", "archive", "samples.parquet"}


def test_a_folder_that_is_no_archive_is_never_replaced(tmp_path, samples):
    chosen, mine = settings(), tmp_path / "mine"
    mine.mkdir()
    (mine / "thesis.txt").write_text("x")
    for out in (mine, mine / "thesis.txt"):
        with pytest.raises(UserError, match="is no archive, and would be lost"):
            archiving.write(chosen, "smoke", write_shards(tmp_path / "runs", chosen), samples, out)
    assert [path.name for path in mine.iterdir()] == ["thesis.txt"]


def test_an_archive_counts_core_hours_and_gpu_hours_apart(tmp_path, samples):
    """Two kinds of runs, 4 each: 1 second on 3 threads of a CPU, half an hour on a GPU."""
    out, chosen = tmp_path / "archive", settings()
    write_shards(tmp_path / "runs", chosen, configs=[0], threads=3)
    write_shards(tmp_path / "runs", chosen, configs=[1], device="cuda", threads=2, seconds=1800.0)
    manifest = archiving.write(chosen, "smoke", tmp_path / "runs", samples, out)
    assert (manifest["core_hours"], manifest["gpu_hours"]) == (round(12 / 3600, 3), 2.0)


def recorded(machine):
    return json.dumps({"einorm": "0.1.0", "machine": machine})


def test_an_archive_says_which_machines_trained(tmp_path, samples, monkeypatch):
    """Two runs of a cell: one recorded its machine, an older one did not; then it is archived again elsewhere."""
    out, chosen = tmp_path / "archive", settings(epsilons="[0.75]", conditions="[ei_ln]")
    samples = write_samples(samples, chosen)
    trainer, first, second = ({"processor": name, "cores": 2, "system": "x"} for name in ("trainer", "first", "second"))
    monkeypatch.setattr(provenance, "machine", lambda: first)
    write_shards(tmp_path / "a", chosen, configs=[0], versions=recorded(trainer))
    write_shards(tmp_path / "a", chosen, configs=[1])
    archiving.write(chosen, "smoke", tmp_path / "a", samples, out)
    monkeypatch.setattr(provenance, "machine", lambda: second)
    manifest = archiving.write(chosen, "smoke", tmp_path / "none", samples, out)
    assert manifest["machine"] == first, "the machine of runs that recorded none"
    found = {training["machine"]["processor"]: training for training in manifest["trainings"]}
    assert {name: training["runs"] for name, training in found.items()} == {"trainer": 1, "first": 1}
    assert found["trainer"]["versions"] == {"einorm": "0.1.0"} and found["first"]["versions"] == {}
    assert manifest["trainings"] == archive.trainings(out)
    (out / "manifest.json").unlink()
    assert {str(t["machine"] and t["machine"]["processor"]) for t in archive.trainings(out)} == {"trainer", "None"}


def test_a_manifest_that_knows_no_gpu_hours_is_read(tmp_path, samples):
    out, chosen = tmp_path / "archive", settings()
    manifest = archiving.write(chosen, "smoke", write_shards(tmp_path / "runs", chosen), samples, out)
    del manifest["gpu_hours"]
    (out / "manifest.json").write_text(json.dumps(manifest))
    assert "gpu_hours" not in archive.check(out, chosen) and len(archive.load(out)["runs"]) == 8
    assert archiving.write(chosen, "smoke", tmp_path / "none", samples, out)["gpu_hours"] == 0


def test_the_rows_of_an_archive_are_those_of_its_shards(tmp_path):
    chosen = settings(epsilons="[0.75]", conditions="[ei_ln]")
    samples = write_samples(tmp_path / "samples.parquet", chosen)
    folder = write_shards(tmp_path / "runs", chosen)
    archiving.write(chosen, "smoke", folder, samples, tmp_path / "archive")
    (shard,) = folder.rglob("*.parquet")
    keys = ["digest", "epoch"]
    expected = tables.read(shard, "shard").sort_values(keys).reset_index(drop=True)
    found = archive.all_rows(tmp_path / "archive").sort_values(keys).reset_index(drop=True)
    pd.testing.assert_frame_equal(found[expected.columns], expected, check_dtype=False)


def test_a_part_says_which_cells_are_complete_and_the_rest_is_added_later(tmp_path, samples):
    out, chosen = tmp_path / "archive", settings()
    manifest = archiving.write(chosen, "smoke", write_shards(tmp_path / "a", chosen, configs=[0]), samples, out)
    assert not manifest["complete"] and all((c["finished"], c["planned"]) == (1, 2) for c in manifest["cells"])
    samples.unlink()  # the second machine has drawn no samples: the archive's own stay
    manifest = archiving.write(chosen, "smoke", write_shards(tmp_path / "b", chosen, configs=[1]), samples, out)
    assert manifest["complete"] and len(tables.read(out / "runs.parquet", "runs")) == 8
    again = archiving.write(chosen, "smoke", tmp_path / "none", samples, out)
    assert again == manifest, "nothing new, nothing lost, equal bytes"


def test_a_run_that_is_in_two_places_counts_once(tmp_path, samples):
    chosen = settings()
    write_shards(tmp_path / "runs", chosen, configs=[0, 1])
    write_shards(tmp_path / "runs", chosen, configs=[1])
    manifest = archiving.write(chosen, "smoke", tmp_path / "runs", samples, tmp_path / "archive")
    assert [cell["finished"] for cell in manifest["cells"]] == [2] * 4


def test_runs_of_other_training_code_are_left_out_and_never_overwritten(tmp_path, samples):
    chosen, out = settings(), tmp_path / "archive"
    old = write_shards(tmp_path / "old", chosen, code="old code")
    with pytest.raises(UserError, match="no finished run of these settings"):
        archiving.write(chosen, "smoke", old, samples, out)
    assert not out.exists()
    archiving.write(chosen, "smoke", write_shards(tmp_path / "new", chosen), samples, out)
    rows = archive.all_rows(out).assign(code="old code")
    archiving._replace(out, rows, tables.read(samples, "samples"), chosen, "smoke", {"cells": [], "left_out": []}, {})
    before = (out / "runs.parquet").read_bytes()
    with pytest.raises(UserError, match="runs of other training code, which would be lost"):
        archiving.write(chosen, "smoke", write_shards(tmp_path / "part", chosen, configs=[0]), samples, out)
    assert (out / "runs.parquet").read_bytes() == before


def test_an_archive_of_other_settings_is_not_overwritten(tmp_path, samples):
    out = tmp_path / "archive"
    archiving.write(settings(), "smoke", write_shards(tmp_path / "a", settings()), samples, out)
    other = settings(epochs=3)
    with pytest.raises(UserError, match=r"\(epochs 2 there, 3 here\)"):
        archiving.write(other, "smoke", write_shards(tmp_path / "b", other), samples, out)
    assert archive.check(out, settings())


def test_images_of_one_cell_do_not_stand_for_those_of_the_preset(tmp_path, samples):
    """A campaign that computes cell after cell leaves samples of its last cell behind."""
    out, chosen = tmp_path / "archive", settings()
    archiving.write(chosen, "smoke", write_shards(tmp_path / "a", chosen, configs=[0]), samples, out)
    whole = (out / "samples.parquet").read_bytes()
    write_samples(samples, settings(epsilons="[0.75]"))
    archiving.write(chosen, "smoke", write_shards(tmp_path / "b", chosen, configs=[1]), samples, out)
    assert (out / "samples.parquet").read_bytes() == whole
    mend = "make them: snakemake .*samples.parquet --cores 1 --config preset=smoke, and the keys that you gave here"
    with pytest.raises(UserError, match=f"the images of figure 1 with these settings .*{mend}"):
        archiving.write(chosen, "smoke", tmp_path / "a", samples, tmp_path / "other")


def test_without_samples_nothing_is_written(tmp_path):
    with pytest.raises(UserError, match="the images of figure 1"):
        archiving.write(
            settings(), "smoke", write_shards(tmp_path / "a", settings()), tmp_path / "absent", tmp_path / "archive"
        )
    assert not (tmp_path / "archive").exists()


def damage(folder, kind):
    """Damage an archive; the words that the refusal must hold."""
    path, manifest = folder / "epochs.parquet", folder / "manifest.json"
    if kind == "a byte":
        content = bytearray(path.read_bytes())
        content[np.random.default_rng(0).integers(len(content))] ^= 4
        path.write_bytes(content)
        return "epochs.parquet was changed since it was archived"
    if kind == "a missing table":
        path.unlink()
        return "epochs.parquet is missing"
    if kind == "a half manifest":
        manifest.write_text(manifest.read_text()[:500])
    elif kind == "an empty manifest":
        manifest.write_text("{}")
    elif kind == "a list":
        manifest.write_text("[]")
    elif kind == "bytes":
        manifest.write_bytes(b"\xff\xfe")
    elif kind == "another digest":
        manifest.write_text(manifest.read_text().replace('"digest": "', '"digest": "0', 1))
        return "made with other settings than its manifest says"
    elif kind == "no manifest":
        manifest.unlink()
        return "there is no archive in"
    return "manifest.json is damaged"


@pytest.mark.parametrize(
    "kind",
    [
        "a byte",
        "a missing table",
        "a half manifest",
        "an empty manifest",
        "a list",
        "bytes",
        "another digest",
        "no manifest",
    ],
)
def test_a_damaged_archive_is_refused_with_one_line(tmp_path, kind):
    for path in SHIPPED.iterdir():
        (tmp_path / path.name).write_bytes(path.read_bytes())
    archive.check(tmp_path)
    says = damage(tmp_path, kind)
    with pytest.raises(UserError) as caught:
        archive.check(tmp_path)
    assert says in str(caught.value) and "\n" not in str(caught.value)


def test_every_command_that_reads_an_archive_checks_it_and_says_to_restore_it(tmp_path, capsys):
    """To delete an archive's table and run again would bring nothing back."""
    for path in SHIPPED.iterdir():
        (tmp_path / path.name).write_bytes(path.read_bytes())
    altered = tables.read(tmp_path / "runs.parquet", "runs")
    tables.write(altered.assign(test_acc=50.0), "runs", tmp_path / "runs.parquet", altered.attrs["settings"])
    assert main(["claim", "C5.1", "--tables", str(tmp_path), "--artifact", str(SHIPPED.parents[1])]) == 1
    assert f"was changed since it was archived: {tables.RESTORE}\n" in capsys.readouterr().err
    (tmp_path / "runs.parquet").write_bytes(b"half")
    with pytest.raises(UserError, match=f"runs.parquet is damaged .+: {tables.RESTORE}$"):
        tables.read(tmp_path / "runs.parquet", "runs")


def test_the_shipped_archive_is_the_finished_quick_preset():
    quick = config.load(REPOSITORY / "config.yaml", None, ["preset=quick"])
    manifest = archive.check(SHIPPED, quick)
    assert manifest["complete"] and sum(cell["finished"] for cell in manifest["cells"]) == 80
    codes = tables.read(SHIPPED / "runs.parquet", "runs").groupby(["condition", "epsilon"])["code"]
    found = {cell: {*part} for cell, part in codes}
    assert all(found[cell["condition"], cell["epsilon"]] == {*cell["codes"]} for cell in manifest["cells"])
    relations = {row["relation"] for row in lineage.of_cells(tables.read(SHIPPED / "runs.parquet", "runs"))}
    assert relations <= {"today", "equal"}, "its runs count: with reuse_archive nothing is trained again"


@pytest.mark.parametrize("folder", sorted(SHIPPED.parent.iterdir()), ids=lambda folder: folder.name)
def test_shipped_archives_can_be_read_by_every_program_in_the_same_way(folder):
    """Their columns are today's, and gzip is what every Parquet reader knows."""
    for name in tables.TABLES:
        path = folder / f"{name}.parquet"
        assert pq.read_schema(path).equals(tables.SCHEMAS[name])
        group = pq.read_metadata(path).row_group(0)
        assert {group.column(i).compression for i in range(group.num_columns)} == {"GZIP"}


def test_the_rows_of_the_replication_are_those_of_the_campaign():
    """They were archived as preset `paper` until the reproduction took that name; the digest is of that archive."""
    rows = archive.all_rows(REPOSITORY / "paper_artifact" / "archive" / "replication")
    assert {*rows["randomness"]} == {"own"} and not rows["collapsed_in"].any(), "columns that have come since"
    shares = [f"{share}{layer}" for share in tables.SHARES for layer in (0, 1)]
    assert rows[shares].isna().all(axis=None)
    rows = rows.drop(columns=["randomness", "collapsed_in", "cpu_seconds", *shares])
    rows = rows.rename(columns={"lambda_": "lambda"})
    rows = rows.sort_values(["digest", "epoch"])
    content = hashlib.sha256()
    for name in sorted(rows):
        values = rows[name].to_numpy()
        content.update(values.tobytes() if values.dtype.kind in "fi" else "\n".join(values).encode())
    assert content.hexdigest() == "a54035379134cead7615e29237223446e52ef1d814943a5f4ffe61639ab3165c"


def test_settings_that_do_not_fit_name_a_mend_that_does(tmp_path, samples):
    chosen, out = settings(), tmp_path / "archive"
    archiving.write(chosen, "smoke", write_shards(tmp_path / "a", chosen), samples, out)
    part = settings(epsilons="[0.75]")
    with pytest.raises(UserError, match=r"other settings .*--out FOLDER"):
        archiving.write(part, "smoke", tmp_path / "a", samples, out)
    with pytest.raises(UserError, match=r"holds no run of these settings \(.*epochs 2 there, 3 here"):
        archiving.write(settings(epochs=3), "smoke", tmp_path / "a", samples, tmp_path / "new", others=[out])


def test_archives_are_of_the_kind_that_their_settings_say():
    for kind, names in archive.KINDS.items():
        for name in names:
            found = archive.check(REPOSITORY / "paper_artifact" / "archive" / name)["settings"]
            assert archive.kind_of(found) == kind, name
    assert archive.kind_of(settings(dataset="mnist").science()) == "extension"
    assert archive.kind_of(settings(tasks=["contrast"]).science()) == "extension"
    assert archive.kind_of(settings(seed=1).science()) == "replication", "the published runs have seed 0"
    assert not archive.published_numbers(settings(randomness="own").science())


def test_a_part_of_a_cell_is_taken_over_only_from_the_step_that_trains_the_rest(tmp_path, samples):
    """Else a GPU would train the rest in another rounding, and the cell could not be collected."""
    out, chosen = tmp_path / "archive", settings()
    run = cell_runs(chosen, *cells(chosen)[0])[0]
    for configs, taken in (([0], 0), ([0, 1], 2)):
        archiving.write(chosen, "smoke", write_shards(tmp_path / "runs", chosen, configs=configs), samples, out)
        assert archive.cell_rows(out, run, ["code of a GPU"])["digest"].nunique() == taken
        assert archive.cell_rows(out, run, [code_of(run)])["digest"].nunique() == len(configs)


@pytest.mark.parametrize(
    ("overrides", "own"),
    [
        ([], True),
        (["epsilons=[0.75]"], True),
        (["randomness=own"], False),
        (["seed=1"], False),
        (["dataset=mnist"], False),
    ],
)
def test_changed_settings_of_paper_are_not_shown_as_the_reproduction(overrides, own):
    chosen = config.load(REPOSITORY / "config.yaml", "paper", overrides)
    (path,) = archives.compared("paper", "reproduction", chosen, "paper", Path("results/tables"))
    assert (path == "results/tables/runs.parquet") == own
    assert own or path.endswith("archive/paper/runs.parquet")


def test_archives_of_one_epsilon_each_are_merged(tmp_path):
    """As the page says: a laboratory computes one epsilon and archives it, another one merges both."""
    for name in ("computing", "merging"):
        (tmp_path / name).mkdir()
    merging = copy_project(tmp_path / "merging")
    shutil.rmtree(merging / "paper_artifact" / "archive" / "paper", ignore_errors=True)  # the test writes its own
    whole = {"preset": "paper", "conditions": "[ei_ln, inorm]"}
    for epsilon in ("0.25", "0.75"):
        folder = merging if epsilon == "0.75" else copy_project(tmp_path / "computing")
        part = settings(**whole, epsilons=f"[{epsilon}]")
        write_shards(folder / "results" / "runs", part, randomness="release")
        write_samples(
            folder / "results" / "tables" / "samples.parquet",
            config.load(REPOSITORY / "config.yaml", None, ["preset=paper", f"epsilons=[{epsilon}]"]),
        )
        if epsilon == "0.25":
            run_documented("docs/reproduce.md", "python -m einorm archive preset=paper 'epsilons", folder)
            shutil.copytree(folder / "epsilon-0.25", merging / "epsilon-0.25")
    all_epsilons = config.load(REPOSITORY / "config.yaml", None, ["preset=paper"])
    write_samples(merging / "results" / "tables" / "samples.parquet", all_epsilons)
    said = run_documented("docs/reproduce.md", "python -m einorm archive preset=paper --merge", merging)
    merged = archive.load(merging / "paper_artifact" / "archive" / "paper")["runs"]
    assert "8 of 1710 runs" in said and sorted(merged["epsilon"].unique()) == [0.25, 0.75]
    assert merged.groupby(["condition", "epsilon"]).size().tolist() == [2] * 4
