"""Good data in every form that is accepted, and what comes out of them."""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np
import pytest
from data_files import (
    idx_bytes,
    samples,
    write_cifar,
    write_har,
    write_idx,
    write_images,
    write_spoken_digits,
)
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from mcuprune.errors import UsageError
from mcuprune.tasks.idx import read_idx
from mcuprune.tasks.load import TASKS, load_task
from mcuprune.tasks.published import VARIABLE, find_folder
from mcuprune.tasks.splits import to_inputs
from mcuprune.tasks.spoken import COPIES
from mcuprune.tasks.task import Split, Task, channel_statistics, hold_out


def sizes(task: Task) -> tuple[int, int, int]:
    return len(task.train), len(task.validation), len(task.test)


def raw(task: Task, x: np.ndarray) -> np.ndarray:
    """Inputs of a task as they were in the source."""
    return x * np.asarray(task.std, np.float32) + np.asarray(task.mean, np.float32)


def matching(wanted: np.ndarray, found: np.ndarray) -> np.ndarray:
    """For every array in ``found`` the place of the equal one in ``wanted``; all are matched."""
    distance = np.abs(wanted[None] - found[:, None]).reshape(len(found), len(wanted), -1).max(axis=2)
    order = distance.argmin(axis=1)
    assert distance.min(axis=1).max() < 1e-4
    assert sorted(order) == list(range(len(wanted)))
    return order


@pytest.mark.parametrize("zipped", [True, False])
def test_idx_folder(tmp_path, zipped):
    task = load_task(None, str(write_idx(tmp_path / "clothes", zipped)))
    assert (task.name, task.classes, task.input_shape, task.metric) == ("clothes", 3, (6, 5, 1), "accuracy")
    assert sizes(task) == (27, 3, 12)
    images, labels = samples(12, (6, 5), seed=1)
    order = matching(images[..., None] / 255.0, raw(task, task.test.x))
    np.testing.assert_array_equal(task.test.y, labels[order])
    assert order.tolist() != sorted(order.tolist())  # a few test samples stand for all
    assert task.test.y.dtype == np.int64
    assert task.train.x.dtype == np.float32


def test_inputs_are_standardized_per_channel(tmp_path):
    task = load_task(None, str(write_images(tmp_path / "pets")))
    both = np.concatenate([task.train.x, task.validation.x])
    assert len(task.mean) == len(task.std) == 3
    np.testing.assert_allclose(both.mean(axis=(0, 1, 2)), 0.0, atol=0.15)
    np.testing.assert_allclose(task.train.x.std(axis=(0, 1, 2)), 1.0, atol=1e-3)


def test_cifar_folder_has_channels_last(tmp_path):
    task = load_task("cifar10", str(write_cifar(tmp_path / "cifar")))
    assert (task.name, task.classes, task.input_shape) == ("cifar10", 3, (32, 32, 3))
    assert sizes(task) == (54, 6, 12)
    planes, labels = samples(12, (3, 32, 32), seed=5)
    order = matching(planes.transpose(0, 2, 3, 1) / 255.0, raw(task, task.test.x))
    np.testing.assert_array_equal(task.test.y, labels[order])


@pytest.mark.parametrize("place", ["mnist", "MNIST/raw", "."])
def test_published_set_by_name_and_folder(tmp_path, place):
    folder = tmp_path / "sets"
    write_idx(folder / place)
    assert load_task("mnist", str(folder)).name == "mnist"


def test_published_set_by_environment(tmp_path, monkeypatch):
    write_idx(tmp_path / "fashion-mnist")
    monkeypatch.setenv(VARIABLE, str(tmp_path))
    assert load_task("fashion-mnist", None).input_shape == (6, 5, 1)
    with pytest.raises(UsageError, match=r"task 'cifar10': no data in .*cifar-10-batches-bin'"):
        load_task("cifar10", None)


@pytest.mark.parametrize("suffix", ["png", "jpg", "JPEG", "bmp"])
def test_image_folder(tmp_path, suffix):
    task = load_task(None, str(write_images(tmp_path / "pets", suffix=suffix)))
    assert (task.name, task.classes, task.input_shape) == ("pets", 2, (5, 7, 3))
    assert sum(sizes(task)) == 20
    assert len(task.test) == 4  # a fifth of each class
    assert set(task.test.y) == {0, 1}


def test_image_folder_with_parts(tmp_path):
    for part, count in (("train", 8), ("val", 3), ("test", 4)):
        write_images(tmp_path / part, count=count, seed=count)
    task = load_task(None, str(tmp_path))
    assert sizes(task) == (16, 6, 8)
    dark, bright = (raw(task, task.test.x[task.test.y == label]).mean() for label in (0, 1))
    assert dark + 0.3 < bright  # classes are numbered by name: cat, dog


def test_grey_images_join_colour_ones(tmp_path):
    write_images(tmp_path)
    Image.fromarray(np.full((5, 7), 9, np.uint8)).save(tmp_path / "cat" / "grey.png")
    assert load_task(None, str(tmp_path)).input_shape == (5, 7, 3)
    only_grey = tmp_path / "grey"
    for name in ("a", "b"):
        (only_grey / name).mkdir(parents=True)
        for index in range(6):
            Image.fromarray(np.full((5, 7), 40 * index, np.uint8)).save(only_grey / name / f"{index}.png")
    assert load_task(None, str(only_grey)).input_shape == (5, 7, 1)


def test_palette_and_transparent_images_become_colour(tmp_path):
    write_images(tmp_path)
    pixels = np.random.default_rng(0).integers(0, 255, (5, 7, 4)).astype(np.uint8)
    Image.fromarray(pixels).save(tmp_path / "cat" / "alpha.png")
    Image.fromarray(pixels[..., :3]).convert("P").save(tmp_path / "dog" / "palette.png")
    assert load_task(None, str(tmp_path)).input_shape == (5, 7, 3)


def test_npz_with_and_without_test_set(tmp_path):
    x, y = samples(60, (4, 4, 1))
    np.savez(tmp_path / "all.npz", x=x, y=y)
    assert sizes(load_task(None, str(tmp_path / "all.npz"))) == (42, 6, 12)
    np.savez(
        tmp_path / "parts.npz", X_train=x, Y_train=y, x_val=x[:9], y_val=y[:9], x_test=x[:12], y_test=y[:12]
    )
    task = load_task(None, str(tmp_path / "parts.npz"))
    assert (task.name, sizes(task)) == ("parts", (60, 9, 12))


def test_features_keep_their_scale_and_share_one_mean(tmp_path):
    x = np.random.default_rng(0).normal(100.0, 7.0, (50, 6))
    np.savez(tmp_path / "features.npz", x=x, y=np.arange(50) % 2)
    task = load_task(None, str(tmp_path / "features.npz"))
    assert task.input_shape == (6,)
    assert task.mean == pytest.approx((100.0,), abs=1.5)


@pytest.mark.parametrize("scale", [1e-9, 1.0, 1e6])
def test_any_unit_gives_standardized_inputs(tmp_path, scale):
    x = (3.0 + np.random.default_rng(0).normal(0, 1, (80, 4))) * scale
    np.savez(tmp_path / "current.npz", x=x, y=np.arange(80) % 2)
    task = load_task(None, str(tmp_path / "current.npz"))
    assert task.train.x.std() == pytest.approx(1.0, abs=1e-4)
    assert task.train.x.mean() == pytest.approx(0.0, abs=1e-4)


def test_constant_channels_are_left_at_zero():
    x = np.full((50, 3, 3, 2), 0.1, np.float32)
    x[..., 1] = np.random.default_rng(0).random((50, 3, 3))
    mean, std = channel_statistics(x)
    assert std[0] == 1.0
    assert abs(x[..., 0] - mean[0]).max() < 1e-5
    assert std[1] == pytest.approx(1 / np.sqrt(12), rel=0.05)


FUNCTIONS = """
import numpy as np
from mcuprune.tasks.splits import make_task
from mcuprune.tasks.splits import Splits
from mcuprune.tasks.task import Split

X = (np.arange(40 * 16).reshape(40, 4, 4) % 251).astype(np.uint8)
Y = np.arange(40) % 4

def pair():
    return X, Y

def four():
    return X[:30], Y[:30], X[30:], Y[30:]

def mapping():
    return {"x_train": X[:30], "y_train": Y[:30], "x_test": X[30:], "y_test": Y[30:]}

def splits():
    return Splits(Split(X[:30], Y[:30]), test=Split(X[30:], Y[30:]))

def task():
    return make_task("own", Splits(Split(X[..., None].astype(np.float32), Y)), 0)

ready = task()
"""


@pytest.mark.parametrize("name", ["pair", "four", "mapping", "splits", "task", "ready"])
def test_function_of_a_python_file(tmp_path, name):
    (tmp_path / "data.py").write_text(FUNCTIONS)
    task = load_task(None, f"{tmp_path / 'data.py'}:{name}")
    assert (task.classes, task.input_shape, sum(sizes(task))) == (4, (4, 4, 1), 40)
    assert task.name == ("own" if name in ("task", "ready") else name)
    assert len(task.test) == (10 if name in ("four", "mapping", "splits") else 8)


def test_embedded_tasks():
    task = load_task("digits", None)
    assert (task.classes, task.input_shape) == (10, (8, 8, 1))
    assert sum(sizes(task)) == 1797
    assert {"digits-scenes", "mnist", "fashion-mnist", "cifar10"} < set(TASKS)


def test_same_seed_same_split_other_seed_another(tmp_path):
    folder = str(write_images(tmp_path))
    first, second, other = (load_task(None, folder, seed) for seed in (1, 1, 2))
    for part in ("train", "validation", "test"):
        np.testing.assert_array_equal(getattr(first, part).x, getattr(second, part).x)
    assert not np.array_equal(first.test.x, other.test.x)


@settings(deadline=None, max_examples=30)
@given(st.lists(st.integers(1, 9), min_size=2, max_size=5), st.floats(0.05, 0.5), st.integers(0, 9))
def test_hold_out_is_a_stratified_partition(counts, share, seed):
    y = np.repeat(np.arange(len(counts)), counts)
    x = np.arange(len(y), dtype=np.float32)[:, None]
    data = Split(x, y)
    if max(counts) == 1:
        with pytest.raises(UsageError, match="too few training samples"):
            hold_out(data, share, seed)
        return
    rest, held = hold_out(data, share, seed)
    assert sorted([*rest.x[:, 0], *held.x[:, 0]]) == list(x[:, 0])
    for label, count in enumerate(counts):
        assert np.sum(held.y == label) == min(max(1, round(share * count)), count - 1)


@settings(deadline=None, max_examples=60)
@given(st.binary(max_size=30), st.lists(st.integers(0, 3), max_size=3))
def test_idx_reads_what_was_written_and_refuses_any_other_bytes(tmp_path_factory, junk, shape):
    path = tmp_path_factory.getbasetemp() / "any.idx"
    array = np.random.default_rng(len(junk)).integers(0, 255, shape).astype(np.uint8)
    path.write_bytes(idx_bytes(array))
    np.testing.assert_array_equal(read_idx(path), array)
    path.write_bytes(idx_bytes(array) + junk + b"?")
    with pytest.raises(UsageError, match="its header promises"):
        read_idx(path)
    path.write_bytes(b"?" + junk)
    with pytest.raises(UsageError, match="is no IDX file"):
        read_idx(path)


def test_bytes_become_unit_range_and_floats_stay():
    assert to_inputs(np.array([[0, 255]], np.uint8), "x").tolist() == [[0.0, 1.0]]
    assert to_inputs(np.array([[-3.5, 255.0]]), "x").tolist() == [[-3.5, 255.0]]
    assert to_inputs(np.zeros((2, 3, 4)), "x").shape == (2, 3, 4, 1)


def test_real_published_sets_when_present():
    if not os.environ.get(VARIABLE) or not (Path(os.environ[VARIABLE]) / "fashion-mnist").is_dir():
        pytest.skip(f"{VARIABLE} names no folder with fashion-mnist")
    task = load_task("fashion-mnist", None)
    assert sizes(task) == (54000, 6000, 10000)
    assert task.mean == pytest.approx((0.286,), abs=1e-3)
    assert task.std == pytest.approx((0.353,), abs=1e-3)


def test_folders_are_called_training_and_testing_too(tmp_path):
    write_images(tmp_path / "set" / "Training")
    write_images(tmp_path / "set" / "Testing")
    task = load_task(None, str(tmp_path / "set"))
    assert task.labels == ("cat", "dog")
    assert len(task.test) == len(task.train) + len(task.validation)


def test_x_valid_is_the_validation_part(tmp_path):
    x, y = samples(30, (4, 4, 1))
    np.savez(tmp_path / "data.npz", x_train=x, y_train=y, x_valid=x[:12], y_valid=y[:12])
    assert len(load_task(None, str(tmp_path / "data.npz")).validation) == 12


def test_the_usual_place_of_a_set_goes_before_other_folders(tmp_path):
    write_har(tmp_path / "har_st")
    for other in ("doors", "gates"):
        (tmp_path / other).mkdir()
        (tmp_path / other / "0.csv").write_text("1,2,3\n" * 200)
    assert find_folder("har", str(tmp_path)) == tmp_path / "har_st"
    assert find_folder("har", str(tmp_path / "har_st")) == tmp_path / "har_st"


def test_spoken_digits_without_other_voices(tmp_path):
    write_spoken_digits(tmp_path)
    changed, plain = (load_task("spoken-digits", str(tmp_path), voices=v) for v in (None, False))
    assert len(changed.train) == (1 + COPIES) * len(plain.train)
    assert plain.augment is None
    np.testing.assert_array_equal(plain.test.y, changed.test.y)
