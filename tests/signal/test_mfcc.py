"""Coefficients of audio: the definition against the textbook, the integers against the definition."""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.fft import dct

from mcuprune.signal import fixed
from mcuprune.signal import mfcc as real
from mcuprune.signal.mfcc import Mfcc
from mcuprune.tasks.published import VARIABLE
from mcuprune.tasks.spoken import read_digits

SPEC = Mfcc()
WIDE = Mfcc(rate=16000, samples=16000, frame=480, hop=320, fft=512, high=8000.0)
STEP = 8.0 / 255.0  # of an int8 that spans +-4 standard deviations


def noise(seed: int, spec: Mfcc = SPEC, count: int = 2) -> np.ndarray:
    """Clips of noise, loud and quiet, with silence at the end."""
    rng = np.random.default_rng(seed)
    loudness = 10.0 ** rng.uniform(0.0, 4.4, (count, 1))
    audio = np.clip(rng.normal(0.0, loudness, (count, spec.samples)), -32768, 32767)
    audio[:, rng.integers(1, spec.samples) :] = 0
    return audio.astype(np.int16)


def test_the_shape_is_that_of_keyword_spotting():
    assert SPEC.shape == WIDE.shape == (49, 10, 1)
    assert real.mfcc(noise(0), SPEC).shape == (2, 49, 10)


def test_filters_are_triangles_that_share_every_bin():
    for spec in (SPEC, WIDE):
        found = real.filters(spec)
        assert found.shape == (40, spec.fft // 2 + 1)
        assert (found.max(axis=1) > 0.2).all()  # no filter is empty
        inside = (real.positions(spec) >= 1) & (real.positions(spec) <= spec.mels)
        np.testing.assert_allclose(found[:, inside].sum(axis=0), 1.0)


def test_cosines_are_an_orthonormal_dct():
    levels = np.random.default_rng(0).normal(size=SPEC.mels)
    np.testing.assert_allclose(real.cosines(SPEC) @ levels, dct(levels, norm="ortho")[:10])


def test_a_tone_lights_the_filter_around_it():
    audio = (9000 * np.sin(2 * np.pi * 1000 * np.arange(8000) / 8000)).astype(np.int16)[None]
    spectrum = np.fft.rfft(real.frames_of(audio, SPEC)[0, 5] * real.window(SPEC), SPEC.fft)
    energy = real.filters(SPEC) @ np.abs(spectrum) ** 2
    assert energy.argmax() == round(real.positions(SPEC)[32]) - 1  # bin 32 is 1000 Hz; filters count from 1


def test_loudness_does_not_matter():
    audio = noise(3) // 8
    np.testing.assert_allclose(real.mfcc(audio * 4, SPEC), real.mfcc(audio, SPEC), atol=1e-9)


@pytest.mark.parametrize("spec", [SPEC, WIDE], ids=["8 kHz", "16 kHz"])
@settings(max_examples=15, deadline=None)
@given(seed=st.integers(0, 2**31))
def test_integers_follow_the_definition(spec, seed):
    audio = noise(seed, spec)
    found = fixed.coefficients(audio, spec) / fixed.ONE
    difference = np.abs(found - real.mfcc(audio, spec))
    assert difference.max() < 0.03  # of values that span 150
    assert difference.mean() < 0.002


@pytest.mark.parametrize("value", [0, 1, -32768, 32767])
def test_constant_clips(value):
    audio = np.full((1, SPEC.samples), value, np.int16)
    difference = np.abs(fixed.coefficients(audio, SPEC) / fixed.ONE - real.mfcc(audio, SPEC))
    assert difference.max() < 0.03


def test_a_clip_at_full_swing_does_not_overflow():
    square = np.where(np.arange(SPEC.samples) % 8 < 4, 32767, -32768).astype(np.int16)[None]
    random_signs = np.where(np.random.default_rng(1).random((1, SPEC.samples)) < 0.5, 32767, -32768)
    for audio in (square, random_signs.astype(np.int16)):
        difference = np.abs(fixed.coefficients(audio, SPEC) / fixed.ONE - real.mfcc(audio, SPEC))
        assert difference.max() < 0.03


@settings(max_examples=50, deadline=None)
@given(value=st.integers(1, 2**61))
def test_logarithms(value):
    t = fixed.tables(SPEC)
    assert fixed.bit_length(np.array([value]))[0] == value.bit_length()
    assert abs(fixed.log2(np.array([value]), t)[0] / fixed.ONE - np.log2(float(value))) < 1e-4


def test_quantizing_rounds_as_the_float_formula():
    values = noise(5)
    found = fixed.coefficients(values, SPEC)
    mean, std = found.mean(axis=(0, 1)) / fixed.ONE, found.std(axis=(0, 1)) / fixed.ONE
    q = fixed.quantizer(mean, std, STEP, -3)
    wanted = np.clip(np.round((found / fixed.ONE - mean) / std / STEP) - 3, -128, 127)
    difference = np.abs(fixed.quantize(found, q) - wanted)
    assert difference.max() <= 1
    assert difference.mean() < 0.002


@pytest.mark.skipif(VARIABLE not in os.environ, reason=f"{VARIABLE} does not name a folder with data sets")
def test_all_recorded_digits_stay_within_the_bound():
    folder = Path(os.environ[VARIABLE]) / "free-spoken-digit-dataset"
    if not folder.is_dir():
        pytest.skip(f"'{folder.name}' is not in {VARIABLE}")
    _, clips = read_digits(folder, SPEC)
    exact, found = real.mfcc(clips, SPEC), fixed.coefficients(clips, SPEC)
    mean, std = exact.mean(axis=(0, 1)), exact.std(axis=(0, 1))
    wanted = np.clip(np.round((exact - mean) / std / STEP), -128, 127)
    difference = np.abs(fixed.quantize(found, fixed.quantizer(mean, std, STEP, 0)) - wanted)
    assert difference.max() <= fixed.BOUND
    assert difference.mean() <= fixed.MEAN_BOUND
