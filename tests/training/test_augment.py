"""Random changes of training inputs."""

from __future__ import annotations

import numpy as np
import pytest

from mcuprune.training.augment import PAD, crop_and_flip
from mcuprune.training.loop import Arrays, batches
from mcuprune.training.recipe import Recipe


def rng(seed: int = 0) -> np.random.Generator:
    return np.random.default_rng(seed)


def test_crops_are_parts_of_the_padded_picture():
    x = rng().normal(size=(40, 9, 7, 2)).astype(np.float32)
    found = crop_and_flip(x, rng(1))
    assert (found.shape, found.dtype) == (x.shape, np.float32)
    seen = set()
    for picture, changed in zip(x, found, strict=True):
        padded = np.pad(picture, ((PAD, PAD), (PAD, PAD), (0, 0)))
        places = [
            (top, left, mirrored)
            for top in range(2 * PAD + 1)
            for left in range(2 * PAD + 1)
            for mirrored in (False, True)
            if np.array_equal(padded[top : top + 9, left : left + 7][:, :: -1 if mirrored else 1], changed)
        ]
        assert places
        seen.update(places)
    assert len(seen) > 25
    assert {mirrored for _, _, mirrored in seen} == {False, True}


@pytest.mark.parametrize("augment", [None, crop_and_flip])
def test_batches_are_the_same_for_the_same_seed_and_epoch(augment):
    x = rng().normal(size=(20, 6, 6, 1)).astype(np.float32)
    data, recipe = Arrays(x, np.arange(20), augment), Recipe(batch_size=10)
    first, again, later = (list(batches(data, recipe, epoch)) for epoch in (0, 0, 1))
    for (a, la), (b, lb) in zip(first, again, strict=True):
        assert a.equal(b)
        assert la.equal(lb)
    assert not first[0][0].equal(later[0][0])
    plain = np.concatenate([a.numpy() for a, _ in first])
    order = np.concatenate([labels.numpy() for _, labels in first])
    assert np.array_equal(plain, x[order]) == (augment is None)
