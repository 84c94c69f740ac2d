"""What every part needs of its surroundings: user errors, digests, fingerprints, atomic files, seeds."""

import ast
import contextlib
import errno
import glob
import hashlib
import json
import os
from functools import cache
from pathlib import Path

import numpy as np

PACKAGE = Path(__file__).parent


class UserError(Exception):
    """A mistake the user can mend: shown as one line, without a traceback, exit code 1.

    The message names what is wrong, where, and how to mend it.
    """


def digest(value):
    """Sha256 (hex) of a JSON-like value; independent of the order of mapping keys."""
    return hashlib.sha256(json.dumps(value, sort_keys=True).encode()).hexdigest()


def duration(seconds):
    """A time in seconds as text: 12 min, 3.4 h."""
    return f"{seconds / 60:.0f} min" if seconds < 5400 else f"{seconds / 3600:.1f} h"


def stream(*purpose):
    """Random generator of one named purpose, e.g. ``stream(seed, "shift", "luminosity", 0.75, epoch)``.

    Streams depend on their names only, so nothing depends on the order of draws or on the batch a
    run happens to be in.
    """
    return np.random.default_rng(int(digest(list(purpose))[:32], 16))


def fingerprint(module, *names):
    """Digest of the code of a package module (path relative to the package, e.g. ``"train.py"``).

    Comments, docstrings and formatting do not count: only code that can change a result does. With `names`, only
    the top-level definitions of these names count, and those of the module that they use.
    """
    return _code_digest((PACKAGE / module).read_text(encoding="utf-8"), names)


@cache  # a plan asks hundreds of times for a few dozen of them; by the text, which may change in a process
def _code_digest(source, names):
    tree = ast.parse(source)
    for node in ast.walk(tree):
        if isinstance(node, ast.Module | ast.ClassDef | ast.FunctionDef) and ast.get_docstring(node) is not None:
            node.body.pop(0)
    nodes = _reachable(tree, names) if names else tree.body
    return digest([ast.dump(node) for node in nodes])[:16]


def _reachable(tree, names):
    """Top-level definitions of `names` and of all they refer to, in the order of the file."""
    definitions = {}
    for node in tree.body:
        targets = [node] if hasattr(node, "name") else getattr(node, "targets", [])
        definitions |= {getattr(target, "name", getattr(target, "id", None)): node for target in targets}
    wanted, todo = set(), list(names)
    while todo:
        name = todo.pop()
        if name in definitions and name not in wanted:
            wanted.add(name)
            todo += [node.id for node in ast.walk(definitions[name]) if isinstance(node, ast.Name)]
    return [node for node in tree.body if any(definitions.get(name) is node for name in wanted)]


@contextlib.contextmanager
def atomic_path(path):
    """Yield a temporary path beside `path`; on success rename it to `path`, on failure remove it.

    Temporary files that killed writers of the same `path` left behind are removed, too.

    Raises
    ------
    UserError
        If the folder cannot be written or the disk is full.
    """
    path = Path(path)
    temporary = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        for stale in path.parent.glob(f".{glob.escape(path.name)}.*.tmp"):
            stale.unlink(missing_ok=True)
        yield temporary
        with open(temporary, "rb") as file:
            os.fsync(file.fileno())
        temporary.replace(path)
    except OSError as error:
        raise UserError(_cannot_write(path, error)) from error
    finally:
        with contextlib.suppress(OSError):
            temporary.unlink(missing_ok=True)


def _cannot_write(path, error):
    if error.errno in (errno.ENOSPC, errno.EDQUOT):
        return f"no space left to write {path}: free some space on that disk, then run the same command again"
    if error.errno in (errno.EACCES, errno.EPERM, errno.EROFS):
        return f"cannot write {path}: make {path.parent} writable, or work in a folder that is"
    return f"cannot write {path}: {error.strerror or error}"
