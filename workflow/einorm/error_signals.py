"""What each condition does to the error signal on its way back: one rule each.

A rule maps g = dL/d(normalized z) to the signal that goes on to the weights and to the layer below. Arrays have shape
(runs R, units n, batch B): units of a run beyond its own width are padding. g and z are zero there; what a rule
returns there does not matter, since padded units have no weights and learn at rate 0. Means run over the units.

A rule is called as ``rule(g, z, sigma, layer)`` and returns an array like g. It may not change what it is given.

Parameters
----------
g : (R, n, B), error signal, zero in padded units
z : (R, n, B), the normalized activity: LN(z) under layer normalization, the layer's output in I-Norm
sigma : (R, 1, B), sqrt(var z + 1e-5) over units, of the activity before LN, or of the I-Norm output
layer : `network.Layer`, for its widths and, in lateral inhibition, its pooling weights w
"""

from collections.abc import Callable
from typing import TYPE_CHECKING

if TYPE_CHECKING:  # the names of the rules are wanted where there is no torch
    from torch import Tensor

    from .network import Layer


def mean_units(a: "Tensor", layer: "Layer") -> "Tensor":
    """Mean over the units of each run's own width: (R, n, B) -> (R, 1, B). Padded units must be zero."""
    return a.sum(1, keepdim=True).div_(layer.widths)


def unchanged(g: "Tensor", z: "Tensor", sigma: "Tensor", layer: "Layer") -> "Tensor":
    """g (R, n, B) as it comes: normalization on the way forward only, or none (Fig. 4)."""
    return g


def center(g: "Tensor", z: "Tensor", sigma: "Tensor", layer: "Layer") -> "Tensor":
    """g - mean g, (R, n, B): centering (Figs. 6 and 7)."""
    return g - mean_units(g, layer)


def scale(g: "Tensor", z: "Tensor", sigma: "Tensor", layer: "Layer") -> "Tensor":
    """g / sigma(z), (R, n, B): scaling (Fig. 6)."""
    return g / sigma


def decorrelate(g: "Tensor", z: "Tensor", sigma: "Tensor", layer: "Layer") -> "Tensor":
    """g - z mean(g z), (R, n, B): what g shares with the activity is removed (Fig. 6)."""
    return g.addcmul(z, mean_units(g * z, layer), value=-1)


def full(g: "Tensor", z: "Tensor", sigma: "Tensor", layer: "Layer") -> "Tensor":
    """(g - mean g - z mean(g z)) / sigma(z), (R, n, B): all three, the gradient of LN (Fig. 5)."""
    return decorrelate(g, z, sigma, layer).sub_(mean_units(g, layer)).div_(sigma)


def lateral(g: "Tensor", z: "Tensor", sigma: "Tensor", layer: "Layer") -> "Tensor":
    """g - sum_i w_i g_i, (R, n, B): inhibition from a pool with random synapses w, (R, n, 1) (Fig. 7)."""
    return g - (layer.w * g).sum(1, keepdim=True)


ERROR_SIGNALS: dict[str, Callable[..., "Tensor"]] = {
    "unchanged": unchanged,
    "layer_norm": full,  # the exact gradient of LN is the full rule applied to LN's own output
    "full": full,
    "center": center,
    "scale": scale,
    "decorrelate": decorrelate,
    "lateral": lateral,
    "lateral_plastic": lateral,  # its synapses w learn, too (`learning.learn_pooling`)
}
