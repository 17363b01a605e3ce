"""Small data sets written in the formats that people have them in."""

from __future__ import annotations

import gzip
from pathlib import Path

import numpy as np
from PIL import Image


def samples(
    count: int, shape: tuple[int, ...], classes: int = 3, seed: int = 0
) -> tuple[np.ndarray, np.ndarray]:
    """uint8 images whose brightness follows their class, and labels that contain every class."""
    rng = np.random.default_rng(seed)
    labels = np.arange(count) % classes
    pixels = rng.integers(0, 60, (count, *shape)) + (labels * 60).reshape(-1, *[1] * len(shape))
    return pixels.astype(np.uint8), labels.astype(np.uint8)


def idx_bytes(array: np.ndarray) -> bytes:
    sizes = b"".join(size.to_bytes(4, "big") for size in array.shape)
    return bytes([0, 0, 8, array.ndim]) + sizes + array.tobytes()


def write_idx(folder: Path, zipped: bool = True, train: int = 30, test: int = 12) -> Path:
    folder.mkdir(parents=True)
    for prefix, count, seed in (("train", train, 0), ("t10k", test, 1)):
        images, labels = samples(count, (6, 5), seed=seed)
        for name, array in (("images-idx3-ubyte", images), ("labels-idx1-ubyte", labels)):
            data = idx_bytes(array)
            path = folder / f"{prefix}-{name}{'.gz' if zipped else ''}"
            path.write_bytes(gzip.compress(data) if zipped else data)
    return folder


def write_cifar(folder: Path, per_file: int = 12) -> Path:
    folder.mkdir(parents=True)
    for index, name in enumerate([*(f"data_batch_{i}" for i in range(1, 6)), "test_batch"]):
        images, labels = samples(per_file, (3, 32, 32), seed=index)
        (folder / f"{name}.bin").write_bytes(
            np.concatenate([labels[:, None], images.reshape(per_file, -1)], axis=1).tobytes()
        )
    return folder


def write_images(
    folder: Path,
    classes: tuple[str, ...] = ("cat", "dog"),
    count: int = 10,
    suffix: str = "png",
    seed: int = 0,
) -> Path:
    """Images of 7 pixels width, 5 height, in colour, class by class."""
    pixels, _ = samples(count * len(classes), (5, 7, 3), seed=seed)
    for number, name in enumerate(classes):
        (folder / name).mkdir(parents=True)
        for index in range(count):
            image = Image.fromarray(pixels[number * count + index] // 2 + np.uint8(100 * number))
            image.save(folder / name / f"{index:02d}.{suffix}")
    return folder
