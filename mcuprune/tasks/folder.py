"""Image folders: one sub-folder per class, optionally below ``train``, ``val`` and ``test``."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from mcuprune.errors import UsageError
from mcuprune.tasks.image import SUFFIXES, is_image, read_image
from mcuprune.tasks.splits import Splits, to_inputs
from mcuprune.tasks.task import Split

PARTS = {
    **dict.fromkeys(("train", "training"), "train"),
    **dict.fromkeys(("val", "valid", "validation"), "validation"),
    **dict.fromkeys(("test", "testing"), "test"),
}
LAYOUT = "<folder>/<class>/*.png, or <folder>/train/<class>/*.png beside <folder>/test"


def load_image_folder(folder: Path) -> Splits:
    """All images below ``folder`` (N, height, width, 1 or 3); classes are numbered by name.

    Grey images become colour where the set has both.  Raises UsageError naming the file or folder for an
    empty set, unreadable images, several image sizes, and classes that training images lack.
    """
    parts = _parts(folder)
    classes = class_names(folder)
    if len(classes) < 2:
        found = f"one class folder, '{classes[0]}'" if classes else "no class folders"
        raise UsageError(f"'{parts['train']}' holds {found}; give {LAYOUT}, with at least two classes")
    _check_depth(parts["train"], classes)
    images = {part: _images(path, classes) for part, path in parts.items()}
    _check_sizes(images)
    channels = max(pixels.shape[2] for entries in images.values() for _, pixels, _ in entries)
    return Splits(**{part: _split(entries, channels, str(parts[part])) for part, entries in images.items()})


def class_names(folder: Path) -> tuple[str, ...]:
    """The class folders' names, in the order of their numbers."""
    return tuple(path.name for path in folders(_parts(folder)["train"]))


def _parts(folder: Path) -> dict[str, Path]:
    above = {PARTS[path.name.lower()]: path for path in folders(folder) if path.name.lower() in PARTS}
    if above and "train" not in above:
        raise UsageError(
            f"'{folder}' holds '{next(iter(above.values())).name}' but no 'train'; give {LAYOUT}"
        )
    return above or {"train": folder}


def _check_depth(folder: Path, classes: tuple[str, ...]) -> None:
    """UsageError for parts of other names, which look like classes: the same sub-folders and no images."""
    below = [tuple(path.name for path in folders(folder / name)) for name in classes]
    if len(below[0]) > 1 and len(set(below)) == 1 and not any(map(is_image, folder.glob("*/*"))):
        raise UsageError(
            f"'{folder}': {', '.join(classes)} all hold the folders {', '.join(below[0])}; "
            f"if these are the classes, give {LAYOUT}"
        )


Entry = tuple[Path, np.ndarray, int]  # file, pixels (height, width, channels) uint8, class number


def _images(folder: Path, classes: tuple[str, ...]) -> list[Entry]:
    unknown = [path for path in folders(folder) if path.name not in classes]
    if unknown:
        raise UsageError(f"'{unknown[0]}' is a class without training images (known: {', '.join(classes)})")
    found: list[Entry] = []
    for number, name in enumerate(classes):
        files = sorted(path for path in (folder / name).rglob("*") if path.is_file() and is_image(path))
        if not files:
            kinds = ", ".join(SUFFIXES)
            absent = not (folder / name).exists()
            cure = "add some" if absent else "add some or remove the folder"
            raise UsageError(f"'{folder / name}' holds no images ({kinds}); {cure}")
        found += [(path, read_image(path), number) for path in files]
    return found


def _check_sizes(images: dict[str, list[Entry]]) -> None:
    first, pixels, _ = images["train"][0]
    for entries in images.values():
        for path, other, _ in entries:
            if other.shape[:2] != pixels.shape[:2]:
                sizes = [f"{shape[1]}x{shape[0]}" for shape in (other.shape, pixels.shape)]
                raise UsageError(f"image '{path}' is {sizes[0]}, '{first}' {sizes[1]}; bring all to one size")


def _split(entries: list[Entry], channels: int, where: str) -> Split:
    pixels = [np.broadcast_to(p, (*p.shape[:2], channels)) for _, p, _ in entries]
    labels = np.array([number for _, _, number in entries], np.int64)
    return Split(to_inputs(np.stack(pixels), where), labels)


def folders(folder: Path) -> list[Path]:
    """Sub-folders by name, hidden ones left out."""
    hidden = (".", "__")
    return sorted(path for path in folder.iterdir() if path.is_dir() and not path.name.startswith(hidden))
