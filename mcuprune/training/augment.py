"""Random changes of training inputs that leave their labels right, drawn anew for every batch."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

Augment = Callable[[np.ndarray, np.random.Generator], np.ndarray]

PAD = 4  # pixels


def crop_and_flip(x: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Photographs (N, height, width, channels): padded by four pixels, cropped, mirrored half the time.

    The usual augmentation of CIFAR-10 (He et al. 2016, section 4.2).  Standardized inputs: padding is 0.
    """
    count, height, width, _ = x.shape
    padded = np.pad(x, ((0, 0), (PAD, PAD), (PAD, PAD), (0, 0)))
    top, left = rng.integers(0, 2 * PAD + 1, (2, count))
    rows, columns = top[:, None] + np.arange(height), left[:, None] + np.arange(width)
    mirrored = rng.random(count) < 0.5
    columns[mirrored] = columns[mirrored, ::-1]
    return np.asarray(padded[np.arange(count)[:, None, None], rows[:, :, None], columns[:, None, :]])


def flip(x: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Photographs (N, height, width, channels), mirrored half the time.

    Networks too small to learn the training images by heart learn as much from it as from crops, and faster.
    """
    mirrored = rng.random(len(x)) < 0.5
    return np.where(mirrored[:, None, None, None], x[:, :, ::-1], x)


AUGMENTS = {"flip": flip, "crop_and_flip": crop_and_flip}
