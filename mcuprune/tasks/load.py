"""From what a user names to a task: built-in names, folders, archives and functions."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path

from mcuprune.budget import did_you_mean
from mcuprune.errors import UsageError
from mcuprune.tasks import spoken
from mcuprune.tasks.cifar import is_cifar_folder, load_cifar_folder
from mcuprune.tasks.custom import load_function, load_npz
from mcuprune.tasks.digits_scenes import digits_scenes, source_digits, split_sources
from mcuprune.tasks.folder import class_names, load_image_folder
from mcuprune.tasks.idx import is_idx_folder, load_idx_folder
from mcuprune.tasks.more import with_more
from mcuprune.tasks.published import PUBLISHED, load_published
from mcuprune.tasks.recordings import kind_of, load_recordings
from mcuprune.tasks.splits import Splits, make_task
from mcuprune.tasks.task import Split, Task, check_task, classification

FORMS = "a folder of images, .wav or .csv files, an IDX or CIFAR-10 folder, FILE.npz or FILE.py:FUNCTION"


def digits(seed: int = 0) -> Task:
    """scikit-learn's 1,797 digits, 8x8 grey; train, validation and test are always the same."""
    images, labels = source_digits()
    train, validation, test = (Split(images[part][..., None], labels[part]) for part in split_sources(labels))
    return classification(
        "digits", train, test, validation=validation, title="Handwritten digits, 8x8", seed=seed
    )


EMBEDDED: Mapping[str, Callable[[int], Task]] = {
    "digits-scenes": lambda seed: digits_scenes(seed=seed),
    "digits": digits,
}
TASKS: tuple[str, ...] = (*EMBEDDED, *PUBLISHED)


def load_task(
    name: str | None, data: str | None, seed: int = 0, more: str | None = None, voices: bool | None = None
) -> Task:
    """The task called ``name`` (one of :data:`TASKS`), or the one that the files at ``data`` define.

    With both, ``data`` is the folder of the published set.  ``NAME/FOLD`` tests one fold of a set that has
    some, and trains on the others.  Without either, the demonstration's.  What a source does not split itself
    is split by ``seed``.  ``more`` is a folder of recordings that only train.  ``voices``: whether training
    changes audio as other speakers would; None: that of a built-in task alone.  Raises UsageError, saying
    what is wrong and where, for data that cannot be used.
    """
    if name is None and data is not None:
        task = _own(data, seed, bool(voices))
    else:
        task = replace(_built_in(name, data, seed, voices is not False), is_built_in=True)
    if voices and task.front_end is None:
        raise UsageError(f"--augment voices: the inputs of '{task.name}' are no audio; leave it out")
    if more is None:
        return task
    trimmed = task.is_built_in and task.name == spoken.NAME
    return with_more(task, Path(more), trimmed, seed)


def _built_in(name: str | None, data: str | None, seed: int, voices: bool) -> Task:
    name = name or "digits-scenes"
    name, _, fold = name.partition("/")
    if name not in TASKS:
        raise UsageError(f"unknown task '{name}'{did_you_mean(name, TASKS)}; your own data go with --data")
    if name in PUBLISHED:
        return load_published(name, fold or None, data, seed, voices)
    if fold:
        raise UsageError(f"task '{name}/{fold}': '{name}' has no folds; leave out '/{fold}'")
    if data is not None:
        raise UsageError(f"task '{name}' brings its own data; leave out '{data}'")
    return EMBEDDED[name](seed)


def read_folder(folder: Path) -> tuple[Splits, tuple[str, ...]]:
    """An IDX, CIFAR-10 or image folder, told apart by the files in it; names of classes, if they have any."""
    if is_idx_folder(folder):
        return load_idx_folder(folder), ()
    if is_cifar_folder(folder):
        return load_cifar_folder(folder), ()
    return load_image_folder(folder), class_names(folder)


def _own(data: str, seed: int, voices: bool) -> Task:
    file, _, function = data.rpartition(":")
    if file.endswith(".py"):
        found = load_function(Path(file), function)
        return check_task(found) if isinstance(found, Task) else make_task(function, found, seed)
    path = Path(data)
    if not path.exists():
        raise UsageError(f"data '{data}' do not exist; give {FORMS}")
    if path.is_dir() and kind_of(path) is not None:
        return load_recordings(path, seed, voices)
    if path.is_dir():
        splits, labels = read_folder(path)
        return replace(make_task(path.resolve().name, splits, seed), labels=labels)
    if path.suffix == ".npz":
        return make_task(path.stem, load_npz(path), seed)
    raise UsageError(f"data '{data}' have no known form; give {FORMS}")
