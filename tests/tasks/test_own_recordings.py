"""The user's own wav and csv folders."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from data_files import tone, write_images, write_wav
from PIL import Image

from mcuprune.errors import UsageError
from mcuprune.tasks.load import load_task
from mcuprune.tasks.spoken import COPIES


def write_words(folder: Path, rate: int = 16000, count: int = 10) -> Path:
    for number, name in enumerate(("go", "stop")):
        for index in range(count):
            audio = tone(500.0 + 700.0 * number, rate // 2, seed=index, rate=rate)
            write_wav(folder / name / f"{index}.wav", audio, rate)
    return folder


def write_sensors(folder: Path, count: int = 10, header: str = "x,y\n") -> Path:
    for number, name in enumerate(("idle", "shake")):
        (folder / name).mkdir(parents=True)
        for index in range(count):
            values = np.random.default_rng(index).normal(0.0, 1.0 + 3.0 * number, (160, 2))
            lines = "\n".join(",".join(f"{v:.4f}" for v in row) for row in values)
            (folder / name / f"{index}.csv").write_text(header + lines + "\n")
    return folder


@pytest.mark.parametrize("rate", [8000, 16000])
def test_wav_folder_brings_its_front_end(tmp_path, rate):
    task = load_task(None, str(write_words(tmp_path / "words", rate)))
    assert (task.name, task.input_shape, task.classes) == ("words", (49, 10, 1), 2)
    assert (len(task.train), len(task.test), task.labels) == (14, 4, ("go", "stop"))
    assert task.augment is None
    said = load_task(None, str(tmp_path / "words"), voices=True)
    assert (len(said.train), len(said.validation)) == (14 * (1 + COPIES), 2 * len(task.validation))
    assert said.augment is not None
    assert task.front_end is not None
    assert task.front_end.spec.rate == rate


def test_wav_folders_of_other_rates_are_refused(tmp_path):
    folder = write_words(tmp_path / "words")
    write_wav(folder / "stop" / "9.wav", tone(500.0, 900), 8000)
    with pytest.raises(UsageError, match=r"9.wav' has 8000 samples per second, .*0.wav' 16000"):
        load_task(None, str(folder))
    with pytest.raises(UsageError, match="resample to 8000 or 16000"):
        load_task(None, str(write_words(tmp_path / "cd", 44100, 2)))


@pytest.mark.parametrize("header", ["", "x,y\n"])
def test_csv_folder(tmp_path, header):
    task = load_task(None, str(write_sensors(tmp_path / "motion", header=header)))
    assert (task.name, task.input_shape, task.classes) == ("motion", (64, 1, 2), 2)
    per_file = (160 - 64) // 32 + 1
    assert (len(task.train), len(task.validation), len(task.test)) == (
        12 * per_file,
        4 * per_file,
        4 * per_file,
    )


def test_bad_csv_files_are_named(tmp_path):
    folder = write_sensors(tmp_path / "motion")
    bad = folder / "shake" / "3.csv"
    for text, reason in (
        ("1,2,3\n" * 90, "3 columns"),
        ("1,2\n" * 9, "a window needs 64"),
        ("1,?\n", "lines of numbers"),
    ):
        bad.write_text(text)
        with pytest.raises(UsageError, match=rf"3.csv.*{reason}"):
            load_task(None, str(folder))


def test_one_class_is_no_classifier(tmp_path):
    folder = write_sensors(tmp_path / "motion")
    for path in (folder / "idle").iterdir():
        path.unlink()
    with pytest.raises(UsageError, match="one class folder, 'shake'"):
        load_task(None, str(folder))


def test_tiny_folders_work(tmp_path):
    task = load_task(None, str(write_sensors(tmp_path / "few", count=3)))
    assert set(task.train.y) == set(task.test.y) == {0, 1}


def test_images_with_a_table_beside_them_are_images(tmp_path):
    folder = write_images(tmp_path / "pets")
    for part in sorted(folder.iterdir()):
        (part / "annotations.csv").write_text("1,2\n" * 90)
    task = load_task(None, str(folder))
    assert task.has_images
    assert task.labels == ("cat", "dog")


def test_hidden_folders_are_no_classes(tmp_path):
    folder = write_words(tmp_path / "words")
    write_wav(folder / ".ipynb_checkpoints" / "0.wav", tone(500.0, 900), 16000)
    assert load_task(None, str(folder)).labels == ("go", "stop")


def test_few_csv_files_are_refused_with_the_number_that_is_needed(tmp_path):
    with pytest.raises(UsageError, match="a class of 2 files; give 3 or more"):
        load_task(None, str(write_sensors(tmp_path / "motion", count=2)))
    assert load_task(None, str(write_sensors(tmp_path / "more", count=3))).labels == ("idle", "shake")


def test_voices_are_for_audio(tmp_path):
    with pytest.raises(UsageError, match="--augment voices: the inputs of 'motion' are no audio"):
        load_task(None, str(write_sensors(tmp_path / "motion")), voices=True)


def test_plots_beside_recordings_leave_them_recordings(tmp_path):
    words, motion = write_words(tmp_path / "words"), write_sensors(tmp_path / "motion")
    for folder in (words, motion):
        for path in sorted(folder.glob("*/*")):
            Image.new("L", (8, 8)).save(path.with_suffix(".png"))
    assert load_task(None, str(words)).front_end is not None
    assert load_task(None, str(motion)).input_shape == (64, 1, 2)
