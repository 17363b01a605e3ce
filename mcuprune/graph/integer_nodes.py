"""Node classes that only a :class:`~mcuprune.graph.ir.QuantizedGraph` has.

They are what int8 .tflite files contain beyond the layers that are trained here.  The shapes of their tensors
stand in ``QuantizedGraph.shapes``; axes are numbered (height, width, channels) = 0, 1, 2, and a vector is
1 x 1 x channels.
"""

from __future__ import annotations

from dataclasses import dataclass

from mcuprune.graph.node import Node

REDUCTIONS = ("mean", "sum", "max", "min")


@dataclass(frozen=True)
class Reshape(Node):
    """The same elements in memory order under another shape, which stands in ``QuantizedGraph.shapes``."""


@dataclass(frozen=True)
class Copy(Node):
    """The same elements in memory of their own, for an output or a state that no other node can write."""


@dataclass(frozen=True)
class State(Node):
    """What the run before left behind; ``inputs`` is empty.

    ``initial`` names the constant, of the tensor's type, that the first run after a reset finds.  What the
    run leaves for the next is in :attr:`QuantizedGraph.updates`.
    """

    initial: str


@dataclass(frozen=True)
class Stored(Node):
    """A constant tensor that other nodes read, ``inputs`` is empty; ``constant`` has the tensor's shape."""

    constant: str


@dataclass(frozen=True)
class Sub(Node):
    """First minus second tensor, broadcast as in :class:`Add`."""

    activation: str | None = None
    arithmetic: str = "s8"


@dataclass(frozen=True)
class Div(Node):
    """First divided by second tensor, broadcast as in :class:`Add`; by zero it is the output's zero point."""

    activation: str | None = None
    arithmetic: str = "s8"


@dataclass(frozen=True)
class SquaredDifference(Node):
    """``(a - b) ** 2``, broadcast as in :class:`Add`."""

    arithmetic: str = "s8"


@dataclass(frozen=True)
class Minimum(Node):
    """The smaller of two stored values, broadcast as in :class:`Add`; all tensors have one quantization."""

    arithmetic: str = "s8"


@dataclass(frozen=True)
class Maximum(Node):
    """The larger of two stored values, broadcast as in :class:`Add`; all tensors have one quantization."""

    arithmetic: str = "s8"


@dataclass(frozen=True)
class Prelu(Node):
    """``x`` where it is positive, else ``x * slope``; ``inputs`` are ``(x, slope)``, the slope broadcast."""

    arithmetic: str = "s8"


@dataclass(frozen=True)
class Reduce(Node):
    """Mean, sum, largest or smallest value over ``axes``, which have size 1 in the output."""

    kind: str  # one of REDUCTIONS
    axes: tuple[int, ...]
    arithmetic: str = "s8"


@dataclass(frozen=True)
class LogSoftmax(Node):
    """Logarithm of the softmax over the channels; output scale 1/16, zero point 127."""

    arithmetic: str = "s8"


@dataclass(frozen=True)
class Rearrange(Node):
    """Elements of the input in another order, or some of them.

    Element ``(i, j, k, n)`` of ``counts``, the outputs in memory order, is input element
    ``start + i * strides[0] + j * strides[1] + k * strides[2] + n * strides[3]``: slices, transpositions,
    space to depth and back, repetitions along an axis (stride 0).
    """

    start: int
    counts: tuple[int, int, int, int]
    strides: tuple[int, int, int, int]
    arithmetic: str = "s8"


@dataclass(frozen=True)
class Take(Node):
    """Output pixel ``(y, x)`` is input pixel ``(rows[y], columns[x])``, all channels."""

    rows: tuple[int, ...]
    columns: tuple[int, ...]
    arithmetic: str = "s8"


@dataclass(frozen=True)
class ResizeBilinear(Node):
    """Interpolation between pixels; how ends and centres of pixels are mapped, as TFLite names it."""

    size: tuple[int, int]
    align_corners: bool = False
    half_pixel_centers: bool = False
    arithmetic: str = "s8"


@dataclass(frozen=True)
class Lstm(Node):
    """A sequence through a long short-term memory; ``inputs`` are ``(sequence, state)``.

    The sequence is (steps, 1, features), the output (steps, 1, units).  The state is one int16 tensor: a cell
    for each unit, its scale a power of two, and behind them the last row of the output, two of its bytes in
    an element.  Weights (units, features), recurrent weights (units, units) and biases (units,) are those of
    the input, forget, cell and output gate.  ``cell_clip`` bounds the real cells; 0: they are not bounded.
    """

    weights: tuple[str, str, str, str]
    recurrent: tuple[str, str, str, str]
    biases: tuple[str, str, str, str]
    cell_clip: float = 0.0
    arithmetic: str = "s8"

    @property
    def changes(self) -> tuple[str, ...]:
        return self.inputs[1:]


@dataclass(frozen=True)
class Svdf(Node):
    """A layer of rank-``rank`` filters over features and time; ``inputs`` are ``(features, state)``.

    The output has a unit for every ``rank`` filters.  ``weight`` (filters, features) reads a vector,
    ``time`` (filters, memory) what it made of the last ``memory`` vectors: the state, (filters * memory,) of
    int8 or int16, as ``time`` is.
    """

    weight: str
    time: str
    bias: str | None
    rank: int
    state: str = "int16"  # the type of the state's elements
    arithmetic: str = "s8"

    @property
    def changes(self) -> tuple[str, ...]:
        return self.inputs[1:]


RECURRENT: tuple[type[Node], ...] = (Lstm, Svdf)
BINARY: tuple[type[Node], ...] = (Sub, Div, SquaredDifference, Minimum, Maximum, Prelu)
INTEGER_ONLY: tuple[type[Node], ...] = (
    Reshape,
    Copy,
    State,
    Stored,
    *BINARY,
    Reduce,
    LogSoftmax,
    Rearrange,
    Take,
    ResizeBilinear,
    *RECURRENT,
)
