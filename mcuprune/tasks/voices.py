"""Speech as other speakers, rooms and microphones would make it: few are known, others will speak.

A recording is changed once (:func:`perturb`), its cepstra anew in every batch (:func:`cepstral`).
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from mcuprune.signal.mfcc import Mfcc, cosines, frequency, position
from mcuprune.tasks.task import FrontEnd
from mcuprune.tasks.warp import path, read_at, uneven
from mcuprune.training.augment import Augment

SPEED, COLOUR = (0.8, 1.25), 0.6  # range of the speed, largest share of the sample before
PEAK, NOISE = 12000.0, (0.0, 3.0)  # of a perturbed clip; exponents of the noise's deviation, both in steps

SHIFT = 4  # frames
TEMPO = 0.25  # largest logarithm of the change of speed
UNEVEN, BEATS = 0.1, 7  # deviation of the logarithm of the speed at so many points of a clip
TRACT = 0.12  # largest logarithm of the change of all frequencies
BEND, BENDS = 0.2, 4  # the same of what changes at so many points of the mel scale, each by itself
TILT = 0.6  # of coefficients over a clip, standard deviations
MASK = 8  # frames at most that are silenced
ROUGH = 1.0  # of single coefficients at most, standard deviations
TRACTS = 200  # different ones


def perturb(clip: np.ndarray, spec: Mfcc, rng: np.random.Generator) -> np.ndarray:
    """The clip at another pitch and speed, with another colour, start, and noise."""
    heard = clip[: 1 + int(np.flatnonzero(clip)[-1])] if clip.any() else clip
    speed, colour = rng.uniform(*SPEED), rng.uniform(-COLOUR, COLOUR)
    sound = np.interp(np.arange(0.0, len(heard) - 1.0, speed), np.arange(len(heard)), heard)
    sound = sound + colour * np.concatenate([[0.0], sound[:-1]])
    start = int(rng.integers(0, spec.samples // 10))
    changed = np.zeros(spec.samples)
    changed[start : start + len(sound)] = sound[: spec.samples - start]
    changed *= PEAK / max(1.0, float(np.abs(changed).max()))
    changed += rng.normal(0.0, 10.0 ** rng.uniform(*NOISE), spec.samples)
    return np.clip(np.round(changed), -32768, 32767).astype(np.int16)


def cepstral(front_end: FrontEnd) -> Augment:
    """Changes standardized cepstra (N, frames, coefficients, 1): vocal tract, tempo, start, microphone,
    interruptions and noise."""
    tracts = _Tracts.of(front_end)

    def change(x: np.ndarray, rng: np.random.Generator) -> np.ndarray:
        count, frames, coefficients = x.shape[:3]
        changed = tracts.apply(x[..., 0], rng.integers(0, TRACTS, (count,)))
        tempo = np.exp(rng.uniform(-TEMPO, TEMPO, (count, 1)))
        start = rng.integers(-SHIFT, SHIFT + 1, (count, 1))
        changed = read_at(changed, (uneven(count, frames, UNEVEN, BEATS, rng) + start) * tempo)
        changed += rng.normal(0.0, TILT, (count, 1, coefficients)).astype(np.float32)
        changed[_spans(count, frames, rng)] = 0.0
        rough = rng.uniform(0.0, ROUGH, (count, 1, 1)).astype(np.float32)
        return np.asarray(changed + rough * rng.standard_normal(x.shape[:3], np.float32))[..., None]

    return change


@dataclass(frozen=True)
class _Tracts:
    """Vocal tract perturbation of cepstra, which is affine there.

    Of two speakers neither all frequencies differ by one factor (Jaitly & Hinton 2013) nor every formant by
    its own: here one factor, bent along the mel scale.  ``matrices`` (tracts, coefficients, coefficients) and
    ``offsets`` (tracts, coefficients): what a frame becomes when the spectrum that its coefficients describe
    is read at other frequencies.
    """

    matrices: np.ndarray
    offsets: np.ndarray

    @classmethod
    def of(cls, front_end: FrontEnd) -> _Tracts:
        spec, mean, std = front_end.spec, np.array(front_end.mean), np.array(front_end.std)
        centres = frequency(np.arange(1.0, spec.mels + 1), spec)
        bends = np.random.default_rng(0).uniform(-BEND, BEND, (TRACTS, BENDS))
        factors = np.exp(np.linspace(-TRACT, TRACT, TRACTS)[:, None] + path(bends, spec.mels))
        read = [np.clip(position(factor * centres, spec) - 1.0, 0.0, spec.mels - 1.0) for factor in factors]
        forward = cosines(spec)
        plain = [forward @ cosines(spec, filters).T for filters in read]
        matrices = np.stack([matrix / std[:, None] * std for matrix in plain])
        offsets = np.stack([(matrix @ mean - mean) / std for matrix in plain])
        return cls(matrices.astype(np.float32), offsets.astype(np.float32))

    def apply(self, x: np.ndarray, chosen: np.ndarray) -> np.ndarray:
        """``x`` (N, frames, coefficients), each sample with its tract of ``chosen`` (N,)."""
        return np.asarray(x @ self.matrices[chosen].transpose(0, 2, 1) + self.offsets[chosen, None])


def _spans(count: int, frames: int, rng: np.random.Generator) -> np.ndarray:
    """(count, frames) bool: one span of at most MASK frames of each sample (Park et al. 2019)."""
    length = rng.integers(0, min(MASK, frames) + 1, (count, 1))
    first = rng.integers(0, frames - length + 1)
    return np.asarray((np.arange(frames) >= first) & (np.arange(frames) < first + length))
