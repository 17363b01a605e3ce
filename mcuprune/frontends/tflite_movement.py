"""Operators of a .tflite file that move elements: slices, transpositions, concatenation, resizing."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence

import numpy as np
from ai_edge_litert import schema_py_generated as schema

from mcuprune.frontends.tflite_arithmetic import operand
from mcuprune.frontends.tflite_axes import axis_of, integers
from mcuprune.frontends.tflite_reader import TAKEN_ROWS, TfliteReader
from mcuprune.graph import ir

Operator = Callable[[TfliteReader, schema.OperatorT], None]
Level = tuple[int, int]  # how often, and the step in elements of the input
_MOST_LEVELS = 4


def _strides(dims: Sequence[int]) -> list[int]:
    """Elements between neighbours along each axis."""
    return [math.prod(dims[axis + 1 :]) for axis in range(len(dims))]


def rearrange(
    reader: TfliteReader,
    operator: schema.OperatorT,
    start: int,
    levels: Sequence[Level],
    output: int = 0,
    position: int = 0,
) -> None:
    """Define an output whose elements, in order, are those of nested loops over an input."""
    index = int(operator.outputs[output])
    source = _in_memory(reader, reader.source(operator, position))
    merged: list[Level] = []
    for count, step in levels:
        if count == 1:
            continue
        if merged and merged[-1][1] == count * step:
            merged[-1] = (merged[-1][0] * count, step)
        else:
            merged.append((count, step))
    size = math.prod(count for count, _ in merged)
    if start == 0 and size == math.prod(reader.shapes[source]) and all(step == 1 for _, step in merged):
        reader.values[index] = reader.alias(source, index)
        return
    if len(merged) > _MOST_LEVELS:
        raise reader.refuse(operator, f"a movement of elements in {len(merged)} nested loops")
    filled = [(1, 0)] * (_MOST_LEVELS - len(merged)) + merged
    counts, strides = zip(*filled, strict=True)
    reader.define(ir.Rearrange(reader.names[index], (source,), start, counts, strides), index)


def _in_memory(reader: TfliteReader, name: str) -> str:
    """The node that an alias is an alias of: only the order of elements in memory matters here."""
    nodes = {node.name: node for node in reader.nodes if isinstance(node, ir.ALIASES)}
    while name in nodes:
        name = nodes[name].inputs[0]
    return name


def _slice(reader: TfliteReader, operator: schema.OperatorT) -> None:
    dims = reader.dimensions(int(operator.inputs[0]))
    begin = integers(reader, operator, 1, "where a slice begins")
    size = integers(reader, operator, 2, "the size of a slice")
    size = [n - b if s == -1 else s for n, b, s in zip(dims, begin, size, strict=True)]
    steps = _strides(dims)
    start = sum(b * step for b, step in zip(begin, steps, strict=True))
    rearrange(reader, operator, start, list(zip(size, steps, strict=True)))


def _strided_slice(reader: TfliteReader, operator: schema.OperatorT) -> None:
    options = operator.builtinOptions
    if options.ellipsisMask or options.newAxisMask or getattr(options, "offset", False):
        raise reader.refuse(operator, "an ellipsis, new axis or offset in the slice")
    dims = reader.dimensions(int(operator.inputs[0]))
    what = "the range of a slice"
    begin, end, stride = (integers(reader, operator, position, what) for position in (1, 2, 3))
    if 0 in stride:
        raise reader.refuse(operator, "a slice with step 0")
    start, levels = 0, []
    for axis, (size, step) in enumerate(zip(dims, _strides(dims), strict=True)):
        taken = range(size)
        if axis < len(begin):
            taken = _range(options, axis, size, begin[axis], end[axis], stride[axis])
        if not taken:
            raise reader.refuse(operator, "an empty slice")
        start += taken[0] * step
        levels.append((len(taken), taken.step * step))
    rearrange(reader, operator, start, levels)


def _range(
    options: schema.StridedSliceOptionsT, axis: int, size: int, begin: int, end: int, step: int
) -> range:
    """The positions that Python's slice rules choose along one axis."""
    if options.shrinkAxisMask >> axis & 1:
        return range(size)[begin:][:1] if begin >= 0 else range(size)[begin : begin + 1 or None]
    low = None if options.beginMask >> axis & 1 else begin
    high = None if options.endMask >> axis & 1 else end
    return range(size)[low:high:step]


def _parts(
    reader: TfliteReader, operator: schema.OperatorT, position: int, axis: int, sizes: Sequence[int]
) -> None:
    """One output per part of an axis."""
    dims = reader.dimensions(int(operator.inputs[position]))
    if sum(sizes) != dims[axis] or len(sizes) != len(operator.outputs):
        raise reader.refuse(operator, f"parts {list(sizes)} of an axis of {dims[axis]}")
    step = math.prod(dims[axis + 1 :])
    start = 0
    for output, size in enumerate(sizes):
        levels = [(math.prod(dims[:axis]), dims[axis] * step), (size * step, 1)]
        rearrange(reader, operator, start, levels, output, position)
        start += size * step


def _split(reader: TfliteReader, operator: schema.OperatorT) -> None:
    dims, count = reader.dimensions(int(operator.inputs[1])), len(operator.outputs)
    (axis,) = integers(reader, operator, 0, "the axis of a split")
    axis = axis_of(reader, operator, axis, len(dims))
    _parts(reader, operator, 1, axis, [dims[axis] // count] * count)


def _split_v(reader: TfliteReader, operator: schema.OperatorT) -> None:
    dims = reader.dimensions(int(operator.inputs[0]))
    sizes = integers(reader, operator, 1, "the sizes of a split")
    (axis,) = integers(reader, operator, 2, "the axis of a split")
    axis = axis_of(reader, operator, axis, len(dims))
    rest = dims[axis] - sum(size for size in sizes if size >= 0)
    _parts(reader, operator, 0, axis, [rest if size < 0 else size for size in sizes])


def _unpack(reader: TfliteReader, operator: schema.OperatorT) -> None:
    dims = reader.dimensions(int(operator.inputs[0]))
    axis = axis_of(reader, operator, operator.builtinOptions.axis, len(dims))
    _parts(reader, operator, 0, axis, [1] * dims[axis])


def _transpose(reader: TfliteReader, operator: schema.OperatorT) -> None:
    dims = reader.dimensions(int(operator.inputs[0]))
    order = integers(reader, operator, 1, "the order of a transposition")
    if sorted(order) != list(range(len(dims))):
        raise reader.refuse(operator, f"order {order} of {len(dims)} axes")
    steps = _strides(dims)
    rearrange(reader, operator, 0, [(dims[axis], steps[axis]) for axis in order])


def _broadcast_to(reader: TfliteReader, operator: schema.OperatorT) -> None:
    dims = reader.dimensions(int(operator.inputs[0]))
    wanted = reader.dimensions(int(operator.outputs[0]))
    full = (1,) * (len(wanted) - len(dims)) + dims
    if any(size not in (1, target) for size, target in zip(full, wanted, strict=True)):
        raise reader.refuse(operator, f"broadcasting {dims} to {wanted}")
    sizes = zip(full, wanted, _strides(full), strict=True)
    rearrange(reader, operator, 0, [(target, step if size == target else 0) for size, target, step in sizes])


def _blocks(to_depth: bool) -> Operator:
    """SPACE_TO_DEPTH and DEPTH_TO_SPACE."""

    def convert(reader: TfliteReader, operator: schema.OperatorT) -> None:
        _, height, width, channels = reader.dimensions(int(operator.inputs[0]))
        size = operator.builtinOptions.blockSize
        divided = (height, width) if to_depth else (channels,)
        if size < 1 or any(n % (size if to_depth else size * size) for n in divided):
            raise reader.refuse(operator, f"blocks of {size} in {(height, width, channels)}")
        row, run = width * channels, size * channels
        levels = [(height // size, size * row), (width // size, run), (size, row), (run, 1)]
        if not to_depth:
            run = channels // size
            levels = [(height, row), (size, run), (width, channels), (run, 1)]
        rearrange(reader, operator, 0, levels)

    return convert


def _gather(reader: TfliteReader, operator: schema.OperatorT) -> None:
    dims = reader.dimensions(int(operator.inputs[0]))
    options, output = operator.builtinOptions, int(operator.outputs[0])
    if options is not None and options.batchDims:
        raise reader.refuse(operator, "batch dimensions")
    axis = axis_of(reader, operator, 0 if options is None else options.axis, len(dims))
    numbers = int(operator.inputs[1])
    stored = numbers >= 0 and reader.is_stored(numbers)
    indices = integers(reader, operator, 1, "what is gathered") if not stored else _flat(reader, numbers)
    if not all(0 <= index < dims[axis] for index in indices):
        raise reader.refuse(operator, f"an index outside 0..{dims[axis] - 1}")
    if reader.names[output].endswith(TAKEN_ROWS):
        reader.taken_rows[output] = (reader.source(operator), tuple(indices))
        return
    if int(operator.inputs[0]) in reader.taken_rows:
        source, rows = reader.taken_rows[int(operator.inputs[0])]
        reader.define(ir.Take(reader.names[output], (source,), rows, tuple(indices)), output)
        return
    outer, inner = math.prod(dims[:axis]), math.prod(dims[axis + 1 :])
    loops = _as_loops(indices)
    if loops is not None and len(loops) + (outer > 1) + (inner > 1) <= _MOST_LEVELS:
        levels = [(count, step * inner) for count, step in loops]
        rearrange(reader, operator, indices[0] * inner, [(outer, dims[axis] * inner), *levels, (inner, 1)])
        return
    _take(reader, operator, (outer, dims[axis], inner), range(outer), indices)


def _flat(reader: TfliteReader, index: int) -> list[int]:
    """A stored tensor of integers, however large."""
    return [int(value) for value in reader.array(index).reshape(-1)]


def _as_loops(indices: Sequence[int]) -> list[Level] | None:
    """The few nested loops that give these numbers after the first one, or ``None``."""
    rest, levels = np.array(indices, np.int64), list[Level]()
    while len(rest) > 1 and len(levels) < _MOST_LEVELS:
        steps = np.diff(rest)
        changes = np.flatnonzero(steps != steps[0])
        count = int(changes[0]) + 1 if len(changes) else len(rest)
        if len(rest) % count:
            return None
        blocks = rest.reshape(-1, count)
        if (np.diff(blocks, axis=1) != steps[0]).any():
            return None
        levels.insert(0, (count, int(steps[0])))
        rest = blocks[:, 0]
    return levels if len(rest) <= 1 else None


def _take(
    reader: TfliteReader,
    operator: schema.OperatorT,
    shape: tuple[int, ...],
    rows: Sequence[int],
    columns: Sequence[int],
) -> None:
    index = int(operator.outputs[0])
    source = reader.view(reader.source(operator), shape)
    node = ir.Take(reader.names[index], (source,), tuple(rows), tuple(columns))
    reader.define(node, index, (len(rows), len(columns), shape[2]))


def _mirror_pad(reader: TfliteReader, operator: schema.OperatorT) -> None:
    _, height, width, channels = _image(reader, operator)
    amounts = np.reshape(integers(reader, operator, 1, "the padding"), (-1, 2))
    if len(amounts) != 4 or amounts[[0, 3]].any() or (amounts < 0).any():
        raise reader.refuse(operator, "only height and width can be mirrored")
    reflect = operator.builtinOptions.mode == schema.MirrorPadMode.REFLECT
    if (amounts[1:3] > np.array([[height], [width]]) - reflect).any():
        raise reader.refuse(operator, "a mirrored edge wider than the image")
    rows, columns = (
        _mirrored(size, int(amounts[axis, 0]), int(amounts[axis, 1]), reflect)
        for axis, size in ((1, height), (2, width))
    )
    _take(reader, operator, (height, width, channels), rows, columns)


def _mirrored(size: int, before: int, after: int, reflect: bool) -> list[int]:
    """Positions along an axis with mirrored ends; ``reflect``: the outermost one is not repeated."""
    return [*range(before + reflect - 1, reflect - 1, -1), *range(size), *_end(size, after, reflect)]


def _end(size: int, count: int, reflect: bool) -> range:
    last = size - 1 - reflect
    return range(last, last - count, -1)


def _image(reader: TfliteReader, operator: schema.OperatorT) -> tuple[int, ...]:
    """Dimensions (1, h, w, c) of the input; refuses others."""
    reader.image(operator)
    return reader.dimensions(int(operator.inputs[0]))


def _resize_nearest(reader: TfliteReader, operator: schema.OperatorT) -> None:
    _, height, width, channels = _image(reader, operator)
    options = operator.builtinOptions
    sizes = integers(reader, operator, 1, "the size of a resize")
    rows, columns = (
        [_nearest(i, size, wanted, options) for i in range(wanted)]
        for size, wanted in zip((height, width), sizes, strict=True)
    )
    _take(reader, operator, (height, width, channels), rows, columns)


def _nearest(position: int, size: int, wanted: int, options: schema.ResizeNearestNeighborOptionsT) -> int:
    """TFLite's choice, in single precision as it is made there."""
    corners = options.alignCorners and wanted > 1
    scale = np.float32(size - corners) / np.float32(wanted - corners)
    place = (np.float32(position) + np.float32(0.5 if options.halfPixelCenters else 0.0)) * scale
    found = math.floor(place + np.float32(0.5)) if options.alignCorners else math.floor(place)
    return max(0, min(found, size - 1))


def _resize_bilinear(reader: TfliteReader, operator: schema.OperatorT) -> None:
    index = int(operator.outputs[0])
    height, width = integers(reader, operator, 1, "the size of a resize")
    options = operator.builtinOptions
    both = bool(options.alignCorners), bool(options.halfPixelCenters)
    if all(both):
        raise reader.refuse(operator, "aligned corners and half-pixel centres together")
    node = ir.ResizeBilinear(reader.names[index], (reader.image(operator),), (height, width), *both)
    reader.define(node, index)


def _concatenation(reader: TfliteReader, operator: schema.OperatorT) -> None:
    if reader.fused(operator) is not None:
        raise reader.refuse(operator, "a fused activation")
    dims = reader.dimensions(int(operator.outputs[0]))
    _join(reader, operator, axis_of(reader, operator, operator.builtinOptions.axis, len(dims)))


def _pack(reader: TfliteReader, operator: schema.OperatorT) -> None:
    dims = reader.dimensions(int(operator.outputs[0]))
    _join(reader, operator, axis_of(reader, operator, operator.builtinOptions.axis, len(dims)))


def _join(reader: TfliteReader, operator: schema.OperatorT, axis: int) -> None:
    """Inputs one after the other along an axis of the output: as channels of rows before that axis."""
    index = int(operator.outputs[0])
    dims = reader.dimensions(index)
    image = len(dims) == 4 and dims[0] == 1 and axis == 3
    head = dims[1:3] if image else (math.prod(dims[:axis]), 1)
    rows = math.prod(head)
    inputs, total = [], 0
    for position, tensor in enumerate(operator.inputs):
        run, rest = divmod(math.prod(reader.dimensions(int(tensor))), rows)
        if rest:
            raise reader.refuse(operator, f"an input of shape {reader.dimensions(int(tensor))}")
        inputs.append(operand(reader, operator, position, (*head, run)))
        total += run
    node = ir.Concat(reader.names[index], tuple(inputs), reader.arithmetic(inputs[0]))
    reader.define(node, index, (*head, total))


MOVEMENT: Mapping[str, Operator] = {
    "SLICE": _slice,
    "STRIDED_SLICE": _strided_slice,
    "SPLIT": _split,
    "SPLIT_V": _split_v,
    "UNPACK": _unpack,
    "TRANSPOSE": _transpose,
    "BROADCAST_TO": _broadcast_to,
    "SPACE_TO_DEPTH": _blocks(to_depth=True),
    "DEPTH_TO_SPACE": _blocks(to_depth=False),
    "GATHER": _gather,
    "MIRROR_PAD": _mirror_pad,
    "RESIZE_NEAREST_NEIGHBOR": _resize_nearest,
    "RESIZE_BILINEAR": _resize_bilinear,
    "CONCATENATION": _concatenation,
    "PACK": _pack,
}
