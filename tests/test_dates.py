"""Dates of results: a copy of a finished folder makes nothing run again, and a change makes again what it decides."""

import os
import shutil
import subprocess
import sys
import time

import pytest
from conftest import copy_project
from einorm.planning import dates, surroundings

DAY = 86400 * 10**9


@pytest.fixture
def results(tmp_path):
    """A finished folder: images, then two runs, then a table; dates a second apart, recorded."""
    now = time.time_ns()
    for i, name in enumerate(("data/images.npz", "shifts/luminosity/eps0.npz", "runs/a/1.parquet", "runs/b/2.parquet")):
        write(tmp_path / name, name, now - DAY + i * 10**9)
    write(tmp_path / "tables" / "runs.parquet", "table", now - DAY // 2)
    dates.record(tmp_path)
    return tmp_path


def write(path, text, date):
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)
    os.utime(path, ns=(date, date))


def date(path):
    return path.stat().st_mtime_ns


def scramble(results):
    """What a copy does: other dates, in another order."""
    for i, path in enumerate(sorted(results.rglob("*.*"), reverse=True)):
        os.utime(path, ns=(time.time_ns() + i * 10**6,) * 2)


def test_a_copy_gets_its_dates_back(results):
    before = {path: date(path) for path in results.rglob("*.parquet")}
    scramble(results)
    dates.settle(results)
    assert {path: date(path) for path in results.rglob("*.parquet")} == before
    assert date(results / "data/images.npz") == date(results / "shifts/luminosity/eps0.npz") < min(before.values())


def test_a_copy_of_a_part_gets_its_dates_back(results):
    before = date(results / "runs/a/1.parquet")
    shutil.rmtree(results / "tables")
    scramble(results)
    dates.settle(results)
    assert date(results / "runs/a/1.parquet") == before


def test_where_contents_differ_the_dates_stay(results):
    scramble(results)
    (results / "runs/a/1.parquet").write_text("trained again")
    after = {path: date(path) for path in results.rglob("*.parquet")}
    dates.settle(results)
    assert {path: date(path) for path in results.rglob("*.parquet")} == after


def test_a_new_run_stays_newer_than_the_table(results):
    write(results / "runs/c/3.parquet", "new", time.time_ns())
    dates.settle(results)
    assert date(results / "runs/c/3.parquet") > date(results / "tables/runs.parquet")


@pytest.mark.parametrize("text", ["", "{", "[]", '{"runs/a/1.parquet": {}}', '{"runs/a/1.parquet": 3}'])
def test_a_damaged_record_is_passed_over(results, text):
    (results / dates.RECORD).write_text(text)
    scramble(results)
    after = date(results / "runs/a/1.parquet")
    dates.settle(results)
    assert date(results / "runs/a/1.parquet") == after


def test_dates_in_the_future_are_named_with_a_remedy_and_never_restored(results, capsys):
    for path in results.rglob("*.parquet"):
        os.utime(path, ns=(time.time_ns() + DAY,) * 2)
    dates.record(results)
    dates.settle(results)
    assert "and 2 more: dated in the future" in (said := capsys.readouterr().err) and "--touch" in said
    scramble(results)  # as --touch does
    dates.settle(results)
    assert not capsys.readouterr().err and date(results / "runs/a/1.parquet") < time.time_ns() + DAY // 2


def test_lost_images_are_named_with_the_command_that_makes_them(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    surroundings.check_prepared("mnist")
    assert not capsys.readouterr().err, "a fresh folder"
    write(tmp_path / "results/runs/a/1.parquet", "run", time.time_ns())
    surroundings.check_prepared("mnist")
    assert (
        "einorm prepare --dataset mnist --downloads results/downloads --out results/data/mnist.npz"
        in capsys.readouterr().err
    )


TINY = ["preset=smoke", "conditions=[ei_ln]", "configs=1", "epochs=1", "train_images=64", "test_images=10"]


@pytest.mark.long
def test_a_copied_folder_has_nothing_to_do(tmp_path, images_path):
    """Results alone are copied to another checkout, as by `cp -r`: without dates and without Snakemake's records."""
    first, second = tmp_path / "first", tmp_path / "second"
    for folder in (first, second):
        folder.mkdir()
        copy_project(folder)
    (first / "results/data").mkdir(parents=True)
    shutil.copy(images_path, first / "results/data")

    def tables(folder, *options):
        command = [sys.executable, "-m", "snakemake", "tables", "--cores", "1", *options, "--config", *TINY]
        done = subprocess.run(command, cwd=folder, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
        assert done.returncode == 0, done.stdout
        return done.stdout

    tables(first)
    for folder in ("tables", "runs", "shifts", "data"):  # the tables become the oldest
        shutil.copytree(first / "results" / folder, second / "results" / folder, copy_function=shutil.copy)
    shutil.copy(first / "results" / dates.RECORD, second / "results")
    assert "Nothing to be done" in tables(second, "-n")
    (second / "results" / dates.RECORD).unlink()
    (second / "results/tables/runs.parquet").touch()
    for path in (second / "results/runs").rglob("*.parquet"):
        os.utime(path, ns=(time.time_ns(),) * 2)
    assert "collect" in tables(second, "-n"), "without the record the dates decide"
