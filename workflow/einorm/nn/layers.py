"""Layers of excitatory and inhibitory units, with the symbols of `network`: inputs (..., n_in) to outputs (..., n_e).

All synapses are stored as non-negative numbers; the sign is in the equation. Means and variances run over the units.
"""

from typing import Any, ClassVar

import torch
from torch import Tensor, nn
from torch.nn import functional as F  # noqa: N812

from ..conditions import LAMBDA
from ..network import EPS, initial_layer
from ..runtime import UserError


class ELayer(nn.Module):
    """Excitation only: z = x Wex^T + b.

    Attributes
    ----------
    non_negative : names of the parameters that stay non-negative (Dale's principle), see `project_`
    rates : name of a parameter -> its learning rate, where it is not lr, see `parameter_groups`

    Raises
    ------
    UserError
        If there are fewer than two units: the width of the initial weights' distribution divides by n_e - 1.
    """

    kind = "e"
    Wex: nn.Parameter
    Wix: nn.Parameter
    Wei: nn.Parameter
    Bix: nn.Parameter
    b: nn.Parameter
    non_negative: ClassVar[tuple[str, ...]] = ("Wex", "Wix", "Wei")
    rates: ClassVar[dict[str, str]] = {"Wix": "lr_wix", "Bix": "lr_wix", "Wei": "lr_wei"}

    def __init__(self, n_in: int, n_e: int) -> None:
        """Draw the initial weights of `network.initial_layer`, by the seed of `torch.manual_seed`."""
        if n_e < 2:
            raise UserError(f"a layer needs at least 2 excitatory units, not {n_e}")
        super().__init__()
        seed = int(torch.randint(2**62, (), device="cpu"))
        for name, value in initial_layer(self.kind, n_in, n_e, seed).items():
            if name != "w":  # the pooling weights of `nn.signals.ErrorSignal`
                self.register_parameter(name, nn.Parameter(torch.as_tensor(value, dtype=torch.get_default_dtype())))

    def extra_repr(self) -> str:
        """Sizes, for `print`."""
        return f"n_in={self.Wex.shape[1]}, n_e={self.Wex.shape[0]}"

    def excite(self, x: Tensor) -> Tensor:
        """Excitatory drive h = x Wex^T + b. Under autocast the sum is float32 again, as b is."""
        return F.linear(x, self.Wex) + self.b

    def forward(self, x: Tensor) -> Tensor:
        """(..., n_in) -> (..., n_e)."""
        return self.excite(x)


class EILayer(ELayer):
    """Inhibition that learns by the task's error, as excitation does: z = x Wex^T - (x Wix^T) Wei^T + b."""

    kind = "ei"

    def forward(self, x: Tensor) -> Tensor:
        """(..., n_in) -> (..., n_e)."""
        return self.excite(x) - subtractive_inhibition(self, x)


class INormLayer(ELayer):
    """Inhibition that learns to normalize: z = (x Wex^T + b - p) / q.

    The task's error reaches Wex, b and the layer below. The gradient of `local_loss` reaches only Wix and Bix, and Wei
    if inhibition does not divide.

    Parameters
    ----------
    n_in, n_e : inputs and units; divisive inhibition needs n_in >= n_e
    subtractive, divisive : whether there is p, and q
    lambda_ : weight of the local loss

    Attributes
    ----------
    z_local : (..., n_e) the z of the last forward pass as the local loss sees it, or None

    Raises
    ------
    UserError
        If there is no inhibition, or divisive inhibition of fewer inputs than units, or fewer than two units.
    """

    def __init__(
        self, n_in: int, n_e: int, subtractive: bool = True, divisive: bool = True, lambda_: float = LAMBDA
    ) -> None:
        """Choose subtractive inhibition, divisive inhibition or both."""
        if not (subtractive or divisive):
            raise UserError("an INormLayer needs subtractive or divisive inhibition: for neither take an ELayer")
        if divisive and n_in < n_e:
            raise UserError(f"divisive inhibition needs as many inputs as units: {n_in} inputs, {n_e} units")
        self.kind = "inorm" + ("" if subtractive and divisive else "_sub" if subtractive else "_div")
        super().__init__(n_in, n_e)
        self.subtractive, self.divisive, self.lambda_ = subtractive, divisive, lambda_
        self.z_local: Tensor | None = None
        if subtractive and divisive:
            self.Wei.requires_grad_(False)

    def extra_repr(self) -> str:
        """Sizes and kind, for `print`."""
        kinds = f"subtractive={self.subtractive}, divisive={self.divisive}"
        return f"{super().extra_repr()}, {kinds}, lambda_={self.lambda_}"

    def inhibit(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """Subtractive inhibition p (..., n_e), 0 without, and divisive inhibition q (..., 1), 1 without."""
        p, q = self.b.new_zeros(1), self.b.new_ones(1)
        if self.subtractive:
            p = subtractive_inhibition(self, x)
        if self.divisive:
            u = F.linear(x, self.Bix).to(self.b.dtype)
            q = (u.square().mean(-1, keepdim=True) + EPS).sqrt()
        return p, q

    def forward(self, x: Tensor) -> Tensor:
        """(..., n_in) -> (..., n_e)."""
        h = self.excite(x)
        p, q = self.inhibit(x.detach())
        self.z_local = (h.detach() - p) / q  # to the local loss excitation is given,
        return (h - p.detach()) / q.detach()  # and to the task inhibition is

    def local_loss(self) -> Tensor:
        """lambda E[(mean z)^2 + (var z - 1)^2] of the last forward pass; without var if inhibition does not divide.

        Raises UserError before the first forward pass.
        """
        if self.z_local is None:
            raise UserError("the local loss is that of the last forward pass: call the network first")
        loss = self.z_local.mean(-1).square()
        if self.divisive:
            loss = loss + (self.z_local.var(-1, correction=0) - 1).square()
        return self.lambda_ * loss.mean()

    def __getstate__(self) -> dict[str, Any]:
        """What copies and pickles hold: all but the last forward pass, which belongs to a graph."""
        return self.__dict__ | {"z_local": None}


def subtractive_inhibition(layer: ELayer, x: Tensor) -> Tensor:
    """p = (x Wix^T) Wei^T, (..., n_in) -> (..., n_e)."""
    return F.linear(F.linear(x, layer.Wix), layer.Wei)


@torch.no_grad()
def log_balance(layer: ELayer, x: Tensor) -> Tensor:
    """log (E / I), (..., n_e): excitation x Wex^T over subtractive inhibition (x Wix^T) Wei^T, of inputs (..., n_in).

    0 is balance. Raises UserError for a layer without subtractive inhibition.
    """
    if not hasattr(layer, "Wix"):
        raise UserError(f"a layer of kind {layer.kind} has no subtractive inhibition, so there is no balance")
    return (F.linear(x, layer.Wex) / subtractive_inhibition(layer, x)).log()
