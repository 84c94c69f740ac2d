"""Codes: fingerprints of the code that trains, which tell whether a finished run is one of today's (`lineage`)."""

from ..conditions import CONDITIONS, KINDS
from ..error_signals import ERROR_SIGNALS
from ..runtime import UserError, digest, fingerprint, nearest
from ..tasks import TASKS
from ..variants import how, specification
from .runs import Run

# The arithmetic of a precision, as in `training_parts`.
ARITHMETIC = {
    "float32": (["network.py"], ["learning.py"], ["metrics.py"]),
    "release": (
        ["release_precision.py"],
        ["network.py", "initial_network", "stack_network", "select_runs", "moments", "obey_dale"],
        ["learning.py", "build", "select", "smooth_targets", "cross_entropy", "layer_norm", "learn_pooling"],
        ["metrics.py"],
    ),
}
#: How a step is computed -> the code that adds to `training_parts`: plain on a CPU; fused on a GPU, or graph, where the
#: fused step cannot (`gpu`).
STEPS = {
    "plain": [],
    "fused": [["training/gpu.py"], ["training/fused.py"], ["training/kernels.py"]],
    "graph": [["training/gpu.py"]],
}

#: Rules of `error_signals` that `kernels.error_signal` knows; conditions with another one train without the fused step.
FUSED_RULES = (
    "unchanged", "layer_norm", "full", "center", "scale", "decorrelate", "lateral", "lateral_plastic"
)  # fmt: skip


def training_code(
    condition: str, task: str, randomness: str = "own", precision: str = "float32", step: str = "plain"
) -> str:
    """Fingerprint of the code that trains a condition on a task (`training_parts`) with a step of `STEPS`.

    New conditions, error signals, tasks and data sets leave the fingerprints of the old ones alone. Which other
    fingerprints stand for the same results: `lineage`.
    """
    entry = CONDITIONS[condition]
    kinds = [[kind.task, kind.local, kind.fixed] for kind in (entry.kind, KINDS["ei"])]  # hidden layers, readout
    facts = [kinds, entry.normalization, entry.error_signal]
    parts = training_parts(condition, task, randomness, precision) + STEPS[step]
    return digest([*facts, *(fingerprint(module, *names) for module, *names in parts)])[:16]


def code_of(run: Run, step: str = "plain") -> str:
    """`training_code` of a run's specification."""
    precision = how(specification(run.get("variant", "paper")))["precision"]
    return training_code(run["condition"], run["task"], run.get("randomness", "own"), precision, step)


def step_of(run: Run, device: str) -> str:
    """The step of `STEPS` that trains a run on a device; planning takes auto for a CPU.

    On a CPU it is plain, on a GPU fused, or graph where the fused step cannot: Dale's principle is built into it, and
    the rules of `FUSED_RULES`. The release's precision has the plain step only.
    """
    way = how(run)
    if device != "cuda" or way["precision"] != "float32":
        return "plain"
    return "fused" if way["dale"] and CONDITIONS[run["condition"]].error_signal in FUSED_RULES else "graph"


def training_parts(condition: str, task: str, randomness: str = "own", precision: str = "float32") -> list[list[str]]:
    """The code that decides what a run becomes: [module, name, ...] each, without names the whole module.

    Listed by hand: what a module imports for other purposes must not make finished runs worthless. Raises UserError
    where the condition's error signal has no rule.
    """
    signal = CONDITIONS[condition].error_signal
    if signal not in ERROR_SIGNALS:
        raise UserError(
            f"the condition {condition}: error_signal {signal!r} is not known{nearest(signal, ERROR_SIGNALS)}"
        )
    rule = ERROR_SIGNALS[signal].__name__
    drawn = [["release_randomness.py"]] if randomness == "release" else []
    return [
        *drawn,
        *ARITHMETIC.get(precision, ()),  # of archived variants the code is gone
        ["training/train.py", "train"],
        ["training/images.py", "image_parts", "in_order", "shifted", "shifts_of_epoch"],
        ["variants.py", "how"],
        ["conditions.py", "LayerKind"],
        ["error_signals.py", rule, "center", "full", "unchanged"],
        ["tasks.py", "draw_shifts", *(function.__name__ for function in TASKS[task])],
        ["runtime.py", "stream"],
    ]
