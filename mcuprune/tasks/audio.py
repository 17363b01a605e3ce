"""Recorded audio: one wav file as samples."""

from __future__ import annotations

import wave
from pathlib import Path

import numpy as np

from mcuprune.errors import UsageError


def read_wav(path: Path) -> tuple[np.ndarray, int]:
    """The samples of the first channel (N,) int16, and the rate in Hz.

    Raises UsageError for a file that is missing, no wav file, empty, or has other than 16 bits per sample.
    """
    try:
        with wave.open(str(path), "rb") as file:
            width, channels, rate = file.getsampwidth(), file.getnchannels(), file.getframerate()
            data = file.readframes(file.getnframes())
    except (OSError, EOFError, wave.Error) as error:
        raise UsageError(f"audio '{path}' cannot be read ({error or 'cut short'}); fetch it again") from None
    if width != 2:
        raise UsageError(f"audio '{path}' has {8 * width} bits per sample; convert it to 16-bit PCM")
    whole = len(data) // (2 * channels) * 2 * channels
    if whole == 0:
        raise UsageError(f"audio '{path}' holds no samples; remove it")
    return np.frombuffer(data[:whole], "<i2").reshape(-1, channels)[:, 0].astype(np.int16), rate
