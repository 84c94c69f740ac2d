"""Networks to take away: the paper's layers and error signals as PyTorch modules in plain autograd.

Training is::

    model = network("gradnorm_full", hidden=256)
    optimizer = torch.optim.SGD(parameter_groups(model))

    loss = cross_entropy(model(x), y, label_smoothing=0.1) + local_loss(model)
    optimizer.zero_grad()
    loss.backward()
    optimizer.step()
    project_(model)

`local_loss`, `parameter_groups` and `project_` take any module that has such layers inside. The workflow itself trains
with `learning`: many runs side by side, and gradients written by hand. Tests check the two against each other.
"""

from collections import OrderedDict
from collections.abc import Callable
from functools import partial
from itertools import pairwise
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from .. import release_randomness
from ..conditions import CONDITIONS
from ..data import DATASETS
from ..network import CLASSES, initial_network
from ..runtime import UserError
from ..variants import VARIANTS, how
from .layers import EILayer, ELayer, INormLayer, log_balance
from .signals import ErrorSignal, LayerNorm

__all__ = [
    "EILayer",
    "ELayer",
    "ErrorSignal",
    "INormLayer",
    "LayerNorm",
    "from_run",
    "local_loss",
    "log_balance",
    "network",
    "parameter_groups",
    "project_",
]

#: Kind of layer (`conditions.KINDS`) -> its module; a kind that you add needs one of its own here.
LAYERS: dict[str, Callable[..., ELayer]] = {
    "e": ELayer,
    "ei": EILayer,
    "inorm": INormLayer,
    "inorm_sub": partial(INormLayer, divisive=False),
    "inorm_div": partial(INormLayer, subtractive=False),
}


def network(
    condition: str,
    hidden: int = 256,
    inputs: int = 784,
    classes: int = CLASSES,
    hidden_layers: int = 2,
    lambda_: float | None = None,
) -> nn.Sequential:
    """A network of a condition: (B, inputs), or images of so many pixels, to logits (B, classes).

    Initial weights follow `torch.manual_seed`; pooling weights are drawn last, so that all other weights are equal in
    conditions with and without them.

    Parameters
    ----------
    condition : key of `conditions.CONDITIONS`
    hidden : units of a hidden layer
    lambda_ : weight of the local loss, by default the condition's; inorm_lambda, which has many, needs it

    Returns
    -------
    nn.Sequential
        Modules layer0, signal0, norm0, relu0, layer1, ..., readout, as far as the condition has them.

    Raises
    ------
    UserError
        If there is no such condition, its kind of layer has no module, or the weight of the local loss is not given
        where it must be, or negative.
    """
    if condition not in CONDITIONS:
        raise UserError(f"there is no condition {condition}: take one of {', '.join(CONDITIONS)}")
    entry = CONDITIONS[condition]
    if entry.layer not in LAYERS:
        raise UserError(f"layers of kind {entry.layer} have no module yet: add one to LAYERS in einorm/nn")
    if hidden_layers < 1 or (lambda_ is not None and lambda_ < 0):
        raise UserError("hidden_layers must be at least 1, and lambda_ not negative")
    if lambda_ is None and len(entry.lambdas) > 1:
        raise UserError(f"{condition} has several weights of the local loss: give lambda_, e.g. {entry.lambdas[0]}")
    learned = {"lambda_": entry.lambdas[0] if lambda_ is None else lambda_} if entry.normalization == "learned" else {}
    sizes = [inputs, *[hidden] * hidden_layers]
    layers = [LAYERS[entry.layer](n_in, n_e, **learned) for n_in, n_e in pairwise(sizes)]
    readout = EILayer(hidden, classes)
    modules: OrderedDict[str, nn.Module] = OrderedDict(flatten=nn.Flatten())
    for i, layer in enumerate(layers):
        modules |= {f"layer{i}": layer}
        modules |= _normalization(entry.normalization, entry.error_signal, hidden, i)
        modules |= {f"relu{i}": nn.ReLU()}
    return nn.Sequential(modules | {"readout": readout})


def _normalization(normalization: str, error_signal: str, units: int, i: int) -> dict[str, nn.Module]:
    """What follows a hidden layer before its ReLU: the rule of its error signal, and layer normalization."""
    if error_signal == "layer_norm":
        return {f"norm{i}": LayerNorm()}
    modules: dict[str, nn.Module] = {}
    if error_signal != "unchanged":
        modules[f"signal{i}"] = ErrorSignal(error_signal, units, before_ln=normalization != "learned")
    if normalization == "ln":
        modules[f"norm{i}"] = LayerNorm(detached=True)
    return modules


def local_loss(model: nn.Module) -> Tensor:
    """Sum of the local losses of all `INormLayer` modules, each of its last forward pass; 0 where there is none.

    Add it to the task's loss. No parameter gets a gradient of both.
    """
    losses = [module.local_loss() for module in model.modules() if isinstance(module, INormLayer)]
    return torch.stack(losses).sum() if losses else next(model.parameters(), torch.zeros(())).new_zeros(())


@torch.no_grad()
def project_(model: nn.Module) -> None:
    """Dale's principle, after every update: what modules list under `non_negative` is clamped at 0, in place."""
    for module in model.modules():
        for name in getattr(module, "non_negative", ()):
            if (weight := getattr(module, name, None)) is not None:
                weight.clamp_(min=0)


def parameter_groups(
    model: nn.Module, lr: float = 3e-3, lr_wix: float = 1e-1, lr_wei: float = 3e-4
) -> list[dict[str, Any]]:
    """Parameters for an optimizer, grouped by learning rate: lr_wix for Wix and Bix, lr_wei for Wei, lr for all others.

    The defaults are the middle of the ranges that the paper draws from, for plain SGD with batches of 32: lr 1e-3 to
    1e-2, lr_wix 1e-2 to 1, lr_wei 1e-5 to 1e-2.
    """
    rates = {"lr": lr, "lr_wix": lr_wix, "lr_wei": lr_wei}
    groups: dict[str, list[nn.Parameter]] = {name: [] for name in rates}
    for module in model.modules():
        for name, parameter in module.named_parameters(recurse=False):
            groups[getattr(module, "rates", {}).get(name, "lr")].append(parameter)
    return [{"name": name, "params": groups[name], "lr": rate} for name, rate in rates.items() if groups[name]]


def from_run(folder: str | Path, digest: str) -> tuple[nn.Sequential, dict[str, Any]]:
    """The network of a run before its training, with the run's own initial weights and hyperparameters.

    Parameters
    ----------
    folder : of an archive, or results/tables
    digest : of the run, or its beginning: a column of the table of runs

    Returns
    -------
    nn.Sequential, as of `network`, and the run's row in the table of runs as a dict: condition, epsilon, lr and so on

    Raises
    ------
    UserError
        If there is no such run, or several, or its condition or data set is not known any more.
    """
    from .. import load  # brings pandas

    runs = load(folder)["runs"]
    found = runs[runs["digest"].str.startswith(digest)]
    if len(found) != 1:
        raise UserError(f"{len(found)} runs in {folder} have a digest that begins with {digest!r}: give one of one run")
    run = found.iloc[0].to_dict()
    for name, known in (("condition", CONDITIONS), ("dataset", DATASETS)):
        if run[name] not in known:
            raise UserError(f"the run's {name}, {run[name]}, is not known here")
    depth = how(VARIANTS.get(run["variant"], {}))["hidden_layers"]
    inputs, kind = DATASETS[run["dataset"]]["pixels"], CONDITIONS[run["condition"]].layer
    model = network(run["condition"], run["hidden_width"], inputs, hidden_layers=depth, lambda_=run["lambda_"])
    if run["randomness"] == "release":
        weights = release_randomness.initial_network(kind, inputs, run["hidden_width"], run["seed"], depth)
    else:
        names = (run["seed"], "initial", run["config"])
        weights = initial_network(kind, inputs, run["hidden_width"], *names, hidden_layers=depth)
    set_weights(model, weights)
    return model, run


def set_weights(model: nn.Sequential, weights: list[dict[str, Any]]) -> None:
    """Give a network the weights of its layers, a dict of arrays each, as `network.initial_network` draws them.

    w is that of the layer's error signal; what the network does not have is passed over.
    """
    *hidden, readout = weights
    named = {(f"layer{i}", name): value for i, layer in enumerate(hidden) for name, value in layer.items()}
    named |= {("readout", name): value for name, value in readout.items()}
    state = {f"{layer.replace('layer', 'signal') if name == 'w' else layer}.{name}": torch.as_tensor(value)
             for (layer, name), value in named.items()}  # fmt: skip
    model.load_state_dict({name: state[name] for name in model.state_dict()})
