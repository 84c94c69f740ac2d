"""The paragraph for a methods section: every number in it is the archive's."""

import re
import shutil
import subprocess
import sys

import pytest
from conftest import REPOSITORY
from einorm.__main__ import main
from einorm.artifact import methods
from einorm.records import archive
from einorm.runtime import UserError

ARCHIVES = REPOSITORY / "paper_artifact" / "archive"


def test_the_paragraph_has_the_numbers_of_the_archive():
    manifest = archive.check(ARCHIVES / "replication")
    text, bibtex = methods.describe(ARCHIVES / "replication").split("\n\n")
    runs = archive.load(ARCHIVES / "replication")["runs"]
    settings = manifest["settings"]
    wanted = [f"{len(runs)} networks", f"{len(settings['configs'])} random configurations"]
    wanted += [f"{len(settings['conditions'])} conditions", "epsilon 0 and 0.75", f"{settings['epochs']} epochs"]
    wanted += [f"no longer finite, {(runs['status'] == 'collapsed').sum()} of them"]
    wanted += [f"{manifest['core_hours']:.1f} core-hours"]
    wanted += ["einorm's own streams", "60,000 images", "10,000 images", "float32", "AMD EPYC, 2 cores"]
    assert [part for part in wanted if part not in text] == []
    assert "arXiv:2603.17676" in bibtex and len(re.findall("^@", bibtex, re.M)) == 2


def test_runs_with_the_published_random_numbers_and_variants_are_named_as_such():
    assert "the random numbers of the published runs" in methods.describe(ARCHIVES / "quick")
    assert "commit 8c6a7be" in methods.describe(ARCHIVES / "quick")
    said = methods.describe(ARCHIVES / "robustness_order")
    assert "36 networks of 3 conditions" in said and "6 random configurations" in said
    assert "In 18 of them (shuffled) another setting takes its place: order shuffled." in said


def test_what_an_archive_lacks_is_not_said_to_be_in_it():
    """A part of a campaign is planned with more conditions, epsilons and configurations than it holds."""
    runs, planned = archive.read_runs_and_settings(ARCHIVES / "replication")
    few = (runs["condition"] == "inorm") & (runs["config"] < 4)
    part = runs[(few | (runs["condition"] == "ei_ln")) & (runs["epsilon"] == 0.75)]
    said = " ".join(methods.what(part, planned))
    for name in planned.conditions:
        assert (f"({name})" in said) == (name in {"inorm", "ei_ln"})
    assert "34 networks of 2 conditions" in said and "at epsilon 0.75: 4 to 30 random configurations" in said


def test_a_damaged_archive_is_refused(tmp_path):
    copy = shutil.copytree(ARCHIVES / "quick", tmp_path / "archive")
    (copy / "runs.parquet").write_bytes(b"x")
    with pytest.raises(UserError, match=r"runs\.parquet"):
        methods.describe(copy)


def test_the_command_shows_the_archive_of_the_pages():
    done = subprocess.run(
        [sys.executable, "-m", "einorm", "methods"], cwd=REPOSITORY, capture_output=True, text=True, check=True
    )
    assert done.stdout.strip() == methods.describe(ARCHIVES / archive.SHOWN)


def test_the_folder_is_named_as_of_the_other_commands_or_alone(capsys):
    printed = []
    for named in (["--tables"], []):
        assert main(["methods", *named, str(ARCHIVES / "quick")]) == 0
        printed.append(capsys.readouterr().out.strip())
    assert printed == [methods.describe(ARCHIVES / "quick")] * 2
