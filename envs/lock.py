"""Print the lock of the environment whose python is named: exact pins with the hashes of their files on PyPI."""

import json
import re
import subprocess
import sys
import urllib.request

from packaging.utils import InvalidSdistFilename, InvalidWheelFilename, parse_sdist_filename, parse_wheel_filename
from packaging.version import Version

HEADER = """# Exact pins of the whole environment, with the hashes of every file for Python 3.11-3.13; pip checks them.
# Install with pip install --no-deps -r envs/requirements.lock. Refreshed by `make lock` from pyproject.toml."""
ONLY_CUDA = ' ; sys_platform == "linux" and platform_machine == "x86_64"'
PYTHONS = {"py3", "py2", *(f"cp3{minor}" for minor in (11, 12, 13))}
INDEX = "https://pypi.org/simple/{}/"


def pins(python):
    """(name, version) of everything installed but this project and pip, without a build's local label."""
    command = [python, "-m", "pip", "freeze", "--all", "--exclude", "einorm", "--exclude", "pip"]
    lines = subprocess.run(command, check=True, capture_output=True, text=True).stdout.splitlines()
    return [re.sub(r"\+\w+$", "", line).split("==") for line in lines]


def hashes(name, version):
    """Sha256 of the files of a release that a supported Python can install."""
    request = urllib.request.Request(INDEX.format(name), headers={"Accept": "application/vnd.pypi.simple.v1+json"})
    with urllib.request.urlopen(request, timeout=60) as answer:
        files = json.load(answer)["files"]
    return sorted(file["hashes"]["sha256"] for file in files if fits(file["filename"], Version(version)))


def fits(filename, version):
    """Whether a file is of the version, and its source or a wheel for a supported Python."""
    try:
        _, found, _, tags = parse_wheel_filename(filename)
    except InvalidWheelFilename:
        try:
            return parse_sdist_filename(filename)[1] == version
        except InvalidSdistFilename:
            return False
    return found == version and any(tag.interpreter in PYTHONS or tag.abi == "abi3" for tag in tags)


print(HEADER)
for name, version in pins(sys.argv[1]):
    found = hashes(name, version)
    if not found:
        sys.exit(f"{name}=={version} has no file on {INDEX.format(name)}")
    where = ONLY_CUDA if re.match("nvidia|cuda|triton", name) else ""
    print(" \\\n    ".join([f"{name}=={version}{where}", *(f"--hash=sha256:{sha256}" for sha256 in found)]))
