"""Break the code on purpose: how many small faults in the modules that judge results do the unit tests notice?

    python tests/mutants.py --sample 150 --seed 0

A mutant is a module with one operator, number, condition or statement changed; texts, annotations and raised errors
stay as they are. Tests that start a workflow or prepare images are not run. Nothing in the checkout changes.
"""

import argparse
import ast
import copy
import importlib
import inspect
import os
import random
import re
import resource
import shutil
import sys
import tempfile
from pathlib import Path

import pandas as pd
import pytest

JUDGING = ("stats", "effects", "judging", "statements", "comparisons", "same_size", "published_effects", "claims")
RECORDS = ("records/runs", "records/jobs", "records/tables")
MODULES = (*(f"analysis/{name}" for name in (*JUDGING, "selection", "completeness")), *RECORDS)
RELATED = {"stats": ["published"], "statements": ["claims"], "tables": ["archive"]}  # tests, too
RELATED |= {"runs": ["status"], "jobs": ["runs", "status"], "completeness": ["runs"]}
LEAST = 10  # mutants of every module
SECONDS = 300  # of a core: a mutant that takes longer does not end, and counts as caught
SHARED = ("hypothesis", "matplotlib.pyplot", "pyarrow.parquet", "pydantic", "scipy.stats", "seaborn", "torch")
SWAPS = "Lt:LtE,GtE LtE:Lt,Gt Gt:GtE,LtE GtE:Gt,Lt Eq:NotEq NotEq:Eq In:NotIn NotIn:In Is:IsNot IsNot:Is And:Or Or:And"
SWAPS += " Add:Sub Sub:Add Mult:Div Div:Mult Pow:Mult FloorDiv:Mult Mod:Mult"
SWAPS = {name: others.split(",") for name, others in (pair.split(":") for pair in SWAPS.split())}


def changes(node):
    """(node, text) pairs: the text of a fault, and the node that it replaces; none for most nodes."""
    match node:
        case ast.UnaryOp(operand=left) | ast.BinOp(left=left, op=ast.BitOr() | ast.BitAnd()):  # of masks and of dicts
            return [(node, f"({ast.unparse(left)})")] * (not ast.unparse(node).endswith("| None"))
        case ast.Compare(ops=[op]) | ast.BinOp(op=op) | ast.BoolOp(op=op) | ast.AugAssign(op=op):
            texts = [ast.unparse(_with(node, getattr(ast, name)())) for name in SWAPS.get(type(op).__name__, ())]
            statement = isinstance(node, ast.stmt)
            return [(node, "pass")] * statement + [(node, text if statement else f"({text})") for text in texts]
        case ast.Constant(value=bool() | int() | float() as value):
            return [(node, str(not value if isinstance(value, bool) else value + 1))]
        case ast.If(test=test) | ast.IfExp(test=test) if not isinstance(test, ast.Compare | ast.UnaryOp):
            return [(test, f"(not ({ast.unparse(test)}))")]
        case ast.Expr(value=ast.Call()) | ast.Assign(targets=[ast.Subscript() | ast.Attribute()]):
            return [(node, "pass")]
    return []


def _with(node, operator):
    new = copy.copy(node)
    new.op, new.ops = operator, [operator]
    return new


def places(node):
    """The node and all below it, without texts, annotations, decorators and what is raised."""
    yield node
    for name, value in ast.iter_fields(node):
        for child in value if isinstance(value, list) else [value]:
            skipped = name in ("annotation", "returns", "decorator_list") or isinstance(
                child, ast.Raise | ast.JoinedStr
            )
            if isinstance(child, ast.AST) and not skipped:
                yield from places(child)


def mutants(source):
    """All mutants of a source text: list of (line, old text, new text, whole new source)."""
    found, content = [], source.encode()
    lines = content.splitlines(keepends=True)
    for node, text in (change for place in places(ast.parse(source)) for change in changes(place)):
        start = sum(map(len, lines[: node.lineno - 1])) + node.col_offset
        end = sum(map(len, lines[: node.end_lineno - 1])) + node.end_col_offset
        whole = (content[:start] + text.encode() + content[end:]).decode()
        found.append((node.lineno, content[start:end].decode(), text, whole))
    return found


def draw(sources, size, seed):
    """A seeded sample of (module, mutant): `LEAST` of every module, the others from all modules together."""
    rng, first, rest = random.Random(seed), [], []
    for module, source in sources.items():
        of_module = [(module, mutant) for mutant in mutants(source)]
        rng.shuffle(of_module)
        first, rest = first + of_module[:LEAST], rest + of_module[LEAST:]
    return first + rng.sample(rest, min(len(rest), max(0, size - len(first))))


def pytest_collection_modifyitems(items):
    """Only unit tests: this module is a plugin of the pytest that it starts."""
    slow = {"redrawn", "bundled", "smoke", "images", "images_path"}
    starts = re.compile(r"(snakemake|run_documented|subprocess\.run)\(")
    items[:] = [i for i in items if not slow & {*i.fixturenames} and not starts.search(inspect.getsource(i.function))]


def passes(project, name):
    """Whether a module of tests passes, if there is one, in a fork of this process with its libraries."""
    child = os.fork() if (project / "tests" / f"test_{name}.py").exists() else None
    if child == 0:
        resource.setrlimit(resource.RLIMIT_CPU, (SECONDS, SECONDS))
        os.chdir(project)
        sys.path[:0] = [f"{project}/workflow", f"{project}/tests"]
        options = ["-x", "-qqq", "--tb=no", "-p", "no:cacheprovider", "--hypothesis-seed=0", f"tests/test_{name}.py"]
        os._exit(pytest.main(options, plugins=[sys.modules[__name__]]))
    return child is None or os.waitpid(child, 0)[1] == 0


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    for option, default in (("--sample", 150), ("--seed", 0)):
        parser.add_argument(option, type=int, default=default)
    parser.add_argument("modules", nargs="*", default=MODULES)
    given = parser.parse_args()
    sys.dont_write_bytecode = True
    os.environ |= {"PYTHONDONTWRITEBYTECODE": "1", "OMP_NUM_THREADS": "1"}
    for name in SHARED:
        importlib.import_module(name)
    with tempfile.TemporaryDirectory() as folder:
        made = shutil.ignore_patterns(".git", ".venv*", ".snakemake", "__pycache__", "results", "_build")
        project = Path(folder) / "project"
        shutil.copytree(Path(__file__).parents[1], project, ignore=made)
        paths = {module: project / "workflow" / "einorm" / f"{module}.py" for module in given.modules}
        sources = {module: path.read_text() for module, path in paths.items()}
        tests = {module: [name, *RELATED.get(name, [])] for module in given.modules for name in [Path(module).name]}
        if failing := {name for names in tests.values() for name in names if not passes(project, name)}:
            sys.exit(f"the tests of {', '.join(failing)} fail without a mutant")
        rows = []
        for module, (line, old, new, whole) in draw(sources, given.sample, given.seed):
            paths[module].write_text(whole)
            caught = not all(passes(project, name) for name in tests[module])
            paths[module].write_text(sources[module])
            rows.append({"module": module, "mutants": 1, "caught": caught})
            print("caught  " if caught else "SURVIVED", f"{module}.py:{line}:", *old.split(), "->", new, flush=True)
    print(pd.DataFrame(rows).groupby("module").sum().to_string())
    print(f"{sum(row['caught'] for row in rows)} of {len(rows)} caught")


if __name__ == "__main__":
    main()
