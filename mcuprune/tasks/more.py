"""Further recordings that only train: the same words in other voices, for instance of a public collection.

They are neither validated nor tested on, so they need not be of the kind that firmware will hear; what they
are worth is that many people say each word.
"""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np

from mcuprune.errors import UsageError
from mcuprune.signal.mfcc import Mfcc, fit
from mcuprune.tasks.audio import heard_part, read_wav, resampled
from mcuprune.tasks.spoken import COPIES, features
from mcuprune.tasks.task import Split, Task

SHARE = 0.2  # of the task's own training clips: few recordings are repeated until they are as many
LOUDEST = 12000.0  # of a clip, in steps


def with_more(task: Task, folder: Path, trimmed: bool, seed: int) -> Task:
    """``task`` trained on the recordings ``folder/<class>/*.wav`` too, and on perturbed copies as of its own.

    They are resampled to the rate of the task's front end and, with ``trimmed``, cut to the part that is
    heard.  Sub-folders that are not called like a class of the task are left out.  Raises UsageError for a
    task that is no audio, a folder without such sub-folders, and for files that cannot be read.
    """
    if task.front_end is None or not task.labels:
        raise UsageError(f"task '{task.name}' is no audio: further recordings are for words; leave them out")
    clips = _read(folder, task.labels, task.front_end.spec, trimmed)
    copies = 0 if task.augment is None else COPIES
    own = len(task.train) // (1 + copies)
    repeats = max(1, round(SHARE * own / len(clips)))
    found = features(
        Split(np.tile(clips.x, (repeats, 1)), np.tile(clips.y, repeats)), copies, task.front_end.spec, seed
    )
    mean, std = np.array(task.front_end.mean), np.array(task.front_end.std)
    x = ((found.x - mean) / std).astype(np.float32)[..., None]
    train = Split(np.concatenate([task.train.x, x]), np.concatenate([task.train.y, found.y]))
    title = f"{task.title}, and {len(clips)} recordings of '{folder.name}' that only train"
    return replace(task, train=train, title=title)


def _read(folder: Path, labels: tuple[str, ...], spec: Mfcc, trimmed: bool) -> Split:
    """Clips (N, samples) int16, their loudest sample as loud as that of perturbed ones."""
    files = [(path, n) for n, label in enumerate(labels) for path in sorted((folder / label).glob("*.wav"))]
    if not files:
        raise UsageError(
            f"'{folder}' has no recordings of this task: give a folder with sub-folders of .wav files called "
            f"{', '.join(labels)}"
        )
    clips = []
    for path, _ in files:
        audio = resampled(*read_wav(path), spec.rate)
        audio = heard_part(audio, spec.rate) if trimmed else audio
        audio = np.round(audio * (LOUDEST / max(1.0, float(np.abs(audio).max()))))
        clips.append(fit(audio.astype(np.int16), spec.samples))
    return Split(np.stack(clips), np.array([n for _, n in files], np.int64))
