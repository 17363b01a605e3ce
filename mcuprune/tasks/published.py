"""Published data sets that a task can be named after: where they lie, how they are recognised and read."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path

from mcuprune.budget import did_you_mean
from mcuprune.errors import UsageError
from mcuprune.tasks import anomaly, motion, spoken
from mcuprune.tasks.cifar import is_cifar_folder, load_cifar_folder
from mcuprune.tasks.download import how_to_get
from mcuprune.tasks.idx import is_idx_folder, load_idx_folder
from mcuprune.tasks.splits import Splits, make_task
from mcuprune.tasks.task import Task
from mcuprune.training.augment import Augment, crop_and_flip

VARIABLE = "MCUPRUNE_DATA"  # environment variable: the folder that holds published data sets


@dataclass(frozen=True)
class Published:
    """``load(folder, fold, seed, title)``; ``places`` are sub-folders where the files usually are.

    ``folds`` names the parts of cross-validation: ``TASK/FOLD`` tests that part and trains on the others.
    """

    title: str
    places: tuple[str, ...]
    holds: Callable[[Path], bool]
    load: Callable[[Path, str | None, int, str], Task]
    folds: tuple[str, ...] = ()


def _images(
    name: str, read: Callable[[Path], Splits], augment: Augment | None = None
) -> Callable[[Path, str | None, int, str], Task]:
    def load(folder: Path, fold: str | None, seed: int, title: str) -> Task:
        return replace(make_task(name, read(folder), seed, title), augment=augment)

    return load


def _contains(*patterns: str) -> Callable[[Path], bool]:
    return lambda folder: any(next(folder.glob(pattern), None) is not None for pattern in patterns)


PUBLISHED: Mapping[str, Published] = {
    "mnist": Published(
        "MNIST handwritten digits",
        ("mnist", "MNIST/raw", "MNIST"),
        is_idx_folder,
        _images("mnist", load_idx_folder),
    ),
    "fashion-mnist": Published(
        "Fashion-MNIST clothes",
        ("fashion-mnist", "FashionMNIST/raw", "fashion_mnist"),
        is_idx_folder,
        _images("fashion-mnist", load_idx_folder),
    ),
    "cifar10": Published(
        "CIFAR-10 photographs",
        ("cifar-10-batches-bin", "cifar10", "cifar-10"),
        is_cifar_folder,
        _images("cifar10", load_cifar_folder, crop_and_flip),
    ),
    "spoken-digits": Published(
        "Free Spoken Digit Dataset",
        ("free-spoken-digit-dataset", "fsdd", "recordings"),
        _contains(spoken.PATTERN, f"recordings/{spoken.PATTERN}"),
        spoken.load_spoken_digits,
        spoken.SPEAKERS,
    ),
    "har": Published(
        "Human activities by accelerometer",
        ("har_st", "HAR/dataset", "HAR", "har"),
        _contains(motion.HAR_PATTERN),
        motion.load_har,
        tuple(map(str, range(motion.FOLDS))),
    ),
    "wand": Published(
        "Digits drawn with a wand",
        ("magic_wand_digit_data", "magic_wand_digits", "wand"),
        _contains(motion.WAND_PATTERN),
        motion.load_wand,
        tuple(map(str, range(motion.FOLDS))),
    ),
    "anomaly": Published(
        "Sounds of toy cars, sane and broken",
        ("ad01", "anomaly", "ToyCar"),
        _contains(anomaly.PATTERN),
        anomaly.load_anomaly,
    ),
}


def load_published(name: str, fold: str | None, data: str | None, seed: int, voices: bool = True) -> Task:
    """The task of a published set; UsageError where it does not lie, or has no such fold.

    ``voices``: training changes audio as other speakers would.
    """
    known = PUBLISHED[name]
    if fold is not None and fold not in known.folds:
        folds = f"its folds are {', '.join(known.folds)}" if known.folds else "it has no folds"
        raise UsageError(f"task '{name}/{fold}': {folds}{did_you_mean(fold, known.folds)}")
    folder = find_folder(name, data)
    if name == spoken.NAME and not voices:
        return spoken.load_spoken_digits(folder, fold, seed, known.title, voices=False)
    return known.load(folder, fold, seed, known.title)


def find_folder(name: str, data: str | None) -> Path:
    """Where a published set lies: one of its usual places below ``data`` or $MCUPRUNE_DATA, or ``data``."""
    root = data or os.environ.get(VARIABLE)
    if not root:
        raise UsageError(
            f"task '{name}' is read from files: {how_to_get(name)}, and set {VARIABLE} (or --data) to the "
            f"folder above '{PUBLISHED[name].places[0]}/'"
        )
    places = PUBLISHED[name].places
    candidates = [*(Path(root) / place for place in places), *([Path(root)] if data else [])]
    for folder in candidates:
        if PUBLISHED[name].holds(folder):
            return folder
    looked = ", ".join(f"'{folder}'" for folder in candidates)
    raise UsageError(f"task '{name}': no data in {looked}; {how_to_get(name)}, and unpack it there")
