"""Check a bundle anywhere: every file there, none changed, nothing else in the zip. Standard library only.

``python verify.py ZIP`` runs this file alone, without the package; ``python -m einorm verify ZIP`` does the same.

A bundle's zip is written in one canonical way (stored, sorted, no dates), so that it can be written again from its own
entries and compared byte by byte. It is read as data: nothing is unpacked, and what no canonical zip holds is not read.
"""

import hashlib
import io
import json
import stat
import sys
import zipfile
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path, PurePosixPath

LIMIT = 2**30  # bytes of a zip that is looked at
SUMS, CRATE = "SHA256SUMS", "ro-crate-metadata.json"


def main(arguments: Sequence[str] | None = None) -> int:
    """Check the bundle named on the command line; the exit code: 0 whole, 1 with faults, 2 without a name."""
    arguments = sys.argv[1:] if arguments is None else arguments
    if len(arguments) != 1 or arguments[0].startswith("-"):
        print("usage: python verify.py ZIP", file=sys.stderr)
        return 2
    return check(arguments[0])


def check(path: Path | str) -> int:
    """Print the faults of a bundle, or that there is none; the exit code, 1 with faults."""
    found = faults(path)
    print("\n".join(found) if found else f"{path}: every file is there and unchanged")
    return 1 if found else 0


def canonical(files: Mapping[str, bytes]) -> bytes:
    """Bytes of the zip of a mapping name -> bytes: equal mappings, equal bytes, on any machine."""
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_STORED) as archive:
        for name in sorted(files):
            info = zipfile.ZipInfo(name, (1980, 1, 1, 0, 0, 0))
            info.create_system = 3  # Unix, wherever it is written
            info.external_attr = 0o100644 << 16  # a plain file
            archive.writestr(info, files[name])
    return buffer.getvalue()


def faults(path: Path | str) -> list[str]:
    """Faults of a bundle, a line each; empty if there is none.

    Parameters
    ----------
    path : of the zip, which may come from anywhere
    """
    path = Path(path)
    try:
        size = path.stat().st_size
        if size > LIMIT:
            return [f"{path}: larger than {LIMIT >> 20} MB, no bundle is"]
        content = path.read_bytes()
        with zipfile.ZipFile(io.BytesIO(content)) as archive:
            found = [f"{path}: {fault}" for fault in structure(archive.infolist(), size)]
            if found:
                return found
            files = {info.filename: archive.read(info) for info in archive.infolist()}
    except OSError as error:
        return [f"{path}: cannot be read ({error.strerror})"]
    except (zipfile.BadZipFile, ValueError, NotImplementedError, EOFError, RuntimeError) as error:
        return [f"{path}: is no zip, or a damaged one ({error})"]
    found = [*sums(files), *crate(files)]
    if not found and canonical(files) != content:
        found = ["bytes outside its files were changed"]
    return [f"{path}: {fault}" for fault in found]


def structure(entries: list[zipfile.ZipInfo], size: int) -> Iterator[str]:
    """What must not be in a bundle: names that leave a folder, links, compressed, encrypted or overlapping entries."""
    seen = set()
    for info in entries:
        name = info.filename
        parts = PurePosixPath(name).parts
        # zipfile cuts a name at a NUL byte and turns this system's separator into /; orig_filename is what the zip says
        plain = name == info.orig_filename and "\\" not in name and ":" not in name and name == "/".join(parts)
        if not plain or name.startswith("/") or ".." in parts:
            yield f"{info.orig_filename!r} is no plain path inside a folder"
        if name.casefold() in seen:
            yield f"{name} is there twice"
        seen.add(name.casefold())
        if stat.S_ISLNK(info.external_attr >> 16):
            yield f"{name} is a symbolic link"
        if info.flag_bits & 0x1:
            yield f"{name} is encrypted"
        if info.compress_type != zipfile.ZIP_STORED or info.file_size != info.compress_size:
            yield f"{name} is compressed, the files of a bundle are not"
    if sum(info.file_size for info in entries) > size:
        yield "its files are larger than itself"


def sums(files: Mapping[str, bytes]) -> Iterator[str]:
    """Files missing, changed or unlisted by SHA256SUMS."""
    try:
        lines = files[SUMS].decode().splitlines()
        listed = {name: sha256 for sha256, name in (line.split("  ", 1) for line in lines)}
    except (KeyError, ValueError):
        yield f"{SUMS} is missing or damaged"
        return
    for name, sha256 in listed.items():
        if name not in files:
            yield f"{name} is missing"
        elif hashlib.sha256(files[name]).hexdigest() != sha256:
            yield f"{name} was changed"
    for name in sorted(set(files) - set(listed) - {SUMS}):
        yield f"{name} is not listed in {SUMS}"


def crate(files: Mapping[str, bytes]) -> Iterator[str]:
    """Faults of the RO-Crate: no workflow run in it, or files that are not as it says."""
    try:
        graph = {entity["@id"]: entity for entity in json.loads(files[CRATE])["@graph"]}
        root = graph["./"]
        main = root["mainEntity"]["@id"]
        runs = [e for e in graph.values() if e["@type"] == "CreateAction" and e["instrument"]["@id"] == main]
        data = {e["@id"]: e["sha256"] for e in graph.values() if "sha256" in e}
    except (KeyError, ValueError, TypeError):
        yield f"{CRATE} is missing or damaged"
        return
    if main not in files:
        yield f"{CRATE}: the workflow {main} is not in the bundle"
    if len(runs) != 1:
        yield f"{CRATE}: there is not one run of the workflow, but {len(runs)}"
    for name, sha256 in data.items():
        if name not in files or hashlib.sha256(files[name]).hexdigest() != sha256:
            yield f"{CRATE}: {name} is not the file it describes"


if __name__ == "__main__":
    sys.exit(main())
