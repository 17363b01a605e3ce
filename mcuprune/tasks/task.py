"""What a network is trained for: data, loss and metric."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np
import torch
import torch.nn.functional as F

from mcuprune.errors import UsageError
from mcuprune.quantize.observers import drawn
from mcuprune.signal.mfcc import Mfcc
from mcuprune.training.augment import Augment

Loss = Callable[[torch.Tensor, torch.Tensor], torch.Tensor]

PARTS = ("train", "validation", "test")
LOSSES: dict[str, Loss] = {
    "cross_entropy": F.cross_entropy,
    "mse": F.mse_loss,
}


@dataclass(frozen=True)
class Split:
    """``x`` (N, \\*input_shape) float32 as the network sees it; ``y`` (N,) int64 labels or (N, K) float32."""

    x: np.ndarray
    y: np.ndarray

    def __len__(self) -> int:
        return len(self.x)


@dataclass(frozen=True)
class FrontEnd:
    """How firmware gets the network's input from audio: coefficient j is ``(c - mean[j]) / std[j]``."""

    spec: Mfcc
    mean: tuple[float, ...]
    std: tuple[float, ...]


@dataclass(frozen=True)
class Task:
    """Arrays and how to judge outputs on them.

    The network's input is ``(raw - mean) / std`` with ``raw`` as stored in the source (images: 0 to 1), so
    that whoever feeds the C code can repeat it; ``mean`` and ``std`` hold one value, or one per channel.
    ``classes`` is 0 where the targets are signals.  ``data_kind`` says in plain words what the data are.
    With ``front_end`` the firmware takes audio: the generated package computes the inputs from it.
    ``augment`` changes training batches.  ``labels`` are the names of the classes, where they are known.
    A built-in task has a network and a recipe of its own by its name.
    """

    name: str
    title: str
    input_shape: tuple[int, ...]
    classes: int
    loss: str | Loss
    metric: str
    train: Split
    validation: Split
    test: Split
    mean: tuple[float, ...] = (0.0,)
    std: tuple[float, ...] = (1.0,)
    data_kind: str = "real data"
    front_end: FrontEnd | None = None
    augment: Augment | None = None
    labels: tuple[str, ...] = ()
    is_built_in: bool = False

    @property
    def loss_function(self) -> Loss:
        """``loss(outputs, targets) -> scalar tensor``."""
        return LOSSES[self.loss] if isinstance(self.loss, str) else self.loss

    @property
    def outputs(self) -> int:
        """Length of the network's output vector."""
        return self.classes or int(self.train.y.shape[1])

    @property
    def has_images(self) -> bool:
        """Whether inputs are images: not vectors, sequences, or what a front end makes of audio."""
        return len(self.input_shape) == 3 and self.input_shape[1] > 1 and self.front_end is None

    @property
    def chance(self) -> float:
        """What an output that ignores its input scores: the largest class's share, half an area, 0 dB."""
        if not self.classes:
            return 0.5 if self.metric == "auc" else 0.0
        return float(np.bincount(self.test.y, minlength=self.classes).max() / len(self.test))

    def score(self, outputs: np.ndarray, targets: np.ndarray) -> float:
        """The metric of a whole split: accuracy or area in 0..1, or PSNR in dB; larger is better."""
        return METRICS[self.metric](outputs, targets)

    def calibration(self, count: int = 256) -> np.ndarray:
        """At most ``count`` training inputs, always the same ones."""
        return self.train.x[drawn(len(self.train), count)]


def accuracy(outputs: np.ndarray, labels: np.ndarray) -> float:
    """Share of rows of ``outputs`` (N, classes) whose largest value stands at the label."""
    return float(np.mean(np.argmax(outputs, axis=1) == labels))


def psnr(outputs: np.ndarray, targets: np.ndarray, peak: float = 2.0) -> float:
    """Peak signal-to-noise ratio in dB, at most 100; signals span -1..1, so the peak is 2.

    Outputs are clipped to the signal's range first, as a decoder does when it writes pixels.
    """
    error = np.mean((np.clip(outputs, -1.0, 1.0) - targets) ** 2, dtype=np.float64)
    return float(min(100.0, 10.0 * np.log10(peak**2 / max(error, 1e-30))))


def auc(outputs: np.ndarray, targets: np.ndarray) -> float:
    """Area under the curve of telling anomalous recordings from normal ones by their mean squared error.

    ``targets`` (N, K + 1) are the values that ``outputs`` (N, K) should have, and the number of the recording
    that the sample belongs to, negative if it is anomalous.  Half where only one kind is there.
    """
    error = np.mean((outputs - targets[:, : outputs.shape[1]]) ** 2, axis=1, dtype=np.float64)
    numbers, place = np.unique(targets[:, -1], return_inverse=True)
    mean = np.bincount(place, error) / np.bincount(place)
    normal, anomalous = mean[numbers > 0], mean[numbers < 0]
    if not len(normal) or not len(anomalous):
        return 0.5
    above = anomalous[:, None] - normal[None]
    return float(np.mean((above > 0) + 0.5 * (above == 0)))


METRICS: dict[str, Callable[[np.ndarray, np.ndarray], float]] = {
    "accuracy": accuracy,
    "auc": auc,
    "psnr": psnr,
}


def classification(
    name: str,
    train: Split,
    test: Split,
    *,
    validation: Split | None = None,
    title: str = "",
    seed: int = 0,
    normalize: bool = True,
    data_kind: str = "real data",
) -> Task:
    """A checked classification task from raw arrays; ``validation`` is split off ``train`` if not given.

    Raises UsageError when the data cannot be used, see :func:`check_split`.
    """
    classes = 1 + int(max(_largest_label(train, f"{name}: train"), _largest_label(test, f"{name}: test")))
    shape = train.x.shape[1:]
    for label, split in (("train", train), ("validation", validation), ("test", test)):
        if split is not None:
            check_split(split, shape, classes, f"{name}: {label}")
    if validation is None:
        train, validation = hold_out(train, 0.1, seed)
    if classes < 2 or len(np.unique(train.y)) < 2:
        raise UsageError(f"{name}: all training samples have one class; a classifier needs at least two")
    mean, std = channel_statistics(train.x) if normalize else ((0.0,), (1.0,))
    train, validation, test = (
        replace(s, x=standardize(s.x, mean, std), y=s.y.astype(np.int64)) for s in (train, validation, test)
    )
    return Task(
        name=name,
        title=title or name,
        input_shape=tuple(int(size) for size in shape),
        classes=classes,
        loss="cross_entropy",
        metric="accuracy",
        train=train,
        validation=validation,
        test=test,
        mean=mean,
        std=std,
        data_kind=data_kind,
    )


def channel_statistics(x: np.ndarray) -> tuple[tuple[float, ...], tuple[float, ...]]:
    """Mean and standard deviation per channel (last axis) of images; of all values for feature vectors.

    Rounded to what a reader can copy; the standard deviation of a constant channel counts as 1.
    """
    axes = tuple(range(x.ndim - 1)) if x.ndim == 4 else None
    mean = np.atleast_1d(x.mean(axis=axes, dtype=np.float64))
    parts = np.array_split(x, math.ceil(x.size / 2**20))  # float64 copies of a whole set would take gigabytes
    squares = sum(np.square(part - mean).sum(axis=axes) for part in parts)
    std = np.atleast_1d(np.sqrt(squares * len(mean) / x.size))
    std = np.where(std > 1e-6 * np.abs(mean), std, 1.0)  # otherwise constant, but for float32 rounding
    digits = [5 - math.floor(math.log10(s)) for s in std]  # six significant ones of the standard deviation
    return tuple(map(round, mean.tolist(), digits)), tuple(map(round, std.tolist(), digits))


def standardize(x: np.ndarray, mean: tuple[float, ...], std: tuple[float, ...]) -> np.ndarray:
    return (x - np.asarray(mean, np.float32)) / np.asarray(std, np.float32)


def hold_out(split: Split, share: float, seed: int) -> tuple[Split, Split]:
    """``(rest, held out)``: a seeded share of every class, at least one sample of each class that has two."""
    rng = np.random.default_rng(seed)
    held = np.zeros(len(split), bool)
    for label in np.unique(split.y):
        members = rng.permutation(np.flatnonzero(split.y == label))
        count = min(max(1, round(share * len(members))), len(members) - 1)
        held[members[:count]] = True
    if not held.any():
        raise UsageError("too few training samples to hold any out: at least one class needs two")
    return Split(split.x[~held], split.y[~held]), Split(split.x[held], split.y[held])


def check_task(task: Task) -> Task:
    """``task`` itself, labels as int64, if it can be trained on.

    Raises UsageError for an unknown loss or metric, and for the data that :func:`check_split` refuses.
    """
    if isinstance(task.loss, str) and task.loss not in LOSSES:
        raise UsageError(f"{task.name}: unknown loss '{task.loss}'; use {', '.join(LOSSES)}, or a function")
    if task.metric not in METRICS:
        raise UsageError(f"{task.name}: unknown metric '{task.metric}'; use {' or '.join(METRICS)}")
    for label, split in (("train", task.train), ("validation", task.validation), ("test", task.test)):
        where = f"{task.name}: {label}"
        if task.classes:
            check_split(split, task.input_shape, task.classes, where)
        else:
            check_inputs(split, task.input_shape, where)
            if split.y.ndim != 2 or split.y.dtype != np.float32 or not np.isfinite(split.y).all():
                kind = f"{split.y.dtype} of shape {split.y.shape}"
                raise UsageError(f"{where}: targets are {kind}; give finite float32 values (N, K)")
    if not task.classes or all(s.y.dtype == np.int64 for s in (task.train, task.validation, task.test)):
        return task
    wide = {k: replace(s, y=s.y.astype(np.int64)) for k in PARTS if (s := getattr(task, k))}
    return replace(task, **wide)


def check_split(split: Split, shape: tuple[int, ...], classes: int, where: str) -> None:
    """UsageError, naming the sample, for empty, mis-shaped, non-finite or mislabelled data."""
    check_inputs(split, shape, where)
    y = split.y
    if y.ndim != 1 or not np.issubdtype(y.dtype, np.integer):
        raise UsageError(
            f"{where}: labels are {y.dtype} of shape {y.shape}; give one integer class number per sample"
        )
    if y.min() < 0 or y.max() >= classes:
        bad = int(np.flatnonzero((y < 0) | (y >= classes))[0])
        raise UsageError(
            f"{where}: label {int(y[bad])} of sample {bad} is outside 0..{classes - 1}; "
            "labels are class numbers from 0"
        )


def check_inputs(split: Split, shape: tuple[int, ...], where: str) -> None:
    """The part of :func:`check_split` that does not depend on what the targets are."""
    x, y = split.x, split.y
    if len(x) == 0:
        raise UsageError(f"{where}: no samples; give a data set with at least one sample per class")
    if len(x) != len(y):
        raise UsageError(f"{where}: {len(x)} inputs but {len(y)} labels; they must pair up")
    if x.dtype != np.float32:
        raise UsageError(f"{where}: inputs are {x.dtype}; give float or uint8 arrays")
    if x.shape[1:] != shape:
        raise UsageError(f"{where}: samples have shape {x.shape[1:]}, expected {shape}; make them equal")
    if x.ndim not in (2, 4):
        raise UsageError(
            f"{where}: samples have shape {x.shape[1:]}; give (height, width, channels) or (features,)"
        )
    finite = np.isfinite(x).reshape(len(x), -1).all(axis=1)
    if not finite.all():
        bad = np.flatnonzero(~finite)
        raise UsageError(
            f"{where}: {len(bad)} samples contain NaN or infinity, the first is sample {bad[0]}; "
            "remove or repair them"
        )


def _largest_label(split: Split, where: str) -> int:
    if len(split.y) == 0:
        raise UsageError(f"{where}: no samples; give a data set with at least one sample per class")
    if not np.issubdtype(split.y.dtype, np.integer):
        raise UsageError(f"{where}: labels are {split.y.dtype}; give one integer class number per sample")
    return int(split.y.max())
