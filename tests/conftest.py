"""Fixtures: the real images, prepared once per session, and small pieces of them."""

import os
from pathlib import Path

import numpy as np
import pytest

os.environ.setdefault("OMP_NUM_THREADS", "1")

REPOSITORY = Path(__file__).parents[1]


@pytest.fixture(scope="session")
def images_path(tmp_path_factory):
    """The real Fashion-MNIST, prepared as the workflow does."""
    from einorm.data import prepare

    folder = tmp_path_factory.mktemp("data")
    prepare("fashion_mnist", folder / "fashion_mnist.npz", REPOSITORY / "results" / "downloads")
    return folder / "fashion_mnist.npz"


@pytest.fixture(scope="session")
def images(images_path):
    from einorm.data import load

    return load(images_path)


@pytest.fixture
def no_shifts():
    """A shift table for up to 3 epochs of 2,000 images, all zero."""
    return {"train": np.zeros((3, 2000), np.float32), "test": np.zeros(1000, np.float32)}
