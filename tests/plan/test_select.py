"""Kernel choice for whole networks: against all assignments of small ones, and the promises of objectives."""

from __future__ import annotations

import itertools
import math

import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from mcuprune.core import CORES
from mcuprune.errors import UsageError
from mcuprune.graph import ir
from mcuprune.graph.ir import Graph
from mcuprune.graph.op_shape import OpShape
from mcuprune.kernels import catalogue
from mcuprune.plan.ir import planned_layers
from mcuprune.plan.live import works
from mcuprune.plan.make import make_plan
from mcuprune.plan.select import Option, options
from mcuprune.resources.choices import kernel_choices, price
from mcuprune.resources.model import breakdown, planned_calls
from tests.random_graphs import random_graph

CORE = CORES["cortex-m4"]
OBJECTIVES = catalogue.OBJECTIVES


def layers_of(graph: Graph) -> list[tuple[Option, ...]]:
    found = works(graph, CORE.isa, "cycles", catalogue.choose)
    return [options(work.shape, CORE.isa) for work in found]


def totals(chosen: tuple[Option, ...]) -> tuple[float, int]:
    """Cycles and bytes of an assignment, the code of each function once."""
    code = dict(pair for option in chosen for pair in option.functions)
    return sum(o.cycles for o in chosen), sum(o.constants for o in chosen) + sum(code.values())


def found_by(graph: Graph, objective: str) -> tuple[float, int]:
    names = dict(planned_layers(make_plan(graph, CORE.isa, objective)))
    by_name = [{option.kernel.name: option for option in layer} for layer in layers_of(graph)]
    nodes = [work.node.name for work in works(graph, CORE.isa, "cycles", catalogue.choose)]
    return totals(tuple(layer[names[node]] for layer, node in zip(by_name, nodes, strict=True)))


@settings(max_examples=15, deadline=None)
@given(st.integers(0, 400))
def test_no_assignment_is_better(seed: int) -> None:
    graph = random_graph(seed)
    layers = layers_of(graph)
    assume(math.prod(len(options) for options in layers) <= 3000)
    every = [totals(chosen) for chosen in itertools.product(*layers)]
    assert found_by(graph, "cycles")[0] == pytest.approx(min(cycles for cycles, _ in every))
    assert found_by(graph, "size")[1] == min(size for _, size in every)
    cycles, size = found_by(graph, "balanced")
    assert cycles * size == pytest.approx(min(c * s for c, s in every))


@settings(max_examples=15, deadline=None)
@given(st.integers(0, 400))
def test_what_each_objective_promises(seed: int) -> None:
    graph = random_graph(seed)
    plans = {objective: make_plan(graph, CORE.isa, objective) for objective in OBJECTIVES}
    usage = {objective: breakdown(graph, plan, CORE) for objective, plan in plans.items()}
    assert usage["ram"].arena <= usage["cycles"].arena
    assert usage["size"].flash == min(entry.flash for entry in usage.values())
    assert usage["cycles"].cycles == pytest.approx(min(entry.cycles for entry in usage.values()), rel=0.1)
    for call in planned_calls(graph, plans["ram"]):
        times = [
            catalogue.cycles(k, call.shape, CORE.name) for k in catalogue.candidates(call.shape, CORE.isa)
        ]
        assert catalogue.cycles(call.kernel, call.shape, CORE.name) <= 2 * min(times) * (1 + 1e-9)


@settings(max_examples=15, deadline=None)
@given(st.integers(0, 400), st.sampled_from(OBJECTIVES))
def test_every_choice_is_explained_by_figures(seed: int, objective: str) -> None:
    graph = random_graph(seed)
    plan = make_plan(graph, CORE.isa, objective)
    choices = kernel_choices(graph, plan, CORE)
    assert [(choice.layer, choice.kernel) for choice in choices] == list(planned_layers(plan))
    for choice in choices:
        fastest, chosen = choice.alternatives[0], choice.chosen
        assert all(fastest.cycles <= entry.cycles for entry in choice.alternatives)
        if len(choice.alternatives) == 1:
            assert choice.why.startswith("the only kernel")
        elif chosen is fastest:
            assert choice.why.startswith("fastest: ")
        elif chosen.flash < fastest.flash:
            assert f"{fastest.flash - chosen.flash:,} B less flash" in choice.why
    assert (price(graph, plan, CORE, objective) is None) == (objective == "cycles")


def test_an_unknown_objective_is_refused() -> None:
    shape = OpShape(ir.Softmax("s", ("x",)), ((1, 1, 4),), (1, 1, 4))
    with pytest.raises(UsageError, match="choose cycles or size or ram or balanced"):
        catalogue.choose(shape, CORE.isa, "beauty")
