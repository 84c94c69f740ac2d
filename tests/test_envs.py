"""Environments: lock, conda files and pyproject agree; citation and licence are what they should be."""

import json
import re
import subprocess
import sys
import tomllib
from functools import cache
from importlib import metadata
from itertools import chain

import pytest
import yaml
from conftest import REPOSITORY
from packaging.markers import Marker, default_environment
from packaging.requirements import Requirement
from packaging.specifiers import SpecifierSet
from packaging.utils import canonicalize_name
from packaging.version import Version

ENVS = REPOSITORY / "envs"
PIP_NAMES = {"pytorch": "torch", "snakemake-minimal": "snakemake", "matplotlib-base": "matplotlib"}


def lock(name="requirements.lock"):
    """Name -> version of every entry of a lock."""
    return {name: version for name, version, _ in entries(name)}


@cache
def entries(name="requirements.lock"):
    """(name, version, marker) of every entry of a lock; every one must be an exact pin with hashes."""
    text = re.sub(r"^#.*\n", "", (ENVS / name).read_text(), flags=re.M)
    lines = re.sub(r" \\\n +", " ", text).splitlines()
    pins = [re.fullmatch(r"([\w.-]+)==([\w.]+)( ; .+?)?( --hash=sha256:[0-9a-f]{64})+", line) for line in lines]
    assert lines and all(pins), [line for line, pin in zip(lines, pins, strict=True) if not pin]
    return [(canonicalize_name(pin[1]), pin[2], (pin[3] or "").removeprefix(" ; ")) for pin in pins]


def test_continuous_integration_runs_on_every_python_that_the_lock_serves():
    served = SpecifierSet(tomllib.loads((REPOSITORY / "pyproject.toml").read_text())["project"]["requires-python"])
    workflow = yaml.safe_load((REPOSITORY / ".github" / "workflows" / "ci.yml").read_text())
    matrix = workflow["jobs"]["test"]["strategy"]["matrix"]["python"]
    assert matrix == [f"3.{minor}" for minor in range(30) if f"3.{minor}" in served]


def test_the_devcontainer_makes_the_environment_without_torch():
    container = json.loads((REPOSITORY / ".devcontainer" / "devcontainer.json").read_text())
    served = SpecifierSet(tomllib.loads((REPOSITORY / "pyproject.toml").read_text())["project"]["requires-python"])
    assert re.fullmatch(r"python:([\d.]+)-bookworm", container["image"])[1] in served
    planned = subprocess.run([*container["postCreateCommand"].split(), "--dry-run", "--always-make"], cwd=REPOSITORY,
                             capture_output=True, text=True, check=True).stdout  # fmt: skip
    assert "--requirement envs/view.lock" in planned
    assert container["remoteEnv"]["PATH"].split(":")[0] == "${containerWorkspaceFolder}/.venv-view/bin"


PLATFORMS = {"Linux x86-64": ("linux", "x86_64"), "Linux ARM": ("linux", "aarch64"), "macOS": ("darwin", "arm64")}


@pytest.mark.parametrize("minor", [11, 12, 13])
@pytest.mark.parametrize("platform", PLATFORMS)
@pytest.mark.parametrize("lock", ["requirements.lock", "view.lock"])
def test_a_lock_holds_all_that_its_packages_need_on_every_platform(lock, platform, minor):
    """`make` installs without dependencies: what a package needs, by its own metadata, must be in the lock."""
    system, machine = PLATFORMS[platform]
    there = default_environment() | {"sys_platform": system, "platform_machine": machine, "extra": ""}
    there |= {"platform_system": system.capitalize(), "os_name": "posix", "implementation_name": "cpython"}
    there |= {"python_version": f"3.{minor}", "python_full_version": f"3.{minor}.7"}
    pins = {name: version for name, version, marker in entries(lock) if not marker or Marker(marker).evaluate(there)}
    for name in pins:
        try:
            requires = metadata.requires(name) or []
        except metadata.PackageNotFoundError:  # of another platform than this one
            continue
        for text in requires:
            needed = Requirement(text)
            if needed.marker is None or needed.marker.evaluate(there):
                version = pins.get(canonicalize_name(needed.name))
                assert version and Version(version) in needed.specifier, f"{name} needs {text}"
    cuda = [name for name in pins if name.startswith("nvidia-")]
    assert bool(cuda) == (system == "linux" and lock == "requirements.lock")


def test_make_takes_the_pythons_of_the_lock_only(tmp_path):
    bounds = SpecifierSet(project()["requires-python"])
    assert [minor for minor in range(9, 17) if f"3.{minor}.1" in bounds] == [11, 12, 13]
    makefile = (REPOSITORY / "Makefile").read_text()
    (check,) = re.findall(r"-c '(import sys; sys.exit\(.*?)' ", makefile)
    for minor in range(9, 17):
        code = check.replace("sys.version_info", f"(3, {minor}, 1)")
        assert subprocess.run([sys.executable, "-c", code]).returncode == (minor not in (11, 12, 13))


def test_the_view_has_the_versions_of_the_whole_lock_and_no_torch():
    view = lock("view.lock")
    assert view.items() <= lock().items() and not {"torch", "torchvision"} & set(view)
    assert {canonicalize_name(Requirement(text).name) for text in project()["dependencies"]} <= set(view)


def conda(name):
    return yaml.safe_load((ENVS / name).read_text())


@pytest.mark.parametrize("name", ["einorm.yaml", "einorm-gpu.yaml"])
def test_conda_versions_are_those_of_the_lock(name):
    pins = lock()
    pinned = [entry.split("=") for entry in conda(name)["dependencies"] if "=" in entry]
    versions = {PIP_NAMES.get(entry[0], entry[0]): entry[1] for entry in pinned}
    assert versions.pop("python") == "3.11"
    assert versions == {package: pins[package] for package in versions}
    direct = {Requirement(r).name for r in [*project()["dependencies"], *project()["optional-dependencies"]["train"]]}
    assert direct <= set(versions)


def test_the_gpu_file_differs_in_the_torch_build_only():
    cpu, gpu = conda("einorm.yaml"), conda("einorm-gpu.yaml")
    differing = [
        pair for pair in zip(cpu.pop("dependencies"), gpu.pop("dependencies"), strict=True) if len(set(pair)) > 1
    ]
    assert cpu == gpu and len(differing) == 1
    ((ours, theirs),) = differing
    assert ours.rpartition("=")[0] == theirs.rpartition("=")[0] and ours.startswith("pytorch=")


def project():
    return tomllib.loads((REPOSITORY / "pyproject.toml").read_text())["project"]


def test_every_direct_dependency_is_locked_in_its_range():
    pins = lock()
    for text in [*project()["dependencies"], *chain(*project()["optional-dependencies"].values())]:
        requirement = Requirement(text)
        assert Version(pins[requirement.name]) in requirement.specifier, text


def test_versions_of_the_artifact_agree():
    import einorm

    version = project()["version"]
    citation = yaml.safe_load((REPOSITORY / "CITATION.cff").read_text())
    deposit = json.loads((REPOSITORY / ".zenodo.json").read_text())
    assert citation["version"] == deposit["version"] == version == einorm.__version__
    latest = re.findall(r"^## (\S+)", (REPOSITORY / "CHANGELOG.md").read_text(), re.M)[0]
    assert latest == version and f"version = {{{version}}}" in (REPOSITORY / "README.md").read_text()


def test_the_deposit_says_what_the_citation_says():
    citation = yaml.safe_load((REPOSITORY / "CITATION.cff").read_text())
    deposit = json.loads((REPOSITORY / ".zenodo.json").read_text())
    assert deposit["title"] == citation["title"] and deposit["license"] == citation["license"]
    assert [c["name"] for c in deposit["creators"]] == [author["name"] for author in citation["authors"]]
    (paper,) = deposit["related_identifiers"]
    assert paper["identifier"] == citation["references"][0]["identifiers"][0]["value"]
    assert {"description", "upload_type", "creators"} <= set(deposit), "what Zenodo requires"


def test_the_citation_has_its_required_fields_and_the_paper():
    citation = yaml.safe_load((REPOSITORY / "CITATION.cff").read_text())
    assert {"cff-version", "message", "title", "authors", "license"} <= set(citation)
    assert citation["references"][0]["identifiers"][0]["value"] == "arXiv:2603.17676"
    assert "MIT License" in (REPOSITORY / "LICENSE").read_text() and citation["license"] == "MIT"
