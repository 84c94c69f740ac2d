"""Check a bundle's RO-Crate against the profile that it claims, without a network: `make crate`.

It runs in an environment of its own, with roc-validator and with a version of rocrate that ships the JSON-LD context of
RO-Crate 1.1. The validator wants that from the network; here it is put into the validator's cache beforehand.
"""

import io
import subprocess
import sys
import tempfile
from importlib.metadata import distribution
from pathlib import Path

import requests
import urllib3
from requests_cache import CachedSession

CONTEXT = "https://w3id.org/ro/crate/1.1/context"
PROFILE = "workflow-run-crate-0.5"  # it includes Process Run Crate, Workflow RO-Crate and RO-Crate 1.1


class Shipped(requests.adapters.BaseAdapter):
    """Answers every request with the context that rocrate ships."""

    def send(self, request, **options):
        body = Path(distribution("rocrate").locate_file("rocrate/data/ro-crate.jsonld")).read_bytes()
        if f'"@id": "{CONTEXT}"'.encode() not in body:
            sys.exit(f"einorm: error: this rocrate does not ship {CONTEXT}: see the versions in the Makefile")
        headers = {"Content-Type": "application/ld+json"}
        raw = urllib3.HTTPResponse(io.BytesIO(body), headers=headers, status=200, preload_content=False)
        return requests.adapters.HTTPAdapter().build_response(request, raw)

    def close(self):
        """Nothing is open."""


def main(path):
    """Validate a zip; the validator's exit code, 0 if every MUST is met."""
    with tempfile.TemporaryDirectory() as folder:
        cache = str(Path(folder) / "cache")
        with CachedSession(cache, backend="sqlite", expire_after=-1) as session:
            session.mount("https://", Shipped())
            session.get(CONTEXT, headers={"Accept": "application/ld+json, application/json"})
        command = [Path(sys.executable).with_name("rocrate-validator"), "--no-interactive", "--disable-color"]
        command += ["validate", "--offline", "--cache-path", cache, "--profile-identifier", PROFILE, "--no-paging"]
        return subprocess.run([*command, "--verbose", path]).returncode


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
