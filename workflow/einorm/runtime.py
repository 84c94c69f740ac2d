"""What every part needs of its surroundings: user errors, digests, fingerprints, atomic files, seeds."""

import ast
import contextlib
import difflib
import errno
import glob
import hashlib
import json
import os
import time
from collections.abc import Iterable, Iterator
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np

PACKAGE = Path(__file__).parent
PROJECT = PACKAGE.parents[1]
FUNCTION = ast.FunctionDef | ast.AsyncFunctionDef
DEFINITION = FUNCTION | ast.ClassDef
DAY = 86400  # s


class UserError(Exception):
    """A mistake the user can mend: shown as one line, without a traceback, exit code 1.

    The message names what is wrong, where, and how to mend it.
    """


def nearest(name: object, known: Iterable[object]) -> str:
    """'; did you mean x?' with the nearest known name, or the list of known names."""
    close = difflib.get_close_matches(str(name), list(map(str, known)), n=1, cutoff=0.6)
    return f"; did you mean {close[0]!r}?" if close else f"; known are: {', '.join(map(str, known))}"


def digest(value: object) -> str:
    """Sha256 (hex) of a JSON-like value; independent of the order of mapping keys."""
    return hashlib.sha256(json.dumps(value, sort_keys=True).encode()).hexdigest()


def duration(seconds: float) -> str:
    """A time in seconds as text: 12 min, 3.4 h."""
    return f"{seconds / 60:.0f} min" if seconds < 5400 else f"{seconds / 3600:.1f} h"


def stream(*purpose: object) -> "np.random.Generator":
    """Random generator of one named purpose, e.g. ``stream(seed, "shift", "luminosity", 0.75, epoch)``.

    Streams depend on their names only, so nothing depends on the order of draws or on the batch a
    run happens to be in.
    """
    return np.random.default_rng(int(digest(list(purpose))[:32], 16))


def fingerprint(module: str, *names: str) -> str:
    """Digest of the code of a package module (path relative to the package, e.g. ``"training/train.py"``).

    Comments, docstrings, types of functions and formatting do not count: only code that can change a result does.
    With `names`, only the top-level definitions of these names count, and those of the module that they use.
    """
    return _code_digest((PACKAGE / module).read_text(encoding="utf-8"), names)


@cache  # a plan asks hundreds of times for a few dozen of them; by the text, which may change in a process
def _code_digest(source: str, names: tuple[str, ...]) -> str:
    tree = ast.parse(source)
    tree.body = [node for node in tree.body if not _is_of_types(node)]
    leave_out_words(tree)
    nodes = _reachable(tree, names) if names else tree.body
    return digest([syntax(node) for node in nodes])[:16]


def _is_of_types(node: ast.stmt) -> bool:
    """Whether a statement imports what only types need."""
    if isinstance(node, ast.If):
        return syntax(node.test) == syntax(ast.Name("TYPE_CHECKING", ast.Load()))
    return isinstance(node, ast.ImportFrom) and node.module in ("typing", "collections.abc")


def leave_out_words(tree: ast.AST) -> None:
    """Remove what tells readers something and decides nothing: docstrings, and the types of functions.

    The types of a Triton kernel stay, for they say which of its parameters are constants.
    """
    for node in ast.walk(tree):
        if isinstance(node, ast.Module | DEFINITION) and ast.get_docstring(node) is not None:
            node.body.pop(0)
        if isinstance(node, FUNCTION) and not any(ast.unparse(each) == "triton.jit" for each in node.decorator_list):
            node.returns = None
            for inner in ast.walk(node.args):
                if isinstance(inner, ast.arg):
                    inner.annotation = None


def syntax(node: object) -> str:
    """A syntax tree as text, the same on every Python: as `ast.dump` of Python 3.11 writes it.

    Later versions of `ast.dump` know fields that 3.11 does not (type_params) or leave empty lists out (3.13), so
    that the code of a run would depend on the Python that trained it.
    """
    if isinstance(node, list):
        return f"[{', '.join(map(syntax, node))}]"
    if not isinstance(node, ast.AST):
        return repr(node)
    fields = {name: getattr(node, name, None) for name in node._fields}
    shown = {
        name: value
        for name, value in fields.items()
        if not (value is None and getattr(type(node), name, ...) is None) and not (name == "type_params" and not value)
    }
    return f"{type(node).__name__}({', '.join(f'{name}={syntax(value)}' for name, value in shown.items())})"


def _reachable(tree: ast.Module, names: Iterable[str]) -> list[ast.stmt]:
    """Top-level statements that define `names`, and those that define what these refer to, in the order of the file."""
    definitions = {node: _defined_names(node) for node in tree.body}
    wanted, todo = set(), list(names)
    while todo:
        name = todo.pop()
        for node in [node for node, defined in definitions.items() if name in defined and node not in wanted]:
            wanted.add(node)
            todo += [n.id for n in ast.walk(node) if isinstance(n, ast.Name) and isinstance(n.ctx, ast.Load)]
    return [node for node in tree.body if node in wanted]


def _defined_names(node: ast.stmt) -> set[str]:
    """Names that a top-level statement defines: of a function or class, or all targets of an assignment."""
    if isinstance(node, DEFINITION):
        return {node.name}
    targets = getattr(node, "targets", None) or [getattr(node, "target", None)]
    return {inner.id for target in targets if target for inner in ast.walk(target) if isinstance(inner, ast.Name)}


@contextlib.contextmanager
def atomic_path(path: Path | str) -> Iterator[Path]:
    """Yield a temporary path beside `path`; on success rename it to `path`, on failure remove it.

    Temporary files that killed writers of the same `path` left behind a day ago or earlier are removed, too.

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
            with contextlib.suppress(FileNotFoundError):  # its writer has just finished
                if time.time() - stale.stat().st_mtime > DAY:  # a younger one may have a writer, here or elsewhere
                    stale.unlink()
        yield temporary
        with open(temporary, "rb") as file:
            os.fsync(file.fileno())
        temporary.replace(path)
    except OSError as error:
        raise UserError(_cannot_write(path, error)) from error
    finally:
        with contextlib.suppress(OSError):
            temporary.unlink(missing_ok=True)


def write_csv(frame: Any, path: Path | str) -> None:
    """Write a DataFrame as CSV that every program reads. Raises as `atomic_path`.

    Infinite limits are empty cells, since a spreadsheet takes ``-inf`` for a formula. Texts name epsilon, since it
    takes UTF-8 for something else.
    """
    plain = frame.replace([np.inf, -np.inf], np.nan).replace("ε", "epsilon", regex=True)
    with atomic_path(path) as temporary:
        plain.to_csv(temporary, index=False)


def checksum(path: Path | str) -> str:
    """Sha256 (hex) of a file."""
    with open(path, "rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _cannot_write(path: Path, error: OSError) -> str:
    if error.errno in (errno.ENOSPC, errno.EDQUOT):
        return f"no space left to write {path}: free some space on that disk, then run the same command again"
    if error.errno in (errno.EACCES, errno.EPERM, errno.EROFS):
        return f"cannot write {path}: make {path.parent} writable, or work in a folder that is"
    return f"cannot write {path}: {error.strerror or error}"
