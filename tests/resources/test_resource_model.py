"""One formula, three readers: integers, candidate arrays and tensors agree; the planner has the last word."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from random_graphs import random_graph

from mcuprune.core import CORES
from mcuprune.graph import ir
from mcuprune.graph.channels import prunable
from mcuprune.resources.macs import macs
from mcuprune.resources.model import RESOURCES, ResourceModel, breakdown


@given(seed=st.integers(0, 400), draw=st.integers(0, 1000))
@settings(max_examples=40, deadline=None)
def test_arrays_and_tensors_count_alike(seed: int, draw: int) -> None:
    graph = random_graph(seed)
    model = ResourceModel(graph, CORES["cortex-m4"])
    rng = np.random.default_rng(draw)
    levels = {g: rng.integers(1, graph.widths[g] + 1, 5) for g in prunable(graph)}
    arrays = model.figures(levels)
    for column in range(5):
        widths = {**graph.widths, **{g: torch.tensor(float(n[column])) for g, n in levels.items()}}
        tensors = model.relaxed(widths)
        for resource in RESOURCES:
            np.testing.assert_allclose(tensors[resource].numpy(), arrays[resource][..., column], rtol=1e-5)
            alone = model.relaxed(widths, (resource,))
            assert list(alone) == [resource]
            assert torch.equal(alone[resource], tensors[resource])


@given(seed=st.integers(0, 400), objective=st.sampled_from(["cycles", "balanced", "size", "ram"]))
@settings(max_examples=40, deadline=None)
def test_at_the_usual_widths_nothing_is_approximate(seed: int, objective: str) -> None:
    """Far from them kernels and packing may differ; a search needs the truth where it looks."""
    graph = random_graph(seed)
    usual = {group: max(1, graph.widths[group] // 3) for group in prunable(graph)}
    model = ResourceModel(graph, CORES["cortex-m4"], objective=objective, usual=usual)
    exact = model.exact(usual)
    figures = {
        k: float(v.max()) for k, v in model.figures({k: np.array([n]) for k, n in usual.items()}).items()
    }
    assert figures == pytest.approx({k: exact[k] for k in RESOURCES}, rel=1e-9)


@given(seed=st.integers(0, 400))
@settings(max_examples=40, deadline=None)
def test_exact_figures_of_the_present_widths(seed: int) -> None:
    """Constants and code equal the vectorised ones; the packed arena is at least the largest live step."""
    graph = random_graph(seed)
    model = ResourceModel(graph, CORES["cortex-m4"])
    plan, figures = model.plan(graph), model.figures({})
    usage = breakdown(graph, plan, model.core)
    assert usage.flash == figures["flash"][0]
    assert usage.macs == figures["macs"][0]
    assert usage.arena == plan.arena_bytes
    assert usage.ram >= figures["ram"].max() * (1 - 1e-12)
    assert model.exact({})["flash"] == usage.flash


def test_gradients_reach_every_width_that_matters() -> None:
    graph = random_graph(7)
    model = ResourceModel(graph, CORES["cortex-m4"])
    widths = {g: torch.tensor(float(w), requires_grad=True) for g, w in graph.widths.items()}
    model.relaxed(widths)["flash"].backward()
    for group in prunable(graph):
        assert widths[group].grad is not None
        assert widths[group].grad > 0


def test_every_node_class_has_a_mac_count() -> None:
    assert all(macs.dispatch(node) is not macs.dispatch(object) for node in (*ir.NODES, *ir.INTEGER_ONLY))
