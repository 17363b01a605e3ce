"""Anomaly detection: an autoencoder that learns what machines sound like when nothing is wrong with them.

Spectrograms in the form of the MLPerf Tiny benchmark (made of ToyADMOS, Koizumi et al. 2019):
``{normal,anomaly}_id_<machine>_<number>_*.bin``, each 200 frames of 128 bands in dB, float32.  The network
reads windows of five frames and returns them; a recording's error is the mean over its windows, and the
metric is the area under the curve that tells anomalous recordings by it.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np

from mcuprune.errors import UsageError
from mcuprune.tasks.motion import windows
from mcuprune.tasks.task import Split, Task, channel_statistics, standardize

PATTERN = "*_id_*.bin"
FRAMES, BANDS, WINDOW, STEP = 200, 128, 5, 4
TRAIN, VALIDATION = 0.5, 0.15  # of each machine's normal recordings; the rest and all anomalies are the test
SHIFT = 4  # bands by which validation recordings are moved to stand for anomalies


def load_anomaly(folder: Path, fold: str | None, seed: int, title: str) -> Task:
    """Windows (N, 640); targets (N, 641) of validation and test end in the recording's signed number.

    No anomaly decides anything: those that validation tells apart are normal recordings whose bands are
    moved, as if the machine ran at another speed.
    """
    normal, anomalous = (_read(folder, kind) for kind in ("normal", "anomaly"))
    parts: dict[str, list[np.ndarray]] = {"train": [], "validation": [], "test": []}
    rng = np.random.default_rng(seed)
    for clips in normal.values():
        order = rng.permutation(len(clips))
        cuts = np.round(np.cumsum([TRAIN, VALIDATION]) * len(clips)).astype(int)
        for part, chosen in zip(parts, np.split(order, cuts), strict=True):
            parts[part] += [clips[index] for index in chosen]
    if not all(parts.values()) or not anomalous:
        raise UsageError(f"'{folder}' holds too few recordings to train, validate and test; fetch them again")
    moved = [np.roll(clip, SHIFT, axis=1) for clip in parts["validation"]]
    train = _windows(parts["train"])
    mean, std = channel_statistics(train)
    train = standardize(train, mean, std)
    test_anomalies = [clip for clips in anomalous.values() for clip in clips]
    return Task(
        name="anomaly",
        title=title,
        input_shape=(WINDOW * BANDS,),
        classes=0,
        loss="mse",
        metric="auc",
        train=Split(train, train),
        validation=_judged(parts["validation"], moved, mean, std, rng),
        test=_judged(parts["test"], test_anomalies, mean, std, rng),
        mean=mean,
        std=std,
    )


def _read(folder: Path, kind: str) -> dict[str, list[np.ndarray]]:
    """Spectrograms (200, 128) by machine."""
    found: dict[str, list[np.ndarray]] = {}
    for path in sorted(folder.glob(f"{kind}{PATTERN}")):
        values = np.fromfile(path, "<f4")
        if values.size != FRAMES * BANDS or not np.isfinite(values).all():
            raise UsageError(f"'{path}' is no spectrogram of {FRAMES}x{BANDS} float32 values; fetch it again")
        found.setdefault(path.stem.split("_")[2], []).append(values.reshape(FRAMES, BANDS))
    return found


def _windows(clips: list[np.ndarray]) -> np.ndarray:
    found = np.concatenate([windows(clip, WINDOW, STEP) for clip in clips])
    return found.reshape(len(found), -1).astype(np.float32)


def _judged(
    normal: list[np.ndarray],
    anomalous: list[np.ndarray],
    mean: tuple[float, ...],
    std: tuple[float, ...],
    rng: np.random.Generator,
) -> Split:
    """Windows in random order, so that the first few stand for all; numbers are negative for anomalies."""
    x = standardize(_windows([*normal, *anomalous]), mean, std)
    signs = np.repeat([1.0, -1.0], [len(normal), len(anomalous)])
    numbers = np.repeat(signs * np.arange(1, len(signs) + 1), len(x) // len(signs)).astype(np.float32)
    order = rng.permutation(len(x))
    return Split(x[order], np.concatenate([x, numbers[:, None]], axis=1)[order])
