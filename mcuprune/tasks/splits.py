"""Arrays as people keep them, turned into what a task needs: float32 NHWC inputs and int64 class numbers."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from mcuprune.errors import UsageError
from mcuprune.tasks.task import Split, Task, check_split, classification, hold_out

TEST_SHARE = 0.2  # of the samples, where a source comes without a test set
PARTS = {"": "train", "_train": "train", "_test": "test"}
PARTS |= dict.fromkeys(("_val", "_valid", "_validation"), "validation")
KEYS = "x and y, or x_train, y_train, x_test, y_test (and x_val, y_val)"


@dataclass(frozen=True)
class Splits:
    """Raw data of a source; ``validation`` and ``test`` are split off ``train`` where they are None."""

    train: Split
    validation: Split | None = None
    test: Split | None = None


def to_inputs(values: object, where: str) -> np.ndarray:
    """(N, height, width, channels) or (N, features) float32; bytes become 0..1."""
    x = _array(values, f"{where}: inputs")
    if x.dtype == np.uint8:
        x = x.astype(np.float32) / np.float32(255.0)
    elif not np.issubdtype(x.dtype, np.floating):
        raise UsageError(f"{where}: inputs are {x.dtype}; give uint8 (pixels) or float arrays")
    if x.ndim not in (2, 3, 4):
        raise UsageError(
            f"{where}: inputs have shape {x.shape}; give (samples, height, width, channels), "
            "(samples, height, width) or (samples, features)"
        )
    if x.ndim == 3:
        x = x[..., None]
    if 0 in x.shape[1:]:
        raise UsageError(f"{where}: inputs have shape {x.shape}: samples without values; give at least one")
    if x.ndim == 4 and x.shape[1] in (1, 3) and x.shape[2] == x.shape[3] > 4:
        raise UsageError(
            f"{where}: inputs have shape {x.shape}, channels first; give x.transpose(0, 2, 3, 1)"
        )
    return np.ascontiguousarray(x, dtype=np.float32)


def _array(values: object, what: str) -> np.ndarray:
    try:
        return np.asarray(values)
    except (TypeError, ValueError, RuntimeError) as error:  # ragged lists, tensors with gradients
        raise UsageError(f"{what} are no array ({error}); give numpy arrays") from None


def to_labels(values: object, where: str) -> np.ndarray:
    """(N,) int64 from integers of shape (N,) or (N, 1)."""
    y = _array(values, f"{where}: labels")
    if y.ndim == 2 and y.shape[1] == 1:
        y = y[:, 0]
    if y.ndim != 1 or not (np.issubdtype(y.dtype, np.integer) or y.dtype == np.bool_):
        raise UsageError(
            f"{where}: labels are {y.dtype} of shape {y.shape}; give one integer class number per sample"
        )
    return y.astype(np.int64)


def to_split(x: object, y: object, where: str) -> Split:
    return Split(to_inputs(x, where), to_labels(y, where))


def from_mapping(arrays: Mapping[str, object], where: str) -> Splits:
    """Splits from named arrays, see :data:`KEYS`; names in any case."""
    found = {str(name).lower(): values for name, values in arrays.items()}
    for name in found:
        if name[:2] == "x_" and name[1:] not in PARTS and f"y{name[1:]}" in found:
            raise UsageError(f"{where}: a part '{name[2:]}' is not known; give {KEYS}")
    parts: dict[str, Split] = {}
    for suffix, part in PARTS.items():
        present = [name for name in (f"x{suffix}", f"y{suffix}") if name in found]
        if len(present) == 1:
            raise UsageError(f"{where}: '{present[0]}' without its partner; give {KEYS}")
        if present:
            if part in parts:
                raise UsageError(f"{where}: {part} data are given twice; give {KEYS}")
            parts[part] = to_split(found[f"x{suffix}"], found[f"y{suffix}"], f"{where}: {part}")
    if "train" not in parts:
        raise UsageError(f"{where}: no training data among the arrays {sorted(found)}; give {KEYS}")
    return Splits(**parts)


def with_test(splits: Splits, seed: int, where: str) -> Splits:
    """The same with a test set: if there is none, a seeded, stratified share of the training samples."""
    if splits.test is not None:
        return splits
    rest, held = hold_out(splits.train, TEST_SHARE, seed)
    return Splits(rest, splits.validation, held)


def shuffled(split: Split, seed: int) -> Split:
    """The samples in another order: the first few of a sorted set would all be of one class."""
    order = np.random.default_rng((seed, len(split))).permutation(len(split))
    return Split(split.x[order], split.y[order])


def check(splits: Splits, where: str) -> None:
    """Raises UsageError, before anything is split off, for data that cannot train a classifier.

    Besides what :func:`~mcuprune.tasks.task.check_split` finds: a class number that no training sample has.
    """
    train = splits.train
    if len(train.y) == 0:
        raise UsageError(f"{where}: no training samples; give at least two per class")
    classes = 1 + int(train.y.max())
    parts = {"train": train, "validation": splits.validation, "test": splits.test}
    for name, split in parts.items():
        if split is not None:
            check_split(split, train.x.shape[1:], classes, f"{where}: {name}")
    present = np.unique(train.y)
    if len(present) == 1:
        raise UsageError(
            f"{where}: all {len(train)} training samples are of class {present[0]}; give at least two classes"
        )
    if len(present) < classes:  # labels are not negative
        missing = int(np.flatnonzero(np.append(present, -1) != np.arange(len(present) + 1))[0])
        raise UsageError(
            f"{where}: no training sample is of class {missing}, yet labels go up to {classes - 1}; "
            "number the classes 0, 1, 2, ... without gaps"
        )


def make_task(name: str, splits: Splits, seed: int, title: str = "", normalize: bool = True) -> Task:
    """A classification task from raw splits; test and validation sets are split off where there are none."""
    check(splits, name)
    whole = with_test(splits, seed, name)
    assert whole.test is not None
    test = shuffled(whole.test, seed)
    return classification(
        name, whole.train, test, validation=whole.validation, title=title, seed=seed, normalize=normalize
    )
