"""Mel-frequency cepstral coefficients of a clip: what they are, in floating point.

Per frame: Hann window, Fourier transform, power, triangular filters on the mel scale, base-2 logarithm,
cosine transform (Davis and Mermelstein 1980).  Energies count relative to the clip's largest sample, which is
what normalizing the clip to its peak would give, and are bounded below by :attr:`Mfcc.floor`, under which the
noise of most recordings stays; both make recordings alike.  :mod:`mcuprune.signal.fixed` is the same in
integers, as the firmware computes it; the two agree within :data:`mcuprune.signal.fixed.BOUND`.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np


@dataclass(frozen=True)
class Mfcc:
    """``samples`` of audio at ``rate`` Hz to (frames, coefficients).

    ``frame``, ``hop`` and ``fft`` in samples, the latter a power of two; ``low`` and ``high`` in Hz;
    ``floor`` is the smallest energy that is told apart, as its base-2 logarithm.  ``kept``: which rows of the
    cosine transform are computed, ``coefficients`` in number; none: the first ones.
    """

    rate: int = 8000
    samples: int = 8000
    frame: int = 240
    hop: int = 160
    fft: int = 256
    mels: int = 40
    coefficients: int = 10
    low: float = 20.0
    high: float = 4000.0
    floor: int = -4
    kept: tuple[int, ...] = ()

    @property
    def rows(self) -> tuple[int, ...]:
        """The rows of the cosine transform that are computed, in this order."""
        return self.kept or tuple(range(self.coefficients))

    @property
    def frames(self) -> int:
        return 1 + (self.samples - self.frame) // self.hop

    @property
    def shape(self) -> tuple[int, int, int]:
        """Of the features as a network reads them."""
        return (self.frames, self.coefficients, 1)


def window(spec: Mfcc) -> np.ndarray:
    """Hann window (frame,), periodic."""
    return 0.5 - 0.5 * np.cos(2.0 * np.pi * np.arange(spec.frame) / spec.frame)


def mel(hertz: np.ndarray | float) -> np.ndarray:
    """The mel scale (O'Shaughnessy 1987)."""
    return np.asarray(1127.0 * np.log1p(np.asarray(hertz) / 700.0))


def position(hertz: np.ndarray, spec: Mfcc) -> np.ndarray:
    """Where frequencies lie among the filters' corners: 0 at ``low``, mels + 1 at ``high``."""
    low, high = mel(spec.low), mel(spec.high)
    return np.asarray((mel(hertz) - low) / (high - low) * (spec.mels + 1))


def frequency(position: np.ndarray, spec: Mfcc) -> np.ndarray:
    """The inverse of :func:`position`, in Hz."""
    low, high = mel(spec.low), mel(spec.high)
    return np.asarray(700.0 * np.expm1((low + position * (high - low) / (spec.mels + 1)) / 1127.0))


def positions(spec: Mfcc) -> np.ndarray:
    """Position of each bin 0..fft/2.

    At position p bin energy belongs to filter floor(p) by the fraction of p, and the rest to the one before.
    """
    return position(np.arange(spec.fft // 2 + 1) * spec.rate / spec.fft, spec)


def filters(spec: Mfcc) -> np.ndarray:
    """Triangles (mels, fft/2 + 1) of height 1, evenly spaced on the mel scale."""
    distance = np.abs(positions(spec)[None] - np.arange(1, spec.mels + 1)[:, None])
    return np.asarray(np.maximum(0.0, 1.0 - distance))


def cosines(spec: Mfcc, filters: np.ndarray | None = None) -> np.ndarray:
    """Orthonormal cosine transform (coefficients, mels), DCT-II; its waves at fractional ``filters``."""
    rows, columns = np.array(spec.rows)[:, None], (np.arange(spec.mels) if filters is None else filters)[None]
    scale = np.where(rows == 0, math.sqrt(1.0 / spec.mels), math.sqrt(2.0 / spec.mels))
    return np.asarray(scale * np.cos(np.pi * rows * (columns + 0.5) / spec.mels))


def frames_of(audio: np.ndarray, spec: Mfcc) -> np.ndarray:
    """(N, samples) to (N, frames, frame), a view."""
    views = np.lib.stride_tricks.sliding_window_view(audio, spec.frame, axis=-1)
    return views[..., :: spec.hop, :][..., : spec.frames, :]


def mfcc(audio: np.ndarray, spec: Mfcc) -> np.ndarray:
    """int16 (N, samples) to float64 (N, frames, coefficients)."""
    peak = np.maximum(1, np.abs(audio.astype(np.int32)).max(axis=-1))
    spectrum = np.fft.rfft(frames_of(audio, spec) * window(spec), spec.fft)
    power = np.abs(spectrum) ** 2 @ filters(spec).T
    relative = power / peak[:, None, None].astype(np.float64) ** 2
    levels = np.log2(np.maximum(relative, 2.0**spec.floor))
    return np.asarray(levels @ cosines(spec).T)


def fit(audio: np.ndarray, samples: int) -> np.ndarray:
    """A clip of any length as ``samples`` of it: cut at the end, or followed by silence."""
    cut = audio[:samples]
    return np.concatenate([cut, np.zeros(samples - len(cut), audio.dtype)])
