"""The dense network's steps beside another training: their time is told, nothing is learned from them."""

from __future__ import annotations

import numpy as np
import pytest
from torch import nn

from mcuprune.frontends.torch_export import trace
from mcuprune.models import build_model
from mcuprune.prune.setting import Setting
from mcuprune.training.loop import Arrays
from mcuprune.training.recipe import Recipe
from tests.bench.compress.beside import STEPS, Beside

EPOCHS, PER_EPOCH = 7, 10


def setting(samples: int) -> Setting:
    rng = np.random.default_rng(0)
    x, y = rng.normal(size=(samples, 4)).astype(np.float32), rng.integers(0, 2, samples)
    recipe = Recipe(epochs=EPOCHS, batch_size=16, learning_rate=1.0)
    return Setting(Arrays(x, y), nn.functional.cross_entropy, recipe, lambda module: 0.0, x)


def listener(samples: int) -> Beside:
    return Beside(trace(build_model("mlp:hidden=8", (4,), 2), (4,), "net"), setting(samples))


def test_time_of_a_training_from_some_of_its_steps(monkeypatch: pytest.MonkeyPatch) -> None:
    beside, ticks = listener(16 * PER_EPOCH), iter(np.arange(0.0, 100.0, 0.25))
    monkeypatch.setattr("time.process_time", lambda: float(next(ticks)))
    assert beside.seconds is None
    before = beside._module.to_graph()
    for _ in range(3):
        beside.step("loss 0.1")
    assert beside.seconds == pytest.approx(0.25 / STEPS * EPOCHS * PER_EPOCH)
    after = beside._module.to_graph()
    for name, constant in before.constants.items():
        np.testing.assert_array_equal(constant.values, after.constants[name].values)


def test_an_epoch_of_one_step_tells_nothing() -> None:
    beside = listener(16)
    beside.step()
    assert beside.seconds is None
