"""`einorm.load` and the notebook docs/explore.ipynb, on the tables of the smoke preset."""

import os

import einorm
import nbformat
import numpy as np
import pytest
from conftest import REPOSITORY
from einorm import runtime
from einorm.records import tables
from nbclient import NotebookClient

QUICK = REPOSITORY / "paper_artifact" / "archive" / "quick"
NOTEBOOK = REPOSITORY / "docs" / "explore.ipynb"


def test_load_gives_tidy_frames_of_an_archive():
    frames = einorm.load(QUICK)
    assert set(frames) == {"runs", "epochs", "costs", "samples"}
    runs, epochs = frames["runs"], frames["epochs"]
    assert not runs.duplicated([*tables.KEYS]).any() and not epochs.duplicated([*tables.KEYS, "epoch"]).any()
    np.testing.assert_allclose(runs["mu"], (runs["mu0"] + runs["mu1"]) / 2)
    assert len(epochs) == len(runs) * runs["epochs"].iloc[0]


def test_load_refuses_a_changed_archive_and_an_empty_folder(tmp_path):
    for path in QUICK.iterdir():
        (tmp_path / path.name).write_bytes(path.read_bytes())
    (tmp_path / "runs.parquet").write_bytes((QUICK / "runs.parquet").read_bytes() + b"x")
    with pytest.raises(runtime.UserError, match="was changed since it was archived"):
        einorm.load(tmp_path)
    with pytest.raises(runtime.UserError, match="is missing"):
        einorm.load(tmp_path / "absent")


@pytest.mark.long
def test_the_notebook_answers_its_question_on_fresh_tables(smoke, monkeypatch):
    """As `make docs` runs it, but on the tables that the smoke preset just made."""
    monkeypatch.setenv("EINORM_TABLES", str(smoke / "results" / "tables"))
    paths = [str(REPOSITORY / "workflow"), *filter(None, [os.environ.get("PYTHONPATH")])]
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join(paths))
    monkeypatch.delenv("MPLBACKEND", raising=False)  # that of our figures, which other tests drew in this process
    notebook = nbformat.read(NOTEBOOK, as_version=4)
    NotebookClient(notebook, timeout=120, resources={"metadata": {"path": str(NOTEBOOK.parent)}}).execute()
    outputs = [output for cell in notebook.cells for output in cell.get("outputs", [])]
    shown = " ".join(str(output.get("data", "")) for output in outputs)
    assert "gradnorm_full" in shown and "image/png" in shown


def shown(notebook):
    """Texts of the outputs of all cells."""
    outputs = [output for cell in notebook.cells for output in cell.get("outputs", [])]
    return [output["data"]["text/plain"] for output in outputs if "data" in output]


@pytest.mark.long
def test_the_tracked_outputs_are_those_of_the_archive_that_is_shown(monkeypatch):
    monkeypatch.delenv("EINORM_TABLES", raising=False)
    monkeypatch.delenv("MPLBACKEND", raising=False)
    monkeypatch.setenv("PYTHONPATH", str(REPOSITORY / "workflow"))
    tracked, fresh = (nbformat.read(NOTEBOOK, as_version=4) for _ in range(2))
    NotebookClient(fresh, timeout=120, resources={"metadata": {"path": str(NOTEBOOK.parent)}}).execute()
    assert shown(tracked) == shown(fresh) and len(shown(tracked)) >= 3
    assert any("image/png" in output.get("data", {}) for cell in tracked.cells for output in cell.get("outputs", []))


def test_the_question_takes_ten_lines():
    notebook = nbformat.read(NOTEBOOK, as_version=4)
    lines = [line for cell in notebook.cells if cell.cell_type == "code" for line in cell.source.splitlines()]
    code = [line for line in lines if line.strip() and not line.startswith(("import", "from"))]
    assert len(code) <= 10
