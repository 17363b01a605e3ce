"""Motion: windows of an accelerometer, and strokes of a wand, as sequences (time, 1, axes)."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import numpy as np

from mcuprune.errors import UsageError
from mcuprune.tasks.movements import drawn, worn
from mcuprune.tasks.splits import Splits, make_task
from mcuprune.tasks.task import Split, Task

FOLDS = 5
WINDOW, STEP = 52, 26  # samples at 26 Hz: two seconds, and one
STROKE_POINTS = 64
HAR_PATTERN = "*/*.csv"
WAND_PATTERN = "*_[0-9].json"


def load_har(folder: Path, fold: str | None, seed: int, title: str) -> Task:
    """Human activities (STMicroelectronics, BSD-3-Clause): ``<activity>/*.csv``, x, y, z in mg at 26 Hz.

    Windows (N, 52, 1, 3) in g.  Windows of one recording overlap, so whole recordings are held out: every
    fifth of each activity is a fold, the next fifth validates.
    """
    classes = sorted({path.parent.name for path in folder.glob(HAR_PATTERN)})
    number = int(fold or 0)
    parts: dict[str, list[tuple[np.ndarray, int]]] = {"train": [], "validation": [], "test": []}
    for label, name in enumerate(classes):
        for index, path in enumerate(sorted((folder / name).glob("*.csv"))):
            parts[_part(index, number)].append((windows(read_readings(path), WINDOW, STEP), label))
    splits = Splits(**{part: _join(found, folder) for part, found in parts.items()})
    task = make_task("har", splits, seed, title)
    return replace(task, augment=worn(task))


def _part(index: int, fold: int) -> str:
    place = (index - fold) % FOLDS
    return "test" if place == 0 else "validation" if place == 1 else "train"


def _join(found: list[tuple[np.ndarray, int]], folder: Path) -> Split:
    whole = [(x, label) for x, label in found if len(x)]
    if not whole:
        raise UsageError(f"'{folder}' holds too few recordings of {WINDOW} readings; fetch them again")
    x = np.concatenate([x for x, _ in whole])[:, :, None, :]
    return Split(x, np.concatenate([np.full(len(part), label, np.int64) for part, label in whole]))


def read_readings(path: Path) -> np.ndarray:
    """A csv file of numbers, three a line in mg, as (N, 3) float32 in g; UsageError for any other content."""
    try:
        values = np.loadtxt(path, np.float32, delimiter=",", ndmin=2)
    except (OSError, ValueError) as error:
        raise UsageError(f"'{path}' cannot be read ({error}); give lines of three numbers") from None
    if values.shape[1] != 3 or not np.isfinite(values).all():
        raise UsageError(
            f"'{path}' has {values.shape[1]} columns or values that are no numbers; give x, y, z"
        )
    return values / np.float32(1000.0)


def windows(values: np.ndarray, length: int, step: int) -> np.ndarray:
    """(N, channels) as overlapping windows (count, length, channels); none of a shorter sequence."""
    starts = range(0, len(values) - length + 1, step)
    found = [values[start : start + length] for start in starts]
    return np.stack(found) if found else np.empty((0, length, values.shape[1]), values.dtype)


def load_wand(folder: Path, fold: str | None, seed: int, title: str) -> Task:
    """Digits drawn with a wand (Warden, Apache-2.0): ``*_<digit>.json`` with strokes of (x, y) points.

    Strokes as (N, 64, 1, 2): resampled evenly in time, centred, the longer side from -1 to 1.  Every fifth
    stroke of a digit is a fold.
    """
    number = int(fold or 0)
    parts: dict[str, list[tuple[np.ndarray, int]]] = {"train": [], "validation": [], "test": []}
    for path in sorted(folder.glob(WAND_PATTERN)):
        for index, (points, digit) in enumerate(_strokes(path)):
            part = "test" if (index - number) % FOLDS == 0 else "train"
            parts[part].append((normalize_stroke(points)[None], digit))
    splits = {part: _join(found, folder) for part, found in parts.items() if found}
    task = make_task("wand", Splits(**splits), seed, title)
    return replace(task, augment=drawn(task))


def _strokes(path: Path) -> list[tuple[np.ndarray, int]]:
    try:
        strokes = json.loads(path.read_text(encoding="utf-8"))["strokes"]
        return [
            (np.array([(p["x"], p["y"]) for p in s["strokePoints"]], np.float32), int(s["label"]))
            for s in strokes
            if len(s["strokePoints"]) > 1
        ]
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise UsageError(f"'{path}' holds no strokes ({error}); fetch it again") from None


def normalize_stroke(points: np.ndarray) -> np.ndarray:
    """(N, 2) of any length to (64, 2) float32 in -1..1."""
    places = np.linspace(0.0, len(points) - 1.0, STROKE_POINTS)
    steps = np.arange(len(points))
    even = np.stack([np.interp(places, steps, points[:, axis]) for axis in (0, 1)], axis=1)
    low, high = even.min(axis=0), even.max(axis=0)
    half = max(float((high - low).max()) / 2.0, 1e-6)
    return ((even - (low + high) / 2.0) / half).astype(np.float32)
