"""One training step: forward, error signals on their way back, local losses, updates.

Everything is written out by hand, since the error signal is what the paper is about; the oracle
is autograd in tests/oracle.py. Symbols, equations and shapes as in `network`.
"""

from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from typing import Any

import torch

from .conditions import CONDITIONS, Condition
from .error_signals import ERROR_SIGNALS, unchanged
from .network import EPS, Layer, forward, mean_units, moments, obey_dale, select_runs, stack_network
from .variants import PAPER

LABEL_SMOOTHING = 0.1


@dataclass
class Network:
    """R networks of one condition, and how fast each of them learns.

    Attributes
    ----------
    condition : `conditions.Condition`
    layers : list of `network.Layer`, the hidden ones and the readout
    lambdas : (R, 1, 1) weight of the local loss
    rates : per layer, a dict of the learning rates of W (R, rows, 1), Wei, b and w (R, n_e, 1); 0 in padding
    way : how the runs train, a dict like `variants.PAPER`
    memory : what a way to train keeps of each run from step to step, name -> (R)
    collapsed_in : R texts, which tensor of a run was not finite first; "" where none was, or nobody looked
    """

    condition: Condition
    layers: list[Layer]
    lambdas: torch.Tensor
    rates: list[dict[str, torch.Tensor]]
    way: dict[str, Any]
    memory: dict[str, torch.Tensor] = field(default_factory=dict)
    collapsed_in: list[str] = field(default_factory=list)


def build(
    condition: str,
    weights: list[list[dict[str, Any]]],
    hyperparameters: list[dict[str, Any]],
    dtype: torch.dtype = torch.float32,
    device: torch.device | str = "cpu",
    way: dict[str, Any] = PAPER,
) -> Network:
    """Put R runs of one condition side by side.

    Parameters
    ----------
    condition : str, key of `conditions.CONDITIONS`
    weights : list of R networks, each a list of dicts, one per layer (`network.initial_network`)
    hyperparameters : list of R dicts with lr (of Wex and b), lr_wix (of Wix and Bix), lr_wei, lambda
    way : how they train, see `Network`
    """
    entry = CONDITIONS[condition]
    kinds = [entry.layer] * (len(weights[0]) - 1) + ["ei"]
    layers = stack_network(kinds, weights, dtype, device)

    def per_run(name: str) -> torch.Tensor:
        values = [run[name] for run in hyperparameters]
        return torch.tensor(values, dtype=dtype, device=device).view(-1, 1, 1)

    lr, lr_wix, lr_wei = per_run("lr"), per_run("lr_wix"), per_run("lr_wei")

    def rates(layer: Layer) -> dict[str, torch.Tensor]:
        block_rates = {"Wex": lr * layer.mask, "Bix": lr_wix * layer.mask}
        block_rates["Wix"] = lr_wix.expand(-1, layer.n_i, -1)
        return {
            "W": torch.cat([block_rates[name] for name in layer.blocks], 1),
            "Wei": lr_wei * layer.mask,
            "b": lr * layer.mask,
            "w": lr_wix * layer.mask,
        }

    quiet = [""] * len(weights)
    return Network(entry, layers, per_run("lambda"), [rates(layer) for layer in layers], way, collapsed_in=quiet)


def select(network: Network, keep: torch.Tensor) -> Network:
    """The same network with only some of its runs, those of the index tensor keep (runs)."""
    return replace(
        network,
        layers=[select_runs(layer, keep) for layer in network.layers],
        lambdas=network.lambdas[keep],
        rates=[{name: rate[keep] for name, rate in layer.items()} for layer in network.rates],
        memory={name: values[keep] for name, values in network.memory.items()},
        collapsed_in=[network.collapsed_in[r] for r in keep.tolist()],
    )


def layer_norm(z: torch.Tensor, layer: Layer) -> tuple[torch.Tensor, torch.Tensor]:
    """LN(z) = (z - mean z) / sigma(z), (R, n, B), over units, and sigma(z) = sqrt(var z + 1e-5), (R, 1, B)."""
    _, deviation, variance = moments(z, layer)
    sigma = variance.add_(EPS).sqrt_()
    return deviation.div_(sigma), sigma


def forward_network(network: Network, x: torch.Tensor) -> list[dict[str, torch.Tensor]]:
    """Activity of every layer for a batch of images.

    Parameters
    ----------
    x : (pixels, B) or (R, pixels, B)

    Returns
    -------
    list of dicts, one per layer
        What `network.forward` returns, with the layer's input x, and for hidden layers the normalized activity
        (R, n_e, B), sigma (R, 1, B) where LN computed it, and the rate ReLU(normalized) (R, n_e, B); the readout's z
        are the logits (R, classes, B).
    """
    states = []
    for layer in network.layers:
        state = forward(layer, x) | {"x": x}
        if layer is not network.layers[-1]:
            state["normalized"] = state["z"]
            if network.condition.normalization == "ln":
                state["normalized"], state["sigma"] = layer_norm(state["z"], layer)
            x = state["rate"] = state["normalized"].relu()
        states.append(state)
    return states


def smooth_targets(
    labels: torch.Tensor, classes: int, smoothing: float = LABEL_SMOOTHING, dtype: torch.dtype = torch.float32
) -> torch.Tensor:
    """Target distributions (classes, images) of labels (images): 1 - s on the label, s spread evenly."""
    one_hot = torch.nn.functional.one_hot(labels.long(), classes).to(dtype).t()
    return one_hot * (1 - smoothing) + smoothing / classes


def cross_entropy(logits: torch.Tensor, targets: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """Loss per run (R), mean over the batch, and log-probabilities (R, classes, B); of targets (classes, B)."""
    log_p = torch.log_softmax(logits, 1)
    return (targets * log_p).sum((1, 2)).div_(-targets.shape[1]), log_p


def loss_and_error(logits: torch.Tensor, targets: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """Loss per run (R), `cross_entropy`, and the task's error dL/d(logits) (R, classes, B)."""
    loss, log_p = cross_entropy(logits, targets)
    return loss, log_p.exp_().sub_(targets).div_(targets.shape[1])


def train_step(network: Network, x: torch.Tensor, targets: torch.Tensor) -> torch.Tensor:
    """One step of plain SGD for all runs, in place.

    Parameters
    ----------
    x : (B, pixels), shifted images, or (R, B, pixels) where every run sees its own
    targets : (classes, B), smoothed

    Returns
    -------
    loss (R) of the batch before the update
    """
    states = forward_network(network, x.mT)
    loss, error = loss_and_error(states[-1]["z"], targets)
    for i, g, signals, G in send_back(network, states, error):
        if network.condition.error_signal == "lateral_plastic" and i < len(network.layers) - 1:
            learn_pooling(network.layers[i], network.rates[i]["w"], g)
        update(network, i, states[i], signals, G)
    return loss


def send_back(
    network: Network, states: list[dict[str, torch.Tensor]], g: torch.Tensor
) -> Iterator[tuple[int, torch.Tensor, dict[str, torch.Tensor], torch.Tensor]]:
    """Error signals of every layer, from the readout down; nothing is updated here.

    A layer may be updated as soon as its signals are there: those of the layers below no longer need its weights. Which
    weights pass the task's error on is in the layer's kind (`conditions.KINDS`).

    Parameters
    ----------
    states : of all layers, `forward_network`
    g : (R, classes, B), the task's error dL/dz at the readout

    Yields
    ------
    i : index of the layer
    g : (R, n, B), the task's error dL/d(normalized z), zero where ReLU was not active
    signals : dict of (R, n, B), those at the inputs of its units, see `hidden_signals`
    G : (R, rows, B), those at the rows of its W
    """
    for i in reversed(range(len(network.layers))):
        layer, state = network.layers[i], states[i]
        if layer is network.layers[-1]:
            signals = {"h": g, "p": -g}
        else:
            g = torch.ops.aten.threshold_backward(g, state["rate"], 0)  # where ReLU was active
            signals = hidden_signals(network, layer, state, g)
        parts = [signals["h"]]
        if "a" in state:
            parts.append(torch.bmm(layer.Wei.mT, signals["p"]))
        if "u" in signals:
            parts.append(signals["u"])
        G = torch.cat(parts, 1) if len(parts) > 1 else parts[0]
        below = torch.bmm(layer.passing.mT, G[:, : layer.passing.shape[1]]) if i > 0 else g
        yield i, g, signals, G
        g = below


def hidden_signals(
    network: Network, layer: Layer, state: dict[str, torch.Tensor], g: torch.Tensor
) -> dict[str, torch.Tensor]:
    """Error signals at the inputs of a hidden layer: its excitation h, inhibition p and divisive inputs u.

    The task's error g (R, n, B) = dL/d(normalized z) goes through the condition's rule; in I-Norm layers inhibition
    hears the local loss lambda E[(mean z)^2 + (var z - 1)^2] only (inorm_sub's has no var), and the task only reaches
    h. The signals are a dict of (R, n, B); the layer's state is as `forward_network` returns it.
    """
    condition, z = network.condition, state["z"]
    rule = ERROR_SIGNALS[condition.error_signal]
    if condition.normalization != "learned":
        normalized, sigma = state["normalized"], state.get("sigma")
        if condition.normalization == "none" and rule is not unchanged:  # as if LN had been there
            normalized, sigma = layer_norm(z, layer)
        g = rule(g, normalized, sigma, layer)
        return {"h": g, "p": -g}
    mean, deviation, variance = moments(z, layer)
    g = rule(g, z, (variance + EPS).sqrt_(), layer)
    # -dL_loc / dz_loc = per_unit (mean z + 2 (var z - 1) deviation), L_loc = lambda E[(mean z)^2 + (var z - 1)^2]
    per_unit = network.lambdas / (layer.widths * (-z.shape[2] / 2))
    if "q" not in state:
        return {"h": g, "p": (per_unit * mean).expand_as(z)}
    q, excess = state["q"], 2 * (variance - 1)
    # dL_loc / dq = sum_j (-dL_loc / dz_j) z_j / q in closed form, since sum z = n mean and sum z deviation = n var
    dq = (mean * mean).addcmul_(excess, variance).mul_(per_unit * layer.widths).div_(q)
    signals = {"h": g / q, "u": state["u"] * dq.div_(q * layer.widths)}
    if "a" in state:
        signals["p"] = deviation.mul_(excess).add_(mean).mul_(per_unit).div_(q)
    return signals


def learn_pooling(layer: Layer, rate: torch.Tensor, g: torch.Tensor) -> None:
    """One local step of the pooling weights w towards centering, in place; ours, not the paper's.

    The loss is the batch's mean of (mean_j T_j)^2, T = delta - sum_i w_i delta_i the transformed error signal of each
    image (delta = B g, since g (R, n, B) holds the batch's mean); w stays non-negative. rate : (R, n, 1)
    """
    delta = g * g.shape[2]
    left = mean_units(delta, layer) - (layer.w * delta).sum(1, keepdim=True)
    layer.w.add_(rate * (2 * left * delta).mean(2, keepdim=True)).clamp_(min=0)


def update(
    network: Network, i: int, state: dict[str, torch.Tensor], signals: dict[str, torch.Tensor], G: torch.Tensor
) -> None:
    """Let layer i learn, in place; with Dale's principle where the runs keep to it.

    signals, each (R, n, B), and G (R, rows, B) are those that `send_back` gives.
    """
    layer, rates = network.layers[i], network.rates[i]
    layer.b.sub_(rates["b"] * signals["h"].sum(2, keepdim=True))
    if layer.kind.learns("Wei"):
        layer.Wei.baddbmm_(signals["p"] * rates["Wei"], state["a"].mT, alpha=-1)
    _subtract_outer(layer.W, G.mul_(rates["W"]) if G is not signals["h"] else G * rates["W"], state["x"])
    if network.way["dale"]:
        obey_dale(layer)


def _subtract_outer(W: torch.Tensor, G: torch.Tensor, x: torch.Tensor) -> None:
    """W -= G x^T in place: one product per layer updates all its weights on the input."""
    if x.dim() == 3:
        W.baddbmm_(G, x.mT, alpha=-1)
    else:
        W.flatten(0, 1).addmm_(G.flatten(0, 1), x.t(), alpha=-1)
