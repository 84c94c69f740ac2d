"""The documentation: its commands are executed in a copy of the project, its tables and links hold.

A comment directly before a block says how it is executed:

    (none)                           as written, where everything was made from the shipped archive
    <!-- ci: plan -->                Snakemake plans only: a profile sets --dry-run, also for `make`
    <!-- ci: smoke -->               as written, where the smoke preset has run and config.yaml names it
    <!-- ci: elsewhere WHERE -->     not here: as a line of the script WHERE, or by the test WHERE (FILE::TEST), which
                                     runs what the page says (`conftest.run_documented`)
    <!-- ci: not run: REASON -->     nowhere

docs/extend.md has a test of its own.
"""

import ast
import json
import os
import re
import shutil
import subprocess
import sys
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import pytest
from conftest import REPOSITORY, complete, copy_project
from einorm import config
from einorm.records.jobs import cost, jobs
from einorm.tools import budget
from einorm.tools.benchmark import FAMILIES, WIDTHS
from markdown_it import MarkdownIt

pytestmark = pytest.mark.long

DOCS = REPOSITORY / "docs"
PAGES = [REPOSITORY / name for name in ("README.md", "CONTRIBUTING.md", "config/README.md")]
PAGES += sorted(path for path in DOCS.rglob("*.md") if "_build" not in path.parts)
COMMENT = re.compile(r"<!-- ci: (?P<mode>plan|smoke|elsewhere (?P<where>\S+)|not run: (?P<reason>.+)) -->")
EXECUTED = ("bash", "python")
SHOWN = ("text", "yaml")  # what a command prints, what a file holds; directives of the site begin with {


@dataclass(frozen=True)
class Block:
    page: str
    line: int
    language: str
    text: str
    comment: str

    @property
    def mode(self):
        match = COMMENT.fullmatch(self.comment)
        return re.match(r"not run|\w+", match["mode"])[0] if match else "written"

    @property
    def commands(self):
        """Lines of a shell block without comments, continuations joined; a Python block is one command."""
        if self.language == "python":
            return [f"python - <<'END'\n{self.text}END"]
        lines = self.text.replace("\\\n", " ").splitlines()
        return list(filter(None, (re.sub(r"(^|\s+)#.*", "", line).strip() for line in lines)))


@cache
def tokens(page):
    return MarkdownIt("commonmark").parse(page.read_text(encoding="utf-8"))


def blocks(page):
    """All fenced blocks of a page, with the comment before each."""
    found = []
    for before, token in zip([None, *tokens(page)], tokens(page), strict=False):
        if token.type == "fence":
            comment = before.content.strip() if before and before.type == "html_block" else ""
            name = page.relative_to(REPOSITORY).as_posix()
            found.append(Block(name, token.map[0] + 1, token.info.strip(), token.content, comment))
    return found


BLOCKS = [block for page in PAGES if page != DOCS / "extend.md" for block in blocks(page)]
COMMANDS = [block for block in BLOCKS if block.language in EXECUTED]
HERE = [block for block in COMMANDS if block.mode not in ("elsewhere", "not run")]
ELSEWHERE = [block for block in COMMANDS if block.mode == "elsewhere"]


def name(block):
    return f"{block.page}:{block.line}"


@pytest.fixture(scope="module")
def project(request, tmp_path_factory):
    """mode -> folder of a copy of the project, made when a block first asks for it."""

    @cache
    def made(mode):
        folder = tmp_path_factory.mktemp("docs") / mode
        if mode == "plan":
            folder.mkdir()
            copy_project(folder)
            (folder / "dry" / "profile").mkdir(parents=True)
            (folder / "dry" / "profile" / "config.yaml").write_text("dry-run: true\n")
        else:
            shutil.copytree(request.getfixturevalue({"written": "bundled", "smoke": "smoke"}[mode]), folder)
        if mode == "smoke":
            path = folder / "config.yaml"
            path.write_text(path.read_text().replace("preset: quick", "preset: smoke", 1))
        complete(folder)
        return folder

    return made


@pytest.fixture(scope="module")
def run(project):
    """Run a command in the project of a mode, the same one only once."""

    @cache
    def run(mode, command):
        folder = project(mode)
        env = os.environ | {"PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"}
        env["PYTHONPATH"] = str(folder / "workflow")
        if mode == "plan":
            env["SNAKEMAKE_PROFILE"] = str(folder / "dry" / "profile")
        shell = ["bash", "-euo", "pipefail", "-c", command]
        output = {"stdout": subprocess.PIPE, "stderr": subprocess.STDOUT, "stdin": subprocess.DEVNULL}
        return subprocess.run(shell, cwd=folder, env=env, text=True, timeout=600, **output)

    return run


@pytest.mark.parametrize("block", HERE, ids=name)
def test_the_commands_of_a_block_work(block, run):
    for command in block.commands:
        done = run(block.mode, command)
        assert done.returncode == 0 and "Traceback" not in done.stdout, f"{command}\n{done.stdout}"
        if block.mode == "plan" and command.split()[0] == "snakemake":
            assert "dry-run" in done.stdout, f"{command}\n{done.stdout}"


def test_a_wrong_command_is_noticed(run):
    assert run("plan", "python -m einorm status preset=quik | cat").returncode != 0


@pytest.mark.parametrize("block", ELSEWHERE, ids=name)
def test_what_is_executed_elsewhere_is(block):
    assert not uncovered(block)


def uncovered(block):
    """Commands of a block that the place named in its comment does not run."""
    file, _, test = COMMENT.fullmatch(block.comment)["where"].partition("::")
    text = (REPOSITORY / file).read_text(encoding="utf-8")
    if not test:
        return set(block.commands) - set(text.splitlines())
    run = [start for page, start in documented_commands(text, test) if page == block.page]
    return {command for command in block.commands if not any(map(command.startswith, run))}


def documented_commands(text, test):
    """(page, start) of every command of a page that a test runs with `conftest.run_documented`."""
    functions = [node for node in ast.parse(text).body if isinstance(node, ast.FunctionDef) and node.name == test]
    calls = [node for function in functions for node in ast.walk(function) if isinstance(node, ast.Call)]
    named = [call for call in calls if isinstance(call.func, ast.Name) and call.func.id == "run_documented"]
    return [tuple(argument.value for argument in call.args[:2]) for call in named]


COVERING = "tests/test_train.py::test_budget_prints_every_preset"


@pytest.mark.parametrize(
    ("page", "where", "text", "missed"),
    [
        ("docs/reproduce.md", COVERING, "python -m einorm budget", False),
        ("docs/reproduce.md", COVERING, "python -m einorm budget\npython -m einorm status", True),
        ("docs/quickstart.md", COVERING, "python -m einorm budget", True),
        ("docs/reproduce.md", "tests/test_train.py::test_no_such", "python -m einorm budget", True),
        ("docs/reproduce.md", "tests/test_train.py", "python -m einorm budget", True),
        ("README.md", ".ci/run", "make test", False),
        ("README.md", ".ci/run", "make tests", True),
        ("README.md", "Makefile", "make test", True),
    ],
)
def test_a_command_that_nothing_executes_is_noticed(page, where, text, missed):
    block = Block(page, 1, "bash", f"{text}\n", f"<!-- ci: elsewhere {where} -->")
    assert bool(uncovered(block)) == missed


def test_a_command_that_is_only_mentioned_is_noticed():
    test = "def test_a():\n    'run_documented(p.md, make a)'\n    run_documented('p.md', 'make b', folder)\n"
    assert documented_commands(test, "test_a") == [("p.md", "make b")] and not documented_commands(test, "test_b")


def test_few_commands_are_not_run():
    """Those that install or need other programs, and those of many minutes, of which other tests do a smaller piece."""
    commands = [command for block in COMMANDS if block.mode == "not run" for command in block.commands]
    installing = [command for command in commands if re.match(r"(pip install|conda env create) ", command)]
    installing += [command for command in commands if "import duckdb" in command]
    assert set(commands) - set(installing) == {
        *("make test-slurm", "make faults", "python -m einorm benchmark"),
        *("python tests/mutants.py --sample 150 --seed 0", "make gpu-check"),
        "python tests/compare_steps.py 2014c2c",
        "python -m einorm train --jobs jobs.json --images results/data/fashion_mnist.npz --shifts results/shifts "
        "--out results/runs --device cuda --at-once 3 --deadline 600",
    }


def test_the_pages_have_commands_of_every_kind():
    kinds = {"written", "plan", "smoke", "elsewhere", "not run"}
    assert {block.mode for block in COMMANDS} == kinds and len(COMMANDS) > 40


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.relative_to(REPOSITORY).as_posix())
def test_no_command_escapes(page):
    """Code is fenced, its language is one that is executed or shown, and a comment for CI is understood."""
    assert not [token.map for token in tokens(page) if token.type == "code_block"], "indented code: fence it"
    for block in blocks(page):
        directive = block.language.startswith("{") and "code" not in block.language
        assert block.language in EXECUTED + SHOWN or directive, name(block)
    comments = [token.content.strip() for token in tokens(page) if token.type == "html_block"]
    comments = [comment for comment in comments if re.match(r"<!--\s*ci\b", comment)]
    assert all(map(COMMENT.fullmatch, comments)), comments
    assert len(comments) == len([block for block in blocks(page) if COMMENT.fullmatch(block.comment)])


def test_make_has_every_target_that_is_named():
    targets = set(re.findall(r"^([a-z-]+):", (REPOSITORY / "Makefile").read_text(), re.M))
    quoted = [child.content for page in PAGES for child in inline(page) if child.type == "code_inline"]
    commands = [command for block in COMMANDS for command in block.commands]
    named = {match[1] for text in quoted + commands if (match := re.match(r"make ([a-z-]+)", text))}
    assert {"docs", "test"} <= named <= targets


def inline(page):
    """What the texts of a page consist of: words, links, pictures, code."""
    return [child for token in tokens(page) for child in token.children or []]


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.relative_to(REPOSITORY).as_posix())
def test_links_lead_to_files_and_headings(page):
    attribute = {"link_open": "href", "image": "src"}
    for link in [child.attrGet(attribute[child.type]) for child in inline(page) if child.type in attribute]:
        if "://" in link:
            continue
        path, _, heading = link.partition("#")
        target = page.parent / path if path else page
        assert target.exists(), link
        assert not heading or heading in headings(target), link


def headings(page):
    """Anchors of a page's headings."""
    texts = re.findall(r"^#+ (.+)$", page.read_text(encoding="utf-8"), re.M)
    return {re.sub(r"[^\w\- ]", "", text.lower()).replace(" ", "-") for text in texts}


def test_the_table_of_presets_is_in_step():
    """Runs and jobs as planned, core-hours at the speeds of the benchmark that is shipped."""
    shipped = json.loads((REPOSITORY / "paper_artifact" / "benchmark.json").read_text())
    speeds = {family: [seconds_per_cost(shipped, family, width) for width in WIDTHS] for family in FAMILIES}
    expected = {}
    for preset in config.preset_names(REPOSITORY / "config.yaml"):
        planned = jobs(config.load(REPOSITORY / "config.yaml", preset)).values()
        hours = sum(budget.estimate(runs, speeds) for runs in planned) / 3600
        expected[preset] = (sum(map(len, planned)), len(planned), hours)
    row = re.compile(r"^\| `(\w+)`.*\| ([\d,]+) \| ([\d,]+) \| (< )?([\d.]+) \|$", re.M)
    rows = row.findall((DOCS / "reproduce.md").read_text(encoding="utf-8"))
    assert [preset for preset, *_ in rows] == list(expected)
    for preset, runs, number, below, written in rows:
        planned = expected[preset]
        assert (int(runs.replace(",", "")), int(number.replace(",", ""))) == planned[:2]
        digits = len(written.partition(".")[2])
        assert planned[2] < float(written) if below else f"{planned[2]:.{digits}f}" == written, planned


def seconds_per_cost(shipped, family, width, runs=2):
    """As `budget.seconds_per_cost`, from the steps of a benchmark, and what an epoch spends outside them."""
    (step,) = (s for s in shipped["steps"] if (s["family"], s["width"], s["runs"]) == (family, width, runs))
    (outside,) = (epoch["outside_steps"] for epoch in shipped["epochs"] if epoch["family"] == family)
    run = {"condition": FAMILIES[family], "hidden_width": width, "dataset": "fashion_mnist"}
    images = 32  # one step
    return step["ms_per_run_step"] / 1000 / (1 - outside) / cost(run | {"epochs": 1, "train_images": images})
