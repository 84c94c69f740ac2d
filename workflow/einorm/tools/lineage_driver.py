"""Trains the cases of a proof (`lineage_proof`) with whichever einorm is on PYTHONPATH: today's or an earlier commit's.

Run as ``python -P lineage_driver.py CASES.json ROWS.pickle``. It imports only what earlier commits have, too, and says
what they do not know. The results are the tables of `train.train`, and the fingerprints of the code that made them.
"""

import ast
import inspect
import json
import pickle
import sys
from functools import partial
from typing import Any

import torch

from einorm.conditions import CONDITIONS
from einorm.data import load
from einorm.tasks import TASKS, draw_shifts
from einorm.variants import VARIANTS

try:
    from einorm.records.codes import training_code
    from einorm.training import images as images_of_batches
    from einorm.training import train
except ImportError:  # earlier commits have them elsewhere
    from einorm import train  # type: ignore[attr-defined, no-redef]

    images_of_batches = train  # type: ignore[misc]
    try:
        from einorm.codes import training_code  # type: ignore[no-redef]
    except ImportError:
        from einorm.runs import training_code  # type: ignore[no-redef]


def main(cases_path: str, out: str) -> None:
    """Train every case of a JSON file and pickle {"codes": ..., "rows": case -> DataFrame or a reason}."""
    with open(cases_path, encoding="utf-8") as file:
        plan = json.load(file)
    torch.set_num_threads(1)
    if plan["double"]:
        use_float64()
    images = load(plan["images"])
    rows = {name: train_case(runs, images) for name, runs in plan["cases"].items()}
    with open(out, "wb") as file:
        pickle.dump({"codes": codes(plan), "rows": rows}, file)


def codes(plan: dict[str, Any]) -> dict[str, str]:
    """Fingerprint of the training code per "condition task randomness precision"."""
    try:  # commits before `syntax` leave their fingerprints to this Python's ast.dump: take today's in its place
        from einorm.runtime import syntax  # noqa: F401
    except ImportError:
        ast.dump = plan_syntax(plan["syntax"])
    known = [(c, t) for c in CONDITIONS for t in TASKS]
    found = {f"{condition} {task} own float32": training_code(condition, task) for condition, task in known}
    parameters = inspect.signature(training_code).parameters
    if "randomness" in parameters:
        found |= {f"{c} {t} release float32": training_code(c, t, "release") for c, t in known}
    if "precision" in parameters:
        both = [(c, t, r) for c, t in known for r in ("own", "release")]
        found |= {f"{c} {t} {r} release": training_code(c, t, r, "release") for c, t, r in both}
    return found


def plan_syntax(path: str) -> Any:
    """The function `runtime.syntax` of today, from its source: this process has imported another einorm."""
    with open(path, encoding="utf-8") as file:
        tree = ast.parse(file.read())
    (definition,) = [node for node in tree.body if getattr(node, "name", None) == "syntax"]
    names = {"ast": ast}
    exec(compile(ast.Module([definition], []), path, "exec"), names)
    return names["syntax"]


def train_case(runs: list[dict[str, Any]], images: dict[str, Any]) -> Any:
    """Rows (`train.train`) of the runs of one case, or why this commit cannot train them."""
    first = runs[0]
    if first["condition"] not in CONDITIONS or first["task"] not in TASKS:
        return f"no {first['condition']} on {first['task']}"
    if first.get("variant", "paper") not in VARIANTS:
        return f"no variant {first['variant']}"
    if first.get("randomness") == "release":
        return train.train(runs, images, train.draw_shifts_of(runs)).drop(columns="seconds")
    names = (first["seed"], "shift", first["task"], first["epsilon"])
    sizes = (first["epochs"], first["train_images"], first["test_images"])
    shifts = draw_shifts(TASKS[first["task"]][0], first["epsilon"], names, *sizes)
    return train.train(runs, images, shifts).drop(columns="seconds")


def use_float64() -> None:
    """Let the whole training run in float64: what it makes float32 explicitly becomes float64."""
    torch.set_default_dtype(torch.float64)
    tensors: Any = torch.Tensor
    code: Any = train
    images: Any = images_of_batches
    tensors.float = torch.Tensor.double
    code.network_of = partial(code.network_of, dtype=torch.float64)
    images.smooth_targets = partial(images.smooth_targets, dtype=torch.float64)


if __name__ == "__main__":
    main(*sys.argv[1:])
