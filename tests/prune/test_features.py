"""Which inputs a network should read: informative ones are told from noise."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import nn

from mcuprune.errors import UsageError
from mcuprune.frontends.torch_export import trace
from mcuprune.prune.features import choose_inputs
from mcuprune.prune.methods import find_method
from mcuprune.prune.setting import Setting
from mcuprune.tasks.task import accuracy
from mcuprune.training.loop import Arrays, predict
from mcuprune.training.recipe import Recipe


def setting(x: np.ndarray, y: np.ndarray, epochs: int) -> Setting:
    data = Arrays(x.astype(np.float32), y)
    return Setting(
        data,
        nn.functional.cross_entropy,
        Recipe(epochs, 32, 5e-3),
        lambda m: accuracy(predict(m, data.x), y),
        x,
    )


def sensors(count: int = 480) -> tuple[np.ndarray, np.ndarray]:
    """Twelve channels of which 2, 5 and 9 carry one bit each of the class."""
    rng = np.random.default_rng(0)
    y = rng.integers(0, 8, count)
    x = rng.normal(size=(count, 12))
    for bit, channel in enumerate((2, 5, 9)):
        x[:, channel] += 3.0 * ((y >> bit) & 1)
    return x, y


@pytest.mark.parametrize("method", ["ensemble", "hard_concrete", "bernoulli"])
def test_informative_channels_are_found(method: str) -> None:
    x, y = sensors()
    torch.manual_seed(0)
    graph = trace(nn.Sequential(nn.Linear(12, 24), nn.ReLU(), nn.Linear(24, 8)), (12,), "net")
    chosen = choose_inputs(graph, setting(x, y, 12), 3, method=find_method(method))  # type: ignore[arg-type]
    assert chosen.kept.tolist() == [2, 5, 9]
    assert chosen.scores.shape == (12,)


def test_columns_of_a_map_are_chosen_too() -> None:
    rng = np.random.default_rng(0)
    y = rng.integers(0, 2, 320)
    x = rng.normal(size=(320, 6, 5, 1))
    x[:, :, 3] += 1.5 * y[:, None, None]
    torch.manual_seed(0)
    net = nn.Sequential(nn.Conv2d(1, 8, 3, padding=1), nn.ReLU(), nn.Flatten(), nn.Linear(240, 2))
    chosen = choose_inputs(trace(net, (1, 6, 5), "net"), setting(x, y, 8), 1, axis=1)
    assert chosen.kept.tolist() == [3]


def test_an_impossible_count_is_refused() -> None:
    x, y = sensors(32)
    graph = trace(nn.Sequential(nn.Linear(12, 8)), (12,), "net")
    with pytest.raises(UsageError, match="13 of 12 inputs"):
        choose_inputs(graph, setting(x, y, 1), 13)
