"""Fixtures: the real images, prepared once per session, and pieces of them; a project redrawn from its archive."""

import json
import os
import re
import resource
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import yaml
from filelock import FileLock

os.environ.setdefault("OMP_NUM_THREADS", "1")
if not Path("/dev/nvidiactl").exists():
    os.environ["TRITON_INTERPRET"] = "1"  # read when Triton is imported: without a GPU its kernels run on the CPU

REPOSITORY = Path(__file__).parents[1]
TOP = ("Snakefile", "config.yaml", "Makefile", "pyproject.toml", "README.md", "LICENSE", "CITATION.cff")
TOP += ("CHANGELOG.md", ".zenodo.json", "CONTRIBUTING.md", ".snakemake-workflow-catalog.yml")
PROJECT = ("workflow", "envs", "paper_artifact", "docs", "config", *TOP)

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
FLAGS = [
    "--no-sandbox",
    "--disable-gpu",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
]

# They start workflows: first, so that the two workers of `make test` end at about the same time.
LONGEST = ["slurm", "docs_commands", "faults", "bad_input", "determinism", "workflow", "extend", "figures"]


def pytest_collection_modifyitems(items):
    """The longest modules first, by `LONGEST`, the others in their order."""
    names = [f"test_{name}" for name in LONGEST]
    items.sort(key=lambda item: (*names, item.path.stem).index(item.path.stem))


def copy_project(folder):
    for name in PROJECT:
        source, target = REPOSITORY / name, folder / name
        if source.is_dir():
            made = shutil.ignore_patterns("__pycache__", "*.egg-info", "bundle", "_build")
            shutil.copytree(source, target, ignore=made)
        else:
            shutil.copy2(source, target)
    return folder


def train_part(folder, preset, *part):
    """Copy the project into a folder, with a preset made small and its archive taken out, and train a part of it."""
    copy_project(folder)
    shutil.rmtree(folder / "paper_artifact" / "archive" / preset)
    path = folder / "config.yaml"
    raw = yaml.safe_load(path.read_text())
    raw["presets"][preset] |= {"epochs": 1, "train_images": 320, "test_images": 160, "configs": 2}
    path.write_text(yaml.safe_dump(raw))
    done = snakemake(folder, "tables", "--config", f"preset={preset}", *part)
    assert done.returncode == 0, done.stdout
    return folder


def complete(folder):
    """Put beside a copied project what only its developers need: the tests, and the environment that make makes."""
    shutil.copytree(REPOSITORY / "tests", folder / "tests", ignore=shutil.ignore_patterns("__pycache__"))
    environment = folder / ".venv"
    environment.mkdir()
    for path in Path(sys.prefix).iterdir():
        if path.name != ".ready":
            (environment / path.name).symlink_to(path)
    (environment / ".ready").touch()


def run_documented(page, start, folder):
    """Run the one command of a page that begins so in a project folder, and return what it prints.

    A test that does this covers the command: see test_docs_commands.py.
    """
    lines = (REPOSITORY / page).read_text(encoding="utf-8").splitlines()
    (command,) = {re.sub(r"\s+#.*", "", line) for line in lines if line.startswith(start)}
    path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    env = os.environ | {"PATH": path, "PYTHONPATH": str(folder / "workflow")}
    output = {"stdout": subprocess.PIPE, "stderr": subprocess.STDOUT, "stdin": subprocess.DEVNULL}
    done = subprocess.run(["bash", "-euo", "pipefail", "-c", command], cwd=folder, env=env, text=True, **output)
    assert done.returncode == 0, f"{command}\n{done.stdout}"
    return done.stdout


BLOCK = """
import socket

def blocked(*args, **kwargs):
    raise OSError("the network is blocked by a test")

socket.socket.connect = socket.create_connection = socket.getaddrinfo = blocked
"""


@pytest.fixture(scope="session")
def images_path(tmp_path_factory):
    """The real Fashion-MNIST, prepared as the workflow does."""
    from einorm.data import prepare

    folder = tmp_path_factory.mktemp("data")
    prepare("fashion_mnist", folder / "fashion_mnist.npz", REPOSITORY / "results" / "downloads")
    return folder / "fashion_mnist.npz"


@pytest.fixture(scope="session")
def images(images_path):
    from einorm.data import load

    return load(images_path)


@pytest.fixture
def no_shifts():
    """A shift table for up to 3 epochs of 2,000 images, all zero."""
    return {"train": np.zeros((3, 2000), np.float32), "test": np.zeros(1000, np.float32)}


@pytest.fixture
def module(tmp_path, monkeypatch):
    """Fingerprint of code as of a module of the package, or of some of its names."""
    from einorm import runtime

    monkeypatch.setattr(runtime, "PACKAGE", tmp_path)

    def fingerprint(code, *names):
        (tmp_path / "module.py").write_text(code)
        return runtime.fingerprint("module.py", *names)

    return fingerprint


@pytest.fixture(scope="session")
def blocked_network(tmp_path_factory):
    """Environment of processes that find no network."""
    folder = tmp_path_factory.mktemp("blocked")
    (folder / "sitecustomize.py").write_text(BLOCK)
    return os.environ | {"PYTHONPATH": str(folder)}


@pytest.fixture(scope="session")
def blocked(tmp_path_factory, blocked_network):
    """Environment of processes that find no torch and no network."""
    folder = tmp_path_factory.mktemp("no_torch")
    for package in ("torch", "torchvision"):
        (folder / f"{package}.py").write_text("raise ModuleNotFoundError(__name__)")
    return blocked_network | {"PYTHONPATH": f"{folder}{os.pathsep}{blocked_network['PYTHONPATH']}"}


def from_archive(folder, *arguments, env=None, config=()):
    command = [sys.executable, "-m", "snakemake", *arguments, "--cores", "2", "--config", "results=archive", *config]
    return subprocess.run(command, cwd=folder, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, env=env)


def built_once(tmp_path_factory, name, build):
    """A project folder in which `build(folder)` made something, once for all workers, each of which gets a copy."""
    base = tmp_path_factory.getbasetemp()
    shared = (base.parent if "PYTEST_XDIST_WORKER" in os.environ else base) / f"once-{name}"
    with FileLock(f"{shared}.lock"):
        if not shared.exists():
            folder = copy_project(tmp_path_factory.mktemp(f"{name}-new"))
            build(folder)
            folder.rename(shared)
    return shutil.copytree(shared, tmp_path_factory.mktemp(name), dirs_exist_ok=True)


@pytest.fixture(scope="session")
def redrawn(tmp_path_factory, blocked):
    """A project made from the shipped archive, the core-seconds that took, and what was printed."""

    def build(folder):
        before = core_seconds()
        done = from_archive(folder, env=blocked)
        assert done.returncode == 0, done.stdout
        (folder / "redrawn.json").write_text(json.dumps([core_seconds() - before, done.stdout]))

    folder = built_once(tmp_path_factory, "archive", build)
    return folder, *json.loads((folder / "redrawn.json").read_text())


def core_seconds():
    """Time that child processes have spent on a core so far; unlike a clock, it does not count waiting for one."""
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


@pytest.fixture(scope="session")
def bundled(redrawn, blocked):
    """The project of `redrawn`, with its bundle."""
    done = from_archive(redrawn[0], "artifact", env=blocked)
    assert done.returncode == 0, done.stdout
    return redrawn[0]


def snakemake(folder, *arguments, preset="smoke"):
    """Run snakemake in a project folder; its output and exit code."""
    command = [sys.executable, "-m", "snakemake", "--cores", "2", *arguments]
    if not {"--config"} & set(arguments):
        command += ["--config", f"preset={preset}"]
    return subprocess.run(command, cwd=folder, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)


@pytest.fixture(scope="session")
def smoke(tmp_path_factory):
    """A project folder in which the smoke preset has been run."""

    def build(folder):
        done = snakemake(folder)
        assert done.returncode == 0, done.stdout

    return built_once(tmp_path_factory, "smoke", build)


@pytest.fixture(scope="module")
def browser():
    if CHROMIUM is None:
        pytest.skip("needs Chromium (Debian: apt install chromium)")
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        chromium = playwright.chromium.launch(executable_path=CHROMIUM, args=FLAGS)
        yield chromium
        chromium.close()


@pytest.fixture
def open_page(browser, path):
    """Open the page that a module's fixture `path` names; what the browser complained of and asked for is in
    page.complaints and page.requests."""
    contexts = []

    def open_page(width=1280, **options):
        contexts.append(browser.new_context(viewport={"width": width, "height": 800}, **options))
        page = contexts[-1].new_page()
        page.complaints, page.requests = [], []
        page.on("console", lambda message: page.complaints.append(message.text))
        page.on("pageerror", lambda error: page.complaints.append(str(error)))
        page.on("request", lambda request: page.requests.append(request.url))
        page.goto(path.as_uri())
        page.wait_for_load_state("networkidle")
        return page

    yield open_page
    for context in contexts:
        context.close()
