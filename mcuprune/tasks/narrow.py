"""Smaller inputs of the same task: images of a lower resolution, some of the channels or columns."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import numpy as np

from mcuprune.errors import UsageError
from mcuprune.tasks.movements import Moved
from mcuprune.tasks.task import FrontEnd, Split, Task
from mcuprune.tasks.voices import cepstral

AXES = {"channels": -1, "columns": 1}  # of an input without the batch


def resized(task: Task, height: int) -> Task:
    """The task on images of ``height`` rows, the width in proportion, each pixel a mean over its area.

    UsageError for inputs that are no images, and for a resolution that is not lower.
    """
    if not task.has_images:
        raise UsageError(
            f"--resolution {height}: the inputs of '{task.name}' are no images; leave it out, or choose "
            "among them with --inputs"
        )
    rows, columns, channels = task.input_shape
    width = round(columns * height / rows)
    if not 1 <= height <= rows or width < 1:
        raise UsageError(
            f"--resolution {height}: images of '{task.name}' are {rows}x{columns}; give 1 to {rows}"
        )
    down, across = averages(rows, height), averages(columns, width)

    def work(x: np.ndarray) -> np.ndarray:
        parts = [np.einsum("ij,njkc,lk->nilc", down, part, across, optimize=True) for part in pieces(x)]
        return np.ascontiguousarray(np.concatenate(parts), dtype=np.float32)

    return _changed(task, work, (height, width, channels))


def averages(size: int, smaller: int) -> np.ndarray:
    """(smaller, size) float32: the share of every old pixel in every new one; each row sums to 1."""
    ends = np.arange(smaller + 1) * size / smaller
    pixels = np.arange(size)
    low, high = np.maximum(ends[:-1, None], pixels), np.minimum(ends[1:, None], pixels + 1)
    return np.asarray(np.maximum(0.0, high - low) * smaller / size, np.float32)


def pieces(x: np.ndarray, size: int = 4096) -> list[np.ndarray]:
    """Some samples at a time: products of a whole set would take its memory again."""
    return [x[start : start + size] for start in range(0, len(x), size)]


def picked(task: Task, axis: str, kept: tuple[int, ...]) -> Task:
    """The task on the ``kept`` channels or columns alone, in that order."""
    place = AXES[axis]
    shape = list(task.input_shape)
    shape[place] = len(kept)
    mean, std = ((of_kept(v, kept) if axis == "channels" else v) for v in (task.mean, task.std))
    front_end = None if task.front_end is None else heard(task.front_end, kept)
    augment = apart(task).augment if front_end is None or task.augment is None else cepstral(front_end)
    if isinstance(augment, Moved):
        augment = replace(augment, mean=mean, std=std)
    behind = place + 1 if place >= 0 else place  # the batch comes first
    small = _changed(task, lambda x: np.ascontiguousarray(x.take(kept, behind)), tuple(shape))
    return replace(small, mean=mean, std=std, front_end=front_end, augment=augment)


def apart(task: Task) -> Task:
    """The task whose training changes no channel by another, as turning a device does."""
    if not isinstance(task.augment, Moved):
        return task
    return replace(task, augment=replace(task.augment, turned=None))


def of_kept(values: tuple[float, ...], kept: tuple[int, ...]) -> tuple[float, ...]:
    """Of one value per channel those that are kept; one value for all stays."""
    return values if len(values) == 1 else tuple(values[i] for i in kept)


def heard(front_end: FrontEnd, kept: tuple[int, ...]) -> FrontEnd:
    """A front end that computes only the kept coefficients."""
    rows = tuple(front_end.spec.rows[i] for i in kept)
    spec = replace(front_end.spec, coefficients=len(rows), kept=rows)
    return FrontEnd(spec, of_kept(front_end.mean, kept), of_kept(front_end.std, kept))


def check_choice(task: Task, axis: str, count: int) -> None:
    """UsageError where the axis is not there, nothing is left to choose, or a choice makes no sense."""
    if not task.classes:
        raise UsageError(
            f"--inputs {count}: the targets of '{task.name}' are signals; "
            "inputs are chosen for classifiers only"
        )
    if axis == "columns" and len(task.input_shape) != 3:
        raise UsageError(
            f"--input-axis columns: inputs of '{task.name}' have shape {task.input_shape}, no columns; "
            "use --input-axis channels"
        )
    if axis == "channels" and task.front_end is not None:
        raise UsageError(
            f"--inputs {count}: '{task.name}' has one channel; choose coefficients: --input-axis columns"
        )
    if axis == "columns" and task.augment is not None and task.has_images:
        raise UsageError(
            f"--input-axis columns: columns of '{task.name}' are moved about in training; "
            "lower --resolution instead"
        )
    size = task.input_shape[AXES[axis]]
    if not 1 <= count <= size:
        raise UsageError(f"--inputs {count}: '{task.name}' has {size} {axis}; give 1 to {size}")


def _changed(task: Task, work: Callable[[np.ndarray], np.ndarray], shape: tuple[int, ...]) -> Task:
    train, validation, test = (Split(work(s.x), s.y) for s in (task.train, task.validation, task.test))
    return replace(task, train=train, validation=validation, test=test, input_shape=shape)
