"""Layers that must clamp to less than int8: known before training, or at least suspected."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from random_graphs import random_graph
from torch import Tensor, cat, nn
from torch.nn import functional

from mcuprune.core import CORES
from mcuprune.frontends.torch_export import trace
from mcuprune.graph.passes import run_passes
from mcuprune.quantize.convert import quantize
from mcuprune.resources.clamping import clamping
from mcuprune.resources.model import ResourceModel


class Joined(nn.Module):
    """Two layers whose outputs are concatenated; a third one alone."""

    def __init__(self, both: bool) -> None:
        super().__init__()
        self.both = both
        self.alone, self.left, self.right = (nn.Conv2d(n, 4, 3, padding=1) for n in (1, 4, 4))

    def forward(self, x: Tensor) -> Tensor:
        x = functional.relu(self.alone(x))
        right = self.right(x)
        return cat([functional.relu(self.left(x)), functional.relu(right) if self.both else right], 1)


def test_a_relu_clamps_where_it_shares_its_scale_with_signed_numbers() -> None:
    x = np.random.default_rng(0).normal(size=(16, 6, 6, 1)).astype(np.float32)
    for both, found in ((True, set()), (False, {"left"})):
        graph = run_passes(trace(Joined(both), (1, 6, 6), "joined"))
        assert set(clamping(graph)) == found
        assert set(clamping(quantize(graph, x))) == found


@pytest.mark.parametrize(
    ("zero_point", "scale", "clamps"), [(-128, 0.02, False), (-127, 0.02, True), (-128, 0.05, True)]
)
def test_an_integer_network_says_what_it_clamps(zero_point: int, scale: float, clamps: bool) -> None:
    class Net(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.only = nn.Linear(4, 3)

        def forward(self, x: Tensor) -> Tensor:
            return functional.relu6(self.only(x))

    graph = quantize(run_passes(trace(Net(), (4,), "net")), np.ones((2, 4), np.float32))
    name = graph.outputs[0]
    given = replace(graph.quantization[name], zero_point=zero_point, scale=scale)
    assert clamping(replace(graph, quantization={**graph.quantization, name: given})) == (
        {name} if clamps else set()
    )


@given(seed=st.integers(0, 400))
@settings(max_examples=40, deadline=None)
def test_nothing_clamps_that_was_not_suspected(seed: int) -> None:
    graph = random_graph(seed)
    x = np.random.default_rng(seed).normal(size=(8, *graph.shape(graph.nodes[0].name))).astype(np.float32)
    assert clamping(quantize(graph, x)) <= clamping(graph)


def test_a_search_pays_for_what_it_may_have_to_clamp() -> None:
    core = CORES["cortex-m4"]
    cycles = {
        both: ResourceModel(run_passes(trace(Joined(both), (1, 6, 6), "joined")), core).exact({})["cycles"]
        for both in (True, False)
    }
    assert cycles[False] == cycles[True] + 15 * 6 * 6 * 4
