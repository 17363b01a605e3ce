"""The IDX format of MNIST and Fashion-MNIST (http://yann.lecun.com/exdb/mnist), plain or gzipped."""

from __future__ import annotations

import gzip
import zlib
from pathlib import Path

import numpy as np

from mcuprune.errors import UsageError
from mcuprune.tasks.splits import Splits, to_split

FILES = {
    part: (f"{prefix}-images-idx3-ubyte", f"{prefix}-labels-idx1-ubyte")
    for part, prefix in (("train", "train"), ("test", "t10k"))
}
UNSIGNED_BYTE = 0x08


def is_idx_folder(folder: Path) -> bool:
    return _locate(folder, FILES["train"][0]) is not None


def load_idx_folder(folder: Path) -> Splits:
    """Training and test images (N, height, width, 1) of the four files that the sets are published in."""
    splits = {}
    for part, names in FILES.items():
        images, labels = (_read_named(folder, name) for name in names)
        splits[part] = to_split(images, labels, f"{folder}: {part}")
    return Splits(**splits)


def read_idx(path: Path) -> np.ndarray:
    """The uint8 array that a file holds; UsageError for a file that is cut short or of another format."""
    try:
        data = gzip.decompress(path.read_bytes()) if path.suffix == ".gz" else path.read_bytes()
    except (OSError, EOFError, zlib.error) as error:
        raise UsageError(f"'{path}' cannot be read ({error}); fetch it again") from None
    if len(data) < 4 or data[:2] != b"\0\0" or data[2] != UNSIGNED_BYTE:
        raise UsageError(f"'{path}' is no IDX file of bytes; fetch it again")
    rank = data[3]
    shape = tuple(int.from_bytes(data[4 + 4 * i : 8 + 4 * i], "big") for i in range(rank))
    found, wanted = len(data) - 4 - 4 * rank, int(np.prod(shape))
    if found != wanted:
        raise UsageError(f"'{path}' holds {found} bytes, its header promises {wanted}; fetch it again")
    return np.frombuffer(data, np.uint8, wanted, 4 + 4 * rank).reshape(shape)


def _read_named(folder: Path, name: str) -> np.ndarray:
    path = _locate(folder, name)
    if path is None:
        raise UsageError(f"'{folder}' lacks {name}.gz; the set consists of four files")
    return read_idx(path)


def _locate(folder: Path, name: str) -> Path | None:
    dotted = name.replace("-idx", ".idx")  # how some mirrors spell it
    candidates = (folder / f"{stem}{end}" for stem in (name, dotted) for end in (".gz", ""))
    return next((path for path in candidates if path.is_file()), None)
