"""From what a tensor was seen to hold to how it is quantized: ranges, scales and zero points.

Conventions are TensorFlow Lite's: activations int8, asymmetric, the range includes zero; weights int8,
symmetric in [-127, 127], one scale per output channel.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from mcuprune.graph.ir import Quantization

Range = tuple[float, float]
HISTOGRAM_BINS = 255 * 10 * 16
MINIMUM_SCALE = 1e-8  # of activations: a tensor that is constantly zero still needs a scale
EMPTY_CHANNEL_SCALE = 2.0**-20  # of weights that are all zero
SMALLEST_SCALE = float(np.finfo(np.float32).tiny)  # of weights: float32 has no full precision below


def drawn(size: int, most: int) -> np.ndarray:
    """At most so many of ``size`` positions, always the same, in random order, to measure ranges on.

    The first ones, or every so many, may be of one class: files are sorted by class, or take turns.
    """
    return np.random.default_rng(0).permutation(size)[:most]


def minmax(values: np.ndarray) -> Range:
    """Smallest and largest value."""
    return float(values.min()), float(values.max())


def percentile(values: np.ndarray, share: float = 99.99) -> Range:
    """The range that leaves out the most extreme values, half of ``100 - share`` percent on either side.

    Where all that is left is one value (a tensor of zeros but for rare peaks), nothing is left out.
    """
    tail = (100.0 - share) / 2
    low, high = np.percentile(values, (tail, 100.0 - tail))
    return (float(low), float(high)) if low < high else minmax(values)


def mse(values: np.ndarray, steps: int = 60) -> Range:
    """The shrunk min-max range whose int8 grid represents ``values`` with the least squared error.

    Candidates shrink both ends alike, to a tenth at most; the error is that of a histogram fine enough for
    the finest of their grids (16 bins per step).
    """
    low, high = minmax(values)
    counts, edges = np.histogram(values, HISTOGRAM_BINS)
    centres, present = (edges[:-1] + edges[1:]) / 2, counts > 0

    def error(candidate: Range) -> float:
        moved = snapped(centres[present], activation_quantization(*candidate)) - centres[present]
        return float(counts[present] @ np.square(moved))

    return min(((low * f, high * f) for f in np.geomspace(1.0, 0.1, steps)), key=error)


OBSERVERS: dict[str, Callable[[np.ndarray], Range]] = {"minmax": minmax, "percentile": percentile, "mse": mse}


def activation_quantization(low: float, high: float) -> Quantization:
    """Scale (a float32 number) and zero point of an int8 tensor for a range, widened to include zero."""
    low, high = min(low, 0.0), max(high, 0.0)
    scale = float(np.float32(max((high - low) / 255.0, MINIMUM_SCALE)))
    return Quantization(scale, max(-128, min(127, round(-128.0 - low / scale))))


def weight_scales(weight: np.ndarray, axis: int) -> np.ndarray:
    """(channels,) float32 symmetric scales ``max |w| / 127``.

    A channel of zeros gets :data:`EMPTY_CHANNEL_SCALE`: small, so that its bias is stored finely.
    """
    others = tuple(i for i in range(weight.ndim) if i != axis % weight.ndim)
    scales = (np.abs(weight).max(axis=others) / 127.0).astype(np.float32)
    return np.where(scales >= SMALLEST_SCALE, scales, np.float32(EMPTY_CHANNEL_SCALE))


def snapped(values: np.ndarray, q: Quantization) -> np.ndarray:
    """``values`` after quantization to int8 and back."""
    stored = np.clip(np.round(values / q.scale) + q.zero_point, -128, 127)
    result: np.ndarray = (stored - q.zero_point) * q.scale
    return result
