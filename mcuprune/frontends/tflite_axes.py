"""Axes of .tflite tensors, of any rank and batch first, as axes of (height, width, channels)."""

from __future__ import annotations

from collections.abc import Collection, Hashable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from ai_edge_litert import schema_py_generated as schema

from mcuprune.frontends.tflite_reader import TfliteReader
from mcuprune.frontends.tflite_static import known_integers

RANK = 3


@dataclass(frozen=True)
class Grouped:
    """Dimensions as three: their sizes, and the mark of each."""

    shape: tuple[int, ...]
    marks: tuple[Any, ...]


def image(dims: Sequence[int], chosen: Collection[int]) -> Grouped | None:
    """An image (1, h, w, c) as it is, its axes marked as ``chosen`` or not; ``None`` for another tensor."""
    if len(dims) != RANK + 1 or dims[0] != 1:
        return None
    return Grouped(tuple(dims[1:]), tuple(axis + 1 in chosen for axis in range(RANK)))


def grouped(dims: Sequence[int], marks: Sequence[Hashable]) -> Grouped | None:
    """``dims`` with neighbours of the same mark merged and sizes of 1 left out; ``None`` if above three.

    Sizes of 1 that fill up to three have the mark of the first dimension.
    """
    found: list[tuple[int, Hashable]] = []
    for size, mark in zip(dims, marks, strict=True):
        if size == 1:
            continue
        if found and found[-1][1] == mark:
            found[-1] = (found[-1][0] * size, mark)
        else:
            found.append((size, mark))
    if len(found) > RANK:
        return None
    filled = [(1, marks[0])] * (RANK - len(found)) + found
    return Grouped(tuple(size for size, _ in filled), tuple(mark for _, mark in filled))


def axis_of(reader: TfliteReader, operator: schema.OperatorT, axis: int, rank: int) -> int:
    """``axis`` counted from the front; refuses one that does not exist."""
    if not -rank <= axis < rank:
        raise reader.refuse(operator, f"axis {axis} of a tensor with {rank} dimensions")
    return axis % rank


def integers(reader: TfliteReader, operator: schema.OperatorT, position: int, what: str) -> list[int]:
    """The values of an input that must be known while importing."""
    values = known_integers(reader, int(operator.inputs[position]))
    if values is None:
        raise reader.refuse(operator, f"{what} must be a constant; export the model with static shapes")
    return [int(value) for value in np.reshape(values, -1)]
