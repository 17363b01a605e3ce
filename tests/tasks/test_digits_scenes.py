"""The demonstration's scenes: reproducible, source digits kept apart, neither trivial nor hopeless."""

from __future__ import annotations

import numpy as np
import pytest
from sklearn.linear_model import RidgeClassifier
from sklearn.neighbors import KNeighborsClassifier

from mcuprune.tasks import digits_scenes as scenes
from mcuprune.tasks.digits_scenes import SIDE, digits_scenes, draw_scenes, source_digits, split_sources
from mcuprune.tasks.task import Task


@pytest.fixture(scope="module")
def task() -> Task:
    return digits_scenes(train=3000, validation=300, test=1000)


def test_shapes_and_labels(task: Task) -> None:
    assert (task.input_shape, task.classes, task.metric) == ((SIDE, SIDE, 1), 10, "accuracy")
    assert task.data_kind == "real digits, synthetic scenes"
    for split, count in ((task.train, 3000), (task.validation, 300), (task.test, 1000)):
        assert split.x.shape == (count, SIDE, SIDE, 1)
        assert (split.x.dtype, split.y.dtype) == (np.float32, np.int64)
        assert np.bincount(split.y, minlength=10).min() > 0.05 * count


def test_pixels_are_what_an_eight_bit_camera_delivers(task: Task) -> None:
    raw = task.test.x * np.float32(task.std[0]) + np.float32(task.mean[0])
    levels = raw * 255.0
    assert -1e-3 <= levels.min() <= levels.max() <= 255.001
    np.testing.assert_allclose(levels, np.round(levels), atol=1e-3)
    assert abs(float(task.train.x.mean())) < 1e-3
    assert float(task.train.x.std()) == pytest.approx(1.0, abs=1e-3)


def test_equal_seeds_give_equal_scenes() -> None:
    one, again, other = (digits_scenes(50, 20, 30, seed) for seed in (3, 3, 4))
    for a, b, c in zip(*((t.train, t.validation, t.test) for t in (one, again, other)), strict=True):
        assert np.array_equal(a.x, b.x)
        assert np.array_equal(a.y, b.y)
        assert not np.array_equal(a.x, c.x)


def test_source_digits_are_split_into_three_that_share_none() -> None:
    images, labels = source_digits()
    parts = split_sources(labels)
    together = np.concatenate(parts)
    assert len(together) == len(np.unique(together)) == len(images) == 1797
    assert [round(len(part) / len(images), 2) for part in parts] == [0.55, 0.15, 0.30]
    for part in parts:
        assert np.bincount(labels[part]).min() > 0.08 * len(part)


def test_scenes_and_their_clutter_come_from_the_given_digits_only(monkeypatch: pytest.MonkeyPatch) -> None:
    """With all other digits blanked, the scenes are the same: nothing of them was drawn."""
    images, labels = source_digits()
    allowed = split_sources(labels)[2]
    before = draw_scenes(allowed, 200, np.random.default_rng(0))
    blanked = np.full_like(images, np.nan)
    blanked[allowed] = images[allowed]
    monkeypatch.setattr(scenes, "source_digits", lambda: (blanked, labels))
    after = draw_scenes(allowed, 200, np.random.default_rng(0))
    assert np.array_equal(before.x, after.x)
    assert np.array_equal(before.y, after.y)


def test_neither_a_linear_model_nor_the_nearest_scene_solves_it(task: Task) -> None:
    flat = {name: split.x.reshape(len(split), -1) for name, split in (("a", task.train), ("b", task.test))}
    linear = RidgeClassifier(100.0).fit(flat["a"], task.train.y).score(flat["b"], task.test.y)
    nearest = KNeighborsClassifier(1).fit(flat["a"], task.train.y).score(flat["b"], task.test.y)
    assert 0.10 < linear < 0.35
    assert nearest < 0.5
