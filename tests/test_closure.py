"""What an edit makes again: fingerprints of outputs, import circles, what commands execute, real workflow runs."""

import ast
import json
import os
import shutil
import subprocess
import sys
import zipfile

import pytest
from conftest import REPOSITORY, from_archive
from einorm import config, runtime
from einorm.conditions import CONDITIONS
from einorm.figures import FIGURES, known
from einorm.planning import closure, outputs
from einorm.records import codes, jobs, runs
from einorm.runtime import UserError
from einorm.tasks import TASKS
from einorm.training import jobfile
from einorm.variants import QUESTIONS
from test_workflow import edited, planned

MODULES = sorted(path.relative_to(runtime.PACKAGE).as_posix() for path in runtime.PACKAGE.rglob("*.py"))

# A package in which every form of import and of definition occurs: module -> text.
SMALL = {
    "__init__.py": "VERSION = 1\n",
    "far.py": """
import einorm.deep.leaf

OFFSET = 1


def go():
    return einorm.deep.leaf.a() + OFFSET
""",
    "near.py": """
from . import far
from .deep import leaf as other


def f():
    return far.go()


def g():
    return other.b()


def h():
    from einorm.far import OFFSET

    return OFFSET
""",
    "deep/__init__.py": "from ..near import f as passed_on\n",
    "deep/leaf.py": """
import os

from ..near import h

os.environ["SEEN"] = "1"


def a():
    return A + B


def b():
    return h() + TABLE["x"] + TYPED


A, B = 1, 2
TABLE = {}
TABLE["x"] = 3
TYPED: int = 4
TYPED += 1
""",
    "top.py": """
import einorm.far as distant
from .deep import passed_on


def run():
    return passed_on()


def alias():
    return distant.OFFSET


def everything():
    return vars(distant)


if __name__ == "__main__":
    run()
""",
}
FAR = {"far.go", "far.OFFSET", "leaf.a", "leaf.A", "leaf.B", "leaf.TABLE"}  # an entry is made where TABLE is imported
REACHED = {  # place -> its definitions in the closure, worked out by hand
    ("deep/leaf.py", "a"): {"leaf.a", "leaf.A", "leaf.B", "leaf.TABLE"},
    ("far.py", "go"): FAR,
    ("near.py", "f"): {"near.f", *FAR},
    ("near.py", "g"): {"near.g", "leaf.b", "leaf.TABLE", "leaf.TYPED", "near.h", "far.OFFSET"},
    ("near.py", "h"): {"near.h", "far.OFFSET", "leaf.TABLE"},
    ("top.py", "run"): {"top.run", "near.f", *FAR},
    ("top.py", "alias"): {"top.alias", "far.OFFSET", "leaf.TABLE"},
    ("top.py", "everything"): {"top.everything", *FAR, "leaf.b", "leaf.TYPED", "near.h"},
    ("__init__.py", "VERSION"): {"__init__.VERSION"},
}


@pytest.fixture
def small(tmp_path, monkeypatch):
    folder = tmp_path / "einorm"
    for name, text in SMALL.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text(text)
    monkeypatch.setattr(runtime, "PACKAGE", folder)
    closure._definitions.cache_clear()
    yield folder
    closure._definitions.cache_clear()


def definitions(place):
    found = closure.closure(place)
    return {f"{m.split('/')[-1][:-3]}.{name}" for (m, name), text in found.items() if text} - {"leaf.on import"}


@pytest.mark.parametrize("place", REACHED, ids=".".join)
def test_a_definition_reaches_what_it_mentions_through_every_form_of_import(small, place):
    assert definitions(place) == REACHED[place]


def test_what_a_module_does_when_it_is_imported_counts_where_it_is_imported(small):
    before = {place: closure.code(place) for place in REACHED}
    path = small / "deep/leaf.py"
    path.write_text(path.read_text().replace('= "1"', '= "2"'))
    changed = {place for place in REACHED if closure.code(place) != before[place]}
    assert changed == set(REACHED) - {("__init__.py", "VERSION")}


@pytest.mark.parametrize("old", ["A, B = 1", 'TABLE["x"] = 3', "TYPED: int = 4", "TYPED += 1", "return A + B"])
def test_every_kind_of_definition_counts(small, old):
    before, path = closure.code(("deep/leaf.py", closure.WHOLE)), small / "deep/leaf.py"
    path.write_text(path.read_text().replace(old, f"{old}0"))
    assert closure.code(("deep/leaf.py", closure.WHOLE)) != before


def test_comments_docstrings_types_layout_and_the_start_of_a_program_do_not_count(small):
    before, path = closure.code(("top.py", closure.WHOLE)), small / "top.py"
    text = path.read_text().replace("def run():\n", 'def run() -> far.Text:\n    """Run."""\n')
    text = text.replace("    run()", "    alias()")
    path.write_text(f'"""A module."""\n# a comment\n{text}')
    assert closure.code(("top.py", closure.WHOLE)) == before


def test_a_place_that_is_not_there_is_no_silent_nothing(small):
    with pytest.raises(UserError, match=r"top.py defines no walk: add it, or remove the file"):
        closure.code(("top.py", "walk"))


JUDGED = {"claims", "side_by_side", "evidence"}
OTHERS = (*JUDGED, "forest", "single_runs", "late_effects", "report", "explore", "bundle")
OTHERS += ("benchmark", "collect", "samples", "training")
PLAIN = {"claims": "analysis", "forest": "analysis", "explore": "artifact", "benchmark": "tools"}  # in `commands`
DRAWN = known(TASKS, QUESTIONS)


def fingerprints():
    """Output -> fingerprint, of all figures of the paper, of a task of ours and of every question, and of `OTHERS`."""
    facts = {name: outputs.describe_figure(name)["code"] for name in DRAWN}
    facts |= {name: outputs.made_by(f"{room}.{name}") for name, room in PLAIN.items()}
    facts |= {"single_runs": outputs.made_by("analysis.run_by_run", outputs.READ_FOLDER)}
    facts |= {
        name: outputs.made_by(f"analysis.{name}", outputs.READ_FOLDER)
        for name in ("late_effects", "evidence", "side_by_side")
    }
    facts |= {"report": outputs.report_code([[{"condition": c, "task": t}] for c in CONDITIONS for t in TASKS])}
    facts |= {"bundle": outputs.made_by("artifact.bundle", outputs.READ_START)}
    facts |= {name: outputs.made_by(f"training.{name}", outputs.READ_SETTINGS) for name in ("collect", "samples")}
    return facts | {"training": [codes.training_code(c, t) for c in CONDITIONS for t in TASKS]}


def drawn(*modules, but=()):
    """Figures, of all tasks and questions, that modules in `figures` draw; without names: of all modules but some."""
    return {name for name, (_, module) in DRAWN.items() if (module in modules or not modules) and module not in but}


PUBLISHED = drawn(*(f"published_fig{i}" for i in range(2, 8)))
ROBUSTNESS = drawn("robustness")
ALL = drawn()

# Module -> a function in it, and the outputs that this function decides: by reading the code, not by `closure`.
# A module that draws a figure of its own name, and nothing else, is added below.
DECIDES = {
    "__init__.py": ("load", set()),
    "__main__.py": ("complain", set()),
    "analysis/casts.py": ("none_lost", set()),
    "analysis/claims.py": ("judged", JUDGED),
    "analysis/collapse_predictions.py": ("share", set()),
    "analysis/run_by_run_predictions.py": ("mostly_untold", set()),
    "analysis/collapses.py": ("counts", set()),
    "analysis/comparisons.py": ("corrected", drawn("fig6", "fig7") | {"claims", "evidence"}),
    "analysis/completeness.py": ("completeness", ALL | JUDGED | {"late_effects", "report"}),
    "analysis/distributions.py": ("together", {"single_runs"}),
    "analysis/effects.py": ("estimate", JUDGED | {"late_effects"}),
    "analysis/error_shares.py": ("medians", drawn("error_signals")),
    "analysis/explain.py": ("rule", {"report"}),
    "analysis/findings.py": ("rows", {"evidence"}),
    "analysis/judging.py": ("judge", JUDGED),
    "analysis/late_effects.py": ("late", {"late_effects"}),
    "analysis/oddities.py": ("hidden_runs", {"claims"}),
    "analysis/published.py": ("complete_runs", {"claims"}),
    "analysis/published_effects.py": ("box", JUDGED | {"late_effects"}),
    "analysis/robustness.py": ("answers", ROBUSTNESS | {"claims", "evidence"}),
    "analysis/rounding.py": ("apart", set()),
    "analysis/run_by_run.py": ("assign", {"single_runs"}),
    "analysis/same_size.py": ("judge_size", JUDGED),
    "analysis/same_collapses.py": ("same_runs", set()),
    "analysis/selection.py": ("of_task", ALL | JUDGED | {"single_runs", "late_effects"}),
    "analysis/side_by_side.py": ("answer", {"side_by_side"}),
    "analysis/statements.py": ("load_rules", ALL | JUDGED | {"late_effects", "forest", "report"}),
    "analysis/stats.py": ("holm", drawn("fig6", "fig7") | {"claims", "evidence"}),
    "records/archive.py": ("trainings", {"report", "bundle"}),
    "artifact/archiving.py": ("write", set()),
    "artifact/bundle.py": ("content", {"bundle"}),
    "artifact/crate.py": ("facts", {"bundle"}),
    "artifact/explorer.py": ("kept_epochs", {"explore"}),
    "artifact/methods.py": ("describe", set()),
    "artifact/report.py": ("cell_rows", {"report"}),
    "artifact/report_figures.py": ("panel_lines", {"report"}),
    "artifact/sources.py": ("files", {"bundle"}),
    "artifact/summary.py": ("distance", {"report"}),
    "artifact/template.py": ("render", {"report", "explore"}),
    "artifact/verify.py": ("canonical", {"bundle"}),
    "artifact/wording.py": ("p_value", {"report"}),
    "records/codes.py": ("training_parts", {"report"}),
    "records/costs.py": ("hours_in_words", {"report", "bundle"}),
    "commands/analysis.py": ("forest", {"forest"}),
    "commands/arguments.py": ("path_or_none", ALL | {"single_runs", "late_effects", "side_by_side", "evidence"}),
    "commands/artifact.py": ("report", {"report"}),
    "commands/tools.py": ("budget", set()),
    "commands/training.py": ("collect", {"collect"}),
    "conditions.py": ("_inorm", ALL | {*OTHERS} - {"training", "single_runs"}),
    "config.py": ("preset_names", set()),
    "data.py": ("_fetch_mirrors", set()),
    "training/device.py": ("choose_device", {"benchmark"}),
    "error_signals.py": ("center", {"benchmark", "training", "report"}),
    "figures/__init__.py": ("make", ALL),
    "figures/error_signals.py": ("draw", drawn("error_signals")),
    "figures/fig4.py": ("draw_learned", drawn("fig4", "fig5")),
    "figures/fig6.py": ("against_ln", drawn("fig6", "fig7")),
    "figures/forest.py": ("draw", {"forest"}),
    "figures/panels.py": ("say_incomplete", ALL),
    "figures/published_fig4.py": ("draw_learned", drawn("published_fig4", "published_fig5")),
    "figures/robustness.py": ("accuracies", ROBUSTNESS),
    "figures/style.py": ("save", ALL | {"benchmark", "forest"}),
    "figures/versus.py": ("rows", PUBLISHED),
    "training/fused.py": ("prepare_chunk", {"benchmark"}),
    "training/gpu.py": ("steps_on", {"benchmark"}),
    "hyperparameters.py": (
        "hyperparameters",
        ALL | JUDGED | {"late_effects", "report", "bundle", "collect", "samples", "benchmark"},
    ),
    "training/images.py": ("shifted", {"training", "report", "benchmark"}),
    "training/job.py": ("finished_rows", set()),
    "training/jobfile.py": ("run_queue", set()),
    "records/jobs.py": ("batch_by_width", {"collect"}),
    "training/kernels.py": ("readout", {"benchmark"}),
    "learning.py": ("train_step", {"benchmark", "training", "report"}),
    "records/lineage.py": ("check_unmixed", {"collect"}),
    "metrics.py": ("common_share", {"benchmark", "training", "report"}),
    "network.py": ("forward", {"benchmark", "training", "report"}),
    "nn/__init__.py": ("network", set()),
    "nn/layers.py": ("log_balance", set()),
    "nn/signals.py": ("transformed", set()),
    "planning/archives.py": ("compared", set()),
    "planning/closure.py": ("closure", set()),
    "planning/dates.py": ("settle", set()),
    "planning/outputs.py": ("made_by", set()),
    "planning/plan.py": ("experiment", set()),
    "planning/profiles.py": ("check_profiles", set()),
    "planning/surroundings.py": ("check_folders", set()),
    "planning/training.py": ("by_length", set()),
    "records/provenance.py": ("drawing", {"bundle"}),
    "release_precision.py": ("train_step", set()),  # the jobs that are fingerprinted here are float32
    "release_randomness.py": ("sequence", set()),
    "records/runs.py": ("cells", ALL | JUDGED | {"late_effects", "report", "collect"}),
    "runtime.py": ("atomic_path", ALL | {*OTHERS} - {"training"}),
    "records/samples.py": ("sample_images", {"samples"}),
    "records/tables.py": (
        "read",
        ALL | JUDGED | {"single_runs", "late_effects", "report", "explore", "bundle", "collect"},
    ),
    "settings.py": ("describe_difference", JUDGED | {"single_runs", "late_effects", "report", "explore", "bundle"}),
    "tasks.py": ("draw_shifts", {"training", "report"}),
    "tools/benchmark.py": ("peaks", {"benchmark"}),
    "tools/benchmark_gpu.py": ("peaks", {"benchmark"}),
    "tools/budget.py": ("estimate", set()),
    "tools/golden.py": ("replay", set()),
    "tools/lineage_driver.py": ("codes", set()),
    "tools/lineage_proof.py": ("difference", set()),
    "tools/roofline.py": ("draw", {"benchmark"}),
    "tools/status.py": ("job_state", set()),
    "training/train.py": ("train", {"training", "report"}),
    "variants.py": ("how", {"collect", "training", "report"}),
}
DECIDES = {f"figures/{name}.py": ("draw", drawn(name)) for name in FIGURES} | DECIDES


@pytest.fixture(scope="module")
def copied(tmp_path_factory):
    """A copy of the package, of which the fingerprints are taken, and the fingerprints."""
    folder = tmp_path_factory.mktemp("package") / "einorm"
    shutil.copytree(runtime.PACKAGE, folder)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(runtime, "PACKAGE", folder)
        yield folder, fingerprints()


def test_every_module_is_in_the_table():
    docstrings = {
        f"{room}/__init__.py"
        for room in ("analysis", "artifact", "commands", "planning", "records", "tools", "training")
    }
    missing = "add a new module to DECIDES: a function of it, and the outputs that it decides"
    assert {*DECIDES} == {*MODULES} - docstrings, missing


@pytest.mark.parametrize("module", DECIDES)
def test_an_edit_inside_a_function_changes_what_it_decides_and_only_that(copied, module):
    (folder, before), (function, decides) = copied, DECIDES[module]
    text = (folder / module).read_text()
    (node,) = (n for n in ast.parse(text).body if isinstance(n, ast.FunctionDef) and n.name == function)
    lines, at = text.splitlines(keepends=True), node.body[-1].lineno - 1
    (folder / module).write_text("".join([*lines[:at], " " * node.body[-1].col_offset + "edited = 1\n", *lines[at:]]))
    try:
        after = fingerprints()
    finally:
        (folder / module).write_text(text)
    assert {name for name in before if after[name] != before[name]} == decides


def imported(module):
    """The package's modules that a module imports, anywhere in it, but for what only types need."""
    found, package = set(), [*module.split("/")[:-1]]
    tree = ast.parse((runtime.PACKAGE / module).read_text())
    tree.body = [
        node for node in tree.body if not (isinstance(node, ast.If) and "TYPE_CHECKING" in ast.dump(node.test))
    ]
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            assert not any(alias.name.startswith("einorm") for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and (node.level or node.module.split(".")[0] == "einorm"):
            above = package[: len(package) - node.level + 1] if node.level else []
            base = [*above, *(node.module or "").removeprefix("einorm").split(".")]
            paths = ["/".join(filter(None, [*base, *more])) for alias in node.names for more in ([alias.name], [])]
            found |= {f"{path}.py" for path in paths} & {*MODULES}
    return found


def test_there_is_no_import_circle():
    """Imports in functions count. A package's own __init__ does not: Python imports it before its modules anyway."""
    graph = {module: imported(module) for module in MODULES}
    assert (
        graph["figures/fig5.py"] == {"figures/fig4.py", "figures/style.py"}
        and "records/runs.py" in graph["analysis/completeness.py"]
    )
    for _ in MODULES:  # take away what imports nothing that is left
        graph = {m: found & set(graph) for m, found in graph.items()}
        graph = {m: found for m, found in graph.items() if found}
    assert graph == {}


def test_rooms_need_one_another_in_one_direction():
    """A room needs rooms below it and the top of the package. The top needs no room."""
    order = ["commands", "tools", "planning", "artifact", "figures", "analysis", "nn", "training", "records", ""]
    for module in {*MODULES} - {"__init__.py", "__main__.py"}:
        room = module.rpartition("/")[0]
        assert {other.rpartition("/")[0] for other in imported(module)} <= {*order[order.index(room) :]}, module


def test_a_training_job_imports_neither_plans_nor_figures(tmp_path):
    run = runs.cell_runs(config.load(REPOSITORY / "config.yaml", "smoke"), "luminosity", "paper", "ei_ln", 0)[0]
    script = "import sys; from einorm.__main__ import main; main(sys.argv[1:]); print('\\n'.join(sys.modules))"
    jobfile.write({jobs.job_name([run]): [run]}, tmp_path / "jobs.json")
    files = ["--jobs", tmp_path / "jobs.json", "--images", "absent", "--shifts", tmp_path, "--out", tmp_path]
    job = [sys.executable, "-c", script, "train", *files]
    done = subprocess.run(job, capture_output=True, text=True, check=True)
    assert "absent is missing" in done.stderr, "it got as far as reading its images"
    modules = set(done.stdout.split())
    assert {"einorm.training.train", "einorm.records.archive", "torch"} <= modules
    assert not {"einorm.planning.plan", "einorm.planning.closure", "einorm.figures", "matplotlib"} & modules


TRACE = """
import json, sys
from pathlib import Path

import einorm
from einorm.__main__ import main

package, seen = str(Path(einorm.__file__).parent) + "/", set()


def ours(code):
    return code.co_filename.startswith(package) and code.co_filename.endswith(".py")


def importing(frame):
    # What computes a constant while its module is imported counts where the constant is mentioned.
    return frame and (ours(frame.f_code) and frame.f_code.co_name == "<module>" or importing(frame.f_back))


def note(frame, event, argument):
    code = frame.f_code
    if event == "call" and ours(code) and not importing(frame):
        seen.add((code.co_filename.removeprefix(package), code.co_qualname.split(".")[0]))


sys.setprofile(note)
failed = main(sys.argv[1:])
sys.setprofile(None)
print(json.dumps(sorted(seen)))
sys.exit(failed)
"""
TABLES = "paper_artifact/archive/quick"
PLOTTED = {  # of every kind of panel
    "fig6": TABLES,
    "lambda_sweep": TABLES,
    "published_fig3": TABLES,
    "robustness_precision": "paper_artifact/archive/robustness_precision",
}


def executed(folder, command):
    """(module, top-level name) of all that a subcommand executes of the package, but for the command line itself."""
    env = os.environ | {"PYTHONPATH": str(folder / "workflow")}
    done = subprocess.run([sys.executable, "-c", TRACE, *command], cwd=folder, env=env, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    ran = {tuple(place) for place in json.loads(done.stdout.splitlines()[-1]) if not place[1].startswith("<")}
    assert len(ran) > 10
    read = {place for place in ran if place[0].startswith("commands/") and place[1].startswith(("add_", "take_"))}
    read |= {("commands/arguments.py", name) for name in ("command", "count_up_to", "number_between")}
    return ran - read - {place for place in ran if place[0] == "__main__.py"}


@pytest.mark.long
@pytest.mark.parametrize("name", PLOTTED)
def test_all_code_that_draws_a_figure_is_in_its_closure(name, tmp_path):
    command = ["figure", name, "--tables", PLOTTED[name], "--rules", "paper_artifact/claims.yaml", "--published"]
    command += ["paper_artifact/published", "--out", str(tmp_path)]
    places = ("commands/analysis.py", "figure"), (f"figures/{DRAWN[name][1]}.py", "draw")
    assert executed(REPOSITORY, command) <= set(closure.closure(*places))


STARTED = json.dumps(config.record(config.read(REPOSITORY / "config.yaml"), {})).replace(" ", "")
COMMANDS = {
    "claims": f"--tables {TABLES} --rules paper_artifact/claims.yaml --published paper_artifact/published",
    "report": f"--tables {TABLES} --claims results/claims --figures figures --artifact paper_artifact",
    "bundle": f"--project . --tables {TABLES} --claims results/claims --figures figures"
    f" --report paper_artifact/bundle/report.html --explorer paper_artifact/bundle/explore.html --started {STARTED}",
    "explore": f"--tables {TABLES}",
}


@pytest.mark.long
@pytest.mark.parametrize("name", COMMANDS)
def test_all_code_that_makes_claims_pages_and_bundle_is_in_their_closures(name, bundled, tmp_path):
    ran = executed(bundled, [name, *COMMANDS[name].split(), "--out", str(tmp_path / "out")])
    command = (f"commands/{'analysis' if name == 'claims' else 'artifact'}.py", name)
    assert ran <= set(closure.closure(command, *([outputs.READ_START] if name == "bundle" else [])))


VALUES_AND_RULES = ["--published", "paper_artifact/published", "--rules", "paper_artifact/claims.yaml"]


@pytest.mark.long
def test_all_code_that_compares_single_runs_and_draws_them_is_in_the_closures(tmp_path):
    compare = ["run_by_run", "--own", "paper_artifact/archive/replication", *VALUES_AND_RULES[:2], "--out"]
    assert executed(REPOSITORY, [*compare, str(tmp_path)]) <= set(
        closure.closure(("commands/analysis.py", "run_by_run"), outputs.READ_FOLDER)
    )
    command = ["figure", "run_by_run", "--tables", TABLES, *VALUES_AND_RULES, "--compared", str(tmp_path)]
    places = ("commands/analysis.py", "figure"), ("figures/run_by_run.py", "draw"), outputs.READ_FOLDER
    assert executed(REPOSITORY, [*command, "--out", str(tmp_path)]) <= set(closure.closure(*places))


@pytest.mark.long
def test_all_code_that_finds_late_effects_and_draws_them_is_in_the_closures(tmp_path):
    command = ["late_effects", "--own", "paper_artifact/archive/replication", *VALUES_AND_RULES, "--out", str(tmp_path)]
    assert executed(REPOSITORY, command) <= set(
        closure.closure(("commands/analysis.py", "late_effects"), outputs.READ_FOLDER)
    )
    command = ["figure", "effects_by_epoch", "--tables", TABLES, *VALUES_AND_RULES, "--compared", str(tmp_path)]
    places = ("commands/analysis.py", "figure"), ("figures/effects_by_epoch.py", "draw"), outputs.READ_FOLDER
    assert executed(REPOSITORY, [*command, "--out", str(tmp_path)]) <= set(closure.closure(*places))


@pytest.mark.long
def test_all_code_that_shows_statements_side_by_side_is_in_its_closure(tmp_path):
    folders = ["--replication", TABLES, "--robustness", "paper_artifact/archive/robustness_order"]
    command = ["side_by_side", *folders, *VALUES_AND_RULES, "--out", str(tmp_path)]
    places = ("commands/analysis.py", "side_by_side"), outputs.READ_FOLDER
    assert executed(REPOSITORY, command) <= set(closure.closure(*places))


@pytest.mark.long
def test_all_code_that_computes_the_numbers_of_findings_is_in_its_closure(tmp_path):
    folders = [
        "--tables",
        "paper_artifact/archive/replication",
        "--robustness",
        "paper_artifact/archive/robustness_seed",
    ]
    places = ["--artifact", "paper_artifact", *VALUES_AND_RULES[:2], "--out", str(tmp_path)]
    ran = executed(REPOSITORY, ["evidence", *folders, *places])
    assert ran <= set(closure.closure(("commands/analysis.py", "evidence"), outputs.READ_FOLDER))


@pytest.mark.parametrize("name", ["collect", "samples"])
def test_all_code_that_makes_tables_is_in_their_closures(name, smoke, tmp_path):
    shards = [str(path.relative_to(smoke)) for path in (smoke / "results/runs").rglob("*.parquet")]
    inputs = {
        "collect": ["--shards", *shards],
        "samples": ["--images", "results/data/fashion_mnist.npz", "--shifts", "results/shifts"],
    }
    settings = json.dumps(config.load(smoke / "config.yaml", "smoke").science())
    ran = executed(smoke, [name, "--settings", settings, *inputs[name], "--out", str(tmp_path / "out")])
    assert ran <= set(closure.closure(("commands/training.py", name), outputs.READ_SETTINGS))


# What is edited, and the rules that run again; the bundle, which holds all sources, after any edit.
PAGE, EXPLORER, CLAIMS = (
    {"page"},
    {"explore"},
    {"claims", "forest", "side_by_side", "evidence", "late_effects", "effects_by_epoch"},
)
BUNDLE, DRAW, MET = {"artifact"}, {*FIGURES}, {"single_runs", "run_by_run"}
SIDE_BY_SIDE = {name for name in FIGURES if name.startswith("published_")}
P, VALUES = "workflow/einorm", "paper_artifact/published"
EDITS = {
    "nothing": (None, "", "", set()),
    "a comment": (f"{P}/analysis/stats.py", "import numpy as np", "import numpy as np  # numbers", BUNDLE),
    "versus.py": (f"{P}/figures/versus.py", '"distance")', '"distance", "other")', SIDE_BY_SIDE | PAGE),
    "a look": (f"{P}/figures/style.py", 'use("Agg")', 'use("agg")', DRAW | {"forest"} | PAGE | EXPLORER),
    "the style of figures": (f"{P}/figures/einorm.mplstyle", "font.size: 8", "font.size: 9", DRAW | {"forest"} | PAGE),
    "published.py": (f"{P}/analysis/published.py", 'POOLED = "', 'POOLED = "" "x', SIDE_BY_SIDE | CLAIMS | PAGE),
    "stats.py": (f"{P}/analysis/stats.py", "LEVEL = 0.95", "LEVEL = 0.94", CLAIMS | PAGE),
    "counts": (f"{P}/analysis/completeness.py", "finished = table", "finished = 1 * table", DRAW | CLAIMS | PAGE),
    "learning.py": (f"{P}/learning.py", "LABEL_SMOOTHING = 0.1", "LABEL_SMOOTHING = 0.2", PAGE),
    "a caption": ("workflow/report/fig3.rst", "a", "A", PAGE),
    "the pages' style": (f"{P}/artifact/page/report.css", "{", "{ ", PAGE | EXPLORER),
    "the explorer's script": (f"{P}/artifact/page/explorer.js", "const", "const ", EXPLORER),
    "claims.yaml": ("paper_artifact/claims.yaml", "margin: 0.5", "margin: 0.6", CLAIMS | PAGE | {"fig6", "fig7"}),
    "deviations.yaml": ("paper_artifact/deviations.yaml", "a", "A", PAGE | {"evidence"}),
    "a published value": (
        "paper_artifact/published/published_tests.csv",
        "0.75813",
        "0.75812",
        DRAW | CLAIMS | MET | PAGE,
    ),
    "the machine in the manifest": (f"{TABLES}/manifest.json", '"cores": ', '"cores": 1', PAGE),
    "README.md": ("README.md", "einorm", "Einorm", BUNDLE),
    "a page of the docs": ("docs/extend.md", "# Extend", "# To extend", BUNDLE),
    "hyperparameters.csv": (f"{P}/hyperparameters.csv", "config,", "number,", BUNDLE),
}
FROM_ARCHIVE = ("all", "artifact", "--config", "results=archive")


@pytest.mark.long
@pytest.mark.parametrize("name", EDITS)
def test_no_output_stays_stale_after_an_edit_and_no_other_is_made_again(name, bundled, tmp_path):
    file, old, new, decides = EDITS[name]
    folder = edited(bundled, tmp_path, file, old, new) if file else bundled
    assert {*planned(folder, *FROM_ARCHIVE)} - {"all"} == decides | (BUNDLE if file else set())


@pytest.mark.long
def test_a_real_run_makes_again_what_edits_decide(bundled, tmp_path):
    folder = edited(bundled, tmp_path, f"{P}/figures/versus.py", "} pairs", "} couples")
    for file, old, new in (
        ("workflow/report/fig3.rst", "\n", " Edited.\n"),
        ("README.md", "# einorm", "# Edited: einorm"),
    ):
        path = folder / file
        path.write_text(path.read_text().replace(old, new, 1))
    done = from_archive(folder, "all", "artifact")
    assert done.returncode == 0, done.stdout
    drawn = {name: (folder / f"figures/{name}.png").read_bytes() for name in FIGURES}
    changed = {name for name in FIGURES if drawn[name] != (bundled / f"figures/{name}.png").read_bytes()}
    assert changed == {"published_fig2", "published_fig4", "published_fig5"}, "the scatter plots of versus.py"
    report = (folder / "paper_artifact/bundle/report.html").read_text()
    assert " Edited." in report
    with zipfile.ZipFile(folder / "paper_artifact/bundle/einorm-quick.zip") as bundle:
        assert bundle.read("README.md").startswith(b"# Edited") and bundle.read("report.html").decode() == report
        assert bundle.read("figures/published_fig2.png") == drawn["published_fig2"]
    assert "Nothing to be done" in from_archive(folder, "all", "artifact").stdout


def test_the_figures_that_show_corrected_tests_depend_on_the_rules():
    assert {name for name in DRAWN if outputs.describe_figure(name)["tests"]} == drawn("fig6", "fig7")
