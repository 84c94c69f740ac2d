"""The code that decides an output: every definition of the package that the output's command can reach.

Outputs carry the fingerprint of this code, so that an edit makes again what it decides and nothing else. The closure is
one of definitions (functions, classes, constants), not of whole modules: figures count planned runs, and planning knows
the data sets, so by modules a new way to fetch images would redraw every figure. A definition reaches the names that it
mentions, through every form of import of the package's own modules, at the top of a module or in a function. What a
module does when it is imported (statements that define nothing) counts wherever the module is imported. Comments,
docstrings, types of functions and formatting do not count.

Three things cannot be seen in the text, and the caller names them as further places: a module that is imported by a
computed name, a method of an object that comes from elsewhere, and files that are read, which are inputs of the rule.
"""

import ast
from functools import cache
from pathlib import PurePosixPath

from .. import runtime

Place = tuple[str, str]  # a module, relative to the package, and a name in it
Definitions = dict[str, tuple[str, list[Place]]]  # name -> digest of its code, places that it uses
ON_IMPORT = "on import"  # stands for the statements of a module that define no name
WHOLE = "*"  # stands for all names of a module
IMPORT = ast.Import | ast.ImportFrom


def code(*places: Place) -> str:
    """Fingerprint of all code that places reach: (module, name) each, e.g. ``("figures/fig1.py", "draw")``."""
    return runtime.digest(sorted((*place, text) for place, text in closure(*places).items() if text))[:16]


def closure(*places: Place) -> dict[Place, str]:
    """All places that places reach, themselves included, each with the digest of its code; empty where it has none.

    Raises UserError if one of the given places is not there.
    """
    for module, name in places:
        if name not in _definitions(module, _source(module)):
            raise runtime.UserError(f"workflow/einorm/{module} defines no {name}: add it, or remove the file")
    reached: dict[Place, str] = {}
    todo, read = list(places), dict[str, Definitions]()
    while todo:
        module, name = place = todo.pop()
        if place not in reached:
            read[module] = read.get(module) or _definitions(module, _source(module))
            reached[place], used = read[module].get(name, ("", []))
            todo += used
    return reached


def _source(module: str) -> str:
    return (runtime.PACKAGE / module).read_text(encoding="utf-8")


@cache  # by the text, which may change in a process
def _definitions(module: str, source: str) -> Definitions:
    """Name -> (digest of its code, places that it uses), of all names that a module defines or imports, and `WHOLE`."""
    statements: dict[str, list[list[ast.AST]]] = {ON_IMPORT: []}
    imported: dict[str, Place] = {}
    for node in ast.parse(source).body:
        for name in _defined(node):
            statements.setdefault(name, []).append(_code(node))
        if not isinstance(node, runtime.DEFINITION):
            for inner in ast.walk(node):
                imported |= _bound(module, inner)
    known = {name: (module, name) for name in statements} | imported
    found: Definitions = {name: ("", [place]) for name, place in imported.items()}
    for name, parts in statements.items():
        used = _on_import(imported) if name == ON_IMPORT else {(module, ON_IMPORT)}
        for nodes in parts:
            inside = {key: place for node in nodes for key, place in _bound(module, node).items()}
            used |= _on_import(inside) | _mentioned(nodes, known | inside)
        found[name] = (runtime.digest([runtime.syntax(nodes[0]) for nodes in parts]) if parts else "", sorted(used))
    return found | {WHOLE: ("", [(module, name) for name in found])}


def _code(statement: ast.stmt) -> list[ast.AST]:
    """All nodes of a statement, the outer before the inner ones; without docstrings and functions' types."""
    runtime.leave_out_words(statement)
    return list(ast.walk(statement))


def _defined(statement: ast.stmt) -> list[str]:
    """Names that a top-level statement defines or changes; `ON_IMPORT` if it does something else when imported."""
    if isinstance(statement, runtime.DEFINITION):
        return [statement.name]
    if isinstance(statement, ast.Assign | ast.AnnAssign | ast.AugAssign):
        targets = statement.targets if isinstance(statement, ast.Assign) else [statement.target]
        names = [node for target in targets for node in ast.walk(target) if isinstance(node, ast.Name)]
        return [node.id for node in names if isinstance(node.ctx, ast.Store)] or [ON_IMPORT]  # an entry of a dict
    docstring = isinstance(statement, ast.Expr) and isinstance(statement.value, ast.Constant)
    # what follows `if __name__ == "__main__"` is not run where the module is imported
    main = isinstance(statement, ast.If) and "__name__" in runtime.syntax(statement.test)
    return [] if docstring or main or isinstance(statement, IMPORT) else [ON_IMPORT]


def _on_import(bound: dict[str, Place]) -> set[Place]:
    """What importing does in the modules of names that imports bind."""
    return {(module, ON_IMPORT) for module, _ in bound.values()}


def _mentioned(nodes: list[ast.AST], known: dict[str, Place]) -> set[Place]:
    """Places of the known names (name -> place) that nodes mention; of a module its attribute or, bare, all of it."""
    places, owners = set(), set()
    for node in nodes:
        if isinstance(node, ast.Attribute) and known.get(_dotted(node.value), ("", ""))[1] == WHOLE:
            places.add((known[_dotted(node.value)][0], node.attr))
            owners.add(node.value)
        elif isinstance(node, ast.Name | ast.Attribute) and isinstance(node.ctx, ast.Load) and node not in owners:
            places |= {known[name] for name in [_dotted(node)] if name in known}
    return places


def _dotted(node: ast.AST) -> str:
    """A name or a chain of attributes as text, ``a.b``; empty for anything else."""
    if isinstance(node, ast.Name):
        return node.id
    if not isinstance(node, ast.Attribute) or not (owner := _dotted(node.value)):
        return ""
    return f"{owner}.{node.attr}"


def _bound(module: str, node: ast.AST) -> dict[str, Place]:
    """Names that a node binds to parts of the package if it is an import: name -> place."""
    bound: dict[str, Place] = {}
    if not isinstance(node, IMPORT):
        return bound
    for alias in node.names:
        if isinstance(node, ast.Import):
            place = _place(alias.name.split("."), None)
        else:
            folders = PurePosixPath(runtime.PACKAGE.name, module).parent.parts
            above = folders[: len(folders) - node.level + 1] if node.level else ()
            place = _place([*above, *filter(None, (node.module or "").split("."))], alias.name)
        bound |= {alias.asname or alias.name: place} if place else {}
    return bound


def _place(parts: list[str], name: str | None) -> Place | None:
    """The place of a name (None: all) in a dotted module; None if the module is not the package's."""
    if parts[0] != runtime.PACKAGE.name:
        return None
    if name and (inner := _file(*parts[1:], name)):
        return inner, WHOLE
    module = _file(*parts[1:])
    return (module, name or WHOLE) if module else None


def _file(*parts: str) -> str | None:
    """The file of a module, relative to the package; None if there is none."""
    path = "/".join(parts)
    found = [file for file in (f"{path}.py", f"{path}/__init__.py".lstrip("/")) if (runtime.PACKAGE / file).is_file()]
    return found[0] if found else None
