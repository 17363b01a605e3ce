"""The coefficients of :mod:`mcuprune.signal.mfcc` in integers: the specification of ``mcp_mfcc.c``.

Every function is exact, vectorised over frames; 32-bit values travel in int64 arrays.  Audio has 16 bits, the
transform's values six more, so that its rounding stays below what 16-bit audio itself carries; logarithms and
coefficients have 15 bits behind the point.  No division, no floating point.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from mcuprune.quantize.arithmetic import multiply_by_quantized_multiplier, quantize_multiplier
from mcuprune.signal import mfcc as real
from mcuprune.signal.mfcc import Mfcc

# Largest and mean difference to the floating-point form, in int8 steps of 8/255 standard deviations
BOUND, MEAN_BOUND = 1, 0.005
FRACTION = 6  # bits of the transform's values below a step of the audio
POINT = 15  # bits behind the point of tables, logarithms and coefficients
ONE = 1 << POINT
LOG_ENTRIES = 64
CHUNK = 32  # clips at once


@dataclass(frozen=True)
class Tables:
    """The constants of the integer form, and of the C code.

    window    (frame,) int16
    sines     (3 fft / 4 + 1,) int16: sin(2 pi k / fft); the cosine stands fft / 4 further on
    edges     (mels + 2,) int16: the first bin at or above each corner of the filters
    weights   (edges[-1] - edges[0],) uint16: the share of a bin that its upper filter gets
    logs      (65,) uint16: log2(1 + k / 64)
    cosines   (coefficients, mels) int16
    """

    window: np.ndarray
    sines: np.ndarray
    edges: np.ndarray
    weights: np.ndarray
    logs: np.ndarray
    cosines: np.ndarray


def tables(spec: Mfcc) -> Tables:
    sines = np.sin(2.0 * np.pi * np.arange(3 * spec.fft // 4 + 1) / spec.fft)
    places = real.positions(spec)[: spec.fft // 2]  # the last bin has an edge's weight, 0
    edges = np.searchsorted(places, np.arange(spec.mels + 2))
    used = places[edges[0] : edges[-1]]
    return Tables(
        window=_table(real.window(spec)),
        sines=_table(sines),
        edges=edges.astype(np.int16),
        weights=np.round((used - np.floor(used)) * ONE).astype(np.uint16),
        logs=np.round(np.log2(1.0 + np.arange(LOG_ENTRIES + 1) / LOG_ENTRIES) * ONE).astype(np.uint16),
        cosines=_table(real.cosines(spec)),
    )


def _table(values: np.ndarray) -> np.ndarray:
    return np.clip(np.round(values * ONE), -ONE, ONE - 1).astype(np.int16)


def coefficients(audio: np.ndarray, spec: Mfcc) -> np.ndarray:
    """int16 (N, samples) to int32 (N, frames, coefficients), 15 bits behind the point."""
    constants = tables(spec)
    parts = [_coefficients(audio[i : i + CHUNK], spec, constants) for i in range(0, len(audio), CHUNK)]
    return np.concatenate(parts).astype(np.int32)


def _coefficients(audio: np.ndarray, spec: Mfcc, t: Tables) -> np.ndarray:
    peak = np.maximum(1, np.abs(audio.astype(np.int64)).max(axis=-1))
    gain = POINT - np.minimum(POINT, bit_length(peak))  # an exact power of two, so that quiet clips keep bits
    reference = 2 * log2(peak << gain, t)
    frames = real.frames_of(audio, spec)
    clip, frame = np.nonzero(frames.any(axis=-1))  # the others are silent
    windowed = (frames[clip, frame].astype(np.int64) << gain[clip, None]) * t.window
    energy, lost = _energies(_power(_rounded(windowed, POINT - FRACTION), spec, t), spec, t)
    # energy has POINT + 2 FRACTION bits behind the point, less the lost ones
    offset = (lost - POINT - 2 * FRACTION) * ONE - reference[clip]
    levels = np.full((*frames.shape[:2], spec.mels), spec.floor * ONE, np.int64)
    heard = np.where(energy > 0, log2(energy, t) + offset[:, None], spec.floor * ONE)
    levels[clip, frame] = np.maximum(heard, spec.floor * ONE)
    return np.asarray(_times(levels[..., None, :], t.cosines).sum(axis=-1))


def _rounded(values: np.ndarray, bits: int) -> np.ndarray:
    """values / 2^bits, halves upwards."""
    return (values + (1 << (bits - 1))) >> bits


def _times(values: np.ndarray, factors: np.ndarray) -> np.ndarray:
    """``values`` times Q15 ``factors``, halves upwards."""
    return _rounded(values * factors.astype(np.int64), POINT)


def _power(frames: np.ndarray, spec: Mfcc, t: Tables) -> np.ndarray:
    """Squared magnitudes (..., fft/2) of real frames (..., frame): a complex transform of half the length."""
    half = spec.fft // 2
    padded = np.zeros((*frames.shape[:-1], spec.fft), np.int64)
    padded[..., : spec.frame] = frames
    re, im = _transform(padded[..., 0::2], padded[..., 1::2], spec.fft, t.sines)
    back = -np.arange(half) % half  # bin half - k; 0 meets itself
    sum_re, sum_im = re + re[..., back], im - im[..., back]
    odd_re, odd_im = im + im[..., back], re[..., back] - re
    k = np.arange(half)
    sine, cosine = t.sines[k], t.sines[k + spec.fft // 4]
    x_re = sum_re + _times(odd_re, cosine) + _times(odd_im, sine)
    x_im = sum_im + _times(odd_im, cosine) - _times(odd_re, sine)
    return np.asarray(_rounded(x_re, 1) ** 2 + _rounded(x_im, 1) ** 2)


def _transform(re: np.ndarray, im: np.ndarray, fft: int, sines: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Complex transform over the last axis, radix 2, decimated in time; sines of ``fft`` points."""
    points = re.shape[-1]
    order = bit_reversed(points)
    re, im = re[..., order], im[..., order]
    width = 1
    while width < points:
        k = np.arange(width) * (fft // (2 * width))
        sine, cosine = sines[k], sines[k + fft // 4]
        shape = (*re.shape[:-1], points // (2 * width), 2, width)
        re, im = re.reshape(shape), im.reshape(shape)
        low_re, low_im, high_re, high_im = re[..., 0, :], im[..., 0, :], re[..., 1, :], im[..., 1, :]
        turned_re = _times(high_re, cosine) + _times(high_im, sine)
        turned_im = _times(high_im, cosine) - _times(high_re, sine)
        re = np.stack([low_re + turned_re, low_re - turned_re], axis=-2)
        im = np.stack([low_im + turned_im, low_im - turned_im], axis=-2)
        re, im = re.reshape(*shape[:-3], points), im.reshape(*shape[:-3], points)
        width *= 2
    return re, im


def bit_reversed(points: int) -> np.ndarray:
    """(points,) each index with its bits in reverse."""
    order = np.zeros(1, np.int64)
    while len(order) < points:
        order = np.concatenate([2 * order, 2 * order + 1])
    return order


def _energies(power: np.ndarray, spec: Mfcc, t: Tables) -> tuple[np.ndarray, np.ndarray]:
    """Energies (..., mels), and by how many bits (...) each frame's powers were cut to have 32."""
    lost = np.maximum(0, bit_length(np.bitwise_or.reduce(power, axis=-1)) - 32)
    edges = t.edges.astype(np.int64)
    used = (power >> lost[..., None])[..., edges[0] : edges[-1]]
    upper = used * t.weights.astype(np.int64)
    lower = used * (ONE - t.weights.astype(np.int64))
    energy = np.zeros((*power.shape[:-1], spec.mels), np.int64)
    for number in range(spec.mels + 1):
        part = slice(edges[number] - edges[0], edges[number + 1] - edges[0])
        if number < spec.mels:
            energy[..., number] += upper[..., part].sum(axis=-1)
        if number > 0:
            energy[..., number - 1] += lower[..., part].sum(axis=-1)
    return energy, lost


def bit_length(values: np.ndarray) -> np.ndarray:
    """Of non-negative numbers below 2^62."""
    length = np.zeros(values.shape, np.int64)
    for step in (32, 16, 8, 4, 2, 1):
        large = values >= (np.int64(1) << step)
        values = np.where(large, values >> step, values)
        length += large * step
    return length + (values > 0)


def log2(values: np.ndarray, t: Tables) -> np.ndarray:
    """15 bits behind the point, from a table of 64 chords; 0 for 0."""
    whole = np.maximum(0, bit_length(values) - 1)
    # the 21 bits behind the leading one: 6 for the table, 15 between its entries
    behind = np.where(whole > 21, values >> np.maximum(0, whole - 21), values << np.maximum(0, 21 - whole))
    behind &= (1 << 21) - 1
    entry, rest = behind >> POINT, behind & (ONE - 1)
    logs = t.logs.astype(np.int64)
    return np.asarray(whole * ONE + logs[entry] + _rounded((logs[entry + 1] - logs[entry]) * rest, POINT))


@dataclass(frozen=True)
class Quantizer:
    """A network's int8 input from coefficients: (c - centre) * multiplier * 2^(shift - 31) + zero point.

    ``centre`` int32 with 15 bits behind the point, ``multiplier`` int32 and ``shift``: one per coefficient.
    """

    centre: tuple[int, ...]
    multiplier: tuple[int, ...]
    shift: tuple[int, ...]
    zero_point: int


def quantizer(mean: np.ndarray, std: np.ndarray, scale: float, zero_point: int) -> Quantizer:
    """For a network that reads ``(c - mean) / std`` with the given scale and zero point."""
    pairs = [quantize_multiplier(1.0 / (float(s) * scale * ONE)) for s in std]
    return Quantizer(
        centre=tuple(round(float(m) * ONE) for m in mean),
        multiplier=tuple(multiplier for multiplier, _ in pairs),
        shift=tuple(shift for _, shift in pairs),
        zero_point=zero_point,
    )


def quantize(values: np.ndarray, q: Quantizer) -> np.ndarray:
    """int32 coefficients (..., coefficients) to int8."""
    centred = values.astype(np.int64) - np.array(q.centre)
    scaled = multiply_by_quantized_multiplier(centred, np.array(q.multiplier), np.array(q.shift))
    return np.clip(scaled + q.zero_point, -128, 127).astype(np.int8)
