"""A small classification set that networks of a few channels learn in seconds."""

from __future__ import annotations

import numpy as np

from mcuprune.training.loop import Arrays

CLASSES = 3


def blobs(count: int = 96) -> Arrays:
    """Inputs (count, 8, 8, 2): noise, and a bright quarter for each of two classes."""
    rng = np.random.default_rng(0)
    y = rng.integers(0, CLASSES, count)
    x = rng.normal(size=(count, 8, 8, 2)).astype(np.float32)
    x[:, :4, :4, 0] += 2.0 * (y == 0)[:, None, None]
    x[:, 4:, 4:, 1] += 2.0 * (y == 1)[:, None, None]
    return Arrays(x, y)
