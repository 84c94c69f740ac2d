"""What error signals become on their way back, as modules: forwards `ErrorSignal` is the identity.

The rules are those of `error_signals`; a rule that is added there can be used here.
"""

from typing import Any, ClassVar, NamedTuple

import torch
from torch import Tensor, nn
from torch.nn import functional as F  # noqa: N812

from ..error_signals import ERROR_SIGNALS
from ..network import EPS
from ..runtime import UserError


class Units(NamedTuple):
    """What a rule of `error_signals` asks a layer for, here of one network without padding.

    Attributes
    ----------
    widths : int, number of units
    mask : 1, as there is no padding
    w : (1, n, 1) pooling weights, or None
    """

    widths: int
    mask: int
    w: Tensor | None


class Transform(torch.autograd.Function):
    """The identity of z (..., n), and a rule for its error signal."""

    @staticmethod
    def forward(ctx: Any, z: Tensor, w: Tensor | None, rule: str, before_ln: bool) -> Tensor:
        """Pass z on."""
        ctx.save_for_backward(z, w)
        ctx.rule, ctx.before_ln = rule, before_ln
        return z.view_as(z)

    @staticmethod
    def backward(ctx: Any, g: Tensor) -> tuple[Tensor | None, ...]:
        """Transform g; where the pooling weights w learn, their gradient is that of `pooling_gradient`."""
        z, w = ctx.saved_tensors
        plastic = w is not None and ctx.needs_input_grad[1]
        return transformed(ctx.rule, g, z, w, ctx.before_ln), pooling_gradient(g, w) if plastic else None, None, None


def transformed(rule: str, g: Tensor, z: Tensor, w: Tensor | None, before_ln: bool) -> Tensor:
    """The error signal g (..., n) of the activity z (..., n) after a rule; w (n) are pooling weights or None."""
    g_units, z_units = (a.reshape(1, -1, a.shape[-1]).mT for a in (g, z))  # (runs, units, batch), as in `error_signals`
    sigma = (z_units.var(1, correction=0, keepdim=True) + EPS).sqrt()
    if before_ln:
        z_units = (z_units - z_units.mean(1, keepdim=True)) / sigma
    units = Units(z.shape[-1], 1, None if w is None else w.view(1, -1, 1))
    return ERROR_SIGNALS[rule](g_units, z_units, sigma, units).mT.reshape(g.shape)


def pooling_gradient(g: Tensor, w: Tensor) -> Tensor:
    """Gradient (n) of the pooling weights' own loss: the mean squared mean of the transformed error of each image.

    That error is delta = B g, g (B, ..., n) being the error of the batch's mean loss (`learning.learn_pooling`).
    """
    delta = (g * g.shape[0]).reshape(-1, g.shape[-1])
    left = delta.mean(1, keepdim=True) - (w * delta).sum(1, keepdim=True)
    return -(2 * left * delta).mean(0)


class ErrorSignal(nn.Module):
    """The identity forwards; on the way back the error signal follows a rule of `error_signals.ERROR_SIGNALS`.

    Parameters
    ----------
    rule : key of `error_signals.ERROR_SIGNALS`
    units : of the layer; lateral rules draw a pooling weight for each, uniform, divided by their sum
    before_ln : the rule is that of LN(z), also where the network has no layer normalization, or a detached one

    Attributes
    ----------
    w : (n) pooling weights of lateral inhibition, fixed, or a parameter if they learn; None in other rules

    Raises
    ------
    UserError
        If the rule is unknown or needs the number of units.
    """

    non_negative: ClassVar[tuple[str, ...]] = ("w",)
    rates: ClassVar[dict[str, str]] = {"w": "lr_wix"}

    def __init__(self, rule: str, units: int | None = None, before_ln: bool = False) -> None:
        """Choose a rule."""
        super().__init__()
        if rule not in ERROR_SIGNALS:
            raise UserError(f"there is no error signal {rule}: take one of {', '.join(ERROR_SIGNALS)}")
        self.rule, self.before_ln = rule, before_ln
        self.w: Tensor | None
        if not rule.startswith("lateral"):
            self.w = None
        elif units is None:
            raise UserError(f"the error signal {rule} pools units: say how many, ErrorSignal({rule!r}, units=...)")
        else:
            w = torch.rand(units)
            w /= w.sum()
            self.w = nn.Parameter(w) if rule == "lateral_plastic" else nn.Buffer(w)

    def extra_repr(self) -> str:
        """The rule, for `print`."""
        return f"{self.rule!r}, before_ln={self.before_ln}"

    def forward(self, z: Tensor) -> Tensor:
        """(..., n) -> the same."""
        return Transform.apply(z, self.w, self.rule, self.before_ln)


class LayerNorm(nn.Module):
    """LN(z) = (z - mean z) / sigma(z), without gain and bias; detached: error signals pass it unchanged."""

    def __init__(self, detached: bool = False) -> None:
        """Choose the exact gradient or none."""
        super().__init__()
        self.detached = detached

    def extra_repr(self) -> str:
        """Whether it is detached, for `print`."""
        return f"detached={self.detached}"

    def forward(self, z: Tensor) -> Tensor:
        """(..., n) -> (..., n)."""
        normalized = F.layer_norm(z, z.shape[-1:], eps=EPS)
        return z + (normalized - z).detach() if self.detached else normalized
