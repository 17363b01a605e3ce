"""Audio and motion: tasks from files in the published formats."""

from __future__ import annotations

import json
import os
from pathlib import Path

import numpy as np
import pytest
from data_files import tone, write_anomaly, write_har, write_spoken_digits, write_wand, write_wav

from mcuprune.errors import UsageError
from mcuprune.problem import OWN_MODELS, RECIPES
from mcuprune.tasks.audio import read_wav
from mcuprune.tasks.load import load_task
from mcuprune.tasks.motion import normalize_stroke, windows
from mcuprune.tasks.published import PUBLISHED, VARIABLE
from mcuprune.tasks.spoken import COPIES
from mcuprune.tasks.task import Task, auc

REAL = os.environ.get(VARIABLE)
needs_data = pytest.mark.skipif(REAL is None, reason=f"{VARIABLE} does not name a folder with data sets")


def sizes(task: Task) -> tuple[int, int, int]:
    return len(task.train), len(task.validation), len(task.test)


def test_spoken_digits_published_split(tmp_path):
    task = load_task("spoken-digits", str(write_spoken_digits(tmp_path / "fsdd")))
    assert (task.name, task.input_shape, task.classes) == ("spoken-digits", (49, 10, 1), 3)
    assert len(task.test) == 3 * 2 * 5  # indices 0 to 4 of each digit and speaker
    held = round(0.1 * 2 * 3) * 3  # of each digit's six training clips
    assert sizes(task)[:2] == ((18 - held) * (1 + COPIES), held * 2)
    assert task.front_end is not None
    assert len(task.front_end.mean) == len(task.front_end.std) == 10


def test_a_fold_tests_one_speaker(tmp_path):
    folder = str(write_spoken_digits(tmp_path))
    task = load_task("spoken-digits/theo", folder)
    assert len(task.test) == 3 * 8
    published = load_task("spoken-digits", folder)
    assert task.front_end != published.front_end  # statistics are those of the training clips
    with pytest.raises(UsageError, match=r"0 of 48 recordings are of speaker 'lucas'"):
        load_task("spoken-digits/lucas", folder)
    with pytest.raises(UsageError, match=r"'spoken-digits/thoe': its folds are .* mean 'theo'"):
        load_task("spoken-digits/thoe", folder)
    with pytest.raises(UsageError, match="it has no folds"):
        load_task("mnist/0", folder)


def test_training_coefficients_are_standardized(tmp_path):
    task = load_task("spoken-digits", str(write_spoken_digits(tmp_path)))
    np.testing.assert_allclose(task.train.x.mean(axis=(0, 1, 3)), 0.0, atol=1e-3)
    np.testing.assert_allclose(task.train.x.std(axis=(0, 1, 3)), 1.0, atol=1e-3)


def test_damaged_recordings_are_named(tmp_path):
    folder = write_spoken_digits(tmp_path)
    bad = folder / "recordings" / "1_george_7.wav"
    write_wav(bad, tone(300.0, 900), rate=16000)
    with pytest.raises(UsageError, match=r"1_george_7.wav' has 16000 samples per second, not 8000"):
        load_task("spoken-digits", str(folder))
    bad.write_bytes(b"RIFF")
    with pytest.raises(UsageError, match=r"1_george_7.wav' cannot be read"):
        load_task("spoken-digits", str(folder))
    write_wav(bad, np.zeros(0))
    with pytest.raises(UsageError, match=r"1_george_7.wav' holds no samples"):
        load_task("spoken-digits", str(folder))
    bad.rename(bad.with_name("one_george_7.wav"))
    with pytest.raises(UsageError, match="DIGIT_SPEAKER_INDEX"):
        load_task("spoken-digits", str(folder))


def test_stereo_audio_gives_its_first_channel(tmp_path):
    both = np.stack([np.arange(50), -np.arange(50)], axis=1)
    audio, rate = read_wav(write_wav(tmp_path / "a.wav", both, rate=11025))
    np.testing.assert_array_equal(audio, np.arange(50))
    assert rate == 11025


def test_har_keeps_recordings_apart(tmp_path):
    task = load_task("har", str(write_har(tmp_path / "har_st")))
    assert (task.input_shape, task.classes) == ((52, 1, 3), 3)
    per_recording = (200 - 52) // 26 + 1
    assert sizes(task) == (9 * per_recording, 3 * per_recording, 6 * per_recording)
    other = load_task("har/1", str(tmp_path / "har_st"))
    assert sizes(other) == (12 * per_recording, 3 * per_recording, 3 * per_recording)


def test_wand_strokes(tmp_path):
    task = load_task("wand", str(write_wand(tmp_path / "wand")))
    assert (task.input_shape, task.classes) == ((64, 1, 2), 3)
    assert len(task.test) == 6
    assert sum(sizes(task)) == 30


def test_damaged_motion_files_are_named(tmp_path):
    har, wand = write_har(tmp_path / "har"), write_wand(tmp_path / "wand")
    (har / "walking" / "walking_02_26Hz_4g_mg.csv").write_text("1, 2\n3, 4\n")
    with pytest.raises(UsageError, match=r"walking_02.*2 columns"):
        load_task("har", str(har))
    (har / "walking" / "walking_02_26Hz_4g_mg.csv").write_text("1, 2, x\n")
    with pytest.raises(UsageError, match=r"walking_02.*lines of three numbers"):
        load_task("har", str(har))
    (wand / "someone_1.json").write_text(json.dumps({"strokes": [{"label": "1"}]}))
    with pytest.raises(UsageError, match=r"someone_1.json' holds no strokes"):
        load_task("wand", str(wand))


def test_anomalies_are_told_by_their_error(tmp_path):
    task = load_task("anomaly", str(write_anomaly(tmp_path / "ad01")))
    windows_each = (200 - 5) // 4 + 1
    assert (task.input_shape, task.outputs, task.chance) == ((640,), 640, 0.5)
    assert sizes(task) == (10 * windows_each, 2 * 2 * windows_each, (8 + 20) * windows_each)
    known = task.train.x.mean(axis=0)  # an "autoencoder" that always returns the mean of what it learnt
    for split in (task.validation, task.test):
        assert task.score(np.tile(known, (len(split), 1)), split.y) > 0.99
        assert task.score(split.x, split.y) == 0.5
    numbers = task.test.y[:100, -1]
    assert (numbers > 0).any()
    assert (numbers < 0).any()


def test_area_under_the_curve():
    targets = np.array([[0.0, 1], [0.0, 1], [0.0, 2], [0.0, -3], [0.0, -4]], np.float32)
    outputs = np.sqrt(np.array([[1.0], [3.0], [4.0], [3.0], [5.0]], np.float32))
    assert auc(outputs, targets) == 0.75  # recordings: 2 and 4 normal, 3 and 5 anomalous
    assert auc(outputs[:2], targets[:2]) == 0.5
    assert auc(np.ones((5, 1), np.float32), targets) == 0.5


def test_a_damaged_spectrogram_is_named(tmp_path):
    folder = write_anomaly(tmp_path / "ad01", recordings=4)
    (folder / "normal_id_01_00000001_hist_librosa.bin").write_bytes(b"short")
    with pytest.raises(UsageError, match=r"normal_id_01_00000001.*200x128"):
        load_task("anomaly", str(folder))
    for path in folder.glob("anomaly*"):
        path.unlink()
    (folder / "normal_id_01_00000001_hist_librosa.bin").unlink()
    with pytest.raises(UsageError, match="too few recordings"):
        load_task("anomaly", str(folder))


def test_strokes_are_normalized():
    stroke = np.array([[5.0, 1.0], [7.0, 1.5], [9.0, 2.0]], np.float32)
    found = normalize_stroke(stroke)
    np.testing.assert_allclose(found[[0, -1]], [[-1.0, -0.25], [1.0, 0.25]], atol=1e-6)
    assert not normalize_stroke(np.ones((4, 2), np.float32)).any()  # a wand at rest


def test_windows_overlap():
    values = np.arange(10, dtype=np.float32)[:, None]
    assert windows(values, 4, 2)[:, 0, 0].tolist() == [0, 2, 4, 6]
    assert windows(values[:3], 4, 2).shape == (0, 4, 1)


def test_every_published_task_has_a_network_and_a_recipe():
    assert set(PUBLISHED) <= set(OWN_MODELS)
    assert set(PUBLISHED) <= set(RECIPES)


@needs_data
@pytest.mark.parametrize(
    ("name", "place", "total", "test"),
    [
        ("spoken-digits/yweweler", "free-spoken-digit-dataset", 2250 * (1 + COPIES) + 250 * 2 + 500, 500),
        ("har", "har_st", 92 * 37, 20 * 37),
        ("wand/4", "magic_wand_digit_data", 1000, 200),
    ],
)
def test_real_sets(name, place, total, test):
    assert REAL is not None
    if not (Path(REAL) / place).is_dir():
        pytest.skip(f"'{place}' is not in {VARIABLE}")
    task = load_task(name, REAL)
    assert (sum(sizes(task)), len(task.test)) == (total, test)
