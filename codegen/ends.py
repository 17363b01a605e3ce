"""What a model's run function takes and gives: inputs, outputs, memory, and how the C code calls them.

A model with one int8 input, one int8 output and no state has the plain interface
``run(input, output, arena)``.  Any other has structures: the memory that the caller owns, and the buffers.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

from mcuprune.codegen.c_text import comment, float32, times
from mcuprune.graph.ir import ELEMENT_BYTES, Quantization, QuantizedGraph
from mcuprune.graph.memory import storages
from mcuprune.plan.ir import Plan

_FLOAT_WRAPPED = ("int8", "uint8", "int16")


@dataclass(frozen=True)
class End:
    """An input or output of the model; sizes and offsets in bytes.

    ``word`` starts its macros (INPUT, or INPUT0 where there are several), ``field`` is its name in C,
    ``tensor`` what the model calls it, fit for a comment.
    """

    word: str
    field: str
    tensor: str
    type: str
    size: int
    offset: int
    shape: str
    scale: str
    scale_decimal: str
    zero_point: int
    low: int
    high: int

    @property
    def real(self) -> bool:
        """Whether float wrappers make sense: the integers stand for real numbers."""
        return self.type.removesuffix("_t") in _FLOAT_WRAPPED

    @property
    def suffix(self) -> str:
        """What distinguishes its functions: nothing where it is the only one."""
        return "" if self.field in ("input", "output") else f"_{self.field}"

    @property
    def beyond(self) -> str:
        """A float that is out of range whatever the zero point, and far from overflow."""
        return f"{4.0 * (self.high - self.low + 1):.1f}f"


@dataclass(frozen=True)
class Interface:
    """``plain`` tells which of the two interfaces; ``arena``, ``state`` and further ``banks`` in bytes."""

    inputs: tuple[End, ...]
    outputs: tuple[End, ...]
    arena: int
    state: int
    banks: tuple[int, ...] = ()

    @property
    def plain(self) -> bool:
        ends = (*self.inputs, *self.outputs)
        apart = self.state or self.banks
        return len(ends) == 2 and not apart and {end.type for end in ends} == {"int8_t"}

    @property
    def memories(self) -> tuple[tuple[str, int], ...]:
        """What the caller provides besides the arena: field and bytes."""
        banks = tuple((f"bank{number}", size) for number, size in enumerate(self.banks, 1))
        return (*banks, *((("state", self.state),) if self.state else ()))

    @property
    def ends(self) -> tuple[End, ...]:
        return (*self.inputs, *self.outputs)


def interface(graph: QuantizedGraph, plan: Plan) -> Interface:
    inputs, outputs = graph.inputs, graph.outputs
    return Interface(
        tuple(_end("INPUT", i, len(inputs), name, graph, plan) for i, name in enumerate(inputs)),
        tuple(_end("OUTPUT", i, len(outputs), name, graph, plan) for i, name in enumerate(outputs)),
        plan.arena_bytes,
        plan.state_bytes,
        tuple(bank.bytes for bank in plan.banks),
    )


def places(graph: QuantizedGraph, plan: Plan, face: Interface) -> dict[str, str]:
    """The C expression of every tensor's first byte, an ``int8_t *``."""
    storage = storages(graph.nodes)
    given = {storage[name]: _pointer(end, face) for name, end in zip(graph.inputs, face.inputs, strict=True)}
    given |= {
        storage[name]: _pointer(end, face) for name, end in zip(graph.outputs, face.outputs, strict=True)
    }
    found = {}
    for tensor, owner in storage.items():
        if owner in given:
            found[tensor] = given[owner]
        elif tensor in plan.state_offsets:
            found[tensor] = f"state + {plan.state_offsets[tensor]}"
        elif tensor in plan.offsets:  # others never lie in memory as a whole
            found[tensor] = address(face, plan, plan.offsets[tensor])
    return found


def address(face: Interface, plan: Plan, offset: int) -> str:
    """The C expression of a byte of the arena, or of a further bank.

    The run function calls the arena ``memory`` where it is a parameter, and the other way round.
    """
    bank, within = plan.place(offset)
    first = "memory" if face.plain else "arena"
    return f"{f'bank{bank}' if bank else first} + {within}"


def _pointer(end: End, face: Interface) -> str:
    if face.plain:
        return end.field
    if end.type == "int8_t":
        return f"io->{end.field}"
    constant = "const " if end in face.inputs else ""
    return f"({constant}int8_t *)io->{end.field}"


def _end(word: str, index: int, count: int, tensor: str, graph: QuantizedGraph, plan: Plan) -> End:
    shape, found = graph.shape(tensor), graph.quantization[tensor]
    word = word if count == 1 else f"{word}{index}"
    low, high = _range(found)
    return End(
        word=word,
        field=word.lower(),
        tensor=comment(tensor),
        type=f"{found.dtype}_t",
        size=math.prod(shape) * ELEMENT_BYTES[found.dtype],
        offset=plan.offsets[tensor],
        shape=times(shape),
        scale=float32(found.scale),
        scale_decimal=f"{found.scale:.6g}",
        zero_point=found.zero_point,
        low=low,
        high=high,
    )


def _range(quantization: Quantization) -> tuple[int, int]:
    bits = 8 * ELEMENT_BYTES[quantization.dtype]
    if quantization.dtype.startswith("u"):
        return 0, 2**bits - 1
    return -(2 ** (bits - 1)), 2 ** (bits - 1) - 1
