"""The planner on small networks with made-up kernels."""

from __future__ import annotations

from dataclasses import dataclass, field
from itertools import permutations

import numpy as np
import torch
from hypothesis import example, given, settings
from hypothesis import strategies as st

from mcuprune.graph.ir import ALIASES, Concat, Constant, Flatten, Input, Node
from mcuprune.graph.memory import storages
from mcuprune.graph.op_shape import OpShape
from mcuprune.kernels.kernel import Kernel
from mcuprune.plan.ir import Plan
from mcuprune.plan.live import (
    lifetimes,
    lifetimes_of_plan,
    maximum,
    step_bytes,
    steps_of,
    works,
)
from mcuprune.plan.make import live_steps, make_plan

ISA = frozenset({"portable"})


@dataclass(frozen=True)
class Network:
    """Every tensor is a vector of ``lengths[name]`` bytes."""

    nodes: tuple[Node, ...]
    outputs: tuple[str, ...]
    lengths: dict[str, int]
    scratches: dict[str, int]
    distances: dict[str, tuple[int | None, ...]]
    exact: frozenset[str] = frozenset()

    updates: dict[str, str] = field(default_factory=dict)
    constants: dict[str, Constant] = field(default_factory=dict)

    def shape(self, tensor: str) -> tuple[int, ...]:
        return (self.lengths[tensor],)

    def element_bytes(self, tensor: str) -> int:
        return 1

    def choose(self, shape: OpShape, isa: frozenset[str], objective: str) -> Kernel:
        name = shape.node.name
        return Kernel(
            name=f"kernel_of_{name}",
            op=type(shape.node),
            isa="portable",
            accepts=lambda shape: True,
            scratch=lambda shape: self.scratches.get(name, 0),
            overlap=lambda shape: self.distances.get(name, (None,) * len(shape.node.inputs)),
            constants=lambda shape: 0,
            features=lambda shape: (),
            exact=name in self.exact,
        )


def network(
    edges: dict[str, tuple[str, ...]], lengths: dict[str, int], *outputs: str, **facts: dict
) -> Network:
    """``edges`` maps a tensor to what it reads; () is an input.  A name ending in ``_flat`` is a Flatten."""
    nodes: list[Node] = []
    for name, reads in edges.items():
        if not reads:
            nodes.append(Input(name, ()))
        elif name.endswith("_flat"):
            nodes.append(Flatten(name, reads))
        else:
            nodes.append(Concat(name, reads))
    scratches, distances = facts.get("scratches", {}), facts.get("distances", {})
    return Network(tuple(nodes), outputs, lengths, scratches, distances, frozenset(facts.get("exact", {})))


@st.composite
def networks(draw: st.DrawFn, max_nodes: int = 6) -> Network:
    """Random directed acyclic graphs: joins, forks, flattened tensors, several inputs and outputs."""
    edges: dict[str, tuple[str, ...]] = {f"in{index}": () for index in range(draw(st.integers(1, 2)))}
    lengths = {name: draw(st.integers(1, 40)) for name in edges}
    scratches: dict[str, int] = {}
    distances: dict[str, tuple[int | None, ...]] = {}
    exact: dict[str, bool] = {}
    for index in range(draw(st.integers(1, max_nodes))):
        names = list(edges)
        if draw(st.integers(0, 5)) == 0:
            source = draw(st.sampled_from(names))
            edges[f"n{index}_flat"] = (source,)
            lengths[f"n{index}_flat"] = lengths[source]
            continue
        name = f"n{index}"
        edges[name] = tuple(draw(st.lists(st.sampled_from(names), min_size=1, max_size=3)))
        lengths[name] = draw(st.integers(1, 40))
        scratches[name] = draw(st.sampled_from([0, 0, 0, 5, 16]))
        distances[name] = tuple(draw(st.sampled_from([None, None, 0, 3, 8, 60])) for _ in edges[name])
        if draw(st.booleans()):
            exact[name] = True
    outputs = draw(st.lists(st.sampled_from(list(edges)), min_size=1, max_size=2, unique=True))
    return network(edges, lengths, *outputs, scratches=scratches, distances=distances, exact=exact)


def plan_of(net: Network) -> Plan:
    return make_plan(net, ISA, choose=net.choose)


def peak_of(net: Network, order: tuple[str, ...]) -> int | None:
    """Bytes of the fullest step when the nodes run in ``order``; None where that is not topological."""
    given = {work.node.name: work for work in works(net, ISA, "cycles", net.choose)}
    storage = storages(net.nodes)
    ready = {node.name for node in net.nodes if isinstance(node, Input)}
    for name in order:
        if any(storage[read] not in ready for read in given[name].reads):
            return None
        ready.add(name)
    kept = frozenset(storage[name] for name in net.outputs)
    sequence = [given[name] for name in order]
    inputs = [node.name for node in net.nodes if isinstance(node, Input)]
    steps = steps_of(sequence, lifetimes(sequence, inputs, tuple(kept)), kept)
    return max(step_bytes(steps, net.shape), default=0)


@settings(deadline=None, max_examples=150)
@given(networks(max_nodes=9))
def test_order_is_topological_and_complete(net: Network) -> None:
    order = [call.node for call in plan_of(net).steps]
    expected = {node.name for node in net.nodes if not isinstance(node, (Input, *ALIASES))}
    assert set(order) == expected
    assert len(order) == len(expected)
    assert peak_of(net, tuple(order)) is not None


@settings(deadline=None, max_examples=80)
@given(networks(max_nodes=6))
def test_order_has_the_least_peak_of_all(net: Network) -> None:
    names = [call.node for call in plan_of(net).steps]
    peaks = [peak for order in permutations(names) if (peak := peak_of(net, order)) is not None]
    assert peak_of(net, tuple(names)) == min(peaks)


TWO_DOORS = network(  # n3 may lie exactly on n0 or four bytes behind n5, not there where n0 is too
    {"x": (), "y": (), "n0": ("x", "x"), "n3": ("x", "n0", "x"), "n5": ("n3", "x", "x")},
    {"x": 1, "y": 1, "n0": 5, "n3": 5, "n5": 5},
    "x",
    distances={"n0": (None, None), "n3": (None, 0, None), "n5": (3, None, None)},
    exact={"n3": True, "n5": True},
)


@settings(deadline=None, max_examples=150)
@given(networks(max_nodes=9))
@example(TWO_DOORS)
def test_memory_is_disjoint_except_at_declared_distances(net: Network) -> None:
    plan = plan_of(net)
    storage = storages(net.nodes)
    order = [call.node for call in plan.steps]
    nodes = {node.name: node for node in net.nodes}
    last = dict.fromkeys(nodes, -1)
    for index, name in enumerate(order):
        for read in nodes[name].inputs:
            last[storage[read]] = index
    for name in net.outputs:
        last[storage[name]] = len(order)
    born = {node.name: 0 for node in net.nodes if isinstance(node, Input)}
    for index, call in enumerate(plan.steps):
        out = (plan.offsets[call.node], plan.offsets[call.node] + net.lengths[call.node])
        assert out[0] % 4 == 0
        assert out[1] <= plan.arena_bytes
        regions = [(n, plan.offsets[n], plan.offsets[n] + net.lengths[n]) for n in born if last[n] >= index]
        if call.scratch_bytes:
            assert call.scratch % 4 == 0
            assert call.scratch_bytes == -(-net.scratches.get(call.node, 0) // 4) * 4
            assert call.scratch + call.scratch_bytes <= plan.arena_bytes
            end = call.scratch + call.scratch_bytes
            for _, low, high in [*regions, ("out", *out)]:
                assert end <= low or high <= call.scratch
        reads = [storage[read] for read in nodes[call.node].inputs]
        for name, low, high in regions:
            rules = [d for read, d in zip(reads, net.distances[call.node], strict=True) if read == name]
            may_share = bool(rules) and None not in rules and last[name] == index
            apart = out[1] <= low or high <= out[0]
            least = max((-(-d // 4) * 4 for d in rules if d is not None), default=0)
            kept = low - out[0] == least if call.node in net.exact else low - out[0] >= least
            assert apart or (may_share and kept)
        born[call.node] = index


@settings(deadline=None, max_examples=150)
@given(networks(max_nodes=9))
def test_arena_is_never_below_its_bound(net: Network) -> None:
    plan = plan_of(net)
    assert plan.arena_bytes >= plan.lower_bound
    assert plan.lower_bound >= max(plan.sizes.values())
    assert plan_of(net) == plan


@settings(deadline=None, max_examples=60)
@given(networks(max_nodes=9))
def test_lifetimes_of_a_plan_are_those_of_its_steps(net: Network) -> None:
    steps = live_steps(net, ISA, choose=net.choose)
    lives = lifetimes_of_plan(net, plan_of(net))
    for index, step in enumerate(steps):
        alive = {name for name, (first, last) in lives.items() if first <= index <= last}
        assert alive == {*step.alive, step.work.writes}


def test_flatten_shares_the_storage_of_its_input() -> None:
    edges = {"in": (), "a": ("in",), "a_flat": ("a",), "b": ("a_flat",)}
    plan = plan_of(network(edges, {"in": 8, "a": 12, "a_flat": 12, "b": 3}, "b"))
    assert plan.offsets["a_flat"] == plan.offsets["a"]
    assert [call.node for call in plan.steps] == ["a", "b"]
    assert plan.arena_bytes == plan.lower_bound == 20


def test_a_tensor_flattened_for_one_reader_and_read_whole_by_another_lives_for_both() -> None:
    edges = {"in": (), "a": ("in",), "a_flat": ("a",), "b": ("a_flat",), "c": ("b", "a")}
    lengths = {"in": 8, "a": 8, "a_flat": 8, "b": 8, "c": 8}
    net = network(edges, lengths, "c", distances={"b": (0,), "c": (0, 0)})
    assert plan_of(net).arena_bytes == 16  # b may not overwrite a, c overwrites either


def test_branches_run_in_the_cheaper_order() -> None:
    """Both branches start from 100 bytes; the one that leaves 1 byte behind must run first."""
    edges = {"in": (), "wide": ("in",), "big": ("in",), "small": ("wide",), "join": ("big", "small")}
    lengths = {"in": 20, "wide": 400, "big": 200, "small": 4, "join": 4}
    plan = plan_of(network(edges, lengths, "join"))
    assert [call.node for call in plan.steps] == ["wide", "small", "big", "join"]
    assert plan.arena_bytes == 424


def test_element_wise_chain_runs_in_place() -> None:
    edges = {"in": (), "a": ("in",), "b": ("a",), "c": ("b",)}
    net = network(edges, dict.fromkeys(edges, 64), "c", distances={"a": (0,), "b": (0,), "c": (0,)})
    assert plan_of(net).arena_bytes == 64


def test_distance_beyond_the_output_means_apart() -> None:
    net = network({"in": (), "a": ("in",)}, {"in": 40, "a": 8}, "a", distances={"a": (400,)})
    assert plan_of(net).arena_bytes == 48


def test_network_without_a_kernel_holds_its_input() -> None:
    plan = plan_of(network({"in": (), "in_flat": ("in",)}, {"in": 10, "in_flat": 10}, "in_flat"))
    assert plan.steps == ()
    assert plan.arena_bytes == plan.lower_bound == 12


@settings(deadline=None, max_examples=60)
@given(networks(max_nodes=7))
def test_step_bytes_agree_on_ints_arrays_and_tensors(net: Network) -> None:
    steps = live_steps(net, ISA, choose=net.choose)
    ints = step_bytes(steps, net.shape)
    arrays = step_bytes(steps, lambda name: (np.array([net.lengths[name], net.lengths[name] + 4]),))
    tensors = step_bytes(steps, lambda name: (torch.tensor(float(net.lengths[name]), requires_grad=True),))
    assert [int(array[0]) for array in arrays] == ints
    assert [float(tensor.detach()) for tensor in tensors] == [float(count) for count in ints]
    assert all(tensor.requires_grad for tensor in tensors)


def test_step_bytes_follow_widths() -> None:
    edges = {"in": (), "a": ("in",), "b": ("a",)}
    net = network(edges, {"in": 16, "a": 32, "b": 16}, "b", distances={"b": (8,)})
    steps = live_steps(net, ISA, choose=net.choose)
    assert step_bytes(steps, net.shape) == [48, 40]
    assert step_bytes(steps, lambda name: ({"in": 16, "a": 8, "b": 40}[name],)) == [24, 40]


def test_maximum_passes_gradients() -> None:
    a, b = torch.tensor(3.0, requires_grad=True), torch.tensor(5.0, requires_grad=True)
    maximum(a, b).backward()
    assert (float(a.grad or 0.0), float(b.grad or 0.0)) == (0.0, 1.0)
    assert maximum(3, 5) == 5
    assert maximum(2, torch.tensor(7.0)) == 7
