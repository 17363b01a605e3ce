"""What a teacher says to a batch: of the batch as the student sees it."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import torch
import torch.nn.functional as F
from torch import nn

from mcuprune.frontends.torch_export import trace
from mcuprune.graph.ir import Graph
from mcuprune.training.distill import distilled
from mcuprune.training.graph_module import GraphModule
from mcuprune.training.loop import Arrays, batches
from mcuprune.training.recipe import Recipe

RECIPE = Recipe(epochs=1, batch_size=8, seed=3)


def teacher(outputs: int = 3) -> Graph:
    torch.manual_seed(0)
    return trace(
        nn.Sequential(nn.Linear(5, 6), nn.BatchNorm1d(6), nn.ReLU(), nn.Linear(6, outputs)), (5,), "t"
    )


def data() -> Arrays:
    rng = np.random.default_rng(0)
    return Arrays(rng.normal(size=(32, 5)).astype(np.float32), rng.integers(0, 3, 32))


def shaken(x: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    return x + rng.normal(size=x.shape).astype(np.float32)


def test_the_teacher_sees_the_augmented_inputs() -> None:
    graph, plain = teacher(), data()
    taught, _ = distilled(replace(plain, augment=shaken), F.cross_entropy, graph, 0.5)
    module = GraphModule(graph).eval()
    originals = {tuple(row) for row in plain.x.tolist()}
    for (x, y), (_, label) in zip(
        batches(taught, RECIPE, 0), batches(replace(plain, augment=shaken), RECIPE, 0), strict=True
    ):
        assert not originals & {tuple(row) for row in x.tolist()}
        assert y[:, 0].tolist() == label.tolist()
        torch.testing.assert_close(y[:, 1:], module(x).detach())
        assert not y.requires_grad


def test_without_augmentation_it_speaks_once_and_says_the_same() -> None:
    graph, plain = teacher(), data()
    cached, loss = distilled(plain, F.cross_entropy, graph, 0.5)
    asked, same = distilled(replace(plain, augment=lambda x, rng: x), F.cross_entropy, graph, 0.5)
    assert cached.taught is None
    student = GraphModule(teacher())
    for (x, y), (x2, y2) in zip(batches(cached, RECIPE, 0), batches(asked, RECIPE, 0), strict=True):
        torch.testing.assert_close((x, y), (x2, y2))
        torch.testing.assert_close(loss(student(x), y), same(student(x), y2))


def test_signals_are_taught_too() -> None:
    graph, plain = teacher(4), data()
    plain = replace(plain, y=np.zeros((32, 4), np.float32), augment=shaken)
    taught, loss = distilled(plain, F.mse_loss, graph, 1.0)
    module = GraphModule(graph).eval()
    for x, y in batches(taught, RECIPE, 0):
        assert y.shape == (8, 8)
        assert float(loss(module(x).detach(), y)) < 1e-12, "nothing but the distance to the teacher counts"
