"""The device that trains."""

import torch

from ..runtime import UserError


def choose_device(device: str) -> str:
    """The device to train on, "cpu" or "cuda"; raises UserError where cuda is asked for and there is none."""
    available = torch.cuda.is_available()
    if device == "cuda" and not available:
        raise UserError("machine.device is cuda, but torch finds no CUDA device: set it to auto or cpu")
    return device if device != "auto" else ("cuda" if available else "cpu")
