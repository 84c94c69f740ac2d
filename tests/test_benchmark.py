"""The benchmark: what it counts, what it writes. Times are measured, not tested."""

import json
import re
import subprocess
import sys

import compare_steps
import pytest
import torch
from conftest import REPOSITORY
from einorm.__main__ import main
from einorm.learning import smooth_targets, train_step
from einorm.tools import benchmark


@pytest.fixture(scope="module")
def result():
    return benchmark.run(families=["E-I", "I-Norm"], widths=(64,), runs=(1, 2), images=640)


@pytest.mark.parametrize("family", benchmark.FAMILIES)
def test_counted_operations_are_those_of_the_products_that_torch_sees(family):
    from torch.utils.flop_counter import FlopCounterMode

    network = benchmark.network_of(benchmark.FAMILIES[family], 40, 2)
    x, targets = torch.rand(32, 784), smooth_targets(torch.randint(0, 10, (32,)), 10)
    # in-place products are unknown to torch's counter: count them by the arrays they are called with
    with FlopCounterMode(display=False) as counter, InPlaceProducts() as in_place:
        train_step(network, x, targets)
    assert counter.get_total_flops() + in_place.flops == benchmark.step_flops(network)


class InPlaceProducts(torch.utils._python_dispatch.TorchDispatchMode):
    flops = 0

    def __torch_dispatch__(self, function, types, args=(), kwargs=None):
        if function in (torch.ops.aten.addmm_.default, torch.ops.aten.baddbmm_.default):
            left, right = args[1:3]
            self.flops += 2 * left.numel() * right.shape[-1]
        return function(*args, **(kwargs or {}))


def test_every_measurement_is_there(result, capsys):
    assert len(result["steps"]) == 4 and set(result["peak_gflops"]) == {"square", "drive", "update"}
    for row in result["steps"]:
        assert row["ms_per_run_step"] > 0 and row["gflops"] > 0 and 0 < row["share_of_peak"] < 1.5
    assert len(result["epochs"]) == 2
    for row in result["epochs"]:
        assert 0 < row["evaluation"] < row["outside_steps"] < 1
    assert [row["family"] for row in result["oracle"]] == ["E-I", "I-Norm"]
    benchmark.print_table(result)
    table = capsys.readouterr().out
    assert "of peak" in table and "autograd" in table and "outside the steps" in table


def test_json_and_figure_are_written(result, tmp_path):
    from einorm.tools.roofline import draw

    benchmark.write_json(result, tmp_path / "b.json")
    assert json.loads((tmp_path / "b.json").read_text()) == result
    draw(result, tmp_path / "benchmark")
    assert {path.suffix for path in tmp_path.glob("benchmark.*")} == {".pdf", ".png", ".csv"}


@pytest.mark.parametrize(
    "modules", ["records.tables, planning.plan", "figures.style, figures.panels, figures.fig6, tools.roofline"]
)
def test_figures_tables_and_the_plan_do_without_torch(modules):
    code = f"import sys; from einorm import {modules.split(chr(44))[0].split(chr(46))[0]}"
    code += "".join(f"; import einorm.{name.strip()}" for name in modules.split(","))
    code += "; sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code]).returncode == 0


def test_the_docs_quote_the_file_that_is_shipped(capsys):
    shipped = REPOSITORY / "paper_artifact" / "benchmark.json"
    assert main(["benchmark", "--show", str(shipped)]) == 0
    assert capsys.readouterr().out.strip() in (REPOSITORY / "docs" / "reproduce.md").read_text()


@pytest.mark.long
def test_a_step_is_compared_with_a_commits():
    small = ["--conditions", "e_only_ln", "--runs", "1", "--width", "16", "--steps", "1", "--rounds", "2"]
    command = [sys.executable, "tests/compare_steps.py", "HEAD", *small]
    done = subprocess.run(command, cwd=REPOSITORY, capture_output=True, text=True)
    assert re.fullmatch(r"e_only_ln +\d+ -> \d+ calls, \S+ of the time \(\S+ to \S+\)\n", done.stdout), done.stderr


def test_the_docs_count_the_calls_of_a_step():
    page = (REPOSITORY / "docs" / "reproduce.md").read_text()
    shown = re.findall(r"^(\w+) +\d+ -> (\d+) calls", page, re.M)
    assert len(shown) == 4 and {name: compare_steps.calls_of_step(name) for name, _ in shown} == {
        name: int(calls) for name, calls in shown
    }


@pytest.mark.parametrize("content", ["[1]", '{"a": 1}', "3", "{"])
def test_another_json_is_no_benchmark(tmp_path, capsys, content):
    (tmp_path / "other.json").write_text(content)
    assert main(["benchmark", "--show", str(tmp_path / "other.json")]) == 1
    assert "other.json is no benchmark" in capsys.readouterr().err
