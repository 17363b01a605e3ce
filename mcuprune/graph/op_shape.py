"""The sizes that every cost, kernel and planning rule is a function of."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from mcuprune.graph.ir import DepthwiseConv2d, Node, Window

Number = Any  # int, numpy array or torch tensor: costs are plain arithmetic and work on all three
WIDE = "s16x8"  # arithmetic of int16 activations and int8 weights
# Arithmetic of a node -> bytes of an element of its inputs, and of its output.
_ELEMENT_BYTES = {"s8": (1, 1), WIDE: (2, 2), "s8_s16": (1, 2), "s16_s8": (2, 1)}
Dims = tuple[int, int, Number]  # height, width, channels; a vector is 1 x 1 x channels


@dataclass(frozen=True)
class OpShape:
    """One node with its sizes filled in; channel numbers may be ints, arrays of candidates or tensors."""

    node: Node
    inputs: tuple[Dims, ...]
    output: Dims

    @property
    def window(self) -> Window:
        return self.node.window  # type: ignore[attr-defined, no-any-return]

    @property
    def multiplier(self) -> int:
        return self.node.multiplier if isinstance(self.node, DepthwiseConv2d) else 1


def op_shape(node: Node, shape: Callable[[str], tuple[Number, ...]]) -> OpShape:
    """``shape`` (of either graph class) maps a tensor's name to ``(h, w, c)`` or ``(c,)``."""
    return OpShape(node, tuple(as_dims(shape(name)) for name in node.inputs), as_dims(shape(node.name)))


def as_dims(shape: tuple[Number, ...]) -> Dims:
    """``(h, w, c)`` of a tensor's shape."""
    return (1, 1, shape[0]) if len(shape) == 1 else (shape[0], shape[1], shape[2])


def elements(dims: Dims) -> Number:
    return dims[0] * dims[1] * dims[2]


def arithmetic(node: Node) -> str:
    return getattr(node, "arithmetic", "s8")


def element_bytes(node: Node) -> tuple[int, int]:
    """Bytes of an element of the node's inputs, and of its output."""
    return _ELEMENT_BYTES[arithmetic(node)]


def in_bytes(shape: OpShape) -> OpShape:
    """The same sizes with every element of a wide tensor as its bytes: for what only moves them."""
    inside, outside = element_bytes(shape.node)
    inputs = tuple((height, width, channels * inside) for height, width, channels in shape.inputs)
    return OpShape(shape.node, inputs, (*shape.output[:2], shape.output[2] * outside))


def ceil_to(value: Number, multiple: int) -> Number:
    """``value`` rounded up to a multiple; on tensors the value is rounded, the gradient passes through."""
    rounded = -(-value // multiple) * multiple
    if hasattr(value, "detach"):
        return value + (rounded - value).detach()
    return rounded
