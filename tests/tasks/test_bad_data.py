"""Data that cannot be used: one line each that says what, where, and what to do."""

from __future__ import annotations

import gzip
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from data_files import idx_bytes, samples, write_cifar, write_idx, write_images
from PIL import Image

from mcuprune.errors import UsageError
from mcuprune.tasks.load import load_task
from mcuprune.tasks.task import Split, check_task

X, Y = samples(30, (4, 4, 1))
F = X.astype(np.float32)


def refused(data: Path | str | None, name: str | None = None) -> str:
    with pytest.raises(UsageError) as caught:
        load_task(name, None if data is None else str(data))
    message = str(caught.value)
    assert "\n" not in message
    assert caught.value.exit_code == 2
    return message


def changed(array: np.ndarray, index: tuple[int, ...] | int, value: float) -> np.ndarray:
    array = array.copy()
    array[index] = value
    return array


ARRAYS = {
    "nan": (
        {"x": changed(F, (7, 1, 2, 0), np.nan), "y": Y},
        "1 samples contain NaN or infinity, the first is sample 7",
    ),
    "infinite": ({"x": changed(F, 3, -np.inf), "y": Y}, "NaN or infinity, the first is sample 3"),
    "empty": ({"x": F[:0], "y": Y[:0]}, "no training samples"),
    "empty test": ({"x_train": F, "y_train": Y, "x_test": F[:0], "y_test": Y[:0]}, "test: no samples"),
    "one class": ({"x": F, "y": Y * 0}, "all 30 training samples are of class 0"),
    "one other class": ({"x": F, "y": Y * 0 + 2}, "all 30 training samples are of class 2"),
    "lengths": ({"x": F, "y": Y[:-1]}, "30 inputs but 29 labels"),
    "negative label": ({"x": F, "y": changed(Y.astype(int), 4, -1)}, "label -1 of sample 4 is outside 0..2"),
    "label gap": ({"x": F, "y": changed(Y.astype(int), 4, 255)}, "no training sample is of class 3"),
    "label in test": (
        {"x_train": F, "y_train": Y, "x_test": F, "y_test": changed(Y, 5, 9)},
        "test: label 9 of sample 5 is outside 0..2",
    ),
    "float labels": ({"x": F, "y": Y.astype(float)}, "labels are float64 of shape (30,); give one integer"),
    "one-hot labels": ({"x": F, "y": np.eye(3, dtype=int)[Y]}, "labels are int64 of shape (30, 3)"),
    "text labels": ({"x": F, "y": np.array(["a", "b", "c"] * 10)}, "labels are <U1"),
    "scalars": ({"x": F[:, 0, 0, 0], "y": Y}, "inputs have shape (30,)"),
    "volumes": ({"x": F[..., None], "y": Y}, "inputs have shape (30, 4, 4, 1, 1)"),
    "channels first": (
        {"x": np.zeros((30, 3, 8, 8)), "y": Y},
        "channels first; give x.transpose(0, 2, 3, 1)",
    ),
    "no features": ({"x": np.zeros((30, 0)), "y": Y}, "samples without values"),
    "integers": ({"x": F.astype(np.int32), "y": Y}, "inputs are int32; give uint8 (pixels) or float"),
    "text": ({"x": np.full((30, 4), "a"), "y": Y}, "inputs are <U1"),
    "shapes": (
        {"x_train": F, "y_train": Y, "x_test": F[:, 1:], "y_test": Y},
        "have shape (3, 4, 1), expected (4, 4, 1)",
    ),
    "no labels": ({"x": F}, "'x' without its partner"),
    "no training": ({"x_test": F, "y_test": Y}, "no training data among the arrays ['x_test', 'y_test']"),
    "other names": ({"images": F, "labels": Y}, "no training data among the arrays ['images', 'labels']"),
    "unknown part": ({"x": F, "y": Y, "x_dev": F, "y_dev": Y}, "a part 'dev' is not known; give x and y"),
    "times as labels": ({"x": F, "y": Y.astype(int) + 10**13}, "no training sample is of class 0, yet"),
    "twice": ({"x": F, "y": Y, "x_train": F, "y_train": Y}, "train data are given twice"),
    "singles": ({"x": F[:2], "y": Y[:2]}, "too few training samples"),
}


@pytest.mark.parametrize("case", sorted(ARRAYS))
def test_arrays(tmp_path, case):
    arrays, expected = ARRAYS[case]
    np.savez(tmp_path / "set.npz", **arrays)
    message = refused(tmp_path / "set.npz")
    assert expected in message
    assert "set" in message or case == "singles"


def test_damaged_archives(tmp_path):
    path = tmp_path / "x.npz"
    np.savez(path, x=F, y=Y)
    whole = path.read_bytes()
    for data in (b"", b"PK nonsense", whole[: len(whole) // 2]):
        path.write_bytes(data)
        assert f"'{path}' cannot be read as .npz" in refused(path)
    np.savez(path, x=np.array([object()] * 3, dtype=object), y=Y)
    assert "cannot be read as .npz" in refused(path)  # pickles are not loaded


def test_an_array_is_no_archive(tmp_path):
    np.save(tmp_path / "data.npy", F)
    (tmp_path / "data.npy").rename(tmp_path / "data.npz")
    assert "cannot be read as .npz" in refused(tmp_path / "data.npz")


def test_nothing_there(tmp_path):
    assert "do not exist; give a folder of images" in refused(tmp_path / "nowhere")
    (tmp_path / "notes.txt").write_text("hello")
    assert "have no known form" in refused(tmp_path / "notes.txt")
    assert "does not exist" in refused(f"{tmp_path}/missing.py:data")


def test_unknown_task_is_answered_with_the_nearest(monkeypatch):
    assert "unknown task 'fashon-mnist'; did you mean 'fashion-mnist'?" in refused(None, "fashon-mnist")
    assert "(known: digits-scenes, digits, mnist" in refused(None, "zzz")
    assert "task 'digits' brings its own data" in refused("somewhere", "digits")
    assert "'digits' has no folds; leave out '/0'" in refused(None, "digits/0")
    monkeypatch.delenv("MCUPRUNE_DATA", raising=False)
    assert "set MCUPRUNE_DATA (or --data) to the folder above 'mnist/'" in refused(None, "mnist")


def _nothing(folder: Path) -> None:
    folder.mkdir()


def _loose_files(folder: Path) -> None:
    folder.mkdir()
    Image.new("L", (4, 4)).save(folder / "a.png")


def _one_class(folder: Path) -> None:
    write_images(folder, ("cat",))


def _empty_class(folder: Path) -> None:
    write_images(folder)
    (folder / "emu").mkdir()
    (folder / "emu" / "readme.txt").write_text("soon")


def _sizes(folder: Path) -> None:
    write_images(folder)
    Image.new("RGB", (8, 5)).save(folder / "dog" / "z.png")


def _truncated(folder: Path) -> None:
    write_images(folder)
    path = folder / "dog" / "03.png"
    path.write_bytes(path.read_bytes()[:60])


def _no_image(folder: Path) -> None:
    write_images(folder)
    (folder / "cat" / "03.png").write_bytes(b"just text")


def _deep(folder: Path) -> None:
    write_images(folder)
    Image.fromarray(np.zeros((5, 7), np.uint16)).save(folder / "cat" / "deep.png")


def _unknown_test_class(folder: Path) -> None:
    write_images(folder / "train")
    write_images(folder / "test", ("cat", "emu"))


def _class_without_test_images(folder: Path) -> None:
    write_images(folder / "train")
    (folder / "test" / "cat").mkdir(parents=True)


def _missing_test_class(folder: Path) -> None:
    write_images(folder / "train")
    write_images(folder / "test", ("cat",))


def _parts_of_other_names(folder: Path) -> None:
    write_images(folder / "training_set")
    write_images(folder / "test_set")


def _test_alone(folder: Path) -> None:
    write_images(folder / "test")
    write_images(folder / "rest")


IMAGES: list[tuple[Callable[[Path], None], str]] = [
    (_nothing, "holds no class folders; give <folder>/<class>/*.png"),
    (_loose_files, "holds no class folders"),
    (_one_class, "holds one class folder, 'cat'"),
    (_empty_class, "emu' holds no images (.png, .jpg, .jpeg, .bmp)"),
    (_sizes, "z.png' is 8x5, "),
    (_truncated, "03.png' cannot be read"),
    (_no_image, "03.png' cannot be read (cannot identify"),
    (_deep, "deep.png' has pixels of kind I;16; convert it to 8 bits"),
    (_unknown_test_class, "emu' is a class without training images (known: cat, dog)"),
    (_class_without_test_images, "cat' holds no images"),
    (_missing_test_class, "dog' holds no images (.png, .jpg, .jpeg, .bmp); add some"),
    (_parts_of_other_names, "test_set, training_set all hold the folders cat, dog; if these are the classes"),
    (_test_alone, "holds 'test' but no 'train'; give"),
]


@pytest.mark.parametrize(("write", "expected"), IMAGES, ids=[write.__name__ for write, _ in IMAGES])
def test_image_folders(tmp_path, write, expected):
    write(tmp_path / "set")
    message = refused(tmp_path / "set")
    assert expected in message
    assert str(tmp_path / "set") in message


def test_idx_files(tmp_path):
    folder = write_idx(tmp_path / "set")
    images, labels = folder / "train-images-idx3-ubyte.gz", folder / "t10k-labels-idx1-ubyte.gz"
    good = images.read_bytes()
    whole = gzip.decompress(good)
    cases = [
        (good[: len(good) // 2], "cannot be read"),
        (b"no gzip", "cannot be read"),
        (gzip.compress(whole[:-5]), "holds 895 bytes, its header promises 900"),
        (gzip.compress(b"\0\0\x0d\x03" + whole[4:]), "is no IDX file of bytes"),
        (gzip.compress(b""), "is no IDX file of bytes"),
    ]
    for data, expected in cases:
        images.write_bytes(data)
        message = refused(folder)
        assert expected in message
        assert f"'{images}'" in message
    images.write_bytes(good)
    labels.write_bytes(gzip.compress(idx_bytes(np.zeros(5, np.uint8))))
    assert "test: 12 inputs but 5 labels" in refused(folder)
    labels.unlink()
    assert "lacks t10k-labels-idx1-ubyte.gz" in refused(folder)


def test_cifar_files(tmp_path):
    folder = write_cifar(tmp_path / "set")
    path = folder / "data_batch_2.bin"
    good = path.read_bytes()
    for data, expected in (
        (good[:-1], "no whole number of images (3073)"),
        (b"", "no whole number of images"),
        (b"\x0b" + good[1:], "image 0 has label 11, not 0..9"),
    ):
        path.write_bytes(data)
        message = refused(folder)
        assert expected in message
        assert f"'{path}'" in message
    path.unlink()
    assert f"'{path}' cannot be read" in refused(folder)


FUNCTIONS = """
import numpy as np

def nothing():
    pass

def needs(path):
    return path

def breaks():
    raise KeyError("boom")

def three():
    return 1, 2, 3

def ragged():
    return [[1.0], [1.0, 2.0]] * 10, np.arange(20) % 2

def learned():
    import torch
    return torch.ones(20, 4, requires_grad=True), np.arange(20) % 2

def numbered():
    return {0: np.ones((20, 4)), 1: np.arange(20) % 2}

def bad():
    x = np.zeros((20, 4), np.float32)
    x[5, 1] = np.nan
    return x, np.arange(20) % 2
"""


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("nothing", "gives a NoneType; return (x, y)"),
        ("needs", "needs arguments (path)"),
        ("breaks", "fails when called: KeyError: 'boom'"),
        ("three", "gives a tuple; return"),
        ("ragged", "inputs are no array"),
        ("learned", "inputs are no array"),
        ("numbered", "no training data among the arrays ['0', '1']"),
        ("bad", "the first is sample 5"),
        ("bda", "defines no 'bda'; did you mean 'bad'?"),
    ],
)
def test_functions(tmp_path, name, expected):
    (tmp_path / "own.py").write_text(FUNCTIONS)
    assert expected in refused(f"{tmp_path}/own.py:{name}")


@pytest.mark.parametrize(
    ("change", "expected"),
    [
        ({"loss": "hinge"}, "unknown loss 'hinge'; use cross_entropy, mse"),
        ({"metric": "f1"}, "unknown metric 'f1'; use accuracy or auc or psnr"),
        (
            {"train": Split(np.full((4, 8, 8, 1), np.nan, np.float32), np.zeros(4, np.int64))},
            "digits: train: 4 samples",
        ),
        (
            {"test": Split(np.zeros((4, 8, 8, 1), np.float32), np.full(4, 10))},
            "digits: test: label 10 of sample 0",
        ),
        ({"input_shape": (8, 8, 3)}, "samples have shape (8, 8, 1), expected (8, 8, 3)"),
        ({"classes": 0, "loss": "mse"}, "targets are int64 of shape"),
    ],
)
def test_tasks_made_by_hand(change, expected):
    with pytest.raises(UsageError) as caught:
        check_task(replace(load_task("digits", None), **change))
    assert expected in str(caught.value)


def test_labels_made_by_hand_may_have_any_integer_type():
    task = load_task("digits", None)
    narrow = replace(task, train=Split(task.train.x, task.train.y.astype(np.int32)))
    checked = check_task(narrow)
    assert checked.train.y.dtype == np.int64
    np.testing.assert_array_equal(checked.train.y, task.train.y)
