"""Variants of the training: one thing done differently than in the paper, to see whether its findings depend on it.

To add one, add an entry to `VARIANTS`, and name it in `QUESTIONS` to have it drawn; a new kind of entry needs its place
in `training`.
"""

from collections.abc import Iterable
from typing import Any

from .runtime import UserError

#: How the paper trains.
PAPER = {
    "precision": "float32",  # or release: the release's casts (`release_precision`), which alone know the next two
    "loss_scaling": False,  # True: by powers of two, as PyTorch's GradScaler, which does nothing in the release
    "local_loss": "moments",  # or layer_norm: the release's until 2025-09-21, lambda E (z - LN(h))^2
    "order": "file",  # of the training images, or shuffled anew in every epoch
    "label_smoothing": 0.1,
    "hidden_layers": 2,
    "dale": True,  # excitatory and inhibitory weights stay non-negative; False: they may change their signs
    "validation_images": 0,  # the last training images, held out: their accuracy is measured beside the test set's
}
VARIANTS: dict[str, dict[str, Any]] = {
    "paper": {},
    "float16": {"precision": "float16"},
    "bfloat16": {"precision": "bfloat16"},
    "release_one_q": {"precision": "release_one_q"},
    "release_float16": {"precision": "release"},
    "release_scaled": {"precision": "release", "loss_scaling": True},
    "release_earlier_loss": {"precision": "release", "local_loss": "layer_norm"},
    "shuffled": {"order": "shuffled"},
    "no_smoothing": {"label_smoothing": 0.0},
    "no_dale": {"dale": False},
    "depth1": {"hidden_layers": 1},
    "depth3": {"hidden_layers": 3},
    "depth4": {"hidden_layers": 4},
    "validation": {"validation_images": 10000},
    "seed1": {"seed": 1},  # other initial weights and other shifts, in training and in the test set
    "seed2": {"seed": 2},
    "seed3": {"seed": 3},
}
#: Variants whose runs are in archives, and whose code is gone: products and gradients were rounded, and the release's
#: casts were not followed, or but for q^2, which was one number per image. They can be read and drawn, not trained.
ARCHIVED = ("float16", "bfloat16", "release_one_q")

#: The release's casts, two changes to them, and our first reading of them: why runs collapse (`collapses`).
COLLAPSE = ("release_float16", "release_scaled", "release_earlier_loss", "release_one_q")

#: With Dale's principle and without it: does the clamp shape the error signals (figure error_signals)?
DALE = ("paper", "no_dale")

# Which variants answer one question about the findings, in the order of a figure ("robustness_<question>").
QUESTIONS = {
    "precision": ("paper", "bfloat16", "float16"),
    "order": ("paper", "shuffled"),
    "smoothing": ("paper", "no_smoothing"),
    "depth": ("depth1", "paper", "depth3", "depth4"),
    "validation": ("validation",),
    "seed": ("paper", "seed1", "seed2", "seed3"),
}


def how(run: dict[str, Any]) -> dict[str, Any]:
    """How a run trains, a dict like `PAPER`: the paper's way, but for what the run's specification names."""
    return {key: run.get(key, value) for key, value in PAPER.items()}


def specification(variant: str) -> dict[str, Any]:
    """What a variant adds to a run's specification; nothing in the paper's, whose runs keep their identity."""
    return {"variant": variant} | VARIANTS[variant] if variant != "paper" else {}


def trained() -> list[str]:
    """The variants that can be trained, in their order."""
    return [variant for variant in VARIANTS if variant not in ARCHIVED]


def check_trained(variants: Iterable[str]) -> None:
    """Raise UserError where one of the variants is only archived."""
    for variant in (v for v in variants if v in ARCHIVED):
        raise UserError(
            f"config: variants: {variant} is archived and cannot be trained any more: leave it out, or draw its runs "
            f"with preset={'collapse_one_q' if variant in COLLAPSE else 'robustness_precision'} results=archive"
        )


def may_collapse(variants: Iterable[str]) -> bool:
    """Whether some have the release's casts, so that their collapses are counted."""
    return bool(set(COLLAPSE) & set(variants))


def asked(variants: Iterable[str]) -> list[str]:
    """The questions that variants answer: those of which there is more than the paper's way to train."""
    return [question for question, members in QUESTIONS.items() if set(members) & set(variants) - {"paper"}]
