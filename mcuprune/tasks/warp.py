"""Sequences read at other times: what changes of tempo are made of."""

from __future__ import annotations

import numpy as np


def read_at(x: np.ndarray, places: np.ndarray) -> np.ndarray:
    """``x`` (N, frames, values) read at fractional ``places`` (N, frames), the ends repeated."""
    places = np.clip(places, 0.0, x.shape[1] - 1.0)
    low = places.astype(np.int64)
    part = (places - low).astype(x.dtype)[..., None]
    rows = np.arange(len(x))[:, None]
    return np.asarray((1.0 - part) * x[rows, low] + part * x[rows, np.minimum(low + 1, x.shape[1] - 1)])


def path(values: np.ndarray, length: int) -> np.ndarray:
    """``values`` (N, points), evenly spaced and joined by straight lines: (N, length)."""
    places = np.broadcast_to(np.linspace(0.0, values.shape[1] - 1.0, length), (len(values), length))
    return read_at(values[..., None], places)[..., 0]


def uneven(count: int, frames: int, deviation: float, points: int, rng: np.random.Generator) -> np.ndarray:
    """(count, frames) times, in frames from 0, at a speed that changes on the way.

    Its logarithm has that ``deviation`` at so many ``points``, evenly spaced.
    """
    speed = np.exp(path(rng.normal(0.0, deviation, (count, points)), frames))
    return np.asarray(np.cumsum(speed, axis=1) - speed[:, :1])
