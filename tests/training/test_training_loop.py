"""Plain training: recovery from divergence, odd data, and distillation's loss."""

from __future__ import annotations

from io import StringIO
from pathlib import Path

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from torch_networks import make_module

from mcuprune.frontends.torch_export import trace
from mcuprune.graph.ir import Graph
from mcuprune.progress import Lines
from mcuprune.training.distill import TEMPERATURE, distilled
from mcuprune.training.divergence import DivergedError
from mcuprune.training.graph_module import GraphModule
from mcuprune.training.loop import Arrays, predict, train
from mcuprune.training.recipe import Recipe


def network() -> Graph:
    torch.manual_seed(0)
    return trace(*make_module("residual"), "net")


def arrays(count: int = 40) -> Arrays:
    rng = np.random.default_rng(0)
    y = rng.integers(0, 3, count)
    x = rng.normal(size=(count, 8, 8, 2)).astype(np.float32) + 2.0 * (y == 1)[:, None, None, None]
    return Arrays(x.astype(np.float32), y)


def run(loss, data: Arrays, **recipe: float):  # type: ignore[no-untyped-def]
    return train(network(), data, loss, Recipe(epochs=4, batch_size=8, **recipe), lambda m: 0.0)  # type: ignore[arg-type]


def test_one_bad_step_is_repeated_and_two_runs_agree() -> None:
    calls = []

    def loss(outputs: torch.Tensor, labels: torch.Tensor) -> torch.Tensor:
        calls.append(1)
        return F.cross_entropy(outputs, labels) * (float("inf") if len(calls) == 12 else 1.0)

    found = run(loss, arrays())
    assert len(found.history) == 4
    assert len(calls) == 4 * 5 + 2  # the second epoch broke at its second step and began again
    assert all(np.isfinite(c.values).all() for c in found.graph.constants.values())


class Stopped(Exception):
    pass


def test_a_training_stopped_between_epochs_ends_as_if_it_had_not_been(tmp_path: Path) -> None:
    recipe, kept = Recipe(epochs=4, batch_size=8), tmp_path / "unfinished.pt"
    whole = train(network(), arrays(), F.cross_entropy, recipe, lambda module: 0.5)

    def stop_in_the_third(outputs: torch.Tensor, labels: torch.Tensor) -> torch.Tensor:
        calls.append(1)
        if len(calls) > 2 * 5 + 1:
            raise Stopped
        return F.cross_entropy(outputs, labels)

    calls: list[int] = []
    with pytest.raises(Stopped):
        train(network(), arrays(), stop_in_the_third, recipe, lambda module: 0.5, unfinished=kept)
    log = StringIO()
    given = (network(), arrays(), F.cross_entropy, recipe, lambda module: 0.5, Lines(log))
    again = train(*given, unfinished=kept)
    assert "resuming after epoch 2\n" in log.getvalue()
    assert again.history == whole.history
    for name, constant in whole.graph.constants.items():
        np.testing.assert_array_equal(constant.values, again.graph.constants[name].values)


def test_divergence_that_stays_is_told() -> None:
    with pytest.raises(DivergedError, match="lower --learning-rate"):
        run(lambda outputs, labels: outputs.sum() * float("nan"), arrays())


@pytest.mark.parametrize("count", [1, 3, 20])
def test_very_few_samples_train(count: int) -> None:
    found = run(F.cross_entropy, arrays(count))
    assert np.isfinite([record.loss for record in found.history]).all()


def test_distillation_is_the_stated_mixture() -> None:
    data, teacher = arrays(), network()
    packed, loss = distilled(data, F.cross_entropy, teacher, 0.3)
    outputs = torch.randn(len(data.x), 3, generator=torch.Generator().manual_seed(0))
    wanted = torch.softmax(torch.from_numpy(predict(GraphModule(teacher), data.x)) / TEMPERATURE, 1)
    logs = torch.log_softmax(outputs / TEMPERATURE, 1)
    soft = (wanted * (wanted.log() - logs)).sum(1).mean() * TEMPERATURE**2
    hard = F.cross_entropy(outputs, torch.from_numpy(data.y))
    assert float(loss(outputs, torch.from_numpy(packed.y))) == pytest.approx(
        float(0.7 * hard + 0.3 * soft), rel=1e-4
    )
    same = torch.from_numpy(predict(GraphModule(teacher), data.x))
    _, only = distilled(data, F.cross_entropy, teacher, 1.0)
    assert float(only(same, torch.from_numpy(packed.y))) == pytest.approx(0.0, abs=1e-5)


def test_distillation_of_signals_is_a_distance() -> None:
    data = arrays()
    signals = Arrays(data.x, np.random.default_rng(1).normal(size=(len(data.x), 3)).astype(np.float32))
    packed, loss = distilled(signals, F.mse_loss, network(), 0.25)
    outputs = torch.zeros(len(data.x), 3)
    wanted = predict(GraphModule(network()), data.x)
    expected = 0.75 * np.square(signals.y).mean() + 0.25 * np.square(wanted).mean()
    assert float(loss(outputs, torch.from_numpy(packed.y))) == pytest.approx(expected, rel=1e-4)
