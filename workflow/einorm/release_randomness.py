"""The random numbers of the published runs: initial weights and shifts, as the authors' release draws them.

All published runs have seed 0. When a run starts, it seeds two generators:

- NumPy's legacy generator draws the weights, in one stream through all layers.
- torch's CPU generator draws the pooling weights of lateral inhibition when an I-Norm network is built. After that,
  every pass over a data loader takes its base seed from it. Two workers, seeded from that base seed, draw the shifts.

So networks that draw pooling weights see other shifts than networks that do not, and each hidden width sees its own.
`sequence` names the shifts that a network sees. Nothing here touches the global generators.
"""

from collections.abc import Callable

import numpy as np
import torch

from .conditions import KINDS
from .network import CLASSES, inhibitory_units

#: The conditions whose random numbers the release defines. The published runs of inorm_sub are of another project.
#: For all other conditions the rules below are our choice: as for the published condition of the same kind of layer.
PUBLISHED = (
    *("ei_none", "ei_ln", "ei_ln_detached", "e_only_none", "e_only_ln", "e_only_ln_detached", "inorm", "inorm_lambda"),
    *("gradnorm_full", "gradnorm_center", "gradnorm_scale", "gradnorm_decorrelate", "lateral_inhibition"),
)
WORKERS = 2  # of each data loader
BATCH = 32  # images of a data loader's batch; decides which worker draws for an image, whatever batches train here


def initial_network(
    kind: str, n_in: int, hidden_width: int, seed: int = 0, hidden_layers: int = 2
) -> list[dict[str, np.ndarray]]:
    """Initial weights of the layers of one run: hidden layers of a kind, an E-I readout.

    One stream runs through the layers; each draws Wex, then Wei, except that E layers draw Wex only. Runs of one width
    thus start from the same Wex and Wei in all E-I and I-Norm networks, and from other weights than E networks above
    layer 0.

    Parameters
    ----------
    kind : key of `conditions.KINDS`
        inorm_sub and inorm_div, which the release does not define, draw as inorm does.
    n_in, hidden_width : int, inputs of layer 0, units of a hidden layer
    seed : int, 0 in the release
    hidden_layers : int, 2 in the release

    Returns
    -------
    list of dict
        As `network.initial_network`: float64 arrays Wex (n_e, n_in), Wix (n_i, n_in), Wei (n_e, n_i), Bix (n_e, n_in),
        b (n_e), as far as the kind has them, and w (n_e). The release rounds them to float32 once they are derived, as
        `network.stack_network` does. It has w in I-Norm layers only; w of other layers is the stream's continuation.
    """
    deeper = [(kind, hidden_width, hidden_width)] * (hidden_layers - 1)
    shapes = [(kind, n_in, hidden_width), *deeper, ("ei", hidden_width, CLASSES)]
    numpy, generator = np.random.RandomState(seed), torch.Generator().manual_seed(seed)
    return [_initial_layer(*shape, numpy, generator) for shape in shapes]


def _initial_layer(
    kind: str, n_in: int, n_e: int, numpy: np.random.RandomState, generator: torch.Generator
) -> dict[str, np.ndarray]:
    """Weights as of `network.initial_layer`, from the two generators of a run."""
    variance = 2 * n_e / (n_in * (n_e - 1))  # of the lognormal, whose squared mean it is, too
    mu, sigma = np.log(variance / np.sqrt(2 * variance)), np.sqrt(np.log(2))
    weights = {"Wex": numpy.lognormal(mu, sigma, (n_e, n_in)), "b": np.zeros(n_e)}
    if len(KINDS[kind].blocks) > 1:
        n_i = inhibitory_units(n_e)
        Wei = numpy.lognormal(mu, sigma, (n_e, n_i))  # inorm_div draws it, too, and starts from the same Wex as inorm
        if "Wix" in KINDS[kind].blocks:
            weights["Wei"] = Wei / Wei.sum(1, keepdims=True)
            weights["Wix"] = np.repeat(weights["Wex"].mean(0, keepdims=True), n_i, axis=0)
    if "Bix" in KINDS[kind].blocks:
        subtracted = weights["Wei"] @ weights["Wix"] if "Wix" in KINDS[kind].blocks else 0
        _, S, Vt = torch.linalg.svd(torch.from_numpy(weights["Wex"] - subtracted), full_matrices=False)
        weights["Bix"] = (S[:, None] * Vt).numpy()
    w = torch.rand(n_e, generator=generator)
    return weights | {"w": (w / w.sum()).double().numpy()}


def sequence(kind: str, hidden_width: int, hidden_layers: int = 2) -> int:
    """The sequence of shifts that a network sees: how many numbers torch's generator has drawn before its first pass.

    Parameters
    ----------
    kind : key of `conditions.KINDS`, of the hidden layers
    hidden_width, hidden_layers : int

    Returns
    -------
    int
        0 for E and E-I networks, which share one sequence whatever their width. For I-Norm networks the number of
        hidden units, since each has a pooling weight.
    """
    return hidden_layers * hidden_width if KINDS[kind].local else 0


def draw_shifts(
    draw: Callable[..., np.ndarray],
    epsilon: float,
    sequence: int,
    epochs: int,
    train_images: int,
    test_images: int,
    seed: int = 0,
) -> dict[str, np.ndarray]:
    """The shifts of all runs of one sequence and one epsilon.

    An epoch is three passes: the training images, the training images again for evaluation, the test images. Fewer
    epochs or images are the beginning of more. Every image takes one uniform number u, in all epsilon the same.

    Parameters
    ----------
    draw : function of `tasks.TASKS` that draws, here from a numpy.random.RandomState
        `tasks.draw_luminosity` gives the release's (2 u - 1) epsilon. No other task has published runs.
    epsilon : float
    sequence : int, what `sequence` returns
    epochs, train_images, test_images : int
    seed : int, 0 in the release

    Returns
    -------
    dict of float32 arrays
        train (epochs, train_images) and test (epochs, test_images), in the order of the images; evaluation (epochs, B),
        of the last batch only of the evaluation pass, on which the release measures mu and var. That batch is
        the last 32 training images, or the rest of a division by 32.
    """
    generator = torch.Generator().manual_seed(seed)
    torch.rand(sequence, generator=generator)
    last = (train_images - 1) // BATCH * BATCH
    passes = [
        [_one_pass(generator, draw, epsilon, n) for n in (train_images, train_images, test_images)]
        for _ in range(epochs)
    ]
    train, evaluation, test = map(np.stack, zip(*passes, strict=True))
    return {"train": train, "evaluation": evaluation[:, last:], "test": test}


def _one_pass(generator: torch.Generator, draw: Callable[..., np.ndarray], epsilon: float, n: int) -> np.ndarray:
    """Shifts (n) of one pass over a loader that does not shuffle: its workers take turns at making the batches."""
    base_seed = int(torch.empty((), dtype=torch.int64).random_(generator=generator))
    maker = np.arange(n) // BATCH % WORKERS
    shifts = np.empty(n, np.float32)
    for worker in range(WORKERS):
        numpy = np.random.RandomState(worker_seed(base_seed, worker))
        shifts[maker == worker] = draw(numpy, epsilon, np.count_nonzero(maker == worker))
    return shifts


def worker_seed(base_seed: int, worker: int) -> np.ndarray:
    """What torch seeds NumPy's generator with in a worker of a data loader: four words, uint32 (4).

    torch mixes worker and base seed as NumPy's SeedSequence does.
    """
    words = [worker, base_seed & 0xFFFFFFFF, base_seed >> 32, 0]
    return np.random.SeedSequence(words).generate_state(4)
