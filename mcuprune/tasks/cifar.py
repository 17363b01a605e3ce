"""The binary version of CIFAR-10 (https://www.cs.toronto.edu/~kriz/cifar.html)."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from mcuprune.errors import UsageError
from mcuprune.tasks.splits import Splits, to_split
from mcuprune.tasks.task import Split

TRAIN = tuple(f"data_batch_{i}.bin" for i in range(1, 6))
TEST = "test_batch.bin"
SIDE, CLASSES = 32, 10
RECORD = 1 + 3 * SIDE * SIDE  # label, then the red, green and blue planes


def is_cifar_folder(folder: Path) -> bool:
    return (folder / TRAIN[0]).is_file()


def load_cifar_folder(folder: Path) -> Splits:
    """Training and test images (N, 32, 32, 3)."""
    return Splits(train=_read(folder, TRAIN), test=_read(folder, (TEST,)))


def _read(folder: Path, names: tuple[str, ...]) -> Split:
    records = np.concatenate([_records(folder / name) for name in names])
    images = records[:, 1:].reshape(-1, 3, SIDE, SIDE).transpose(0, 2, 3, 1)
    return to_split(images, records[:, 0], str(folder))


def _records(path: Path) -> np.ndarray:
    try:
        data = np.frombuffer(path.read_bytes(), np.uint8)
    except OSError as error:
        raise UsageError(f"'{path}' cannot be read ({error.strerror}); the set has six .bin files") from None
    if len(data) == 0 or len(data) % RECORD:
        raise UsageError(
            f"'{path}': {len(data)} bytes are no whole number of images ({RECORD}); fetch it again"
        )
    records = data.reshape(-1, RECORD)
    if records[:, 0].max() >= CLASSES:
        bad = int(np.argmax(records[:, 0] >= CLASSES))
        label = records[bad, 0]
        raise UsageError(f"'{path}': image {bad} has label {label}, not 0..{CLASSES - 1}; fetch it again")
    return records
