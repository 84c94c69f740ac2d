"""The device that trains: which one, and how a training step runs on it."""

import torch

from .learning import train_step
from .runtime import UserError


def choose_device(device):
    """The device to train on, "cpu" or "cuda"; raises UserError where cuda is asked for and there is none."""
    available = torch.cuda.is_available()
    if device == "cuda" and not available:
        raise UserError("machine.device is cuda, but torch finds no CUDA device: set it to auto or cpu")
    return device if device != "auto" else ("cuda" if available else "cpu")


def step_on(network, shape, capture=None):
    """The training step for the network's device: as it is on a CPU, a CUDA graph of it on a GPU.

    A graph launches all kernels of a step at once: small networks are otherwise bound by the launches. It reads
    from buffers of its own, and a batch of another size goes the ordinary way.

    Parameters
    ----------
    network : `learning.Network`
    shape : of the batches of images that the graph trains on, (B, pixels) or (R, B, pixels)
    capture : turns a function without arguments into one that repeats its work; by default `capture_graph` on CUDA

    Returns
    -------
    function, called as `learning.train_step`
    """
    device = network.lambdas.device
    if capture is None:
        if device.type != "cuda":
            return train_step
        capture = capture_graph
    x = torch.zeros(shape, device=device)
    targets = torch.zeros(network.layers[-1].n_e, shape[-2], device=device)
    weights = [value for layer in network.layers for value in (layer.W, layer.Wei, layer.b, layer.w)]
    weights = [value for value in weights if value is not None]
    before = [value.clone() for value in weights]
    replay = capture(lambda: train_step(network, x, targets))
    for value, original in zip(weights, before, strict=True):  # capturing runs some steps to warm up
        value.copy_(original)

    def step(network, batch, batch_targets):
        if batch.shape != x.shape:
            return train_step(network, batch, batch_targets)
        x.copy_(batch)
        targets.copy_(batch_targets)
        return replay()

    return step


def capture_graph(function):
    """Record a function's CUDA kernels as a graph; the function returned replays them and gives the same tensor."""
    stream = torch.cuda.Stream()
    stream.wait_stream(torch.cuda.current_stream())
    with torch.cuda.stream(stream):
        for _ in range(3):
            function()
    torch.cuda.current_stream().wait_stream(stream)
    graph = torch.cuda.CUDAGraph()
    with torch.cuda.graph(graph):
        result = function()

    def replay():
        graph.replay()
        return result

    return replay
