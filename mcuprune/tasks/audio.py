"""Recorded audio: one wav file as samples, at another rate, without silence."""

from __future__ import annotations

import wave
from pathlib import Path

import numpy as np

from mcuprune.errors import UsageError

QUIET = 10**-2.8  # of the loudest power: below it nobody speaks


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


def resampled(audio: np.ndarray, rate: int, wanted: int) -> np.ndarray:
    """``audio`` (N,) at another rate in Hz, float64: its spectrum, cut or continued with zeros."""
    count = max(1, round(len(audio) * wanted / rate))
    spectrum = np.fft.rfft(audio.astype(np.float64))[: count // 2 + 1]
    return np.fft.irfft(spectrum, count) * (count / len(audio))


def heard_part(audio: np.ndarray, rate: int) -> np.ndarray:
    """``audio`` without the silence around it: from the first to the last loud hundredth of a second."""
    size = rate // 100
    parts = audio[: len(audio) // size * size].reshape(-1, size)
    power = np.mean(np.square(parts, dtype=np.float64), axis=1)
    loud = np.flatnonzero(power > QUIET * power.max(initial=0.0))
    return audio[loud[0] * size : (loud[-1] + 1) * size] if len(loud) else audio
