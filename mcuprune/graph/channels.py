"""Channel groups: which channels must be removed together, found by unifying channel axes.

A convolution or linear layer starts a group; depthwise convolutions, normalization, activations and pooling
keep the axis they read; additions and products unify the axes of their operands; concatenation joins axes and
flattening repeats them.  Groups that reach a graph input, a graph output or a softmax are frozen.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import singledispatch

import numpy as np

from mcuprune.errors import UnsupportedError
from mcuprune.graph.ir import (
    Activation,
    Add,
    AveragePool2d,
    Axis,
    BatchNorm,
    Block,
    Concat,
    Constant,
    Conv2d,
    DepthwiseConv2d,
    Flatten,
    Graph,
    Input,
    Linear,
    MaxPool2d,
    Mul,
    Node,
    Pad,
    Softmax,
    TensorType,
    axis_width,
    unsupported,
)


class _Groups:
    """Groups under construction: widths, and what each merged or split group has become."""

    def __init__(
        self, constants: Mapping[str, Constant], input_shapes: Mapping[str, tuple[int, ...]]
    ) -> None:
        self.constants = constants
        self.input_shapes = input_shapes
        self.widths: dict[str, int] = {}
        self.became: dict[str, Axis] = {}
        self.frozen: list[Axis] = []

    def start(self, name: str, width: int) -> Axis:
        self.widths[name] = width
        return (Block(name),)

    def resolve(self, axis: Axis) -> Axis:
        """The axis in terms of groups that still exist."""
        return tuple(final for block in axis for final in self._resolve_block(block))

    def _resolve_block(self, block: Block) -> Axis:
        if block.group not in self.became:
            return (block,)
        inner = self.resolve(self.became[block.group])
        if len(inner) == 1:
            one = inner[0]
            return (Block(one.group, one.size * block.size, one.repeat * block.repeat),)
        return tuple(Block(b.group, b.size * block.size, b.repeat) for b in inner) * block.repeat

    def width(self, axis: Axis) -> int:
        return int(axis_width(axis, self.widths))

    def unify(self, a: Axis, b: Axis, where: str) -> None:
        """Make two axes of one width the same sequence of groups, splitting and merging groups as needed."""
        while True:
            left, right = list(self.resolve(a)), list(self.resolve(b))
            while left and right and left[0] == right[0]:
                left.pop(0), right.pop(0)
            if not left and not right:
                return
            self._merge(left[0], right[0], where)

    def _merge(self, x: Block, y: Block, where: str) -> None:
        width_x, width_y = self.width((x,)), self.width((y,))
        if width_x > width_y or (width_x == width_y and _plain(x) and not _plain(y)):
            x, y, width_x, width_y = y, x, width_y, width_x
        if not _plain(y) or x.group == y.group:
            raise UnsupportedError(f"layer '{where}': its operands tie channels '{y.group}' to one another")
        if width_x < width_y:
            head = self.start(f"{y.group}.{width_x}", width_x)
            tail = self.start(f"{y.group}.{width_x}+", width_y - width_x)
            self.became[y.group] = head + tail
        else:
            self.became[y.group] = (x,)


def _plain(block: Block) -> bool:
    return block.size == 1 and block.repeat == 1


def build_graph(
    name: str,
    nodes: Sequence[Node],
    input_shapes: Mapping[str, tuple[int, ...]],
    outputs: Sequence[str],
    constants: Mapping[str, Constant],
) -> Graph:
    """Infer tensor types and channel groups of ``nodes`` (in topological order).

    ``input_shapes`` gives ``(H, W, C)`` or ``(C,)`` of each Input node.  Raises UnsupportedError, naming the
    layer, where sizes do not fit together.
    """
    groups = _Groups(constants, input_shapes)
    types: dict[str, TensorType] = {}
    for node in nodes:
        found = infer(node, groups, tuple(types[i] for i in node.inputs))
        if any(size < 1 for size in found.spatial):
            raise UnsupportedError(f"layer '{node.name}': its window is larger than its input")
        types[node.name] = found
    tensors = {key: TensorType(t.spatial, groups.resolve(t.channels)) for key, t in types.items()}
    edges = [tensors[o].channels for o in outputs]
    edges += [tensors[n.name].channels for n in nodes if isinstance(n, Input)]
    edges += [groups.resolve(axis) for axis in groups.frozen]
    used = {block.group for t in tensors.values() for block in t.channels}
    return Graph(
        name=name,
        nodes=tuple(nodes),
        outputs=tuple(outputs),
        tensors=tensors,
        widths={g: w for g, w in groups.widths.items() if g in used},
        constants=dict(constants),
        frozen=frozenset(block.group for axis in edges for block in axis),
    )


@singledispatch
def infer(node: Node, groups: _Groups, inputs: tuple[TensorType, ...]) -> TensorType:
    """Type of the tensor that a node produces."""
    raise unsupported(node, "shape inference")


@infer.register
def _(node: Input, groups: _Groups, inputs: tuple[TensorType, ...]) -> TensorType:
    shape = groups.input_shapes[node.name]
    return TensorType(tuple(shape[:-1]), groups.start(node.name, shape[-1]))


def _expect(node: Node, condition: bool, problem: str) -> None:
    if not condition:
        raise UnsupportedError(f"layer '{node.name}': {problem}")


@infer.register
def _(node: Conv2d, groups: _Groups, inputs: tuple[TensorType, ...]) -> TensorType:
    (source,) = inputs
    out, kh, kw, cin = groups.constants[node.weight].values.shape
    width = groups.width(groups.resolve(source.channels))
    _expect(node, len(source.spatial) == 2, "a convolution needs a (height, width, channels) input")
    _expect(node, width == cin, f"its weights read {cin} channels, its input has {width}")
    _expect(node, (kh, kw) == node.window.kernel, "weights and kernel size disagree")
    return TensorType(node.window.output_size(*source.spatial), groups.start(node.name, out))


@infer.register
def _(node: DepthwiseConv2d, groups: _Groups, inputs: tuple[TensorType, ...]) -> TensorType:
    (source,) = inputs
    kh, kw, out = groups.constants[node.weight].values.shape
    axis = groups.resolve(source.channels)
    _expect(node, len(source.spatial) == 2, "a convolution needs a (height, width, channels) input")
    _expect(node, groups.width(axis) * node.multiplier == out, "weights and input disagree in channels")
    _expect(node, (kh, kw) == node.window.kernel, "weights and kernel size disagree")
    channels = tuple(Block(b.group, b.size * node.multiplier, b.repeat) for b in axis)
    return TensorType(node.window.output_size(*source.spatial), channels)


@infer.register
def _(node: Linear, groups: _Groups, inputs: tuple[TensorType, ...]) -> TensorType:
    (source,) = inputs
    out, cin = groups.constants[node.weight].values.shape
    width = groups.width(groups.resolve(source.channels))
    _expect(node, not source.spatial, "a linear layer needs a flat input; flatten it first")
    _expect(node, width == cin, f"its weights read {cin} features, its input has {width}")
    return TensorType((), groups.start(node.name, out))


@infer.register(BatchNorm)
@infer.register(Activation)
def _(node: Node, groups: _Groups, inputs: tuple[TensorType, ...]) -> TensorType:
    return inputs[0]


@infer.register
def _(node: Softmax, groups: _Groups, inputs: tuple[TensorType, ...]) -> TensorType:
    groups.frozen.append(inputs[0].channels)  # every channel enters every other: none can be removed
    return inputs[0]


@infer.register(MaxPool2d)
@infer.register(AveragePool2d)
def _(node: MaxPool2d | AveragePool2d, groups: _Groups, inputs: tuple[TensorType, ...]) -> TensorType:
    (source,) = inputs
    _expect(node, len(source.spatial) == 2, "pooling needs a (height, width, channels) input")
    return TensorType(node.window.output_size(*source.spatial), source.channels)


@infer.register(Add)
@infer.register(Mul)
def _(node: Node, groups: _Groups, inputs: tuple[TensorType, ...]) -> TensorType:
    a, b = inputs
    _expect(node, len(a.spatial) == len(b.spatial), "its operands differ in rank")
    spatial = tuple(max(x, y) for x, y in zip(a.spatial, b.spatial, strict=True))
    for side in (a, b):
        whole = side.spatial == spatial or all(size == 1 for size in side.spatial)
        _expect(node, whole, f"its operands {a.spatial} and {b.spatial} do not broadcast")
    width_a, width_b = (groups.width(groups.resolve(side.channels)) for side in inputs)
    if width_a == width_b:
        groups.unify(a.channels, b.channels, node.name)
        return TensorType(spatial, a.channels)
    _expect(node, 1 in (width_a, width_b), f"its operands have {width_a} and {width_b} channels")
    groups.frozen.append(b.channels if width_b == 1 else a.channels)
    return TensorType(spatial, a.channels if width_b == 1 else b.channels)


@infer.register
def _(node: Concat, groups: _Groups, inputs: tuple[TensorType, ...]) -> TensorType:
    _expect(node, len({t.spatial for t in inputs}) == 1, "its inputs differ in height or width")
    return TensorType(inputs[0].spatial, tuple(block for t in inputs for block in groups.resolve(t.channels)))


@infer.register
def _(node: Flatten, groups: _Groups, inputs: tuple[TensorType, ...]) -> TensorType:
    (source,) = inputs
    axis, area = groups.resolve(source.channels), int(np.prod(source.spatial, dtype=int))
    if len(axis) == 1:
        return TensorType((), (Block(axis[0].group, axis[0].size, axis[0].repeat * area),))
    return TensorType((), axis * area)


@infer.register
def _(node: Pad, groups: _Groups, inputs: tuple[TensorType, ...]) -> TensorType:
    (source,) = inputs
    _expect(node, len(source.spatial) == 2, "padding needs a (height, width, channels) input")
    top, left, bottom, right = node.padding
    height, width = source.spatial
    return TensorType((height + top + bottom, width + left + right), source.channels)


AxisOrNone = Axis | None
Keep = Mapping[str, np.ndarray]  # group -> sorted unit numbers that stay; a group left out stays whole
Index = tuple[np.ndarray | None, ...]  # positions along each dimension of a constant; None: all


@singledispatch
def constant_axes(node: Node, graph: Graph) -> dict[str, tuple[AxisOrNone, ...]]:
    """For each constant of a node, the channel axis behind each of its dimensions (``None``: no channels)."""
    return {}


@constant_axes.register(Conv2d)
@constant_axes.register(DepthwiseConv2d)
@constant_axes.register(Linear)
def _(node: Conv2d | DepthwiseConv2d | Linear, graph: Graph) -> dict[str, tuple[AxisOrNone, ...]]:
    reads, makes = graph.tensors[node.inputs[0]].channels, graph.tensors[node.name].channels
    weight: dict[type, tuple[AxisOrNone, ...]] = {
        Conv2d: (makes, None, None, reads),
        DepthwiseConv2d: (None, None, makes),
        Linear: (makes, reads),
    }
    axes: dict[str, tuple[AxisOrNone, ...]] = {node.weight: weight[type(node)]}
    if node.bias is not None:
        axes[node.bias] = (makes,)
    return axes


@constant_axes.register
def _(node: BatchNorm, graph: Graph) -> dict[str, tuple[AxisOrNone, ...]]:
    makes = graph.tensors[node.name].channels
    return dict.fromkeys((node.gamma, node.beta, node.mean, node.variance), (makes,))


def all_constant_axes(graph: Graph) -> dict[str, tuple[AxisOrNone, ...]]:
    """:func:`constant_axes` of every node in one mapping."""
    return {name: axes for node in graph.nodes for name, axes in constant_axes(node, graph).items()}


def constant_indices(graph: Graph, keep: Keep) -> dict[str, Index]:
    """For each constant that loses elements, the kept positions along each of its dimensions (None: all)."""
    found: dict[str, Index] = {}
    for name, axes in all_constant_axes(graph).items():
        touched = [axis is not None and any(block.group in keep for block in axis) for axis in axes]
        if any(touched):
            found[name] = tuple(
                element_index(axis, graph.widths, keep) if touch and axis is not None else None
                for axis, touch in zip(axes, touched, strict=True)
            )
    return found


def prunable(graph: Graph) -> tuple[str, ...]:
    """Groups that may lose channels, in graph order."""
    return tuple(group for group, width in graph.widths.items() if group not in graph.frozen and width > 1)


def element_index(axis: Axis, widths: Mapping[str, int], keep: Keep) -> np.ndarray:
    """Positions along ``axis`` of the kept units."""
    parts, base = [], 0
    for block in axis:
        width = widths[block.group]
        units = np.asarray(keep.get(block.group, np.arange(width)), dtype=np.int64)
        grid = np.arange(block.repeat)[:, None, None] * width + units[None, :, None]
        parts.append((base + grid * block.size + np.arange(block.size)).reshape(-1))
        base += width * block.size * block.repeat
    return np.concatenate(parts) if parts else np.zeros(0, np.int64)


def unit_of_element(axis: Axis, widths: Mapping[str, int]) -> dict[str, np.ndarray]:
    """For each group on ``axis``, the ``(elements, 2)`` pairs (position on the axis, unit of the group)."""
    pairs: dict[str, list[np.ndarray]] = {}
    base = 0
    for block in axis:
        width = widths[block.group]
        count = width * block.size * block.repeat
        position = np.arange(count)
        pairs.setdefault(block.group, []).append(
            np.stack([base + position, position // block.size % width], axis=1)
        )
        base += count
    return {group: np.concatenate(found) for group, found in pairs.items()}
