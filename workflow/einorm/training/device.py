"""The device that trains, and its memory."""

import ctypes

import torch

from ..runtime import UserError

TRIM_THRESHOLD, MMAP_THRESHOLD = -1, -3  # options of glibc's mallopt
KEPT = 2**30  # bytes; blocks up to this size are kept, as is as much of what is free


def choose_device(device: str) -> str:
    """The device to train on, "cpu" or "cuda"; raises UserError where cuda is asked for and there is none."""
    available = torch.cuda.is_available()
    if device == "cuda" and not available:
        raise UserError("machine.device is cuda, but torch finds no CUDA device: set it to auto or cpu")
    return device if device != "auto" else ("cuda" if available else "cpu")


def keep_freed_memory() -> bool:
    """Let the C library keep the memory of freed tensors for the next ones; whether it could be told so (glibc).

    By default it gives large blocks back to the kernel at once. A step that makes new tensors, as under the release's
    casts, then gets the same pages anew, zeroed: half of its time where networks are wide. No result depends on it.
    """
    mallopt = getattr(ctypes.CDLL(None), "mallopt", None)
    return mallopt is not None and all(mallopt(option, KEPT) for option in (TRIM_THRESHOLD, MMAP_THRESHOLD))
