"""Motion as others would make it: recordings are few, devices sit differently, people have their own pace.

Sequences (N, time, 1, axes) are changed anew in every batch (Um et al. 2017, arXiv 1706.00527, who found
rotation to help most).
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from mcuprune.tasks.task import Task
from mcuprune.tasks.warp import read_at, uneven

TURN = math.pi  # largest angle of a device, about any axis
FORCE, PACE = 0.2, 0.2  # largest logarithms of the factors of all readings, and of the speed
LEAN, SHEAR = 0.3, 0.3  # largest angle of a stroke, and what its x gains of y or loses
UNEVEN, POINTS = 0.3, 5  # deviation of the logarithm of a stroke's speed, at so many points

Matrices = Callable[[int, np.random.Generator], np.ndarray]  # (count, axes, axes)
Times = Callable[[int, int, np.random.Generator], np.ndarray]  # (count, length), in samples


@dataclass(frozen=True)
class Moved:
    """An Augment of sequences that were standardized by ``mean`` and ``std``, one per axis.

    Each reading is multiplied by a matrix of ``turned``, where there is one, and read at other times.
    """

    mean: tuple[float, ...]
    std: tuple[float, ...]
    turned: Matrices | None
    timed: Times

    def __call__(self, x: np.ndarray, rng: np.random.Generator) -> np.ndarray:
        mean, std = np.array(self.mean, np.float32), np.array(self.std, np.float32)
        readings = x[:, :, 0] * std + mean
        if self.turned is not None:
            readings = readings @ self.turned(len(x), rng).astype(np.float32)
        readings = read_at(readings, self.timed(len(x), x.shape[1], rng))
        return np.asarray(((readings - mean) / std)[:, :, None])


def worn(task: Task) -> Moved:
    """An accelerometer in any orientation, on people of other pace and force."""
    return Moved(task.mean, task.std, _orientations, _paces)


def drawn(task: Task) -> Moved:
    """Strokes that lean, and whose speed changes on the way from beginning to end."""
    return Moved(task.mean, task.std, _leanings, _whole_strokes)


MOTIONS = {"worn": (3, worn), "drawn": (2, drawn)}  # name -> how many axes it is about


def rotations(axes: np.ndarray, angles: np.ndarray) -> np.ndarray:
    """(N, 3, 3) rotations by ``angles`` (N,) about unit vectors ``axes`` (N, 3): Rodrigues' formula.

    They turn row vectors, ``v @ matrix``.
    """
    cos, sin = np.cos(angles)[:, None, None], np.sin(angles)[:, None, None]
    across = np.cross(axes[:, None], np.eye(3))
    return np.asarray(cos * np.eye(3) + sin * across + (1.0 - cos) * axes[:, :, None] * axes[:, None])


def _orientations(count: int, rng: np.random.Generator) -> np.ndarray:
    axes = rng.normal(size=(count, 3))
    axes /= np.linalg.norm(axes, axis=1, keepdims=True)
    force = np.exp(rng.uniform(-FORCE, FORCE, (count, 1, 1)))
    return force * rotations(axes, rng.uniform(-TURN, TURN, count))


def _paces(count: int, length: int, rng: np.random.Generator) -> np.ndarray:
    """About the middle of the window; what would be read beyond its ends is read backwards."""
    speed, last = np.exp(rng.uniform(-PACE, PACE, (count, 1))), length - 1.0
    times = speed * (np.arange(length) - last / 2.0) + last / 2.0
    return np.asarray(last - np.abs(last - np.abs(times)))


def _leanings(count: int, rng: np.random.Generator) -> np.ndarray:
    angles, shear = rng.uniform(-LEAN, LEAN, count), rng.uniform(-SHEAR, SHEAR, count)
    cos, sin, one, zero = np.cos(angles), np.sin(angles), np.ones(count), np.zeros(count)
    turned = np.stack([cos, -sin, sin, cos], axis=1).reshape(-1, 2, 2)
    return np.asarray(turned @ np.stack([one, zero, shear, one], axis=1).reshape(-1, 2, 2))


def _whole_strokes(count: int, length: int, rng: np.random.Generator) -> np.ndarray:
    times = uneven(count, length, UNEVEN, POINTS, rng)
    return times * ((length - 1.0) / times[:, -1:])
