"""The release's float16: its forward pass and its training step, cast by cast, in plain autograd.

The release wraps forward pass, loss and evaluation in CUDA autocast, with a gradient scaler that does nothing: every
matrix product takes and gives float16, and so does q = sqrt(q^2 + 1e-5); everything else and the weights are float32.
A gradient has the type of the tensor that it belongs to, so that it may overflow to inf or vanish. q^2 is a product,
too, u^2 Bei^T, with a Bei of units x units that are all 1 / n: every unit has its q^2. All are equal, but the gradient
of each is rounded alone. Symbols, shapes and the arrays of many runs side by side are those of `network`; so are the
weights, which are updated in place.
"""

from collections.abc import Callable
from functools import partial
from typing import TYPE_CHECKING, Any

import torch

from .error_signals import ERROR_SIGNALS, mean_units
from .learning import cross_entropy, layer_norm, learn_pooling, select
from .network import EPS, moments, obey_dale

if TYPE_CHECKING:
    from .learning import Network
    from .network import Layer

GROWTH, BACKOFF, PATIENCE, FIRST_SCALE = 2.0, 0.5, 2000, 2.0**16  # the defaults of torch.amp.GradScaler


def cast(values: torch.Tensor) -> torch.Tensor:
    """The values in float16: inf above 65,504, 0 below about 3e-8 in size; the one place where precision is lost."""
    return values.half()


def rounded(values: torch.Tensor) -> torch.Tensor:
    """The values as float16 holds them, in the type that they have: products of them are summed in float32."""
    return cast(values).to(values.dtype)


class Product(torch.autograd.Function):
    """A x as autocast computes it: A (R, m, k) and x (k, n) or (R, k, n), in float16, to (R, m, n) in float16.

    Both gradients are float16. `heard` is the number of rows of A, from the first on, whose gradient x hears.
    """

    @staticmethod
    def forward(ctx: Any, A: torch.Tensor, x: torch.Tensor, heard: int) -> torch.Tensor:
        """A x (R, m, n), from factors that are rounded to float16."""
        A, x = rounded(A), rounded(x)
        ctx.save_for_backward(A, x)
        ctx.heard = heard
        return rounded(A @ x)

    @staticmethod
    def backward(ctx: Any, g: torch.Tensor) -> Any:
        """Gradients of A and x, in float16."""
        A, x = ctx.saved_tensors
        g = rounded(g)
        dA = rounded(g @ x.mT) if ctx.needs_input_grad[0] else None
        dx = rounded(A[:, : ctx.heard].mT @ g[:, : ctx.heard]) if ctx.needs_input_grad[1] else None
        return dA, dx, None


class Pool(torch.autograd.Function):
    """u^2 Bei^T as autocast computes it: u^2 (R, n, B), in float16, to the same mean over units in every unit.

    Bei is (n, n) of 1 / n; its rows are equal, so that one is enough. The gradient of each unit is float16 before
    they are summed, and so is their sum.
    """

    @staticmethod
    def forward(ctx: Any, squares: torch.Tensor, share: torch.Tensor) -> torch.Tensor:
        """q^2 (R, n, B); share (R, 1, 1) is 1 / n. Units of padding are 0 in `squares`, and have a q^2, too."""
        ctx.share = rounded(share)
        return rounded(ctx.share * rounded(squares).sum(1, keepdim=True)).expand_as(squares)

    @staticmethod
    def backward(ctx: Any, g: torch.Tensor) -> Any:
        """Gradient (R, n, B) of u^2, the same in every unit, in float16."""
        return rounded(ctx.share * rounded(g).sum(1, keepdim=True)).expand_as(g), None


class Normalize(torch.autograd.Function):
    """LN(z) where the condition normalizes by LN, else z; on its way back the condition's rule for the error signal."""

    @staticmethod
    def forward(ctx: Any, z: torch.Tensor, network: "Network", i: int) -> torch.Tensor:
        """z (R, n, B) of layer i, or LN of it."""
        condition, layer = network.condition, network.layers[i]
        normalized, sigma = layer_norm(z, layer)
        learned = condition.normalization == "learned"
        ctx.save_for_backward(z if learned else normalized, sigma)
        ctx.network, ctx.i = network, i
        return normalized if condition.normalization == "ln" else z.clone()

    @staticmethod
    def backward(ctx: Any, g: torch.Tensor) -> Any:
        """The error signal (R, n, B) that the condition's rule passes on; pooling weights that learn do so here."""
        (z, sigma), network, layer = ctx.saved_tensors, ctx.network, ctx.network.layers[ctx.i]
        signal = network.condition.error_signal
        passed = ERROR_SIGNALS[signal](g, z, sigma, layer)
        if signal == "lateral_plastic":
            learn_pooling(layer, network.rates[ctx.i]["w"], g)
        return passed, None, None


def unwatched(place: str, name: str, values: torch.Tensor, half: bool = False) -> torch.Tensor:
    """Nobody looks at a tensor of this name; `first_not_finite` does. half: its gradient is float16."""
    return values


def forward(
    layer: "Layer", x: torch.Tensor, weights: dict[str, torch.Tensor], watch: Callable[..., torch.Tensor]
) -> dict[str, torch.Tensor]:
    """Output of a layer before normalization: `network.forward` under the casts.

    Parameters
    ----------
    layer : `network.Layer`
    x : (pixels, B) or (R, inputs, B)
    weights : dict of tensors, by the names of `parameters`, and Wei
    watch : called with (name, values, half) of every tensor; returns the values

    Returns
    -------
    dict
        z (R, n_e, B); of I-Norm layers also h and z_local (R, n_e, B), the excitation and the output that the local
        loss sees, and q (R, n_e, B), the same in every unit, where they divide.
    """
    if not layer.kind.local:
        W = weights["Wex"]
        if "Wix" in weights:
            W = W - watch("Wei Wix", Product.apply(weights["Wei"], weights["Wix"], layer.n_e), half=True)
        y = Product.apply(watch("W", W, half=True), x, layer.n_e)
        return {"z": watch("x W^T", y, half=True) + weights["b"]}

    y = Product.apply(watch("Wex, Wix, Bix", weights["W"], half=True), x, layer.n_e)
    h = watch("x Wex^T", y[:, : layer.n_e], half=True) + weights["b"]
    z, z_local, state = h, h.detach(), {"h": h.detach()}  # the task trains excitation only, the local loss inhibition
    if "Wix" in layer.blocks:
        a = watch("x Wix^T", y[:, layer.blocks["Wix"]], half=True)
        p = watch("p", Product.apply(weights["Wei"], a, layer.n_e), half=True)
        z, z_local = z - p.detach(), z_local - p
    if "Bix" in layer.blocks:
        q = divisive(layer, watch("u", y[:, layer.blocks["Bix"]], half=True), watch)
        z, z_local, state["q"] = z / q.detach(), z_local / q, q.detach()
    return state | {"z": z, "z_local": watch("z of the local loss", z_local)}


def divisive(layer: "Layer", u: torch.Tensor, watch: Callable[..., torch.Tensor]) -> torch.Tensor:
    """q (R, n_e, B), the same in every unit, of divisive inputs u (R, n_e, B), which are squared in float32."""
    squares = watch("u^2", u * u, half=True)
    mean = watch("q^2", Pool.apply(squares, 1 / layer.widths), half=True)
    return watch("q", (cast(mean) + EPS).sqrt().to(mean.dtype), half=True)


def propagate(
    network: "Network",
    x: torch.Tensor,
    weights: list[dict[str, torch.Tensor]],
    watch: Callable[..., torch.Tensor] = unwatched,
) -> list[dict[str, torch.Tensor]]:
    """States of all layers, as `learning.forward_network` returns them; weights a dict for each (`forward`)."""
    states = []
    for i, layer in enumerate(network.layers):
        hidden = i < len(network.layers) - 1
        watched = partial(watch, f"layer {i}" if hidden else "readout")
        state = forward(layer, x, weights[i], watched) | {"x": x}
        watched("z", state["z"])
        if hidden:
            state["normalized"] = Normalize.apply(state["z"], network, i)
            x = state["rate"] = state["normalized"].relu()
        states.append(state)
    return states


@torch.no_grad()
def forward_network(network: "Network", x: torch.Tensor) -> list[dict[str, torch.Tensor]]:
    """`learning.forward_network` under the casts, for evaluation and metrics."""
    weights = [{name: values for name, (values, _) in parts.items()} for parts in parameters(network)]
    return propagate(network, x, with_fixed(network, weights))


def parameters(network: "Network") -> list[dict[str, tuple[torch.Tensor, torch.Tensor]]]:
    """What learns, per layer: name -> (values, learning rate), views of the network's arrays and rates.

    In I-Norm layers all weights on the input are one array W (R, rows, inputs), as in `network.Layer`, and Wei learns
    in inorm_sub only; in E and E-I layers Wex and Wix are apart.
    """
    found = []
    for layer, rates in zip(network.layers, network.rates, strict=True):
        blocks = {"W": slice(None)} if layer.kind.local else layer.blocks
        parts = {name: (layer.W[:, rows], rates["W"][:, rows]) for name, rows in blocks.items()}
        parts["b"] = layer.b, rates["b"]
        if layer.kind.learns("Wei"):
            parts["Wei"] = layer.Wei, rates["Wei"]  # type: ignore[assignment]
        found.append(parts)
    return found


def with_fixed(network: "Network", weights: list[dict[str, torch.Tensor]]) -> list[dict[str, Any]]:
    """The weights of every layer with Wei, where it does not learn."""
    return [{"Wei": layer.Wei} | parts for layer, parts in zip(network.layers, weights, strict=True)]


def loss_of(
    network: "Network",
    x: torch.Tensor,
    targets: torch.Tensor,
    weights: list[dict[str, torch.Tensor]],
    watch: Callable[..., torch.Tensor] = unwatched,
) -> tuple[torch.Tensor, torch.Tensor]:
    """Loss of the task (R), and the sum of all losses (R) whose gradient trains."""
    states = propagate(network, x.mT, with_fixed(network, weights), watch)
    task, _ = cross_entropy(states[-1]["z"], targets)
    local = [local_loss(network, *pair) for pair in zip(network.layers, states, strict=True) if "z_local" in pair[1]]
    return task, sum(local, task)


def local_loss(network: "Network", layer: "Layer", state: dict[str, torch.Tensor]) -> torch.Tensor:
    """Local loss (R) of an I-Norm layer: lambda E[(mean z)^2 + (var z - 1)^2], without var where it only subtracts.

    Until 2025-09-21 the release's was lambda E[(z - LN(h))^2], over units, too.
    """
    z = state["z_local"]
    if network.way["local_loss"] == "layer_norm":
        target, _ = layer_norm(state["h"], layer)
        loss = mean_units((z - target * layer.mask).square(), layer)
    else:
        mean, _, variance = moments(z, layer)
        loss = mean.square() + ((variance - 1).square() if "q" in state else 0)
    return (network.lambdas * loss).mean((1, 2))


def train_step(network: "Network", x: torch.Tensor, targets: torch.Tensor) -> torch.Tensor:
    """One step of plain SGD for all runs, in place, as `learning.train_step`; the gradient is under the casts.

    The first step that makes a weight of a run not finite is said in ``network.collapsed_in``. With loss scaling
    that step is left out, and the run's scale halved (`rescale`).
    """
    parts = parameters(network)
    weights = [{name: values.detach().requires_grad_() for name, (values, _) in layer.items()} for layer in parts]
    leaves = [values for layer in weights for values in layer.values()]
    task, total = loss_of(network, x, targets, weights)
    scaled = network.way["loss_scaling"]
    scale = network.memory.setdefault("scale", torch.full_like(task, FIRST_SCALE)) if scaled else torch.ones_like(task)
    gradients = torch.autograd.grad((total * scale if scaled else total).sum(), leaves)
    finite = torch.stack([gradient.flatten(1).sum(1) for gradient in (task[:, None], *gradients)]).isfinite().all(0)
    if scaled:
        gradients = tuple(torch.where(finite[:, None, None], g / scale[:, None, None], 0) for g in gradients)
        rescale(network.memory, finite)
    elif not finite.all():
        for r in (~finite).nonzero().flatten().tolist():
            network.collapsed_in[r] = network.collapsed_in[r] or first_not_finite(network, x, targets, r)
    learning = [pair for layer in parts for pair in layer.values()]
    for (values, rate), gradient in zip(learning, gradients, strict=True):
        values.addcmul_(rate, gradient, value=-1)
    if network.way["dale"]:
        for layer in network.layers:
            obey_dale(layer)
    return task.detach()


def rescale(memory: dict[str, torch.Tensor], finite: torch.Tensor) -> None:
    """The next loss scale (R) of every run, by the rule of PyTorch's GradScaler.

    It is halved after a gradient that is not finite, doubled after 2,000 in a row that are. The scale is a power of
    two, so that dividing by it is exact.
    """
    streak = memory.get("streak", torch.zeros_like(finite, dtype=torch.int64)) * finite + finite
    grown = streak == PATIENCE
    memory["scale"] = memory["scale"] * torch.where(finite, torch.where(grown, GROWTH, 1.0), BACKOFF)
    memory["streak"] = streak * ~grown


def first_not_finite(network: "Network", x: torch.Tensor, targets: torch.Tensor, r: int) -> str:
    """Which tensor of run r is not finite first in a step: "layer 1: gradient of q^2"; nothing is updated.

    Forward tensors come first, in the order in which they are computed, then gradients, from the loss down.
    """
    alone = select(network, torch.tensor([r], device=x.device))
    found = []

    def note(place: str, name: str, values: torch.Tensor) -> None:
        if not values.isfinite().all():
            found.append(f"{place}: {name}")

    def watch(place: str, name: str, values: torch.Tensor, half: bool = False) -> torch.Tensor:
        note(place, name, values.detach())
        if values.requires_grad:
            values.register_hook(lambda g: note(place, f"gradient of {name}", rounded(g) if half else g))
        return values

    weights = [
        {name: values.detach().requires_grad_() for name, (values, _) in layer.items()} for layer in parameters(alone)
    ]
    _, total = loss_of(alone, x if x.dim() == 2 else x[r : r + 1], targets, weights, watch)
    torch.autograd.grad(total.sum(), [values for layer in weights for values in layer.values()])
    return found[0] if found else "gradient of a weight"
