"""The conditions of the paper, and some of ours: which layer, which normalization, which error signal.

A condition is one entry of `CONDITIONS`, a kind of layer one of `KINDS`. To add one, add an entry here; if it sends
back an error signal of a new kind, add a function to `error_signals.py`. Nothing else has to change.
"""

from dataclasses import dataclass

from .runtime import UserError, nearest

#: All weights that may act on a layer's input, in the order of their rows in `network.Layer`; the non-negative first.
ON_INPUT = ("Wex", "Wix", "Bix")


@dataclass(frozen=True)
class LayerKind:
    """What a layer consists of, and what its weights learn from; b learns from the task's error in every kind.

    Parameters
    ----------
    label : str
        Name in tables.
    task : tuple of str
        Weights that learn from the task's error. Those on the input pass it on to the layer below.
    local : tuple of str
        Weights that learn from the local loss of I-Norm; the task's error does not reach them.
    fixed : tuple of str
        Weights that do not learn.
    """

    label: str
    task: tuple[str, ...]
    local: tuple[str, ...] = ()
    fixed: tuple[str, ...] = ()

    @property
    def blocks(self) -> tuple[str, ...]:
        """Names of the weights on the layer's input, in the order of their rows."""
        return tuple(name for name in ON_INPUT if name in self.task + self.local)

    @property
    def passes_error(self) -> tuple[str, ...]:
        """Names of those of `blocks` that pass the task's error on; they come first."""
        return tuple(name for name in ON_INPUT if name in self.task)

    def learns(self, name: str) -> bool:
        """Whether weights of this name learn from anything."""
        return name in self.task + self.local


KINDS = {
    "e": LayerKind("E", task=("Wex",)),
    "ei": LayerKind("E-I", task=("Wex", "Wix", "Wei")),
    "inorm_sub": LayerKind("I-Norm (sub)", task=("Wex",), local=("Wix", "Wei")),
    "inorm_div": LayerKind("I-Norm (div)", task=("Wex",), local=("Bix",)),
    "inorm": LayerKind("I-Norm", task=("Wex",), local=("Wix", "Bix"), fixed=("Wei",)),
}

#: Weight of the local loss of I-Norm layers.
LAMBDA = 0.01
#: Weights of the lambda sweep.
LAMBDA_SWEEP = (1e-5, 1e-4, 1e-3, 0.1, 1.0)


NORMALIZATIONS = ("none", "ln", "learned")


@dataclass(frozen=True)
class Condition:
    """How the hidden layers normalize activity and error signals.

    Parameters
    ----------
    layer : str
        Key of `KINDS`: the kind of the hidden layers. The readout is an E-I layer in every condition.
    normalization : {"none", "ln", "learned"}
        What normalizes the activity on the way forward.
    error_signal : str
        Key of `error_signals.ERROR_SIGNALS`: what g = dL/d(normalized z) becomes on its way back.
    label : str
        Name in figures.
    lambdas : tuple of float
        Weights of the local loss, one run each; (0.0,) where there is no local loss.

    Raises
    ------
    UserError
        If a name is not known, or normalization is not learned by the weights of the layer.
    """

    layer: str
    normalization: str
    error_signal: str
    label: str
    lambdas: tuple[float, ...] = (0.0,)

    def __post_init__(self) -> None:
        """Check the names."""
        for name, known in (("layer", KINDS), ("normalization", NORMALIZATIONS)):
            value = getattr(self, name)
            if value not in known:
                raise UserError(f"the condition {self.label!r}: {name} {value!r} is not known{nearest(value, known)}")
        if (self.normalization == "learned") != bool(self.kind.local):
            raise UserError(
                f"the condition {self.label!r}: normalization is learned where weights of the layer have a local loss, "
                f"and only there; {self.layer} has {', '.join(self.kind.local) or 'none'}"
            )

    @property
    def kind(self) -> LayerKind:
        """The `LayerKind` of the hidden layers."""
        return KINDS[self.layer]


def _inorm(error_signal: str, label: str, layer: str = "inorm", lambdas: tuple[float, ...] = (LAMBDA,)) -> Condition:
    return Condition(layer, "learned", error_signal, label, lambdas)


CONDITIONS = {
    "ei_none": Condition("ei", "none", "unchanged", "E-I"),
    "ei_ln": Condition("ei", "ln", "layer_norm", "E-I LN"),
    "ei_ln_detached": Condition("ei", "ln", "unchanged", "E-I LN, detached"),
    "e_only_none": Condition("e", "none", "unchanged", "E only"),
    "e_only_ln": Condition("e", "ln", "layer_norm", "LN+ (E only)"),
    "e_only_ln_detached": Condition("e", "ln", "unchanged", "LN (E only), detached"),
    "inorm_sub": _inorm("unchanged", "I-Norm (sub)", layer="inorm_sub"),
    "inorm": _inorm("unchanged", "I-Norm"),
    "gradnorm_full": _inorm("full", "GradNorm"),
    "gradnorm_center": _inorm("center", "GradNorm: center"),
    "gradnorm_scale": _inorm("scale", "GradNorm: scale"),
    "gradnorm_decorrelate": _inorm("decorrelate", "GradNorm: decorrelate"),
    "lateral_inhibition": _inorm("lateral", "Lateral inhibition"),
    "inorm_lambda": _inorm("unchanged", "I-Norm, lambda sweep", lambdas=LAMBDA_SWEEP),
    # Ours, not the paper's. Divisive inhibition alone, Bix from the SVD of Wex:
    "inorm_div": _inorm("unchanged", "I-Norm (div)", layer="inorm_div"),
    # GradNorm where inhibition only subtracts: the error signal is centered.
    "gradnorm_sub": _inorm("center", "GradNorm (sub)", layer="inorm_sub"),
    # Lateral inhibition whose random synapses learn locally to center the error signal.
    "lateral_plastic": _inorm("lateral_plastic", "Lateral, plastic"),
    # Errors normalized as by LN, activity not at all: the fourth of {activity, errors} x {normalized, not}.
    "e_error_only": Condition("e", "none", "full", "Errors only (E only)"),
}


def label(condition: str) -> str:
    """Name of a condition for reading; of one that is not known its id."""
    return CONDITIONS[condition].label if condition in CONDITIONS else str(condition)
