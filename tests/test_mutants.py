"""The script that breaks the code on purpose: which faults it makes, and that it tells noticed ones from others."""

import subprocess
import sys

import mutants
from conftest import REPOSITORY

SOURCE = '''
def f(x: int = 3, known: "0 or 1" = True):
    """Text with 1 < 2."""
    if x < 4 and not known:
        raise ValueError(f"{x + 1}" * 2)
    table = {} | {"a": x}
    table["b"] = -x
    return "1" if len(table) else 7 - x
'''


def test_faults_are_made_of_code_and_not_of_texts():
    found = mutants.mutants(SOURCE)
    assert {(old, new) for _, old, new, _ in found} == {
        *{("3", "4"), ("True", "False"), ("x < 4", "(x <= 4)"), ("x < 4", "(x >= 4)"), ("4", "5")},
        *{("x < 4 and not known", "(x < 4 or not known)"), ("x < 4 and not known", "(not (x < 4 and (not known)))")},
        *{("not known", "(known)"), ('{} | {"a": x}', "({})"), ('table["b"] = -x', "pass"), ("-x", "(x)")},
        *{("len(table)", "(not (len(table)))"), ("7 - x", "(7 + x)"), ("7", "8")},
    }
    for line, old, new, whole in found:
        before, after = (text.splitlines() for text in (SOURCE, whole))
        assert before[line - 1].replace(old, new, 1) == after[line - 1] and before[line:] == after[line:]


def test_a_sample_is_the_same_each_time_and_holds_every_module():
    package = REPOSITORY / "workflow" / "einorm"
    sources = {module: (package / f"{module}.py").read_text() for module in mutants.MODULES}
    sample = mutants.draw(sources, 150, 0)
    assert sample == mutants.draw(sources, 150, 0) != mutants.draw(sources, 150, 1) and len(sample) == 150
    assert all(sum(module == name for module, _ in sample) >= mutants.LEAST for name in sources)
    for _, (_, _, _, whole) in sample:
        compile(whole, "mutant", "exec")


TRY = """
import sys
from pathlib import Path

import mutants

project = Path(sys.argv[1])
for change in (("", ""), ("x + y", "x - y"), ("x * 1", "x / 1"), ("x + y", "while True: pass")):
    (project / "workflow" / "small.py").write_text(source := Path(sys.argv[2]).read_text().replace(*change))
    print(mutants.passes(project, "small"), flush=True)
print(mutants.passes(project, "absent"))
"""
SMALL = "def add(x, y):\n    return x + y\n\n\ndef keep(x):\n    return x * 1\n"
TESTS = (
    "import small\n\n\ndef test_add():\n    assert small.add(1, 2) == 3\n\n\ndef test_slow(redrawn):\n    assert 0\n"
)


def test_a_noticed_fault_is_told_from_an_unnoticed_one(tmp_path):
    """No fault, a fault, one without effect, one that is no Python, a module without tests; slow tests do not run."""
    for folder in ("workflow", "tests"):
        (tmp_path / folder).mkdir()
    (tmp_path / "source.py").write_text(SMALL)
    (tmp_path / "tests" / "test_small.py").write_text(TESTS)
    command = [sys.executable, "-B", "-c", TRY, tmp_path, tmp_path / "source.py"]
    done = subprocess.run(command, cwd=REPOSITORY / "tests", capture_output=True, text=True)
    answers = [line for line in done.stdout.splitlines() if line in ("True", "False")]
    assert answers == ["True", "False", "True", "False", "True"], done.stdout + done.stderr
