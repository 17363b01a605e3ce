"""Recordings of other voices train with the task's own, and nothing else changes."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from data_files import tone, write_spoken_digits, write_wav

from mcuprune.config import RunConfig
from mcuprune.errors import UsageError
from mcuprune.problem import load_problem
from mcuprune.signal.mfcc import Mfcc
from mcuprune.tasks.audio import heard_part, resampled
from mcuprune.tasks.load import load_task
from mcuprune.tasks.spoken import COPIES


def sine(rate: int, count: int) -> np.ndarray:
    return 5000.0 * np.sin(2.0 * np.pi * 400.0 * np.arange(count) / rate)


def write_more(folder: Path, count: int = 2) -> Path:
    """Digits 1 and 2 of other people, 16 kHz with half a second of silence before, and a word of no use."""
    for name, hertz in (("one", 700.0), ("two", 1100.0), ("bird", 1500.0)):
        for index in range(count):
            audio = np.concatenate([np.zeros(8000, np.int16), tone(hertz, 6400, seed=index, rate=16000)])
            write_wav(folder / name / f"{index}.wav", audio, 16000)
    return folder


@pytest.mark.parametrize(("rate", "wanted"), [(16000, 8000), (8000, 16000), (44100, 8000), (8000, 8000)])
def test_a_tone_at_another_rate_is_that_tone(rate, wanted):
    found = resampled(sine(rate, rate // 10), rate, wanted)
    np.testing.assert_allclose(found, sine(wanted, wanted // 10), atol=0.5)


def test_what_the_lower_rate_cannot_hold_is_gone():
    high = 5000.0 * np.sin(2.0 * np.pi * 6000.0 * np.arange(1600) / 16000)
    assert np.abs(resampled(high, 16000, 8000)).max() < 1e-6


def test_the_part_that_is_heard():
    audio = np.concatenate([np.zeros(1000), sine(8000, 2400), np.full(3000, 3.0)])
    np.testing.assert_array_equal(heard_part(audio, 8000), audio[960:3440])  # whole hundredths of a second
    for quiet in (np.zeros(500), np.zeros(10)):
        np.testing.assert_array_equal(heard_part(quiet, 8000), quiet)


def test_they_train_and_nothing_else_changes(tmp_path):
    own, more = str(write_spoken_digits(tmp_path / "fsdd", indices=20)), write_more(tmp_path / "more")
    plain, task = load_task("spoken-digits", own), load_task("spoken-digits", own, more=str(more))
    assert (task.front_end, task.classes, task.labels[:3]) == (plain.front_end, 3, ("zero", "one", "two"))
    assert task.title == f"{plain.title}, and 4 recordings of 'more' that only train"
    for part in ("validation", "test"):
        np.testing.assert_array_equal(getattr(task, part).x, getattr(plain, part).x)
    count = len(plain.train)
    np.testing.assert_array_equal(task.train.x[:count], plain.train.x)
    repeats = round(0.2 * (count // (1 + COPIES)) / 4)
    assert repeats == 4
    assert np.array_equal(np.bincount(task.train.y[count:]), [0, *[2 * repeats * (1 + COPIES)] * 2])


def test_another_rate_and_silence_make_no_difference(tmp_path):
    """Of what is said, features: the tone of digit 1 in silence at 16 kHz, and as the task has it."""
    own, more = str(write_spoken_digits(tmp_path / "fsdd")), tmp_path / "more"
    word = sine(16000, 9600)
    for name, audio, rate in (
        ("one", np.concatenate([np.zeros(3200), word, np.zeros(3200)]), 16000),
        ("two", word[::2], 8000),
    ):
        write_wav(more / name / "0.wav", audio.astype(np.int16), rate)
    task = load_task("spoken-digits", own, more=str(more))
    first = len(load_task("spoken-digits", own).train)
    spec = Mfcc()
    whole = (4800 - spec.frame) // spec.hop  # frames within the word
    one, two = (task.train.x[first + i, 1:whole, :, 0] for i in (0, 1))
    assert task.train.y[first : first + 2].tolist() == [1, 2]
    np.testing.assert_allclose(one, two, atol=0.15)


def test_folders_of_ones_own_take_them_as_they_are(tmp_path):
    for index in range(10):
        for name in ("one", "two"):
            audio = tone(500.0 if name == "one" else 900.0, 4000, seed=index)
            write_wav(tmp_path / "own" / name / f"{index}.wav", audio)
    plain = load_task(None, str(tmp_path / "own"))
    task = load_task(None, str(tmp_path / "own"), more=str(write_more(tmp_path / "more", 1)))
    added = task.train.x[len(plain.train) :]
    energy = added[0, :, 0, 0]
    assert energy[:20].max() < energy[30:40].min()  # half a second of silence first


def test_refusals_say_what_to_give(tmp_path):
    own = str(write_spoken_digits(tmp_path / "fsdd"))
    with pytest.raises(UsageError, match="called zero, one, two"):
        load_task("spoken-digits", own, more=str(tmp_path / "absent"))
    with pytest.raises(UsageError, match="'digits' is no audio"):
        load_task("digits", None, more=own)
    (tmp_path / "bad" / "two").mkdir(parents=True)
    (tmp_path / "bad" / "two" / "0.wav").write_bytes(b"RIFF")
    with pytest.raises(UsageError, match=r"two/0\.wav' cannot be read"):
        load_task("spoken-digits", own, more=str(tmp_path / "bad"))
    with pytest.raises(UsageError, match="leave out --more-data"):
        load_problem(RunConfig(model="some.png", more_data=own))
