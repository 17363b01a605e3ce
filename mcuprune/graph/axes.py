"""Loops over (height, width, channels) with as few levels as there can be.

Spatial sizes are ints; channel numbers may be ints, arrays of candidates or tensors, so that cost formulas
can use the same functions.
"""

from __future__ import annotations

from dataclasses import dataclass

from mcuprune.graph.op_shape import Dims, Number


@dataclass(frozen=True)
class Level:
    """One loop of an operation on several operands: how often, and the step of each in elements."""

    count: Number
    steps: tuple[Number, ...]


def same(first: Number, second: Number) -> bool:
    """Whether two sizes are equal, everywhere if they are arrays."""
    differs = first != second
    return not bool(differs.any() if hasattr(differs, "any") else differs)


def _is_one(size: Number) -> bool:
    return isinstance(size, int) and size == 1


def broadcast_levels(operands: tuple[Dims, ...], output: Dims) -> tuple[Level, ...] | None:
    """The loops over ``output``, outermost first, with the step of every operand (0: it is broadcast).

    Axes of size 1 are left out, neighbours over which all operands go on in memory are one level; there is
    always at least one.  ``None`` where an operand is neither of the output's size nor of size 1.
    """
    levels: list[Level] = []
    for axis in (2, 1, 0):
        if _is_one(output[axis]):
            if not all(_is_one(dims[axis]) for dims in operands):
                return None
            continue
        whole = [same(dims[axis], output[axis]) for dims in operands]
        if not all(full or _is_one(dims[axis]) for full, dims in zip(whole, operands, strict=True)):
            return None
        steps = tuple(_inner(dims, axis) if full else 0 for full, dims in zip(whole, operands, strict=True))
        if levels and _goes_on(levels[0], steps, whole):
            levels[0] = Level(levels[0].count * output[axis], levels[0].steps)
        else:
            levels.insert(0, Level(output[axis], steps))
    return tuple(levels) or (Level(1, (0,) * len(operands)),)


def _inner(dims: Dims, axis: int) -> Number:
    """Elements between neighbours along an axis."""
    step = 1
    for size in dims[axis + 1 :]:
        step = step * size
    return step


def _goes_on(level: Level, steps: tuple[Number, ...], whole: list[bool]) -> bool:
    """Whether every operand continues where the inner level ends, or is broadcast over both."""
    for inner, outer, full in zip(level.steps, steps, whole, strict=True):
        if not full and not _is_zero(inner):
            return False
        if full and (_is_zero(inner) or not same(inner * level.count, outer)):
            return False
    return True


def _is_zero(step: Number) -> bool:
    return isinstance(step, int) and step == 0


@dataclass(frozen=True)
class Walk:
    """The loops of a reduction: outer x inner outputs of rows x run inputs each; strides in elements."""

    outer: Number
    inner: Number
    rows: Number
    run: Number
    outer_stride: Number
    inner_stride: Number
    row_stride: Number
    run_stride: Number


def reduction_walk(dims: Dims, axes: tuple[int, ...]) -> Walk:
    """The loops that join the elements of ``dims`` over ``axes``; 0, 1, 2: height, width, channels."""
    levels: list[tuple[bool, Number, Number]] = []  # joined?, count, stride; innermost first
    for axis in (2, 1, 0):
        joined = axis in axes
        if _is_one(dims[axis]):
            continue
        if levels and levels[-1][0] == joined:
            levels[-1] = (joined, levels[-1][1] * dims[axis], levels[-1][2])
        else:
            levels.append((joined, dims[axis], _inner(dims, axis)))
    kept = [(count, stride) for joined, count, stride in levels if not joined]
    gone = [(count, stride) for joined, count, stride in levels if joined]
    (inner, inner_stride), (outer, outer_stride) = (*kept, (1, 0), (1, 0))[:2]
    (run, run_stride), (rows, row_stride) = (*gone, (1, 0), (1, 0))[:2]
    return Walk(outer, inner, rows, run, outer_stride, inner_stride, row_stride, run_stride)
