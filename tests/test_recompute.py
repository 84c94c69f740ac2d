"""paper_artifact/recompute.py agrees with the workflow, finds what was altered, and needs nothing of the package."""

import ast
import hashlib
import json
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

PROJECT = Path(__file__).parents[1]
SCRIPT = PROJECT / "paper_artifact" / "recompute.py"
ARCHIVES = sorted(path.parent for path in (PROJECT / "paper_artifact" / "archive").glob("*/runs.parquet"))


@pytest.fixture(scope="module")
def claims_of(tmp_path_factory):
    """Folder of an archive -> path of the claims.csv that the workflow makes of it, made once."""
    made = {}

    def make(archive):
        if archive not in made:
            made[archive] = tmp_path_factory.mktemp(archive.name)
            command = [sys.executable, "-m", "einorm", "claims", "--tables", archive, "--out", made[archive]]
            command += ["--rules", PROJECT / "paper_artifact/claims.yaml"]
            command += ["--published", PROJECT / "paper_artifact/published"]
            subprocess.run(command, check=True, capture_output=True, timeout=600)
        return made[archive] / "claims.csv"

    return make


def recompute(archive, claims):
    """Isolated (-I): neither PYTHONPATH nor the current folder is on the path."""
    command = [sys.executable, "-I", SCRIPT, archive, "--claims", claims]
    return subprocess.run(command, capture_output=True, text=True, timeout=600)


def altered(tmp_path, archive, change, **settings):
    """A copy of an archive with other runs, and some other settings, whose manifest was made to fit."""
    copy = shutil.copytree(archive, tmp_path / "archive")
    table = pq.read_table(copy / "runs.parquet")
    runs = pa.Table.from_pandas(change(table.to_pandas()), schema=table.schema, preserve_index=False)
    manifest = json.loads((copy / "manifest.json").read_text())
    manifest["settings"] |= settings
    metadata = table.schema.metadata | {b"einorm.settings": json.dumps(manifest["settings"], sort_keys=True).encode()}
    pq.write_table(runs.replace_schema_metadata(metadata), copy / "runs.parquet")
    manifest["files"]["runs.parquet"]["sha256"] = hashlib.sha256((copy / "runs.parquet").read_bytes()).hexdigest()
    (copy / "manifest.json").write_text(json.dumps(manifest))
    return copy


@pytest.mark.long
@pytest.mark.parametrize("archive", ARCHIVES, ids=lambda path: path.name)
def test_agrees_on_every_row_of_a_shipped_archive(archive, claims_of):
    done = recompute(archive, claims_of(archive))
    assert done.returncode == 0, done.stdout + done.stderr
    rows = len(pd.read_csv(claims_of(archive)))
    assert done.stdout.startswith(f"{rows} of {rows} rows ")


@pytest.mark.long
def test_agrees_where_all_epsilons_and_a_second_seed_are_there(tmp_path, claims_of):
    """Invented from the archive of two epsilons and one seed: pooled epsilons, the spread of seeds, a lambda sweep."""

    def change(runs):
        noise = np.random.default_rng(0).normal
        between = [runs.assign(epsilon=runs["epsilon"].map({0: 0.25, 0.75: 0.5})), runs]
        seeds = [part.assign(variant=name) for name in ("paper", "seed1") for part in between]
        everything = pd.concat(seeds, ignore_index=True)
        everything["seed"] = everything["variant"].eq("seed1").astype(int)
        kept = everything["epsilon"].isin([0, 0.75]) & everything["variant"].eq("paper")
        moved = (
            everything["test_acc"]
            + noise(0, 0.4, len(kept))
            + 0.8 * everything["variant"].eq("seed1") * (everything["condition"].isin(["ei_ln", "gradnorm_full"]))
        )
        everything = everything.assign(test_acc=everything["test_acc"].where(kept, moved.round(4)))
        inorm = everything[everything["condition"].eq("inorm") & everything["epsilon"].eq(0.75)]
        swept = pd.concat(
            [inorm.assign(condition="inorm_lambda", lambda_=value) for value in (1e-5, 1e-4, 1e-3, 0.1, 1)]
        )
        swept["test_acc"] = (swept["test_acc"] + noise(0, 1, len(swept))).round(4)
        return pd.concat([everything, swept], ignore_index=True)

    settings = {"epsilons": [0.0, 0.25, 0.5, 0.75], "variants": ["paper", "seed1"], "lambda_epsilons": [0.75]}
    manifest = json.loads((PROJECT / "paper_artifact/archive/replication/manifest.json").read_text())
    settings["conditions"] = [*manifest["settings"]["conditions"], "inorm_lambda"]
    archive = altered(tmp_path, PROJECT / "paper_artifact/archive/replication", change, **settings)
    claims = pd.read_csv(claims_of(archive))
    pooled = claims[claims["epsilon"].eq("pooled")]
    assert len(pooled) and pooled["verdict"].ne("not computed").all()
    swept = claims[claims["x"].eq("inorm_lambda")].iloc[0]
    assert swept["verdict"] != "not computed" and swept["n_x"] == 30, "the best of five of every configuration"
    assert claims["size_seeds"].eq("2 seeds").any() and claims["tau"].gt(0.1).any()
    done = recompute(archive, claims_of(archive))
    assert done.returncode == 0, done.stdout + done.stderr


QUICK = PROJECT / "paper_artifact" / "archive" / "quick"


@pytest.mark.long
def test_an_altered_verdict_is_found(tmp_path, claims_of):
    claims = pd.read_csv(claims_of(QUICK), dtype=str)
    claims.loc[claims["id"].eq("C6.3") & claims["selection"].eq("all"), "verdict"] = "not reproduced"
    claims.to_csv(tmp_path / "claims.csv", index=False)
    done = recompute(QUICK, tmp_path / "claims.csv")
    assert done.returncode == 1
    assert done.stdout.splitlines()[0] == "C6.3 all luminosity: verdict is not reproduced, recomputed reproduced"
    assert len(done.stdout.splitlines()) == 2


def test_an_altered_run_is_found_by_the_numbers(tmp_path, claims_of):
    def change(runs):
        chosen = runs["condition"].eq("gradnorm_scale") & runs["epsilon"].eq(0.75) & runs["config"].eq(0)
        return runs.assign(test_acc=runs["test_acc"].where(~chosen, runs["test_acc"] + 0.3))

    done = recompute(altered(tmp_path, QUICK, change), claims_of(QUICK))
    assert done.returncode == 1
    assert "C6.3 all luminosity: high is " in done.stdout, "the number that this run decides, of 4 configurations"


def without_one(runs):
    return runs[~(runs["condition"].eq("gradnorm_scale") & runs["epsilon"].eq(0.75) & runs["config"].eq(0))]


@pytest.mark.long
def test_agrees_where_a_cell_is_incomplete(tmp_path, claims_of):
    archive = altered(tmp_path, QUICK, without_one)
    done = recompute(archive, claims_of(archive))
    assert done.returncode == 0, done.stdout + done.stderr


def test_a_dropped_run_is_found(tmp_path, claims_of):
    done = recompute(altered(tmp_path, QUICK, without_one), claims_of(QUICK))
    assert done.returncode == 1
    assert "C6.3 all luminosity: verdict is reproduced, recomputed not computed" in done.stdout


def test_runs_that_the_manifest_does_not_name_are_refused(tmp_path):
    copy = shutil.copytree(QUICK, tmp_path / "archive")
    with (copy / "runs.parquet").open("ab") as file:
        file.write(b"x")
    done = recompute(copy, tmp_path / "claims.csv")
    assert done.returncode == 2
    assert "sha256" in done.stderr and len(done.stderr.splitlines()) == 1


def test_imports_nothing_of_the_package():
    imported = set()
    for node in ast.walk(ast.parse(SCRIPT.read_text())):
        if isinstance(node, ast.Import):
            imported |= {name.name.split(".")[0] for name in node.names}
        elif isinstance(node, ast.ImportFrom):
            imported.add(node.module.split(".")[0])
    assert imported - set(sys.stdlib_module_names) <= {"numpy", "pandas", "pyarrow", "scipy", "yaml"}
