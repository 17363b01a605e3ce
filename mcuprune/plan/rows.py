"""Row streaming: a run of layers that never holds more than a few rows of what lies between them.

The layers between two tensors run together, row by row.  A row of a layer is made as soon as the rows that
it reads are there, so of every tensor in between only the rows in use are kept; the first tensor is given up
as its rows are read, and the last one may grow into the room.  No row is computed twice.

Time counts in ticks, one row of the first tensor each.  A layer makes row ``r`` at tick ``delay + period *
r``; ``period`` is the product of the strides before it, ``delay`` what its window looks ahead.  Rows of
padding are kept like others: a buffer begins with rows of the zero point, and goes on taking them below the
image for as long as a reader is at work.  So every window is whole, and one structure serves all rows.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import singledispatch

from mcuprune.graph import ir
from mcuprune.graph.op_shape import Dims, OpShape, ceil_to
from mcuprune.kernels.kernel import Kernel
from mcuprune.plan.ir import RowLoop, RowStep
from mcuprune.plan.live import ALIGNMENT, Choose, Work


@dataclass(frozen=True)
class Reach:
    """Row ``r`` of a layer reads input rows ``stride * r - above`` to ``stride * r - above + rows - 1``."""

    rows: int
    stride: int = 1
    above: int = 0


@singledispatch
def reach(node: ir.Node, shape: OpShape) -> Reach | None:
    """What a row of a layer reads of each input; None for layers that are not made row by row."""
    return None


@reach.register(ir.Conv2d)
@reach.register(ir.DepthwiseConv2d)
def _(node: ir.Conv2d | ir.DepthwiseConv2d, shape: OpShape) -> Reach:
    window = node.window
    return Reach((window.kernel[0] - 1) * window.dilation[0] + 1, window.stride[0], window.padding[0])


@reach.register(ir.MaxPool2d)
@reach.register(ir.AveragePool2d)
def _(node: ir.MaxPool2d | ir.AveragePool2d, shape: OpShape) -> Reach | None:
    top, _, bottom, _ = node.window.padding
    if top or bottom:  # pooling leaves padding out, it does not read it
        return None
    return Reach(node.window.kernel[0], node.window.stride[0])


@reach.register(ir.Activation)
@reach.register(ir.Add)
@reach.register(ir.Mul)
def _(node: ir.Node, shape: OpShape) -> Reach | None:
    same = all(dims == shape.output for dims in shape.inputs)
    return Reach(1) if same else None


def row_node(node: ir.Node) -> ir.Node:
    """The layer that makes one row from whole windows: without padding above and below."""
    if not isinstance(node, ir.Conv2d | ir.DepthwiseConv2d | ir.MaxPool2d | ir.AveragePool2d):
        return node
    _, left, _, right = node.window.padding
    return replace(node, window=replace(node.window, padding=(0, left, 0, right)))


def row_shape(shape: OpShape) -> OpShape:
    """The sizes of one row of a layer that :func:`reach` knows."""
    found = reach(shape.node, shape)
    assert found is not None
    inputs = tuple((found.rows, width, channels) for _, width, channels in shape.inputs)
    return OpShape(row_node(shape.node), inputs, (1, *shape.output[1:]))


@dataclass(frozen=True)
class RowWork:
    """A loop as one step of the plan; stands where a :class:`~mcuprune.plan.live.Work` does.

    ``distance`` is how many bytes before the first tensor the last one may start, at least.
    """

    node: ir.Node
    shape: OpShape
    loop: RowLoop
    reads: tuple[str, ...]
    elements: Mapping[str, int]
    distance: int

    @property
    def writes(self) -> str:
        return self.node.name

    @property
    def exact(self) -> bool:
        return False

    @property
    def scratch(self) -> int:
        return self.loop.scratch_bytes

    def scratch_of(self, shape: OpShape) -> int:
        return self.scratch

    def sharable(self, dying: frozenset[str], shape: OpShape) -> dict[str, int]:
        return {name: self.distance for name in self.reads if name in dying}

    def placed(self, scratch: int) -> RowLoop:
        return replace(self.loop, scratch=scratch)


@dataclass(frozen=True)
class _Layer:
    """A layer of the loop (``kernel`` None: the copy of the first tensor) with its times."""

    name: str
    output: Dims
    inputs: tuple[str, ...]
    reach: Reach
    delay: int
    period: int
    kernel: Kernel | None
    scratch: int

    @property
    def last_tick(self) -> int:
        return self.delay + self.period * (self.output[0] - 1)

    @property
    def row_bytes(self) -> int:
        return int(self.output[1] * self.output[2])


def row_work(
    works: Sequence[Work], source: Dims, isa: frozenset[str], objective: str, choose: Choose
) -> RowWork | None:
    """The loop that runs ``works``, which read nothing but one tensor of size ``source`` and each other.

    None where one of them cannot be made row by row: another kind of layer, an alias between them, strides
    that are no power of two, elements that are no bytes.
    """
    layers = _schedule(works, source, isa, objective, choose)
    if layers is None:
        return None
    ordered = list(layers.values())
    first, last = ordered[0], ordered[-1]
    readers = {name: [layer for layer in ordered if name in layer.inputs] for name in layers}
    steps, end = [], 0
    for layer in ordered:
        step = _step(layer, layers, readers, end)
        steps.append(step)
        end += int(ceil_to(step.kept * step.row_bytes, ALIGNMENT))
    scratch = max(layer.scratch for layer in ordered)
    loop = RowLoop(last.name, first.name, tuple(steps), last.last_tick + 1, 0, end + scratch, end)
    distance = int(ceil_to(_distance(first, last), ALIGNMENT))
    end_work = works[-1]
    return RowWork(end_work.node, end_work.shape, loop, works[0].reads[:1], end_work.elements, distance)


def _schedule(
    works: Sequence[Work], source: Dims, isa: frozenset[str], objective: str, choose: Choose
) -> Mapping[str, _Layer] | None:
    name = works[0].node.inputs[0]
    layers = {name: _Layer(name, source, (), Reach(1), 0, 1, None, 0)}
    for work in works:
        needs, inputs = reach(work.node, work.shape), work.node.inputs
        if needs is None or needs.stride & (needs.stride - 1) or any(i not in layers for i in inputs):
            return None
        if any(work.elements[storage] != 1 for storage in (*work.reads, work.writes)):
            return None
        before = [layers[i] for i in inputs]
        period = before[0].period
        if any(layer.period != period for layer in before):
            return None
        shape = row_shape(work.shape)
        kernel = choose(shape, isa, objective)
        if kernel.calls_per_input:
            return None
        ahead = needs.rows - 1 - needs.above
        delay = max(layer.delay + period * ahead for layer in before)
        scratch = int(ceil_to(kernel.scratch(shape), ALIGNMENT))
        layers[work.node.name] = _Layer(
            work.node.name, work.shape.output, inputs, needs, delay, period * needs.stride, kernel, scratch
        )
    return layers


def _step(
    layer: _Layer, layers: Mapping[str, _Layer], readers: Mapping[str, list[_Layer]], buffer: int
) -> RowStep:
    """The rows of a tensor: how many are kept, and which of the buffers' rows its layer reads."""
    mine = readers[layer.name]
    kept = max((_newest(reader, layer) + reader.reach.above + 1 for reader in mine), default=0)
    ends = [(reader.last_tick - layer.delay) // layer.period for reader in mine]
    below = max([0, *(end - (layer.output[0] - 1) for end in ends)])
    slots = []
    for name in layer.inputs:
        source = layers[name]
        whole = max(_newest(reader, source) + reader.reach.above + 1 for reader in readers[name])
        slots.append(whole - 1 - _newest(layer, source) - layer.reach.above)
    return RowStep(
        node=layer.name,
        kernel=layer.kernel.name if layer.kernel else "",
        delay=layer.delay,
        period=layer.period,
        rows=layer.output[0],
        below=below,
        kept=kept,
        row_bytes=layer.row_bytes,
        buffer=buffer,
        slots=tuple(slots),
    )


def _newest(reader: _Layer, source: _Layer) -> int:
    """By how many rows the newest one is ahead of row ``stride * r`` when ``reader`` makes its row ``r``."""
    return (reader.delay - source.delay) // source.period


def _distance(first: _Layer, last: _Layer) -> int:
    """When a row is written, what it overwrites of the first tensor must have been read."""
    distance = 0
    for row in range(last.output[0]):
        read = last.delay + last.period * row + 1
        if read < first.output[0]:
            distance = max(distance, (row + 1) * last.row_bytes - read * first.row_bytes)
    return distance
