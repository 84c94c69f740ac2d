"""The oracle: the same networks in plain autograd, one run at a time, without padding or hand-written gradients.

Written from method.md with torch.nn.functional and stop-gradients; it shares no code with the package.
"""

import torch
from torch.nn import functional as F  # noqa: N812

# Hidden layers of a condition, I-Norm where nothing is said; "all": I-Norm whose Wei learns, too.
KIND = {"ei_none": "ei", "ei_ln": "ei", "ei_ln_detached": "ei", "e_only_none": "e", "e_only_ln": "e"}
KIND |= {"e_only_ln_detached": "e", "inorm_sub": "sub", "gradnorm_sub": "sub", "inorm_div": "div", "e_error_only": "e"}


class Transform(torch.autograd.Function):
    """Identity forward; on the way back the condition's rule for the error signal."""

    @staticmethod
    def forward(ctx, z, rule, w):
        ctx.save_for_backward(z)
        ctx.rule, ctx.w = rule, w
        if rule == "lateral_plastic":
            w.pooled = []
        return z.clone()

    @staticmethod
    def backward(ctx, g):
        (z,) = ctx.saved_tensors
        sigma = (z.var(1, correction=0, keepdim=True) + 1e-5).sqrt()
        mean_g, mean_gz = g.mean(1, keepdim=True), (g * z).mean(1, keepdim=True)
        if ctx.rule == "lateral_plastic":
            ctx.w.pooled.append(g * len(g))  # the error signal of each image
        pooled = (ctx.w * g).sum(1, keepdim=True) if ctx.w is not None else None
        new = {
            "gradnorm_full": lambda: (g - mean_g - z * mean_gz) / sigma,
            "gradnorm_center": lambda: g - mean_g,
            "gradnorm_scale": lambda: g / sigma,
            "gradnorm_decorrelate": lambda: g - z * mean_gz,
            "lateral_inhibition": lambda: g - pooled,
            "lateral_plastic": lambda: g - pooled,
            "gradnorm_sub": lambda: g - mean_g,
        }.get(ctx.rule, lambda: g)
        return new(), None, None


def layer(W, x, kind):
    """z before normalization, and what the local loss is made of."""
    h = x @ W["Wex"].T + W["b"]
    if kind == "e":
        return h, None
    if kind == "ei":
        return h - (x @ W["Wix"].T) @ W["Wei"].T, None
    fixed = x.detach()
    if kind == "div":
        q = ((fixed @ W["Bix"].T).square().mean(1, keepdim=True) + 1e-5).sqrt()
        return h / q.detach(), h.detach() / q
    Wei = W["Wei"] if kind in ("sub", "all") else W["Wei"].detach()
    p = (fixed @ W["Wix"].T) @ Wei.T
    if kind == "sub":
        return h - p.detach(), h.detach() - p
    q = ((fixed @ W["Bix"].T).square().mean(1, keepdim=True) + 1e-5).sqrt()
    return (h - p.detach()) / q.detach(), (h.detach() - p) / q


def normalize(z, condition, w=None):
    if condition in ("ei_ln", "e_only_ln"):
        return F.layer_norm(z, z.shape[1:], eps=1e-5)
    if condition in ("ei_ln_detached", "e_only_ln_detached"):
        return z + (F.layer_norm(z, z.shape[1:], eps=1e-5) - z).detach()
    if condition == "e_error_only":
        normalized = F.layer_norm(z, z.shape[1:], eps=1e-5)
        return normalized + (z - normalized).detach()
    return Transform.apply(z, condition, w)


def losses(weights, condition, x, y, lam):
    """Task loss plus local losses; gradients of the two never meet in one parameter."""
    total = 0
    kind = KIND.get(condition, "inorm")
    for W in weights[:-1]:
        z, z_loc = layer(W, x, kind)
        if z_loc is not None:
            mean, var = z_loc.mean(1), z_loc.var(1, correction=0)
            local = mean.square() + (0 if kind == "sub" else (var - 1).square())
            total = total + lam * local.mean()
        x = F.relu(normalize(z, condition, W.get("w")))
    logits, _ = layer(weights[-1], x, "ei")
    task = F.cross_entropy(logits, y, label_smoothing=0.1)
    return task, total


def step(weights, condition, x, y, run):
    """One SGD step in place; returns the task loss before it."""
    parameters = [{k: v for k, v in W.items() if k != "w"} for W in weights]
    for W in parameters:
        for value in W.values():
            value.requires_grad_(True)
            value.grad = None
    task, local = losses(weights, condition, x, y, run["lambda"])
    (task + local).backward()
    if condition == "lateral_plastic":
        learn_pooling(weights[:-1], run)
    rates = {"Wex": "lr", "b": "lr", "Wix": "lr_wix", "Bix": "lr_wix", "Wei": "lr_wei"}
    with torch.no_grad():
        for W in parameters:
            for name, value in W.items():
                if value.grad is not None:
                    value -= run[rates[name]] * value.grad
                if name in ("Wex", "Wix", "Wei"):
                    value.clamp_(min=0)
    return task.detach()


def learn_pooling(weights, run):
    """The pooling weights descend the batch's mean squared mean of the transformed error signal."""
    for W in weights:
        (delta,), w = W["w"].pooled, W["w"].clone().requires_grad_(True)
        (delta - (w * delta).sum(1, keepdim=True)).mean(1).square().mean().backward()
        with torch.no_grad():
            W["w"] -= run["lr_wix"] * w.grad
            W["w"].clamp_(min=0)


def gradient_alignment(W, x, condition):
    """Cosine of d/dWex sum ReLU(LN(z)) (for lateral inhibition: of the centered signal) and of the own transform."""
    kind = KIND.get(condition, "inorm")

    def gradient(transform):
        Wex = W["Wex"].detach().clone().requires_grad_(True)
        z, _ = layer(W | {"Wex": Wex}, x, kind)
        F.relu(transform(z)).sum().backward()
        return Wex.grad.flatten()

    def ln(z):
        return F.layer_norm(z, z.shape[1:], eps=1e-5)

    def center(z):
        return Transform.apply(z, "gradnorm_center", None)

    own = gradient(lambda z: Transform.apply(z, condition, W.get("w")))
    reference = gradient(center if condition.startswith("lateral") else ln)
    return F.cosine_similarity(own, reference, dim=0, eps=0)
