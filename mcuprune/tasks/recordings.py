"""The user's own recordings: a folder per class with wav files or csv files of sensor readings."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np

from mcuprune.errors import UsageError
from mcuprune.signal.mfcc import Mfcc, fit
from mcuprune.tasks.audio import read_wav
from mcuprune.tasks.folder import folders
from mcuprune.tasks.image import is_image
from mcuprune.tasks.motion import windows
from mcuprune.tasks.splits import TEST_SHARE, Splits, make_task
from mcuprune.tasks.spoken import clip_task
from mcuprune.tasks.task import Split, Task, hold_out

RATES = {  # of audio that the front end knows, in Hz: how it is cut
    8000: Mfcc(),
    16000: Mfcc(rate=16000, samples=16000, frame=480, hop=320, fft=512),
}
LENGTH = 64  # readings of a window; windows overlap by half
KINDS = (".wav", ".csv")
FEWEST = 3  # csv files of a class: windows of one file are alike


def kind_of(folder: Path) -> str | None:
    """The suffix of the recordings in the class folders, or None where there are none.

    Tables beside more images than that are what somebody noted of the images.
    """
    files = [path for part in folders(folder) for path in part.rglob("*")]
    held = [path.suffix for path in files if path.parent.parent == folder]
    kind = next((kind for kind in KINDS if kind in held), None)
    return None if kind == ".csv" and sum(map(is_image, files)) > held.count(kind) else kind


def load_recordings(folder: Path, seed: int, voices: bool = False) -> Task:
    """``<class>/*.wav``, a second each at 8 or 16 kHz, or ``<class>/*.csv``, lines of one value per sensor.

    Whole files are held out: a fifth of each class is the test set.  ``voices``: training changes audio as
    other speakers would.  Raises UsageError naming the file or folder that cannot be used.
    """
    kind = kind_of(folder)
    classes = tuple(path.name for path in folders(folder) if any(path.glob(f"*{kind}")))
    if len(classes) < 2:
        raise UsageError(f"'{folder}' holds one class folder, '{classes[0]}'; give at least two")
    files = [
        (path, label)
        for label, name in enumerate(classes)
        for path in sorted((folder / name).glob(f"*{kind}"))
    ]
    if kind == ".wav":
        return _audio(folder, files, classes, seed, voices)
    return replace(_sensors(folder, files, seed), labels=classes)


def _audio(
    folder: Path, files: list[tuple[Path, int]], labels: tuple[str, ...], seed: int, voices: bool
) -> Task:
    found = [(path, *read_wav(path), label) for path, label in files]
    first, _, rate, _ = found[0]
    for path, _, other, _ in found:
        if other != rate:
            raise UsageError(f"audio '{path}' has {other} samples per second, '{first}' {rate}; resample one")
    if rate not in RATES:
        raise UsageError(
            f"audio '{first}' has {rate} samples per second; resample to {' or '.join(map(str, RATES))}"
        )
    spec = RATES[rate]
    clips = np.stack([fit(audio, spec.samples) for _, audio, _, _ in found])
    train, test = hold_out(Split(clips, np.array([label for *_, label in found], np.int64)), TEST_SHARE, seed)
    return clip_task(folder.resolve().name, labels, Splits(train, test=test), spec, seed, voices=voices)


def _sensors(folder: Path, files: list[tuple[Path, int]], seed: int) -> Task:
    numbers = np.arange(len(files), dtype=np.float32)[:, None]  # whole files are held out, not windows
    labels = np.array([label for _, label in files], np.int64)
    if np.bincount(labels).min() < FEWEST:
        raise UsageError(
            f"'{folder}' has a class of {np.bincount(labels).min()} files; give {FEWEST} or more, as one of "
            "each class validates and one tests, or cut long ones up"
        )
    rest, test = hold_out(Split(numbers, labels), TEST_SHARE, seed)
    train, validation = hold_out(rest, TEST_SHARE, seed + 1)
    columns = _readings(files[0][0]).shape[1]
    parts = {}
    for name, part in (("train", train), ("validation", validation), ("test", test)):
        cut = []
        for number, label in zip(part.x[:, 0].astype(int), part.y, strict=True):
            path = files[number][0]
            values = _readings(path)
            if values.shape[1] != columns:
                raise UsageError(
                    f"'{path}' has {values.shape[1]} columns, '{files[0][0]}' {columns}; make them equal"
                )
            pieces = windows(values, LENGTH, LENGTH // 2)
            if not len(pieces):
                raise UsageError(f"'{path}' has {len(values)} readings; a window needs {LENGTH}")
            cut.append((pieces[:, :, None, :], np.full(len(pieces), label, np.int64)))
        parts[name] = Split(np.concatenate([x for x, _ in cut]), np.concatenate([y for _, y in cut]))
    return replace(make_task(folder.resolve().name, Splits(**parts), seed), data_kind="sensor readings")


def _readings(path: Path) -> np.ndarray:
    """(N, columns) float32; a first line of names is skipped."""
    try:
        with path.open(encoding="utf-8") as file:
            named = any(c.isalpha() and c not in "eEnNaAiIfF" for c in file.readline())
        values = np.loadtxt(path, np.float32, delimiter=",", ndmin=2, skiprows=int(named))
    except (OSError, ValueError) as error:
        raise UsageError(f"'{path}' cannot be read ({error}); give lines of numbers with commas") from None
    if not np.isfinite(values).all():
        raise UsageError(f"'{path}' contains NaN or infinity; remove or repair it")
    return values
