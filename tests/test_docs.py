"""The documentation: its site builds without a warning, links lead somewhere, docstrings say what they must."""

import ast
import importlib.util
import re
import subprocess
import sys
from urllib.parse import unquote

import matplotlib
import pytest
import yaml
from conftest import REPOSITORY
from einorm.figures import style
from einorm.records import tables
from markdown_it import MarkdownIt
from mdit_py_plugins.anchors import anchors_plugin

DOCS = REPOSITORY / "docs"
PACKAGE = REPOSITORY / "workflow" / "einorm"
PAGES = sorted([*DOCS.glob("*.md"), *DOCS.glob("reference/*.md"), REPOSITORY / "README.md"])
PAGES += [path for path in [REPOSITORY / "CONTRIBUTING.md"] if path.exists()]
SCIENCE = ("network", "learning", "error_signals", "tasks")
ERRORS = {"UserError", "DamagedError"}
# Parameters of the science's functions that are no arrays. Whatever is not named here must have its shape stated.
NO_ARRAYS = """
    classes condition device draw dtype epochs epsilon forward hidden_layers hidden_width hyperparameters i kind layer n
    n_e n_in names network rates rng runs signals smoothing state states test_images train_images units way weights
"""
AXIS = r"(?:R|B|n|n_[ei]|n_in|inputs|rows|units|pixels|classes|images|batch|epochs|steps|runs|[12]|\.\.\.)"
SHAPE = re.compile(rf"\({AXIS}(?:, {AXIS})*\)")


def modules():
    """Name below einorm -> path, of every module of the package."""
    paths = {path: path.relative_to(PACKAGE).with_suffix("").parts for path in PACKAGE.rglob("*.py")}
    return {".".join(part for part in parts if part != "__init__"): path for path, parts in paths.items()}


def public(source):
    """Functions and classes of a module's top level that are meant for others."""
    kinds = (ast.FunctionDef, ast.ClassDef)
    return [node for node in ast.parse(source).body if isinstance(node, kinds) and not node.name.startswith("_")]


def raised(node):
    """Names of the user errors that a definition raises itself."""
    raises = [inner.exc for inner in ast.walk(node) if isinstance(inner, ast.Raise)]
    return ERRORS & {exc.func.id for exc in raises if isinstance(exc, ast.Call) and isinstance(exc.func, ast.Name)}


def arrays(node):
    """Parameters of a function that are arrays."""
    parameters = [] if isinstance(node, ast.ClassDef) else [*node.args.args, *node.args.kwonlyargs]
    return {parameter.arg for parameter in parameters} - {*NO_ARRAYS.split()}


def docstring_faults(source, science=False):
    """What the docstrings of a module lack, a line each, beyond what ruff sees (rules D)."""
    for node in public(source):
        text = ast.get_docstring(node) or ""
        for error in sorted(raised(node)):
            if error not in text:
                yield f"{node.name} raises {error} and does not say so"
        if science and arrays(node) and not SHAPE.search(text):
            yield f"{node.name} states no shape of {', '.join(sorted(arrays(node)))}"


@pytest.mark.parametrize("name", modules())
def test_docstrings_say_what_they_must(name):
    source = modules()[name].read_text(encoding="utf-8")
    assert not list(docstring_faults(source, name in SCIENCE))


def test_docstrings_that_lack_something_are_found():
    source = '''
def raising(path):
    """Read a file (see Fig. 1)."""
    if path:
        raise UserError("no")

def shapeless(network, x):
    """What x (Fig. 4) becomes (here)."""

def shaped(network, x):
    """x (R, n, B) -> y (R)."""

def _private(x): pass
'''
    assert list(docstring_faults(source, science=True)) == [
        "raising raises UserError and does not say so",
        "raising states no shape of path",
        "shapeless states no shape of x",
    ]


def test_the_science_has_arrays_to_state_shapes_of():
    sources = {name: modules()[name].read_text(encoding="utf-8") for name in SCIENCE}
    checked = {f"{name}.{node.name}" for name, source in sources.items() for node in public(source) if arrays(node)}
    assert {"network.forward", "learning.train_step", "error_signals.full", "tasks.shift_luminosity"} <= checked


def test_the_api_reference_has_every_module():
    listed = re.findall(r"^\.\. automodule:: einorm\.?(\S*)$", (DOCS / "reference" / "api.md").read_text(), re.M)
    assert sorted(listed) == sorted(modules())


def test_the_config_reference_is_in_step():
    spec = importlib.util.spec_from_file_location("config_reference", DOCS / "config_reference.py")
    reference = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(reference)
    assert reference.PAGE.read_text(encoding="utf-8") == reference.page(), "make docs-reference refreshes it"
    for key in ("`conditions`", "`epochs`", "`data.path`", "`machine.runs_per_batch`", "`quick`", "`paper`"):
        assert f"\n| {key} |" in reference.page()


def links(path):
    """Relative targets of a page's links and images, a pair (file, anchor) each."""
    tokens = [
        inner for token in MarkdownIt("commonmark").parse(path.read_text("utf-8")) for inner in token.children or []
    ]
    targets = [
        token.attrGet("href") or token.attrGet("src") for token in tokens if token.type in ("link_open", "image")
    ]
    relative = [unquote(target) for target in targets if not re.match(r"[a-z]+:", target)]
    return [target.partition("#")[::2] for target in relative]


def anchors(path):
    """Anchors of a page's headings, as GitHub makes them."""
    parser = MarkdownIt("commonmark").use(anchors_plugin, max_level=6)
    return {token.attrGet("id") for token in parser.parse(path.read_text("utf-8")) if token.type == "heading_open"}


def test_links_and_anchors_are_found(tmp_path):
    page = tmp_path / "page.md"
    page.write_text(
        "# A title, here\n\n| [a](b.md#c) | ![d](e.svg) |\n\n[x](https://x.y) `[no](code.md)` [up](#a-title-here)"
    )
    assert links(page) == [("b.md", "c"), ("e.svg", ""), ("", "a-title-here")]
    assert anchors(page) == {"a-title-here"}


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.relative_to(REPOSITORY).as_posix())
def test_links_lead_somewhere(page):
    for file, anchor in links(page):
        target = (page.parent / file).resolve() if file else page
        assert target.exists(), f"{page.name} links to {file}"
        assert target.is_relative_to(REPOSITORY), f"{page.name} links to {file}, outside of the project"
        assert not anchor or anchor in anchors(target), f"{page.name} links to {file}#{anchor}"


def test_the_readme_fits_on_three_screens():
    assert len((REPOSITORY / "README.md").read_text(encoding="utf-8").splitlines()) <= 150


def test_the_landing_page_leads_to_every_page():
    found = {file for file, _ in links(DOCS / "index.md")}
    pages = {path.relative_to(DOCS).as_posix() for kind in ("md", "ipynb") for path in DOCS.glob(f"**/*.{kind}")
             if "_build" not in path.parts} - {"index.md"}  # fmt: skip
    assert pages and found >= pages


def test_users_learn_which_environment_has_the_commands_that_pages_name():
    activate = ". .venv-view/bin/activate"
    command = ["make", "-n", "--no-print-directory", "view"]  # make test's own make would have it name the directory
    plan = subprocess.run(command, cwd=REPOSITORY, capture_output=True, text=True, check=True).stdout
    assert activate in plan.splitlines()[-1], "make view ends with it"
    for page, command in (("README.md", "python -m einorm claim C5.1"), ("docs/quickstart.md", "snakemake fig4")):
        before = (REPOSITORY / page).read_text(encoding="utf-8").partition(command)[0]
        assert f"`{activate}`" in before[-1500:], page


def test_the_readme_says_what_its_times_and_sizes_are():
    text = (REPOSITORY / "README.md").read_text(encoding="utf-8").partition("## Install")[0]
    assert "at full speed" in text and "docs/reproduce.md#presets-and-their-costs" in text
    paths = {path["path"]: path for path in yaml.safe_load((REPOSITORY / "paper_artifact/paths.yaml").read_text())}
    limit = int(re.search(r"du -sm .venv-view .* -lt (\d+)", (REPOSITORY / ".ci" / "run").read_text())[1])
    assert limit - 100 <= 1000 * paths["view"]["disk_gb"] <= limit, "what CI allows is what the page says, to 0.1 GB"


RESULTS = (DOCS / "results.md").read_text(encoding="utf-8")


def test_all_columns_that_identify_a_run_are_named():
    sentence = re.search(r"A run is named by (.*?)\.", RESULTS, re.S)[1]
    assert tuple(re.findall(r"`(\w+)`", sentence)) == tables.KEYS
    assert re.search(r"`collapsed_step` \([^)]*-1 where the run finished\)", RESULTS)


def test_lines_for_other_programs_read_columns_that_there_are():
    shown = re.search(r"epochs\.select\((.*?)\)", RESULTS)[1]
    assert {*re.findall(r'"(\w+)"', shown)} <= {*tables.EPOCHS.names} and "test_acc" in shown
    formula = re.search(r"read_parquet\(.*?/runs.parquet\"\)\naggregate\((.*?), runs", RESULTS)[1]
    assert {*re.findall(r"\w+", formula)} <= {*tables.RUNS.names}


def test_the_gradient_alignment_of_networks_with_ln_is_said_to_say_nothing():
    (row,) = re.findall(r"^\| `gradient_alignment` .*", RESULTS, re.M)
    assert "it says nothing about `ei_ln` and `e_only_ln`" in row


def test_settings_for_slides_exist():
    section = RESULTS.partition("### Figures for slides")[2].partition("\n## ")[0]
    named = {*re.findall(r"`([a-z]+\.[a-z.-]+?)(?:: True)?`", section)}
    assert {"font.size", "savefig.transparent", "savefig.dpi"} <= named <= {*matplotlib.rcParams}
    assert all(hasattr(style, name) for name in re.findall(r"`([A-Z]+)`", section)) and "format=svg" in section
    for path in re.findall(r"`(workflow/\S+)`", section):
        assert (REPOSITORY / path).exists(), path


@pytest.mark.long
def test_the_site_builds_without_a_warning(tmp_path):
    command = [sys.executable, "-m", "sphinx", "-W", "--keep-going", "-q", "-b", "html", DOCS, tmp_path / "html"]
    done = subprocess.run(command, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    html = {path.relative_to(tmp_path / "html").with_suffix("").as_posix() for path in tmp_path.glob("html/**/*.html")}
    assert {"index", "quickstart", "results", "extend", "explore", "reference/api", "reference/config"} <= html
    assert "mean_units" in (tmp_path / "html" / "reference" / "api.html").read_text(encoding="utf-8")
    assert "cell_output" in (tmp_path / "html" / "explore.html").read_text(encoding="utf-8"), "the notebook ran"
