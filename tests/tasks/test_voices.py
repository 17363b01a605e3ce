"""Speech as others would say it: of the right shape, and changed in the way that is stated."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from mcuprune.signal.mfcc import Mfcc, cosines, frequency, mfcc, position
from mcuprune.tasks import voices
from mcuprune.tasks.narrow import heard
from mcuprune.tasks.task import FrontEnd
from mcuprune.tasks.voices import cepstral, perturb

SPEC = Mfcc()
FRONT = FrontEnd(SPEC, tuple(float(i) for i in range(10)), tuple(1.0 + 0.1 * i for i in range(10)))
SILENT = {
    "SHIFT": 0,
    "TEMPO": 0.0,
    "UNEVEN": 0.0,
    "TRACT": 0.0,
    "BEND": 0.0,
    "TILT": 0.0,
    "MASK": 0,
    "ROUGH": 0.0,
}


def tone(hertz: float, samples: int = 8000) -> np.ndarray:
    return np.round(9000.0 * np.sin(2 * np.pi * hertz * np.arange(samples) / 8000)).astype(np.int16)


def only(monkeypatch: pytest.MonkeyPatch, **changes: float) -> None:
    for name, value in {**SILENT, **changes}.items():
        monkeypatch.setattr(voices, name, value)


def cepstra(count: int = 20) -> np.ndarray:
    return np.random.default_rng(1).normal(size=(count, 49, 10, 1)).astype(np.float32)


def test_perturbed_clips_are_clips() -> None:
    rng = np.random.default_rng(0)
    for clip in (tone(500.0), np.zeros(8000, np.int16), np.full(8000, -32768, np.int16)):
        found = [perturb(clip, SPEC, rng) for _ in range(5)]
        assert {(c.dtype, c.shape) for c in found} == {(np.dtype(np.int16), (8000,))}
        assert not np.array_equal(found[0], found[1])


def test_frequency_is_the_inverse_of_position() -> None:
    places = np.linspace(0.0, SPEC.mels + 1.0, 50)
    np.testing.assert_allclose(position(frequency(places, SPEC), SPEC), places, atol=1e-9)
    np.testing.assert_allclose(frequency(np.array([0.0, 41.0]), SPEC), [SPEC.low, SPEC.high], atol=1e-6)


@pytest.mark.parametrize("kept", [tuple(range(10)), (0, 2, 5)])
def test_nothing_changes_without_changes(monkeypatch: pytest.MonkeyPatch, kept: tuple[int, ...]) -> None:
    only(monkeypatch)
    x = np.ascontiguousarray(cepstra()[:, :, list(kept)])
    found = cepstral(heard(FRONT, kept))(x, np.random.default_rng(0))
    assert (found.dtype, found.shape) == (x.dtype, x.shape)
    np.testing.assert_allclose(found, x, atol=1e-4)


def test_another_tract_moves_the_spectrum(monkeypatch: pytest.MonkeyPatch) -> None:
    """What vocal tract perturbation makes of a tone resembles the tone that is so much higher or lower."""
    only(monkeypatch, TRACT=0.15)
    monkeypatch.setattr(voices, "TRACTS", 2)  # the two ends
    low, middle, high = (mfcc(tone(1000.0 * np.exp(shift))[None], SPEC)[0] for shift in (-0.15, 0.0, 0.15))
    mean, std = np.array(FRONT.mean), np.array(FRONT.std)
    x = ((np.stack([middle] * 40) - mean) / std).astype(np.float32)[..., None]
    found = cepstral(FRONT)(x, np.random.default_rng(0))[..., 0] * std + mean
    to_low, to_high = (np.linalg.norm(found - goal, axis=(1, 2)) for goal in (low, high))
    apart = np.linalg.norm(low - high)
    assert (np.minimum(to_low, to_high) < 0.35 * apart).all()
    assert 5 < (to_low < to_high).sum() < 35


def test_a_bent_tract_moves_formants_apart(monkeypatch: pytest.MonkeyPatch) -> None:
    """Of two tones one rises while the other falls, which no single factor does."""
    only(monkeypatch, BEND=0.15)
    front = FrontEnd(replace(SPEC, coefficients=SPEC.mels), (0.0,) * SPEC.mels, (1.0,) * SPEC.mels)
    both = np.round(tone(500.0) / 2 + tone(2000.0) / 2).astype(np.int16)
    x = np.repeat(mfcc(both[None], front.spec)[..., None], 60, axis=0).astype(np.float32)
    found = cepstral(front)(x, np.random.default_rng(0))[:, 20, :, 0]
    spectra = found @ cosines(front.spec)
    split = int(position(np.array(1000.0), SPEC))
    low, high = spectra[:, :split].argmax(axis=1), split + spectra[:, split:].argmax(axis=1)
    plain = x[0, 20, :, 0] @ cosines(front.spec)
    moved = (low - plain[:split].argmax(), high - split - plain[split:].argmax())
    assert (moved[0] * moved[1] < 0).any()
    assert (moved[0] * moved[1] > 0).any()


def test_speed_changes_on_the_way(monkeypatch: pytest.MonkeyPatch) -> None:
    only(monkeypatch, UNEVEN=0.1)
    x = np.zeros((60, 49, 10, 1), np.float32) + np.arange(49, dtype=np.float32)[None, :, None, None]
    front = replace(FRONT, mean=(0.0,) * 10, std=(1.0,) * 10)
    speed = np.diff(cepstral(front)(x, np.random.default_rng(0))[:, :40, 0, 0], axis=1)
    assert (speed > 0.5).all()
    assert 0.05 < np.log(speed).std() < 0.12
    assert speed.std(axis=1).min() > 0.01  # within every clip


def test_time_is_stretched_and_moved_in_order(monkeypatch: pytest.MonkeyPatch) -> None:
    only(monkeypatch, SHIFT=4, TEMPO=0.25)
    x = np.zeros((60, 49, 10, 1), np.float32) + np.arange(49, dtype=np.float32)[None, :, None, None]
    found = cepstral(replace(FRONT, mean=(0.0,) * 10, std=(1.0,) * 10))(x, np.random.default_rng(0))[
        ..., 0, 0
    ]
    steps = np.diff(found, axis=1)
    assert (steps > -1e-3).all()
    inner = steps[:, 10:20].mean(axis=1)
    assert np.exp(-0.26) < inner.min() < 0.85
    assert 1.15 < inner.max() < np.exp(0.26)


def test_one_span_at_most_is_silenced(monkeypatch: pytest.MonkeyPatch) -> None:
    only(monkeypatch, MASK=8)
    found = cepstral(FRONT)(cepstra(200), np.random.default_rng(0))
    silent = (found == 0.0).all(axis=(2, 3))
    assert set(silent.sum(axis=1).tolist()) == set(range(9))
    assert (np.abs(np.diff(np.pad(silent, ((0, 0), (1, 1))).astype(int), axis=1)).sum(axis=1) <= 2).all()


def test_tilt_is_one_value_per_coefficient_and_noise_is_not(monkeypatch: pytest.MonkeyPatch) -> None:
    x = cepstra(300)
    only(monkeypatch, TILT=0.6)
    moved = cepstral(FRONT)(x, np.random.default_rng(0)) - x
    assert moved.std(axis=1).max() < 1e-3
    assert 0.55 < moved.std() < 0.65
    only(monkeypatch, ROUGH=1.0)
    rough = (cepstral(FRONT)(x, np.random.default_rng(0)) - x).std(axis=(1, 2, 3))
    assert rough.min() < 0.1
    assert 0.9 < rough.max() < 1.1
