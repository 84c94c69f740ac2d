"""Networks of excitatory and inhibitory populations: weights, forward pass, Dale's principle.

Kinds of layers, x their input, all means over units:

- e: z = x Wex^T + b
- ei: z = x Wex^T - (x Wix^T) Wei^T + b
- inorm: z = (x Wex^T + b - p) / q with subtractive inhibition p = (x Wix^T) Wei^T and divisive inhibition
  q = sqrt(mean (x Bix^T)^2 + 1e-5), one number per image; inorm_sub without q, inorm_div without p

Many runs live in one network side by side: every array has a leading run axis R, widths are padded to
the widest run. Activities have shape (R, units, batch B); images (pixels, B), shared by all
runs, or (R, pixels, B).

All weights that act on a layer's input lie in one array W (R, rows, inputs), in the order Wex, Wix, Bix,
so that one matrix product computes the excitatory drive, the inhibitory rates and the divisive
inhibition, and one product updates them. Padded rows and columns are zero and stay zero.
"""

from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any

import numpy as np
import torch

from .conditions import KINDS, LayerKind
from .error_signals import mean_units
from .runtime import stream

EPS = 1e-5  # added to variances under a square root
INHIBITORY_FRACTION = 0.1
CLASSES = 10
# Padded widths of hidden layers are multiples of it, so that rows of the weights on them begin at multiples of 32
# bytes: else the product that updates these weights takes about twice as long.
ALIGNMENT = 8


def inhibitory_units(units: int) -> int:
    """Number of inhibitory units of a layer with so many excitatory ones: a tenth of them, at least one."""
    return max(1, int(INHIBITORY_FRACTION * units))


@dataclass
class Layer:
    """One layer of R networks.

    Attributes
    ----------
    kind : one of `conditions.KINDS`
    W : (R, rows, inputs), Wex over Wix over Bix, as far as the kind has them
    Wei : (R, n_e, n_i) or None
    b : (R, n_e, 1)
    w : (R, n_e, 1) pooling weights of lateral inhibition, or None
    widths : (R, 1, 1) number of excitatory units of each run
    mask : (R, n_e, 1) 1 for units of the run, 0 for padding
    n_e : padded number of excitatory units
    n_i : padded number of inhibitory units
    """

    kind: LayerKind
    W: torch.Tensor
    Wei: torch.Tensor | None
    b: torch.Tensor
    w: torch.Tensor | None
    widths: torch.Tensor
    mask: torch.Tensor
    n_e: int
    n_i: int

    @cached_property
    def blocks(self) -> dict[str, slice]:
        """Name -> slice of the rows of W."""
        inhibitory, end = self.n_e + self.n_i, 2 * self.n_e + self.n_i
        rows = {"Wex": slice(0, self.n_e), "Wix": slice(self.n_e, inhibitory), "Bix": slice(inhibitory, end)}
        return {name: rows[name] for name in self.kind.blocks}

    @cached_property
    def heights(self) -> list[int]:
        """Number of rows of each of the blocks."""
        return [rows.stop - rows.start for rows in self.blocks.values()]

    @cached_property
    def non_negative(self) -> torch.Tensor:
        """The rows of W that obey Dale's principle: a view of Wex and Wix (R, n_e + n_i, inputs)."""
        return self.W[:, : self.n_e + self.n_i]

    @cached_property
    def passing(self) -> torch.Tensor:
        """The rows of W that pass the task's error on to the layer's input, as a view (R, rows, inputs)."""
        return self.W[:, : self.blocks[self.kind.passes_error[-1]].stop]

    def weights(self) -> dict[str, Any]:
        """Views of the parameters by their names: Wex (R, n_e, inputs), Wix, Bix, Wei, b, w; padding included."""
        views = {name: self.W[:, rows] for name, rows in self.blocks.items()}
        views |= {"Wei": self.Wei, "b": self.b, "w": self.w}  # type: ignore[dict-item]
        return {name: view for name, view in views.items() if view is not None}


def initial_layer(kind: str, n_in: int, n_e: int, *names: object) -> dict[str, np.ndarray]:
    """Initial weights of one layer of one run, as float64 arrays.

    Wex is lognormal with mean and standard deviation s = sqrt(2 n_e / (n_in (n_e - 1))); so is Wei, whose rows are then
    divided by their sums. Every row of Wix is the mean row of Wex, b = 0, w is uniform, divided by its sum. Bix = S V^T
    from the singular values of Wex - Wei Wix (of Wex, where there is no Wix).

    Parameters
    ----------
    kind : key of `conditions.KINDS`
    n_in, n_e : int, inputs and excitatory units; divisive inhibition needs n_in >= n_e
    names : str or int
        What names the random stream (seed, configuration, layer); conditions share the streams, so that they start
        from the same weights.

    Returns
    -------
    dict
        Wex (n_e, n_in), Wix (n_i, n_in), Wei (n_e, n_i), Bix (n_e, n_in), b (n_e), as far as the kind has them, and
        w (n_e), used by lateral inhibition only.
    """
    s = np.sqrt(2 * n_e / (n_in * (n_e - 1)))

    def lognormal(name: str, *shape: int) -> np.ndarray:
        mu, sigma = np.log(s / np.sqrt(2)), np.sqrt(np.log(2))
        return stream(*names, name).lognormal(mu, sigma, shape)

    weights = {"Wex": lognormal("Wex", n_e, n_in), "b": np.zeros(n_e)}
    if "Wix" in KINDS[kind].blocks:
        n_i = inhibitory_units(n_e)
        Wei = lognormal("Wei", n_e, n_i)
        weights["Wei"] = Wei / Wei.sum(1, keepdims=True)
        weights["Wix"] = np.repeat(weights["Wex"].mean(0, keepdims=True), n_i, axis=0)
    if "Bix" in KINDS[kind].blocks:
        # torch's SVD, since its threads are the ones that the job pins
        subtracted = weights["Wei"] @ weights["Wix"] if "Wix" in KINDS[kind].blocks else 0
        _, S, Vt = torch.linalg.svd(torch.from_numpy(weights["Wex"] - subtracted), full_matrices=False)
        weights["Bix"] = (S[:, None] * Vt).numpy()
    w = stream(*names, "w").uniform(0, 1, n_e)
    weights["w"] = w / w.sum()
    return weights


def initial_network(
    kind: str, n_in: int, hidden_width: int, *names: object, hidden_layers: int = 2
) -> list[dict[str, np.ndarray]]:
    """Initial weights of the layers of one run, an `initial_layer` each: hidden layers of a kind, an E-I readout."""
    deeper = [(kind, hidden_width, hidden_width)] * (hidden_layers - 1)
    shapes = [(kind, n_in, hidden_width), *deeper, ("ei", hidden_width, CLASSES)]
    return [initial_layer(*shape, *names, f"layer{i}") for i, shape in enumerate(shapes)]


def stack_network(
    kinds: list[str],
    weights: list[list[dict[str, np.ndarray]]],
    dtype: torch.dtype = torch.float32,
    device: torch.device | str = "cpu",
) -> list[Layer]:
    """Pad and stack the weights of R runs; hidden layers to a multiple of `ALIGNMENT` units.

    Parameters
    ----------
    kinds : list of keys of `conditions.KINDS`, one per layer, the readout last
    weights : list of R networks, each a list of dicts of arrays, one per layer (`initial_network`)

    Returns
    -------
    list of `Layer`
        W (R, rows, inputs) of each; inputs are those of the images, then the padded units of the layer below.
    """
    *hidden, classes = (max(len(run[i]["b"]) for run in weights) for i in range(len(kinds)))
    hidden = [-(-units // ALIGNMENT) * ALIGNMENT for units in hidden]
    inputs = [weights[0][0]["Wex"].shape[1], *hidden]
    sizes = zip(kinds, [*hidden, classes], inputs, strict=True)
    return [
        stack_layers(kind, [run[i] for run in weights], n_e, n_in, dtype, device)
        for i, (kind, n_e, n_in) in enumerate(sizes)
    ]


def stack_layers(
    kind: str,
    runs: list[dict[str, np.ndarray]],
    n_e: int,
    n_in: int,
    dtype: torch.dtype = torch.float32,
    device: torch.device | str = "cpu",
) -> Layer:
    """Pad and stack the weights of R runs of one layer.

    Parameters
    ----------
    kind : key of `conditions.KINDS`
    runs : list of R dicts of arrays, as `initial_layer` returns them
    n_e, n_in : int, excitatory units and inputs with padding, at least the widest run's

    Returns
    -------
    `Layer`
    """
    n_i = max((run["Wei"].shape[1] for run in runs), default=0) if "Wix" in KINDS[kind].blocks else 0

    def padded(name: str, *shape: int) -> torch.Tensor:
        array = np.zeros((len(runs), *shape))
        for r, run in enumerate(runs):
            array[(r, *map(slice, run[name].shape))] = run[name]  # type: ignore[index]
        return torch.as_tensor(array, dtype=dtype, device=device)

    heights = {"Wex": n_e, "Wix": n_i, "Bix": n_e}
    widths = [len(run["b"]) for run in runs]
    mask = np.arange(n_e) < np.array(widths)[:, None]
    return Layer(
        kind=KINDS[kind],
        W=torch.cat([padded(name, heights[name], n_in) for name in KINDS[kind].blocks], 1),
        Wei=padded("Wei", n_e, n_i) if n_i else None,
        b=padded("b", n_e).unsqueeze(2),
        w=padded("w", n_e).unsqueeze(2) if "w" in runs[0] else None,
        widths=torch.tensor(widths, dtype=dtype, device=device).view(-1, 1, 1),
        mask=torch.as_tensor(mask, dtype=dtype, device=device).unsqueeze(2),
        n_e=n_e,
        n_i=n_i,
    )


def select_runs(layer: Layer, keep: torch.Tensor) -> Layer:
    """The same layer with only some of its runs, those of the index tensor keep (runs)."""
    per_run = ("W", "Wei", "b", "w", "widths", "mask")
    parts = {name: getattr(layer, name) for name in per_run}
    chosen = {name: part if part is None else part[keep] for name, part in parts.items()}
    return replace(layer, **chosen)  # type: ignore[arg-type]


def drive(layer: Layer, x: torch.Tensor) -> torch.Tensor:
    """All products W x of a layer's weights with its input: (pixels, B) or (R, inputs, B) -> (R, rows, B)."""
    if x.dim() == 3:
        return torch.bmm(layer.W, x)
    return torch.mm(layer.W.flatten(0, 1), x).view(*layer.W.shape[:2], -1)


def moments(z: torch.Tensor, layer: Layer) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """Mean (R, 1, B), deviations (R, n, B) and population variance (R, 1, B) of z over units.

    z is zero in padding, and so are the deviations.
    """
    mean = mean_units(z, layer)
    deviation = torch.addcmul(z, layer.mask, mean, value=-1)
    return mean, deviation, mean_units(deviation * deviation, layer)


def forward(layer: Layer, x: torch.Tensor) -> dict[str, torch.Tensor]:
    """Output of a layer before normalization and ReLU, and what the way back needs.

    Parameters
    ----------
    layer : `Layer`
    x : (pixels, B) or (R, inputs, B)

    Returns
    -------
    dict
        z (R, n_e, B) and, as far as the kind has them: a (R, n_i, B) inhibitory rates, u (R, n_e, B) divisive inputs
        x Bix^T, q (R, 1, B) divisive inhibition.
    """
    y = dict(zip(layer.blocks, drive(layer, x).split(layer.heights, 1), strict=True))
    state = {"z": y["Wex"].add_(layer.b)}
    if "Wix" in y:
        state["a"] = y["Wix"]
        state["z"].baddbmm_(layer.Wei, state["a"], alpha=-1)
    if "Bix" in y:
        state["u"] = u = y["Bix"]
        state["q"] = mean_units(u * u, layer).add_(EPS).sqrt_()
        state["z"].div_(state["q"])
    return state


def obey_dale(layer: Layer) -> None:
    """Dale's principle: Wex, Wix and Wei stay non-negative (in place)."""
    layer.non_negative.clamp_(min=0)
    if layer.kind.learns("Wei"):
        layer.Wei.clamp_(min=0)
