"""Tables: schemas, checks, deterministic bytes, collecting."""

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import synthetic
from conftest import REPOSITORY
from einorm import config
from einorm.__main__ import main
from einorm.records import costs, tables
from einorm.records.jobs import jobs
from einorm.runtime import UserError

ARTIFACT = REPOSITORY / "paper_artifact"
SETTINGS = {"conditions": ["inorm", "ei_ln"], "epochs": 3}


@pytest.mark.parametrize("table", ["runs", "epochs", "costs", "samples"])
def test_what_is_written_is_read(tmp_path, table):
    frame = synthetic.frames()[table]
    path = tmp_path / f"{table}.parquet"
    tables.write(frame.sample(frac=1, random_state=0), table, path, SETTINGS)
    back = tables.read(path, table)
    expected = frame.sort_values(tables.SORT[table]).reset_index(drop=True)
    pd.testing.assert_frame_equal(back.drop(columns="pixels", errors="ignore"),
                                  expected.drop(columns="pixels", errors="ignore"), check_dtype=False)  # fmt: skip
    if table == "samples":
        np.testing.assert_array_equal(np.stack(back["pixels"]), np.stack(expected["pixels"]))
    schema = pq.read_schema(path)
    assert schema.equals(tables.SCHEMAS[table])
    assert schema.metadata[b"einorm.schema"] == tables.SCHEMA_VERSION.encode()
    assert back.attrs["settings"] == SETTINGS and back.attrs["digest"] == tables.settings_digest(SETTINGS)


def test_a_table_without_its_settings_is_refused_where_completeness_is_judged(tmp_path):
    """Nobody could tell which runs are missing, so that incomplete cells would get verdicts."""
    path = tmp_path / "runs.parquet"
    complete = {"conditions": ["inorm"], "epsilons": [0], "configs": 2, "epochs": 3}
    tables.write(synthetic.frames()["runs"], "runs", path, complete)
    assert tables.settings_of(path).configs == [0, 1]
    where = ["--rules", str(ARTIFACT / "claims.yaml"), "--published", str(ARTIFACT / "published")]
    tables.write(synthetic.frames()["runs"], "runs", path, {})
    with pytest.raises(UserError, match="does not say which settings made it"):
        tables.settings_of(path)
    assert main(["claims", "--tables", str(tmp_path), *where, "--out", str(tmp_path / "out")]) == 1
    assert not (tmp_path / "out").exists()
    with pytest.raises(UserError, match="is missing"):
        tables.settings_of(tmp_path / "absent.parquet")
    path.write_bytes(b"PAR1")
    with pytest.raises(tables.DamagedError):
        tables.settings_of(path)


def test_equal_rows_give_equal_bytes_in_any_order(tmp_path):
    frame = synthetic.frames()["epochs"]
    for seed, name in enumerate("ab"):
        tables.write(frame.sample(frac=1, random_state=seed), "epochs", tmp_path / name, SETTINGS)
    tables.write(frame, "epochs", tmp_path / "c", dict(reversed(SETTINGS.items())))
    assert (tmp_path / "a").read_bytes() == (tmp_path / "b").read_bytes() == (tmp_path / "c").read_bytes()


def test_the_settings_digest_does_not_depend_on_order():
    other = {"epochs": 3, "conditions": ["ei_ln", "inorm"]}
    assert tables.settings_digest(SETTINGS) == tables.settings_digest(other)
    assert tables.settings_digest(SETTINGS) != tables.settings_digest(SETTINGS | {"epochs": 4})
    assert len(tables.settings_digest(SETTINGS)) == 16


def test_core_hours_and_gpu_hours_are_never_added_up():
    runs = pd.DataFrame({"device": ["cpu", "cpu", "cuda"], "threads": [1, 3, 2], "seconds": [3600.0, 7200.0, 1800.0]})
    spent = costs.hours(runs)
    assert spent == {"core_hours": 7.0, "gpu_hours": 0.5}
    assert costs.hours_in_words(spent) == "7.0 core-hours and 0.5 GPU-hours"
    assert costs.hours_in_words(costs.hours(runs[:2]), 2) == "7.00 core-hours"
    assert costs.hours_in_words(costs.hours(runs[2:])) == "0.5 GPU-hours"
    assert costs.hours(runs[:0]) == {"core_hours": 0, "gpu_hours": 0}
    assert costs.hours_in_words(costs.hours(runs[:0])) == "0.0 core-hours"


@pytest.mark.parametrize(
    ("change", "says"),
    [
        (lambda f: pd.concat([f, f.head(1)]), "stands twice"),
        (lambda f: f.assign(test_acc=100.5), "test_acc must lie from 0 to 100"),
        (lambda f: f.assign(test_acc=-0.5), "test_acc must lie from 0 to 100"),
        (lambda f: f.assign(test_acc=np.nan), "test_acc must lie"),
        (lambda f: f.assign(epsilon=f["epsilon"] + 0.5), "epsilon must lie from 0 to 1"),
        (lambda f: f.assign(epsilon=f["epsilon"] - 0.5), "epsilon must lie from 0 to 1"),
        (lambda f: f.assign(status="lost"), "status must be"),
    ],
)
def test_impossible_rows_are_refused(tmp_path, change, says):
    path = tmp_path / "runs.parquet"
    tables.write(change(synthetic.frames()["runs"]), "runs", path, SETTINGS)
    with pytest.raises(UserError, match=f"runs.parquet.*{says}"):
        tables.read(path, "runs")


def test_rows_at_the_limits_are_read(tmp_path):
    frame = synthetic.frames(epsilons=(0.0, 1.0))["runs"]
    frame["test_acc"] = np.where(frame["epsilon"] == 0, 0.0, 100.0)
    tables.write(frame, "runs", tmp_path / "runs.parquet", SETTINGS)
    assert tables.read(tmp_path / "runs.parquet", "runs")["test_acc"].agg(["min", "max"]).tolist() == [0, 100]


def test_a_changed_bit_is_found_in_the_values_of_every_column(tmp_path):
    path = tmp_path / "runs.parquet"
    tables.write(synthetic.frames()["runs"], "runs", path, SETTINGS)
    content, group = path.read_bytes(), pq.read_metadata(path).row_group(0)
    for column in map(group.column, range(group.num_columns)):
        end = (column.dictionary_page_offset or column.data_page_offset) + column.total_compressed_size
        changed = bytearray(content)
        changed[end - 1] ^= 1
        path.write_bytes(changed)
        with pytest.raises(tables.DamagedError, match="runs.parquet is damaged"):
            tables.read(path, "runs")


def test_a_changed_bit_in_the_metadata_is_named_or_harmless(tmp_path):
    """The footer has no checksum: texts may be no UTF-8, JSON no JSON, types unknown."""
    path = shards(tmp_path)[0][0]
    content = path.read_bytes()
    footer = len(content) - 8 - int.from_bytes(content[-8:-4], "little")
    refused = 0
    for place in np.linspace(footer, len(content) - 1, 250, dtype=int):
        changed = bytearray(content)
        changed[place] ^= 128
        path.write_bytes(changed)
        for read in (lambda: tables.read(path, "shard"), lambda: tables.settings_of(path)):
            try:
                read()
            except UserError as error:
                refused += 1
                assert path.name in str(error)
    assert refused > 50


@pytest.mark.parametrize(
    ("change", "columns"),
    [
        (lambda t: t.drop_columns(["threads", "mu0"]), "threads, mu0"),
        (lambda t: t.append_column("mu2", pa.array([0.5] * len(t))), "mu2"),
        (lambda t: t.set_column(t.schema.get_field_index("config"), "config", t["config"].cast("string")), "config"),
    ],
)
def test_the_columns_that_do_not_fit_are_named(tmp_path, change, columns):
    path = tmp_path / "runs.parquet"
    tables.write(synthetic.frames()["runs"], "runs", path, SETTINGS)
    pq.write_table(change(pq.read_table(path)), path)
    with pytest.raises(UserError, match=rf"is no runs table \(columns {columns}\)"):
        tables.read(path, "runs")


def test_a_table_names_the_commits_that_trained_its_rows(tmp_path):
    data = synthetic.frames()
    trained = ['{"commit": "b2"}', '{"commit": "a1"}', '{"commit": "a1"}', "{}"]
    runs = data["runs"].assign(versions=[trained[i % 4] for i in range(len(data["runs"]))])
    tables.write(runs, "runs", tmp_path / "runs.parquet", SETTINGS)
    assert tables.read(tmp_path / "runs.parquet", "runs").attrs["commits"] == ["a1", "b2"]
    tables.write(data["costs"], "costs", tmp_path / "costs.parquet", SETTINGS)
    assert tables.read(tmp_path / "costs.parquet", "costs").attrs["commits"] == []


def test_a_table_that_names_no_settings_has_none(tmp_path):
    path = tmp_path / "runs.parquet"
    tables.write(synthetic.frames()["runs"], "runs", path, SETTINGS)
    pq.write_table(pq.read_table(path).replace_schema_metadata(None), path)
    assert tables.read(path, "runs").attrs == {"settings": {}, "digest": "", "commits": []}


def test_damaged_missing_and_foreign_files_are_named(tmp_path):
    path = tmp_path / "runs.parquet"
    with pytest.raises(UserError, match="runs.parquet is missing"):
        tables.read(path, "runs")
    tables.write(synthetic.frames()["runs"], "runs", path, SETTINGS)
    content = path.read_bytes()
    path.write_bytes(content[: len(content) // 2])
    with pytest.raises(UserError, match="runs.parquet is damaged"):
        tables.read(path, "runs")
    pq.write_table(pa.table({"a": [1]}), path)
    with pytest.raises(UserError, match="is no runs table"):
        tables.read(path, "runs")


def shards(folder):
    """Shards of two jobs, and the digests of their runs."""
    data = synthetic.frames()
    wide = data["epochs"].merge(data["runs"][[*tables.KEYS, *dict(tables._RUN_FIELDS)]], on=[*tables.KEYS])
    wide = wide.merge(data["costs"], on=[*tables.KEYS])
    for name, part in wide.groupby("epsilon"):
        tables.write(part, "shard", folder / f"{name}.parquet", {"runs": []})
    return sorted(folder.glob("*.parquet")), sorted(wide["digest"].unique()), data


def test_collect_puts_shards_together(tmp_path):
    paths, digests, data = shards(tmp_path)
    tables.collect(paths, digests, tmp_path / "tables", SETTINGS)
    runs = tables.read(tmp_path / "tables" / "runs.parquet", "runs")
    assert len(runs) == len(data["runs"]) and (runs["epochs"] == 3).all()
    expected = data["runs"].sort_values([*tables.KEYS])["test_acc"].to_numpy()
    assert (runs["test_acc"].to_numpy() == expected).all(), "final metrics are those of the last epoch"
    assert len(tables.read(tmp_path / "tables" / "epochs.parquet", "epochs")) == len(data["epochs"])


def test_collect_takes_no_run_that_was_not_asked_for(tmp_path):
    paths, digests, _ = shards(tmp_path)
    tables.collect(paths, digests[:5], tmp_path / "tables", SETTINGS)
    assert len(tables.read(tmp_path / "tables" / "runs.parquet", "runs")) == 5


@pytest.mark.parametrize(("number", "says"), [(1, "0.0.parquet: damaged"), (2, "0.0.parquet and 1 more: damaged")])
def test_damaged_shards_are_put_aside_and_the_others_stay(tmp_path, number, says):
    paths, digests, _ = shards(tmp_path)
    for path in paths[:number]:
        path.write_bytes(b"half")
    with pytest.raises(UserError, match=says):
        tables.collect(paths, digests, tmp_path / "tables", SETTINGS)
    assert [path.exists() for path in paths] == [False] * number + [True] * (2 - number)
    assert len(list(tmp_path.glob("*.damaged"))) == number and not (tmp_path / "tables").exists()


def test_collect_refuses_to_do_without_a_run(tmp_path):
    paths, digests, _ = shards(tmp_path)
    with pytest.raises(UserError, match="1 runs are in no shard"):
        tables.collect(paths, [*digests, "another"], tmp_path / "tables", SETTINGS)
    assert not (tmp_path / "tables").exists()


def test_the_paper_preset_takes_less_than_200_mb(tmp_path, images_path):
    """Images with the fetched .gz files, shift tables, and shards and tables of incompressible numbers."""
    paper = config.load(REPOSITORY / "config.yaml", None, ["preset=paper"])
    data = synthetic.frames(["inorm"], [0.75], configs=4, epochs=paper.epochs)
    wide = data["epochs"].merge(data["runs"].drop(columns=[*tables.METRICS, "epochs"]), on=[*tables.KEYS])
    tables.write(wide.merge(data["costs"], on=[*tables.KEYS]), "shard", tmp_path / "shard.parquet", {"runs": []})
    shard = (tmp_path / "shard.parquet").stat().st_size + 5000  # its log and benchmark
    rows = 2 * sum(map(len, jobs(paper).values())) * paper.epochs * len(tables.METRICS) * 8
    shifts = len(paper.epsilons) * (paper.epochs * paper.train_images + paper.test_images) * 4
    images = images_path.stat().st_size + 31 * 2**20
    total = images + shifts + len(jobs(paper)) * shard + rows
    assert 100 < total / 2**20 < 200


def test_tables_of_the_first_schema_are_read_as_those_of_today(tmp_path):
    """Its column was called lambda, and there was no other randomness than our own."""
    data = synthetic.frames(["inorm"], [0.75], configs=2, epochs=2)["runs"]
    tables.write(data, "runs", tmp_path / "new.parquet", {"epochs": 2})
    new = pq.read_table(tmp_path / "new.parquet")
    old = new.drop_columns("randomness").rename_columns({"lambda_": "lambda"})
    pq.write_table(old.replace_schema_metadata(new.schema.metadata), tmp_path / "old.parquet")
    read = tables.read(tmp_path / "old.parquet", "runs")
    pd.testing.assert_frame_equal(read, tables.read(tmp_path / "new.parquet", "runs"))
    assert read.attrs["settings"] == {"epochs": 2} and (read["randomness"] == "own").all()


def test_costs_of_earlier_schemas_know_no_cpu_time(tmp_path):
    data = synthetic.frames(["inorm"], [0.75], configs=2, epochs=2)["costs"]
    tables.write(data, "costs", tmp_path / "new.parquet", {"epochs": 2})
    pq.write_table(pq.read_table(tmp_path / "new.parquet").drop_columns("cpu_seconds"), tmp_path / "old.parquet")
    read, new = (tables.read(tmp_path / f"{name}.parquet", "costs") for name in ("old", "new"))
    assert read["cpu_seconds"].isna().all() and new["cpu_seconds"].notna().all()
    pd.testing.assert_frame_equal(read.drop(columns="cpu_seconds"), new.drop(columns="cpu_seconds"), check_flags=False)


def test_tables_of_a_condition_that_was_removed_are_not_told_to_be_deleted(tmp_path):
    made = {"conditions": ["gn_pool"], "epsilons": [0], "configs": 2, "epochs": 3}
    tables.write(synthetic.frames()["runs"], "runs", tmp_path / "runs.parquet", made)
    with pytest.raises(UserError, match="names settings that are not known here$"):
        tables.settings_of(tmp_path / "runs.parquet")
