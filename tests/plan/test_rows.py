"""Row loops, played through on rows that know their numbers."""

from __future__ import annotations

from dataclasses import dataclass, field

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mcuprune.graph import ir
from mcuprune.graph.op_shape import OpShape, op_shape
from mcuprune.kernels.kernel import Kernel
from mcuprune.plan.ir import RowLoop, RowStep
from mcuprune.plan.live import Work
from mcuprune.plan.make import make_plan
from mcuprune.plan.rows import RowWork, reach, row_work

ISA = frozenset({"portable"})


def choose(shape: OpShape, isa: frozenset[str], objective: str) -> Kernel:
    return Kernel(
        name=f"kernel_of_{shape.node.name}",
        op=type(shape.node),
        isa="portable",
        accepts=lambda shape: True,
        scratch=lambda shape: 24,
        overlap=lambda shape: (None,) * len(shape.node.inputs),
        constants=lambda shape: 0,
        features=lambda shape: (),
    )


@dataclass(frozen=True)
class Network:
    nodes: tuple[ir.Node, ...]
    outputs: tuple[str, ...]
    shapes: dict[str, tuple[int, ...]]
    updates: dict[str, str] = field(default_factory=dict)

    def element_bytes(self, tensor: str) -> int:
        return 1

    def shape(self, tensor: str) -> tuple[int, ...]:
        return self.shapes[tensor]

    @property
    def works(self) -> list[Work]:
        found = []
        for node in self.nodes[1:]:
            shape = op_shape(node, self.shape)
            elements = dict.fromkeys(self.shapes, 1)
            found.append(Work(node, choose(shape, ISA, "cycles"), shape, node.inputs, elements, frozenset()))
        return found


def conv(name: str, source: str, kernel: int, stride: int, above: int, below: int, dilation: int = 1):
    window = ir.Window((kernel, 1), (stride, 1), (above, 0, below, 0), (dilation, 1))
    return ir.Conv2d(name, (source,), f"{name}.weight", None, window)


@st.composite
def networks(draw) -> Network:
    """Convolutions with any window, residual sums around them, in a chain."""
    shapes = {"x": (draw(st.integers(4, 16)), 2, draw(st.integers(1, 4)))}
    nodes: list[ir.Node] = [ir.Input("x", ())]
    last = "x"

    def add(node: ir.Node, shape: tuple[int, ...]) -> str:
        nodes.append(node)
        shapes[node.name] = shape
        return node.name

    for number in range(draw(st.integers(1, 5))):
        height, width, _ = shapes[last]
        if draw(st.booleans()):
            kernel = draw(st.sampled_from([1, 3, 5]))
            pad = kernel // 2
            branch = add(conv(f"c{number}", last, kernel, 1, pad, pad), shapes[last])
            last = add(ir.Add(f"a{number}", (last, branch)), shapes[last])
            continue
        kernel, dilation = draw(st.integers(1, 4)), draw(st.integers(1, 2))
        rows = (kernel - 1) * dilation + 1
        above, below = draw(st.integers(0, rows - 1)), draw(st.integers(0, rows - 1))
        stride = draw(st.sampled_from([1, 2, 4]))
        node = conv(f"c{number}", last, kernel, stride, above, below, dilation)
        if height + above + below < rows:
            continue
        size = node.window.output_size(height, width)
        last = add(node, (size[0], width, draw(st.integers(1, 4))))
    return Network(tuple(nodes), (last,), shapes)


def made(step: RowStep, tick: int) -> int | None:
    """The row that a step makes at a tick."""
    row, rest = divmod(tick - step.delay, step.period)
    return row if rest == 0 and 0 <= row < step.rows + step.below else None


def play(network: Network, loop: RowLoop) -> dict[int, tuple[int, int]]:
    """Runs the loop on row numbers and checks every window; output row -> (tick, source rows read)."""
    nodes = {node.name: node for node in network.nodes}
    steps = {step.node: step for step in loop.steps}
    buffers = {step.node: list(range(-step.kept, 0)) for step in loop.steps}
    written = {}
    for tick in range(loop.ticks):
        for step in loop.steps:
            row = made(step, tick)
            if row is None:
                continue
            if step.kernel and row < step.rows:
                found = reach(nodes[step.node], op_shape(nodes[step.node], network.shape))
                assert found is not None
                for source, slot in zip(nodes[step.node].inputs, step.slots, strict=True):
                    window = buffers[source][slot : slot + found.rows]
                    first = found.stride * row - found.above
                    assert window == list(range(first, first + found.rows)), (step, tick)
            if step.kept:
                buffers[step.node] = [*buffers[step.node][1:], row]
                assert row < step.rows or step.below
            else:
                written[row] = (tick, min(tick + 1, steps[loop.source].rows))
    return written


@settings(max_examples=200, deadline=None)
@given(networks())
def test_every_window_holds_the_rows_it_should(network: Network) -> None:
    works = network.works
    if not works:
        return
    found = row_work(works, network.shapes["x"], ISA, "cycles", choose)  # type: ignore[arg-type]
    assert isinstance(found, RowWork)
    written = play(network, found.loop)
    height, width, channels = network.shapes[network.outputs[0]]
    assert sorted(written) == list(range(height))
    source_height, source_row = network.shapes["x"][0], network.shapes["x"][1] * network.shapes["x"][2]
    for row, (_, read) in written.items():
        if read < source_height:  # the output begins `distance` bytes before the source
            assert (row + 1) * width * channels <= found.distance + read * source_row


def test_a_loop_keeps_what_its_readers_need_and_no_more() -> None:
    nodes = (
        ir.Input("x", ()),
        conv("a", "x", 3, 1, 1, 1),
        conv("b", "a", 3, 2, 0, 1),
        conv("c", "b", 1, 1, 0, 0),
    )
    shapes = {"x": (8, 2, 1), "a": (8, 2, 4), "b": (4, 2, 2), "c": (4, 2, 2)}
    found = row_work(Network(nodes, ("c",), shapes).works, (8, 2, 1), ISA, "cycles", choose)
    assert found is not None
    assert [(s.node, s.delay, s.period, s.kept, s.below) for s in found.loop.steps] == [
        ("x", 0, 1, 3, 1),
        ("a", 1, 1, 3, 1),
        ("b", 3, 2, 1, 0),
        ("c", 3, 2, 0, 0),
    ]
    assert found.scratch == 8 + 24 + 4 + 24  # three rows of 2 and of 8 bytes, one of 4, and the kernels'


@pytest.mark.parametrize(
    "node",
    [
        ir.Softmax("b", ("a",)),
        ir.MaxPool2d("b", ("a",), ir.Window((2, 1), (2, 1), (1, 0, 0, 0))),
        conv("b", "a", 3, 3, 0, 0),
    ],
    ids=["no rows", "padded pool", "stride 3"],
)
def test_layers_that_make_no_rows_are_left_alone(node: ir.Node) -> None:
    shapes = {"x": (9, 2, 1), "a": (9, 2, 4), "b": (3, 2, 4)}
    network = Network((ir.Input("x", ()), conv("a", "x", 3, 1, 1, 1), node), ("b",), shapes)
    assert row_work(network.works, (9, 2, 1), ISA, "cycles", choose) is None


def test_the_fullest_step_decides_where_a_loop_runs() -> None:
    """In, a wide layer, a narrow one: the wide one need not exist as a whole."""
    nodes = (
        ir.Input("x", ()),
        conv("wide", "x", 3, 1, 1, 1),
        conv("narrow", "wide", 3, 2, 1, 1),
        conv("end", "narrow", 1, 1, 0, 0),
    )
    shapes = {"x": (16, 4, 2), "wide": (16, 4, 32), "narrow": (8, 4, 4), "end": (8, 4, 4)}
    network = Network(nodes, ("end",), shapes)
    plain = make_plan(network, ISA, choose=choose)
    plan = make_plan(network, ISA, choose=choose, streaming=True)
    assert plain.arena_bytes > 16 * 4 * 32
    loop = next(step for step in plan.steps if isinstance(step, RowLoop))
    assert (loop.source, loop.node) == ("x", "narrow")
    assert plan.arena_bytes < 16 * 4 * 2 + 4 * 4 * 32 + 8 * 4 * 4
    assert "wide" not in plan.offsets
