"""The script that checks a GPU, tried on a CPU in a tiny form."""

import json
import os
import subprocess
import sys

import gpu_check
import numpy as np
import pytest
from conftest import REPOSITORY
from scipy.stats import ks_2samp

pytest.importorskip("triton", reason="Triton exists for Linux only")


@pytest.mark.long
def test_every_section_runs_and_is_recorded(tmp_path, images_path):
    out = tmp_path / "gpu.json"
    command = [sys.executable, REPOSITORY / "tests" / "gpu_check.py", "--tiny", "--device", "cpu"]
    done = subprocess.run([*command, "--images", images_path, "--out", out], capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr
    found = json.loads(out.read_text())
    assert found["passed"] and list(found["sections"]) == list(gpu_check.SECTIONS)
    control = found["sections"]["control"]["cells"]
    assert set(control) == {"gradnorm_full", "e_only_ln"} and all(cell["runs"] == 2 for cell in control.values())
    assert all(cell["median"][1] > 80 for cell in control.values()), "those of the archive"
    assert found["sections"]["steps"]["worst"]["ei_ln"] < 1e-5
    assert found["sections"]["benchmark"]["steps"][0]["ms_per_step"] > 0


def test_a_section_that_cannot_be_run_fails_the_check_and_not_the_others(tmp_path):
    out = tmp_path / "gpu.json"
    command = [sys.executable, REPOSITORY / "tests" / "gpu_check.py", "--tiny", "--device", "cpu", "--images", "absent"]
    done = subprocess.run([*command, "--out", out, "--sections", "loop", "streams"], capture_output=True, text=True)
    found = json.loads(out.read_text())
    assert done.returncode == 1 and found["failed"] == ["loop"] and found["sections"]["streams"]["passed"]
    assert "absent is missing" in found["sections"]["loop"]["error"]


@pytest.mark.parametrize("shift", [0.0, 0.3, 1.0])
def test_the_test_of_distributions_is_scipys(shift):
    a, b = np.random.default_rng(0).normal(size=(2, 30))
    ours, scipys = gpu_check.kolmogorov_smirnov(a, b + shift), ks_2samp(a, b + shift).pvalue
    assert ours == pytest.approx(scipys, abs=0.05) and gpu_check.kolmogorov_smirnov(a, a) == 1


def test_nothing_but_what_a_gpu_machine_has_is_imported():
    """torch, numpy, pandas, pyarrow, pydantic, yaml, Triton: no Snakemake, scipy or matplotlib."""
    script = (
        "import sys; from einorm import __main__; from einorm.training import gpu, fused, jobfile, train\n"
        "from einorm.tools import benchmark_gpu, golden\n"
        "print([name for name in ('snakemake', 'scipy', 'matplotlib', 'seaborn', 'rocrate') if name in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, env=os.environ)
    assert done.stdout.strip() == "[]", done.stdout + done.stderr
