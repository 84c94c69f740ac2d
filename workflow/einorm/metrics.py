"""Metrics of a network on a batch: moments, alignments with LN, local loss, and where its error signals point.

Nothing is updated here. Symbols, equations and shapes as in `network` and `learning`.
"""

from collections.abc import Callable

import torch

from .error_signals import ERROR_SIGNALS, center, full, mean_units, unchanged
from .learning import Network, forward_network, layer_norm, loss_and_error, send_back
from .network import Layer, moments

Metrics = dict[str, torch.Tensor]  # name -> (R), or (R, 2) of the layers that are measured

MEASURED = 2  # the first hidden layers, of which metrics are taken


def measure(
    network: Network, x: torch.Tensor, forward: Callable[..., list[dict[str, torch.Tensor]]] = forward_network
) -> Metrics:
    """Metrics of the hidden layers on a batch (Figs. 3 to 6); nothing is updated.

    Parameters
    ----------
    x : (B, pixels) or (R, B, pixels), as in `train_step`
    forward : the forward pass, called as `forward_network`

    Returns
    -------
    dict
        Name -> (R, 2), for hidden layers 0 and 1: mu, var, output_alignment and gradient_alignment (cosines),
        local_loss. NaN where not defined: alignments of layers that subtract only, gradients of e_error_only, the
        local loss of layers without one, layer 1 of a network with one hidden layer.
    """
    states = forward(network, x.mT)
    hidden = list(zip(network.layers, states, strict=True))[:-1]
    return layer_by_layer([measure_layer(network, *pair) for pair in hidden[:MEASURED]])


def layer_by_layer(rows: list[Metrics]) -> Metrics:
    """Metrics (R) of each hidden layer that is measured, put together: (R, 2), NaN for a layer that is not there."""
    rows = rows + [{name: torch.full_like(v, torch.nan) for name, v in rows[0].items()}] * (MEASURED - len(rows))
    return {name: torch.stack([row[name] for row in rows], 1) for name in rows[0]}


def measure_layer(network: Network, layer: Layer, state: dict[str, torch.Tensor]) -> Metrics:
    """Metrics (R) of one hidden layer, see `measure`; its state is as `forward_network` returns it."""
    z, condition = state["z"], network.condition
    mean, _, variance = moments(z, layer)
    undefined = torch.full_like(mean[:, 0, 0], torch.nan)
    row = {"mu": mean.mean((1, 2)), "var": variance.mean((1, 2))}
    row |= {"output_alignment": undefined, "gradient_alignment": undefined, "local_loss": undefined}
    local = mean.square()
    if "q" in state:
        local = local + (variance - 1).square()
    if condition.normalization == "learned":
        row["local_loss"] = (network.lambdas * local).mean((1, 2))
    if condition.normalization == "learned" and "q" not in state:
        return row

    ln, sigma = layer_norm(z, layer)
    row["output_alignment"] = cosine(ln.relu(), z.relu())
    if condition.normalization == "none" and condition.error_signal != "unchanged":
        return row  # all its units are active, and of a constant signal its transform leaves nothing but rounding
    own_rule = ERROR_SIGNALS[condition.error_signal] if condition.normalization == "learned" else unchanged
    own = own_rule((z > 0).to(z.dtype), z, sigma, layer)
    if condition.error_signal.startswith("lateral"):
        reference = center((z > 0).to(z.dtype), z, sigma, layer)
    else:
        reference = full((ln > 0).to(z.dtype), ln, sigma, layer)
    to_weights = layer.mask / state["q"] if "q" in state else layer.mask
    x = state["x"]
    row["gradient_alignment"] = cosine((reference * to_weights) @ x.mT, (own * to_weights) @ x.mT)
    return row


def cosine(a: torch.Tensor, b: torch.Tensor) -> torch.Tensor:
    """Cosine (R) per run between arrays (R, ...), flattened; 0 where one is 0, a silent layer's, as in the release."""
    return torch.nn.functional.cosine_similarity(a.flatten(1), b.flatten(1), dim=1, eps=1e-8)


def error_shares(network: Network, x: torch.Tensor, targets: torch.Tensor) -> Metrics:
    """Shares of the hidden layers' error signals that lie in two directions, on a batch (not in the paper).

    One direction is the common mode, in which all units have the same signal: what centering removes. The other one is
    along the activity, its deviation from the mean over units: what decorrelating removes besides. They are orthogonal,
    so that their shares add up to 1 with that of what is left. Shares are of squared lengths, summed over the batch.

    Parameters
    ----------
    x, targets : as in `learning.train_step`

    Returns
    -------
    dict
        Name -> (R, 2), for hidden layers 0 and 1: g_common and g_along of the task's error g as it reaches a layer,
        h_common and h_along of the signal at its excitation h, which has gone through the condition's rule;
        update_common of what the batch would change in Wex, with Dale's principle where the runs keep to it: there all
        units change their weights on an input alike. NaN where there is no signal, and in a layer that is not there.
        Empty for runs with the release's casts, whose errors are sent back by `release_precision`.
    """
    if network.way["precision"] != "float32":
        return {}
    states = forward_network(network, x.mT)
    _, error = loss_and_error(states[-1]["z"], targets)
    hidden = range(min(MEASURED, len(network.layers) - 1))
    found = {
        i: shares_of_layer(network, i, states[i], g, signals["h"])
        for i, g, signals, _ in send_back(network, states, error)
        if i in hidden
    }
    return layer_by_layer([found[i] for i in hidden])


def shares_of_layer(
    network: Network, i: int, state: dict[str, torch.Tensor], g: torch.Tensor, h: torch.Tensor
) -> Metrics:
    """Shares (R) of one hidden layer, see `error_shares`; g and h (R, n, B) as `learning.send_back` gives them."""
    layer = network.layers[i]
    h = h * layer.mask  # what a rule leaves in padding is no signal
    row = {"g_common": common_share(g, layer), "g_along": share_along(g, state["z"], layer)}
    row |= {"h_common": common_share(h, layer), "h_along": share_along(h, state["z"], layer)}
    Wex = layer.weights()["Wex"]
    change = -(h * network.rates[i]["W"][:, : layer.n_e]) @ state["x"].mT
    if network.way["dale"]:
        change = torch.maximum(change, -Wex)  # a weight that would become negative becomes 0
    return row | {"update_common": common_share(change, layer)}


def common_share(a: torch.Tensor, layer: Layer) -> torch.Tensor:
    """Share (R) of the squared length of a, (R, n, any), in the mean over units."""
    mean = mean_units(a, layer)
    return (layer.widths * mean * mean).sum((1, 2)) / (a * a).sum((1, 2))


def share_along(a: torch.Tensor, z: torch.Tensor, layer: Layer) -> torch.Tensor:
    """Share (R) of the squared length of a, (R, n, B), along z's deviation from its mean over units, image by image."""
    _, deviation, variance = moments(z, layer)
    along = mean_units(a * deviation, layer)  # = |deviation|^2 / n times the coefficient of a along it
    parts = layer.widths * along * along / variance.clamp(min=torch.finfo(a.dtype).tiny)
    return parts.sum((1, 2)) / (a * a).sum((1, 2))
