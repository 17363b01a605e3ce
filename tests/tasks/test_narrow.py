"""Smaller inputs of a task: what a pixel becomes, and which channels are left."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mcuprune.errors import UsageError
from mcuprune.signal import fixed
from mcuprune.signal.mfcc import Mfcc
from mcuprune.tasks.narrow import averages, check_choice, picked, resized
from mcuprune.tasks.task import FrontEnd, Split, Task, classification


def task(*shape: int) -> Task:
    rng = np.random.default_rng(0)
    x = rng.normal(size=(24, *shape)).astype(np.float32)
    split = Split(x, np.arange(24) % 3)
    return classification("some", split, split, validation=split)


@settings(deadline=None, max_examples=40)
@given(st.integers(1, 40), st.data())
def test_areas_are_shared_out_completely(size: int, data: st.DataObject) -> None:
    smaller = data.draw(st.integers(1, size))
    shares = averages(size, smaller)
    np.testing.assert_allclose(shares.sum(axis=1), 1.0, rtol=1e-5)
    np.testing.assert_allclose(shares.sum(axis=0), smaller / size, rtol=1e-4)
    assert (shares >= 0).all()


def test_a_pixel_is_the_mean_of_its_area() -> None:
    whole = task(8, 12, 3)
    small = resized(whole, 4)
    assert small.input_shape == (4, 6, 3)
    expected = whole.test.x.reshape(24, 4, 2, 6, 2, 3).mean(axis=(2, 4))
    np.testing.assert_allclose(small.test.x, expected, atol=1e-6)
    assert small.test.x.dtype == np.float32
    np.testing.assert_allclose(resized(whole, 8).train.x, whole.train.x, atol=1e-6)


@pytest.mark.parametrize(("shape", "height"), [((12,), 4), ((64, 1, 2), 32), ((8, 8, 1), 9)])
def test_what_cannot_be_resized_is_refused(shape: tuple[int, ...], height: int) -> None:
    with pytest.raises(UsageError, match=f"--resolution {height}"):
        resized(task(*shape), height)


@pytest.mark.parametrize(
    ("shape", "axis", "expected"),
    [((9,), "channels", (2,)), ((16, 1, 9), "channels", (16, 1, 2)), ((6, 9, 1), "columns", (6, 2, 1))],
)
def test_what_is_picked_is_left_in_order(
    shape: tuple[int, ...], axis: str, expected: tuple[int, ...]
) -> None:
    whole = task(*shape)
    small = picked(whole, axis, (2, 7))
    assert small.input_shape == expected
    place = {"channels": whole.test.x.ndim - 1, "columns": 2}[axis]
    np.testing.assert_array_equal(small.test.x, whole.test.x.take((2, 7), place))
    if len(whole.mean) > 1 and axis == "channels":
        assert small.mean == (whole.mean[2], whole.mean[7])


def test_the_front_end_computes_what_was_picked_and_nothing_else() -> None:
    spec = Mfcc(samples=2000)
    front_end = FrontEnd(spec, tuple(map(float, range(10))), (1.0,) * 10)
    small = picked(replace(task(spec.frames, 10, 1), front_end=front_end), "columns", (0, 4, 9)).front_end
    assert small is not None
    assert small.spec.shape == (spec.frames, 3, 1)
    assert small.mean == (0.0, 4.0, 9.0)
    audio = (np.random.default_rng(1).normal(size=(2, 2000)) * 3000).astype(np.int16)
    np.testing.assert_array_equal(
        fixed.coefficients(audio, small.spec), fixed.coefficients(audio, spec)[..., [0, 4, 9]]
    )


def test_training_without_changes_stays_without_them() -> None:
    spec = Mfcc(samples=2000)
    front_end = FrontEnd(spec, (0.0,) * 10, (1.0,) * 10)
    whole = replace(task(spec.frames, 10, 1), front_end=front_end, augment=None)
    assert picked(whole, "columns", (0, 4)).augment is None
    changed = replace(whole, augment=lambda x, rng: x)
    assert picked(changed, "columns", (0, 4)).augment is not None


@pytest.mark.parametrize(
    ("changes", "axis", "count", "says"),
    [
        ({}, "channels", 4, "has 3 channels; give 1 to 3"),
        ({}, "columns", 9, "has 8 columns; give 1 to 8"),
        ({"classes": 0}, "channels", 1, "targets of 'some' are signals"),
        ({"augment": lambda x, rng: x}, "columns", 2, "lower --resolution"),
        ({"front_end": FrontEnd(Mfcc(), (0.0,), (1.0,))}, "channels", 1, "--input-axis columns"),
    ],
)
def test_a_choice_that_makes_no_sense_is_refused(
    changes: dict[str, object], axis: str, count: int, says: str
) -> None:
    with pytest.raises(UsageError, match=says):
        check_choice(replace(task(6, 8, 3), **changes), axis, count)  # type: ignore[arg-type]


def test_vectors_have_no_columns() -> None:
    with pytest.raises(UsageError, match="--input-axis channels"):
        check_choice(task(9), "columns", 2)
