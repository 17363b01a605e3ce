"""The intermediate representation: what a network is, before anything is decided about it.

Activations are NHWC with the batch left out: a tensor is ``(height, width, channels)`` or a vector
``(channels,)``.  Convolution weights are OHWI, linear weights are ``(out, in)``.  A node has one output, and
the tensor it produces carries the node's name.

Channel numbers live only in :attr:`Graph.widths`.  Nodes never mention them, so removing channels changes
``widths`` and ``constants`` and leaves every node as it is.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from types import MappingProxyType

import numpy as np

from mcuprune.errors import UnsupportedError
from mcuprune.graph.integer_nodes import (  # noqa: F401  (node classes like those below)
    BINARY,
    INTEGER_ONLY,
    RECURRENT,
    REDUCTIONS,
    Copy,
    Div,
    LogSoftmax,
    Lstm,
    Maximum,
    Minimum,
    Prelu,
    Rearrange,
    Reduce,
    Reshape,
    ResizeBilinear,
    SquaredDifference,
    State,
    Stored,
    Sub,
    Svdf,
    Take,
)
from mcuprune.graph.node import Node


@dataclass(frozen=True)
class Block:
    """A run of channels that belong to one group.

    Unit ``u`` of the group owns ``size`` consecutive elements (a depth multiplier), and the whole block
    recurs ``repeat`` times (a flattened feature map).  Element ``e`` of repetition ``r`` of unit ``u`` stands
    at ``(r * width + u) * size + e``.
    """

    group: str
    size: int = 1
    repeat: int = 1


Axis = tuple[Block, ...]


@dataclass(frozen=True)
class TensorType:
    """Shape of an activation: ``spatial`` is ``(height, width)``, or empty for a vector."""

    spatial: tuple[int, ...]
    channels: Axis


@dataclass(frozen=True)
class Constant:
    """A stored array.  ``scale`` (one value, or one per output channel) is set when ``values`` are quantized.

    ``mask`` marks the entries that element-wise pruning keeps (``None``: all of them); ``codec`` names how
    the values are stored in flash.
    """

    values: np.ndarray
    scale: np.ndarray | None = None
    mask: np.ndarray | None = None
    codec: str = "raw"


@dataclass(frozen=True)
class Window:
    """Geometry of a sliding window; ``padding`` is ``(top, left, bottom, right)``."""

    kernel: tuple[int, int]
    stride: tuple[int, int] = (1, 1)
    padding: tuple[int, int, int, int] = (0, 0, 0, 0)
    dilation: tuple[int, int] = (1, 1)

    def output_size(self, height: int, width: int) -> tuple[int, int]:
        top, left, bottom, right = self.padding
        reach_h = (self.kernel[0] - 1) * self.dilation[0] + 1
        reach_w = (self.kernel[1] - 1) * self.dilation[1] + 1
        return (
            (height + top + bottom - reach_h) // self.stride[0] + 1,
            (width + left + right - reach_w) // self.stride[1] + 1,
        )


CLAMPS = (None, "relu", "relu6")  # activations that fuse into the node before them
FUNCTIONS = ("relu", "relu6", "leaky_relu", "hard_swish", "hard_sigmoid", "sigmoid", "tanh", "sine")
INTEGER_FUNCTIONS = (*FUNCTIONS, "abs", "elu")  # of a QuantizedGraph


@dataclass(frozen=True)
class Input(Node):
    """A graph input; ``inputs`` is empty."""


@dataclass(frozen=True)
class Conv2d(Node):
    weight: str  # (out, kernel height, kernel width, in)
    bias: str | None
    window: Window
    activation: str | None = None
    arithmetic: str = "s8"
    own_multipliers: bool = False  # each channel, instead of one for all and shifts (quantize/multipliers.py)


@dataclass(frozen=True)
class DepthwiseConv2d(Node):
    """Output channel ``c * multiplier + m`` reads input channel ``c`` only."""

    weight: str  # (kernel height, kernel width, out)
    bias: str | None
    window: Window
    multiplier: int = 1
    activation: str | None = None
    arithmetic: str = "s8"
    own_multipliers: bool = False


@dataclass(frozen=True)
class Linear(Node):
    weight: str  # (out, in)
    bias: str | None
    activation: str | None = None
    arithmetic: str = "s8"
    one_scale: bool = False  # quantized weights share one scale, so outputs share one multiplier and shift
    own_multipliers: bool = False


@dataclass(frozen=True)
class BatchNorm(Node):
    """Per-channel affine map of the normalised input; folded away before quantization."""

    gamma: str
    beta: str
    mean: str
    variance: str
    epsilon: float = 1e-5


@dataclass(frozen=True)
class Activation(Node):
    """``function(gain * x)``, element by element; ``gain`` is SIREN's omega for the sine, and 1 elsewhere.

    Integer networks also know the function ``identity``: the same real numbers on another integer grid, where
    input and output may be uint8 too, or int16 (arithmetic ``s8_s16``, ``s16_s8`` or ``s16x8``).
    """

    function: str
    gain: float = 1.0
    slope: float = 0.01  # leaky_relu only
    arithmetic: str = "s8"


@dataclass(frozen=True)
class MaxPool2d(Node):
    window: Window
    activation: str | None = None
    arithmetic: str = "s8"


@dataclass(frozen=True)
class AveragePool2d(Node):
    """Mean over the window's real elements (padding is not counted).  Global pooling: kernel = input size."""

    window: Window
    activation: str | None = None
    arithmetic: str = "s8"


@dataclass(frozen=True)
class Add(Node):
    """Sum of two tensors; either may be 1x1 in space, or one channel wide, and is then broadcast."""

    activation: str | None = None
    arithmetic: str = "s8"


@dataclass(frozen=True)
class Mul(Node):
    """Product of two tensors, broadcast as in :class:`Add`."""

    activation: str | None = None
    arithmetic: str = "s8"


@dataclass(frozen=True)
class Concat(Node):
    """Channel-wise concatenation."""

    arithmetic: str = "s8"


@dataclass(frozen=True)
class Flatten(Node):
    """``(height, width, channels)`` to a vector, in memory order; costs nothing."""


@dataclass(frozen=True)
class Pad(Node):
    """Zero padding in space, ``(top, left, bottom, right)``; ``fill``: with this stored integer instead."""

    padding: tuple[int, int, int, int]
    fill: int | None = None
    arithmetic: str = "s8"


@dataclass(frozen=True)
class Softmax(Node):
    """Softmax of ``gain * x`` over the channels."""

    arithmetic: str = "s8"
    gain: float = 1.0


NODES: tuple[type[Node], ...] = (
    Input,
    Conv2d,
    DepthwiseConv2d,
    Linear,
    BatchNorm,
    Activation,
    MaxPool2d,
    AveragePool2d,
    Add,
    Mul,
    Concat,
    Flatten,
    Pad,
    Softmax,
)

# What a QuantizedGraph may consist of.
INTEGER_NODES: tuple[type[Node], ...] = (*(kind for kind in NODES if kind is not BatchNorm), *INTEGER_ONLY)

# Operations on two tensors, either broadcast.
ELEMENTWISE: tuple[type[Node], ...] = (Add, Mul, *BINARY)

# Nodes whose output is their input's memory: no kernel, no bytes, no cycles.
ALIASES: tuple[type[Node], ...] = (Flatten, Reshape)
# Nodes whose memory is filled before the run begins.
GIVEN: tuple[type[Node], ...] = (Input, State, Stored)


@dataclass(frozen=True)
class Graph:
    """A float network.  ``nodes`` are in topological order; ``frozen`` groups are never pruned."""

    name: str
    nodes: tuple[Node, ...]
    outputs: tuple[str, ...]
    tensors: Mapping[str, TensorType]
    widths: Mapping[str, int]
    constants: Mapping[str, Constant]
    frozen: frozenset[str] = field(default_factory=frozenset)

    @property
    def inputs(self) -> tuple[str, ...]:
        return tuple(node.name for node in self.nodes if isinstance(node, Input))

    @property
    def updates(self) -> Mapping[str, str]:
        """As of a QuantizedGraph: a float network keeps no state."""
        return {}

    def shape(self, tensor: str) -> tuple[int, ...]:
        """``(height, width, channels)`` or ``(channels,)`` of a tensor."""
        kind = self.tensors[tensor]
        return (*kind.spatial, axis_width(kind.channels, self.widths))

    def element_bytes(self, tensor: str) -> int:
        """Bytes of an element once the network is quantized."""
        return 1


ELEMENT_BYTES = MappingProxyType({"int8": 1, "uint8": 1, "int16": 2, "int32": 4})


@dataclass(frozen=True)
class Quantization:
    """``real = scale * (stored - zero_point)``; ``dtype`` is a key of :data:`ELEMENT_BYTES`."""

    scale: float
    zero_point: int
    dtype: str = "int8"


@dataclass(frozen=True)
class QuantizedGraph:
    """An integer network of :data:`INTEGER_NODES`, every tensor with its quantization.

    A tensor is ``(height, width, channels)`` or ``(channels,)`` in memory order; what else a file may call it
    (a sequence, a batch of rows) has been brought to one of the two.  Weights are int8 constants with
    per-channel ``scale`` (linear: one value or one per output), biases are int32 constants whose scale is
    ``input scale * weight scale``.

    ``updates`` maps a :class:`State` to the tensor whose value it has in the next run; the node that computes
    this tensor writes into the state's memory, after all readers of the old value have run
    (:mod:`mcuprune.graph.memory` sees to it that this is possible).  A State without an entry stays as it is.
    """

    name: str
    nodes: tuple[Node, ...]
    outputs: tuple[str, ...]
    shapes: Mapping[str, tuple[int, ...]]
    quantization: Mapping[str, Quantization]
    constants: Mapping[str, Constant]
    updates: Mapping[str, str] = field(default_factory=dict)

    @property
    def inputs(self) -> tuple[str, ...]:
        return tuple(node.name for node in self.nodes if isinstance(node, Input))

    def shape(self, tensor: str) -> tuple[int, ...]:
        return self.shapes[tensor]

    def element_bytes(self, tensor: str) -> int:
        return ELEMENT_BYTES[self.quantization[tensor].dtype]


def axis_width(axis: Axis, widths: Mapping[str, int]):
    """Elements along a channel axis; plain arithmetic, so widths may be ints, arrays or tensors."""
    return sum(widths[block.group] * (block.size * block.repeat) for block in axis)


def ends_in_softmax(graph: Graph) -> bool:
    """Whether the first output is one of probabilities."""
    return any(isinstance(node, Softmax) and node.name == graph.outputs[0] for node in graph.nodes)


def unsupported(node: object, where: str) -> UnsupportedError:
    """The error for a node class that ``where`` (a stage) does not know."""
    name = getattr(node, "name", "?")
    return UnsupportedError(f"layer '{name}': {where} does not support {type(node).__name__}")
