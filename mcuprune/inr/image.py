"""An image as the task of a network that maps pixel coordinates to colours."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from mcuprune.tasks.image import read_image
from mcuprune.tasks.task import Split, Task

LONGEST = 64  # pixels of the longer side that is fitted


def image_task(path: Path, longest: int = LONGEST) -> Task:
    """All pixels of an image file, as coordinates (N, 2) and colours (N, 1 or 3), both in -1..1.

    There is nothing to generalise to: training, validation and test are the same pixels.  Larger images are
    reduced until the longer side has ``longest`` pixels.  Raises UsageError for a file that is no image.
    """
    pixels = read_image(path, longest)
    height, width, channels = pixels.shape
    colours = pixels.reshape(-1, channels).astype(np.float32) / np.float32(127.5) - np.float32(1.0)
    split = Split(coordinates(height, width), colours)
    return Task(
        name=path.stem,
        title=f"{path.name}, {width}x{height} pixels",
        input_shape=(2,),
        classes=0,
        loss="mse",
        metric="psnr",
        train=split,
        validation=split,
        test=split,
        data_kind="one image, fitted",
    )


def coordinates(height: int, width: int) -> np.ndarray:
    """(height * width, 2) float32 ``(x, y)`` of the pixels' centres, row by row; the longer side is -1..1."""
    longest = max(height, width)
    y, x = (((2.0 * np.arange(size) + 1.0 - size) / longest).astype(np.float32) for size in (height, width))
    grid = np.meshgrid(x, y)
    return np.stack([axis.reshape(-1) for axis in grid], axis=1)
