"""Inputs as a trained model takes them, to measure ranges on, and labels, if any, to judge it by."""

from __future__ import annotations

import math
import zipfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from mcuprune.errors import UsageError
from mcuprune.tasks.custom import load_value
from mcuprune.tasks.load import read_folder
from mcuprune.tasks.splits import Splits, to_labels
from mcuprune.tasks.task import Task

FORMS = "FILE.npz (x, and y if there are labels), FILE.npy, FILE.py:FUNCTION or a folder of images"
CALIBRATION_KEYS, EVALUATION_KEYS = ("x_train", "x", "x_test"), ("x_test", "x", "x_train")


@dataclass(frozen=True)
class Samples:
    """``calibration`` (N, ...) to measure ranges on; ``x`` (M, ...) and ``labels`` (M,) int64 to judge by."""

    calibration: np.ndarray
    x: np.ndarray
    labels: np.ndarray | None = None


def load_samples(data: str, shape: tuple[int, ...]) -> Samples:
    """The samples at ``data``, each of them brought to ``shape``, as float32.

    Nothing is normalized: arrays and the results of functions hold what the model takes; only bytes (pixels)
    become 0..1, as everywhere.  Maps may be channels first where their sizes leave no doubt.  Raises
    UsageError, saying what is wrong and where.
    """
    found = _parts(data)
    calibration, x = (_to_shape(part, shape, data) for part in (found.calibration, found.x))
    if found.labels is not None and len(found.labels) != len(x):
        raise UsageError(f"'{data}': {len(x)} inputs but {len(found.labels)} labels; they must pair up")
    return Samples(calibration, x, found.labels)


def _parts(data: str) -> Samples:
    file, _, function = data.rpartition(":")
    if file.endswith(".py"):
        return _from_object(load_value(Path(file), function), data)
    path = Path(data)
    if path.is_dir():
        return _from_object(read_folder(path)[0], data)
    if path.suffix not in (".npz", ".npy") or not path.is_file():
        raise UsageError(f"samples '{data}' do not exist or have no known form; give {FORMS}")
    try:
        if path.suffix == ".npy":
            return _from_object(np.load(path, allow_pickle=False), data)
        with np.load(path, allow_pickle=False) as archive:
            return _from_object({name: archive[name] for name in archive.files}, data)
    except (OSError, TypeError, ValueError, EOFError, AttributeError, zipfile.BadZipFile) as error:
        raise UsageError(f"'{data}' cannot be read ({error}); write it with numpy.savez") from None


def _from_object(found: Any, where: str) -> Samples:
    """Samples from an array, a pair, a mapping of named arrays, Splits or a Task."""
    if isinstance(found, Task | Splits):
        held = found.test or found.validation or found.train
        return _made(found.train.x, held.x, held.y, where)
    if isinstance(found, Mapping):
        named = {str(key).lower(): value for key, value in found.items()}
        first = next((key for key in CALIBRATION_KEYS if key in named), None)
        last = next((key for key in EVALUATION_KEYS if key in named), None)
        if first is None or last is None:
            raise UsageError(f"'{where}': no 'x' or 'x_train' among the arrays {sorted(named)}; name one so")
        return _made(named[first], named[last], named.get(last.replace("x", "y", 1)), where)
    if isinstance(found, tuple | list) and len(found) in (2, 4):
        return _made(found[0], found[-2], found[-1], where)
    if isinstance(found, np.ndarray):
        return _made(found, found, None, where)
    raise UsageError(f"'{where}' gives a {type(found).__name__}; return inputs, or (inputs, labels)")


def _made(calibration: Any, x: Any, y: Any, where: str) -> Samples:
    counted = y is not None and np.asarray(y).dtype.kind in "iub"  # other targets are no class numbers
    labels = to_labels(y, where) if counted else None
    return Samples(np.asarray(calibration), np.asarray(x), labels)


def _alike(sizes: tuple[int, ...], shape: tuple[int, ...]) -> bool:
    """Whether elements need no reordering: the same sizes but for ones, or a plain row of all of them."""
    plain = tuple(n for n in sizes if n != 1)
    return plain == tuple(n for n in shape if n != 1) or sizes == (math.prod(shape),)


def _to_shape(values: np.ndarray, shape: tuple[int, ...], where: str) -> np.ndarray:
    if values.dtype == np.uint8:
        values = values.astype(np.float32) / np.float32(255.0)
    elif values.dtype.kind not in "fi":
        raise UsageError(f"'{where}': inputs are {values.dtype}; give numbers")
    sizes, found = values.shape[1:], values.astype(np.float32)
    if values.ndim == 0 or len(values) == 0:
        raise UsageError(f"'{where}': no samples; give at least one")
    if len(shape) == 3 and sizes == (shape[2], *shape[:2]) and sizes != shape:
        found = found.transpose(0, 2, 3, 1)
    elif not _alike(sizes, shape):
        raise UsageError(f"'{where}': samples have shape {sizes}, the model reads {shape}")
    if not np.isfinite(found).all():
        raise UsageError(f"'{where}': samples contain NaN or infinity; remove or repair them")
    return np.ascontiguousarray(found.reshape(len(found), *shape))
