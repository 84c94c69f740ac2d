"""Training steps on a GPU: in chunks, so that the device never waits for Python.

A chunk is some hundred batches whose images are shifted at once; its steps are one CUDA graph. Two kinds of steps:

- fused: the kernels of `fused`, where Triton is there and the networks fit
- graph: the plain step of `learning`, recorded

Nothing is recorded twice: a run whose loss is no longer finite stays in its batch, and `train.train` drops its numbers.
"""

import importlib.util
import math
import threading
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import cache, partial
from typing import TYPE_CHECKING, Any

import torch

from ..learning import train_step
from ..records.codes import step_of

if TYPE_CHECKING:
    from ..learning import Network
    from ..records.runs import Run

CHUNK = 128  # steps, fewer where their images would take more than
CHUNK_BYTES = 2**29
RECORDING = threading.Lock()  # jobs in other threads share the device, but only one records at a time


@cache
def has_triton() -> bool:
    """Whether Triton is there and, on a GPU, works: it compiles a piece of C for it, which needs a compiler."""
    if importlib.util.find_spec("triton") is None:
        return False
    if torch.cuda.is_available():
        from triton.runtime import driver

        try:
            driver.active.get_current_target()
            driver.active.utils  # noqa: B018 - compiled when it is asked for
        except Exception as error:
            print(f"the fused step cannot be compiled here ({error}): the plain one trains", flush=True)
            return False
    return True


def step_on(device: str, runs: "list[Run]") -> str:
    """The step (`codes.STEPS`) that trains a batch of runs on a device.

    It is `codes.step_of`, or graph in place of fused where Triton is missing or the networks do not fit.
    """
    step = step_of(runs[0], device)
    if step != "fused":
        return step
    if not has_triton():
        return "graph"
    from . import fused

    widest = max(run["hidden_width"] for run in runs)
    return "fused" if fused.fits(widest, runs[0]["batch_size"]) else "graph"


def steps_on(net: "Network", shape: Sequence[int], kind: str) -> Any:
    """The training steps of a network on its device.

    Parameters
    ----------
    net : `learning.Network`, trained in place
    shape : of one batch of images, (B, pixels) or (R, B, pixels)
    kind : "fused" or "graph"

    Returns
    -------
    function
        steps(x, targets) of (n B, pixels) or (R, n B, pixels) and (classes, n B) trains n batches and returns their
        losses (n, R); n is at most steps.most. A batch of fewer than B images is trained by the plain step.
    """
    bytes_of_step = math.prod(shape) * net.lambdas.element_size()
    most = max(1, min(CHUNK, CHUNK_BYTES // bytes_of_step))
    whole = (_fused_steps if kind == "fused" else _graph_steps)(net, shape, most)

    def steps(x: torch.Tensor, targets: torch.Tensor) -> torch.Tensor:
        return whole(x, targets) if x.shape[-2] >= shape[-2] else train_step(net, x, targets)[None]

    steps.most = most  # type: ignore[attr-defined]
    return steps


def _fused_steps(net: "Network", shape: Sequence[int], most: int) -> Callable[..., torch.Tensor]:
    from . import fused

    chunk, recorded = fused.prepare_chunk(net, shape, most), {}

    def steps(x: torch.Tensor, targets: torch.Tensor) -> torch.Tensor:
        images = x.shape[-2]
        n = images // chunk.images
        chunk.x[..., :images, :].copy_(x)
        chunk.targets[:, :images].copy_(targets)
        if n not in recorded:
            recorded[n] = record(partial(fused.train_chunk, net, chunk, n), net)
        recorded[n]()
        return chunk.losses[:n].clone()

    return steps


def _graph_steps(net: "Network", shape: Sequence[int], most: int) -> Callable[..., torch.Tensor]:
    x = torch.zeros(shape, device=net.lambdas.device, dtype=net.lambdas.dtype)
    targets = torch.zeros(net.layers[-1].n_e, shape[-2], device=x.device, dtype=x.dtype)
    step = record(lambda: train_step(net, x, targets), net)

    def steps(images: torch.Tensor, of_images: torch.Tensor) -> torch.Tensor:
        losses = []
        for start in range(0, images.shape[-2], shape[-2]):
            batch = slice(start, start + shape[-2])
            x.copy_(images[..., batch, :])
            targets.copy_(of_images[:, batch])
            losses.append(step().clone())
        return torch.stack(losses)

    return steps


def record(function: Callable[[], Any], net: "Network") -> Callable[[], Any]:
    """A CUDA graph of a function that trains `net`: called, it does the same work and returns the same arrays.

    Each graph is recorded on a stream of its own: two of one stream would share the workspace of cuBLAS, which goes
    when one of them does. On a CPU, the function itself.
    """
    if net.lambdas.device.type != "cuda":
        return function
    weights = [value for layer in net.layers for value in (layer.W, layer.Wei, layer.b, layer.w) if value is not None]
    with RECORDING:
        before = [value.clone() for value in weights]
        stream, graph = torch.cuda.Stream(), torch.cuda.CUDAGraph()
        stream.wait_stream(torch.cuda.current_stream())
        with torch.cuda.stream(stream):
            function()  # compiles and loads what it needs, which no recording can
        torch.cuda.current_stream().wait_stream(stream)
        with torch.cuda.graph(graph, stream=stream, capture_error_mode="thread_local"):
            result = function()
        for value, original in zip(weights, before, strict=True):
            value.copy_(original)

    def replay() -> Any:
        graph.replay()
        return result

    return replay


def draw_once(draw: Callable[..., Any], names: list[tuple[Any, ...]]) -> list[Any]:
    """Draw for each of the names: of equal ones once, and once for all jobs of the process, side by side."""
    with DRAWING, ThreadPoolExecutor() as threads:
        distinct = list(dict.fromkeys(names))
        drawn = dict(zip(distinct, threads.map(partial(_drawn, draw), distinct), strict=True))
    return [drawn[name] for name in names]


DRAWING = threading.Lock()  # jobs that start from the same weights do not draw them twice


@cache
def _drawn(draw: Callable[..., Any], name: tuple[Any, ...]) -> Any:
    return draw(*name)
