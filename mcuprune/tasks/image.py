"""One image file as an array."""

from __future__ import annotations

import warnings
from pathlib import Path

import numpy as np
from PIL import Image

from mcuprune.errors import UsageError

SUFFIXES = (".png", ".jpg", ".jpeg", ".bmp")
GREY = ("1", "L", "LA")
UNREADABLE = (OSError, SyntaxError, ValueError, Image.DecompressionBombError, Image.DecompressionBombWarning)
COLOUR = ("RGB", "RGBA", "P", "PA", "CMYK", "YCbCr")


def is_image(path: Path) -> bool:
    """Whether the file's name says that it is an image."""
    return path.suffix.lower() in SUFFIXES and not path.name.startswith(".")


def read_image(path: Path, longest: int | None = None) -> np.ndarray:
    """(height, width, 1 or 3) uint8; grey images have one channel, transparency is dropped.

    Larger images are reduced until their longer side has ``longest`` pixels.  Raises UsageError for a file
    that is missing, truncated, no image, or has more than 8 bits per channel.
    """
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("error", Image.DecompressionBombWarning)
            with Image.open(path) as file:
                file.load()
    except FileNotFoundError:
        raise UsageError(f"image '{path}' does not exist") from None
    except UNREADABLE as error:
        reason = str(error).splitlines()[0] if str(error) else type(error).__name__
        raise UsageError(f"image '{path}' cannot be read ({reason}); repair or remove it") from None
    if file.mode not in GREY + COLOUR:
        raise UsageError(f"image '{path}' has pixels of kind {file.mode}; convert it to 8 bits per channel")
    image = file.convert("L" if file.mode in GREY else "RGB")
    if longest is not None and max(image.size) > longest:
        width, height = (max(1, round(side * longest / max(image.size))) for side in image.size)
        image = image.resize((width, height), Image.Resampling.LANCZOS)
    pixels = np.asarray(image, np.uint8)
    return pixels[..., None] if pixels.ndim == 2 else pixels
