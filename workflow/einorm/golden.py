"""Replay of golden vectors: numbers computed elsewhere, to hold the production code to."""

from pathlib import Path

import numpy as np
import torch

from .conditions import CONDITIONS
from .learning import build, forward_network, measure, smooth_targets, train_step
from .runtime import UserError

TOLERANCE = 1e-8
LAYERS = ("layer0", "layer1", "readout")
MEASURED = ("mu", "var", "output_alignment", "gradient_alignment")


def replay(path):
    """Largest relative errors of one golden file, by quantity.

    Parameters
    ----------
    path : .npz file named after its condition; keys as in tests/golden/README.md

    Returns
    -------
    dict
        "parameters", "loss", "logits" and the metrics; the error of an array is its largest absolute deviation over
        the reference's largest absolute value.

    Raises
    ------
    UserError
        If the file is no golden vector of a known condition.
    """
    condition = Path(path).stem
    if condition not in CONDITIONS:
        names = ", ".join(CONDITIONS)
        raise UserError(f"{path}: no condition is called {condition}; the file's name must be one of {names}")
    try:
        with np.load(path, allow_pickle=False) as file:
            golden = {key: file[key] for key in file.files}
        return _replay(condition, golden)
    except (KeyError, ValueError, OSError, EOFError) as error:
        raise UserError(f"{path} is not a golden vector file ({error}): see tests/golden/README.md") from error


def _replay(condition, golden):
    def weights(layer, stage):
        prefix = f"{stage}/{layer}/"
        return {key.removeprefix(prefix): golden[key] for key in golden if key.startswith(prefix)}

    hyperparameters = {name: float(golden[name]) for name in ("lr", "lr_wix", "lr_wei", "lambda")}
    initial = [weights(layer, "initial") for layer in LAYERS]
    network = build(condition, [initial], [hyperparameters], torch.float64)
    computed = {name: [] for name in ("loss", "logits", *MEASURED)}
    for x, y in zip(torch.as_tensor(golden["x"]), torch.as_tensor(golden["y"]), strict=True):
        logits = forward_network(network, x.t())[-1]["z"][0].t()
        metrics = measure(network, x)
        targets = smooth_targets(y, logits.shape[1], dtype=torch.float64)
        computed["loss"].append(train_step(network, x, targets)[0])
        computed["logits"].append(logits)
        for name in MEASURED:
            computed[name].append(metrics[name][0])
    errors = {
        name: relative_error(torch.stack(values).numpy(), golden[name], cosine=name.endswith("alignment"))
        for name, values in computed.items()
    }
    finals = [
        relative_error(layer.weights()[name].numpy()[0].reshape(reference.shape), reference)
        for layer, label in zip(network.layers, LAYERS, strict=True)
        for name, reference in weights(label, "final").items()
    ]
    return {"parameters": max(finals), **errors}


def relative_error(computed, reference, cosine=False):
    """Largest deviation of an array (...) from its reference, over the reference's largest absolute value.

    It counts where the reference is defined, and is infinite if ours is not there. Cosines are compared on their own
    scale, 1: between orthogonal directions (LN's gradient and a constant one, say) both sides are nothing but rounding.
    """
    defined = np.isfinite(reference)
    if not defined.any():
        return 0.0
    deviation = np.abs(computed[defined] - reference[defined]).max()
    size = 1.0 if cosine else np.abs(reference[defined]).max()
    if np.isnan(deviation):
        return float("inf")
    return float(deviation / size) if size > 0 else float(deviation)


def print_replay(folder):
    """Replay every .npz of a folder and print the errors; 1 if any is above the tolerance, else 0.

    Raises UserError if there is none, or as `replay`.
    """
    paths = sorted(Path(folder).glob("*.npz"))
    if not paths:
        raise UserError(f"{folder} holds no .npz file: name a folder of golden vectors, e.g. tests/golden")
    worst = 0.0
    for path in paths:
        errors = replay(path)
        largest = max(errors, key=errors.get)
        worst = max(worst, errors[largest])
        verdict = "ok" if errors[largest] <= TOLERANCE else "FAILED"
        print(f"{path.stem:22} {errors[largest]:8.1e}  {verdict:6}  largest in: {largest}")
    print(f"{len(paths)} conditions, largest relative error {worst:.1e}, tolerance {TOLERANCE:.0e}")
    return int(worst > TOLERANCE)
