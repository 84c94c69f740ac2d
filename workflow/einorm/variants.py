"""Variants of the training: one thing done otherwise than in the paper, to see whether its findings depend on it.

To add one, add an entry to `VARIANTS`, and name it in `QUESTIONS` to have it drawn; a new kind of entry needs its place
in `train.py`.
"""

#: How the paper trains.
PAPER = {
    "precision": "float32",  # or float16, bfloat16: operands and results of matrix products rounded to it
    "order": "file",  # of the training images, or shuffled anew in every epoch
    "label_smoothing": 0.1,
    "hidden_layers": 2,
    "validation_images": 0,  # the last training images, held out: their accuracy is measured beside the test set's
}
VARIANTS = {
    "paper": {},
    "float16": {"precision": "float16"},
    "bfloat16": {"precision": "bfloat16"},
    "shuffled": {"order": "shuffled"},
    "no_smoothing": {"label_smoothing": 0.0},
    "depth1": {"hidden_layers": 1},
    "depth3": {"hidden_layers": 3},
    "depth4": {"hidden_layers": 4},
    "validation": {"validation_images": 10000},
    "seed1": {"seed": 1},  # other initial weights and other shifts, in training and in the test set
    "seed2": {"seed": 2},
    "seed3": {"seed": 3},
}

# Which variants answer one question about the findings, in the order of a figure ("robustness_<question>").
QUESTIONS = {
    "precision": ("paper", "bfloat16", "float16"),
    "order": ("paper", "shuffled"),
    "smoothing": ("paper", "no_smoothing"),
    "depth": ("depth1", "paper", "depth3", "depth4"),
    "validation": ("validation",),
    "seed": ("paper", "seed1", "seed2", "seed3"),
}


def how(run):
    """How a run trains, a dict like `PAPER`: the paper's way, but for what the run's specification names."""
    return {key: run.get(key, value) for key, value in PAPER.items()}


def specification(variant):
    """What a variant adds to a run's specification; nothing in the paper's, whose runs keep their identity."""
    return {"variant": variant} | VARIANTS[variant] if variant != "paper" else {}


def asked(variants):
    """The questions that variants answer: those of which there is more than the paper's way to train."""
    return [question for question, members in QUESTIONS.items() if set(members) & set(variants) - {"paper"}]
