"""Spoken words: clips of audio as coefficients that the generated front end computes in firmware.

The Free Spoken Digit Dataset (Jackson et al., CC BY-SA 4.0): ``recordings/<digit>_<speaker>_<index>.wav``,
8 kHz.  Published split: indices 0 to 4 are the test set.  A fold tests one speaker and trains on the others.
"""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np

from mcuprune.errors import UsageError
from mcuprune.signal import fixed
from mcuprune.signal.mfcc import Mfcc, fit, mfcc
from mcuprune.tasks.audio import read_wav
from mcuprune.tasks.splits import Splits, make_task
from mcuprune.tasks.task import FrontEnd, Split, Task, hold_out
from mcuprune.tasks.voices import cepstral, perturb

SPEAKERS = ("george", "jackson", "lucas", "nicolas", "theo", "yweweler")
NAME = "spoken-digits"
WORDS = ("zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine")
PATTERN = "*_*_*.wav"
TEST_INDICES = 5  # of each digit and speaker
VALIDATION = 0.1  # of the training clips
COPIES = 3  # of each training clip
CHUNK = 64  # clips at once


def load_spoken_digits(folder: Path, fold: str | None, seed: int, title: str, voices: bool = True) -> Task:
    """Coefficients (N, 49, 10, 1), each standardized; ``fold`` names the speaker to be tested."""
    spec = Mfcc()
    names, clips = read_digits(folder, spec)
    tested = np.array([speaker == fold if fold else index < TEST_INDICES for _, speaker, index in names])
    if tested.all() or not tested.any():
        what = f"of speaker '{fold}'" if fold else f"with an index below {TEST_INDICES}"
        raise UsageError(
            f"'{folder}': {tested.sum()} of {len(names)} recordings are {what}; fetch them again"
        )
    labels = np.array([digit for digit, _, _ in names], np.int64)
    train, test = (Split(clips[part], labels[part]) for part in (~tested, tested))
    return clip_task(NAME, WORDS, Splits(train, test=test), spec, seed, title, voices)


def read_digits(folder: Path, spec: Mfcc) -> tuple[list[tuple[int, str, int]], np.ndarray]:
    """(digit, speaker, index) of every recording, sorted by file name, and the clips (N, samples) int16."""
    names, clips = [], []
    for path in sorted((*folder.glob(PATTERN), *folder.glob(f"recordings/{PATTERN}"))):
        digit, _, rest = path.stem.partition("_")
        speaker, _, index = rest.rpartition("_")
        if not (digit.isdecimal() and index.isdecimal()):
            raise UsageError(f"'{path}': recordings are called DIGIT_SPEAKER_INDEX.wav; rename or remove it")
        names.append((int(digit), speaker, int(index)))
        clips.append(_clip(path, spec))
    return names, np.stack(clips)


def _clip(path: Path, spec: Mfcc) -> np.ndarray:
    audio, rate = read_wav(path)
    if rate != spec.rate:
        raise UsageError(f"audio '{path}' has {rate} samples per second, not {spec.rate}; resample it")
    return fit(audio, spec.samples)


def clip_task(
    name: str,
    labels: tuple[str, ...],
    clips: Splits,
    spec: Mfcc,
    seed: int,
    title: str = "",
    voices: bool = True,
) -> Task:
    """A task whose splits hold audio (N, samples) int16, ``test`` among them.

    Coefficients are standardized by the training clips.  With ``voices``, validation and training clips get
    perturbed copies, and training changes cepstra (see :mod:`mcuprune.tasks.voices`).
    """
    train, validation = clips.train, clips.validation
    if validation is None:
        train, validation = hold_out(train, VALIDATION, seed)
    assert clips.test is not None
    made = {
        "train": features(train, COPIES if voices else 0, spec, seed),
        "validation": features(validation, 1 if voices else 0, spec, seed + 1),
        "test": features(clips.test, 0, spec, seed),
    }
    mean, std = (statistic(made["train"].x, axis=(0, 1)) for statistic in (np.mean, np.std))
    std = np.where(std > 0, std, 1.0)
    scaled = {
        part: Split(((split.x - mean) / std).astype(np.float32)[..., None], split.y)
        for part, split in made.items()
    }
    task = make_task(name, Splits(**scaled), seed, title, normalize=False)
    front_end = FrontEnd(spec, tuple(map(float, mean)), tuple(map(float, std)))
    augment = cepstral(front_end) if voices else None
    return replace(task, labels=labels, front_end=front_end, augment=augment)


def features(clips: Split, copies: int, spec: Mfcc, seed: int) -> Split:
    """Coefficients of the clips as firmware computes them, and of perturbed copies, which only train."""
    rng = np.random.default_rng((seed, len(clips)))
    found = [fixed.coefficients(clips.x, spec) / np.float32(fixed.ONE)]
    for _ in range(copies):
        changed = np.stack([perturb(clip, spec, rng) for clip in clips.x])
        parts = [mfcc(changed[i : i + CHUNK], spec) for i in range(0, len(changed), CHUNK)]
        found.append(np.concatenate(parts).astype(np.float32))
    return Split(np.concatenate(found).astype(np.float32), np.tile(clips.y, copies + 1))
