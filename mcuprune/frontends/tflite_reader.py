"""A .tflite file taken apart: tensors, constants and the nodes found so far."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, field, replace

import numpy as np
from ai_edge_litert import schema_py_generated as schema

from mcuprune.errors import UnsupportedError, UsageError
from mcuprune.frontends.tflite_types import OPERATOR_NAMES, TYPE_NAMES
from mcuprune.graph import ir
from mcuprune.graph.op_shape import WIDE, arithmetic
from mcuprune.graph.shapes import canonical_shape, output_shape

FILE_IDENTIFIER = b"TFL3"
NO_BIAS = "/no_bias"  # how our exporter names the zeros that stand for no bias
TAKEN_ROWS = "/taken_rows"  # and the first half of a Take: its rows, all columns
_MAX_ELEMENTS = 1 << 28
_DTYPES = {
    schema.TensorType.INT8: "int8",
    schema.TensorType.INT16: "int16",
    schema.TensorType.INT32: "int32",
    schema.TensorType.INT64: "int64",
    schema.TensorType.UINT8: "uint8",
    schema.TensorType.FLOAT32: "float32",
}
_FUSED = {
    schema.ActivationFunctionType.NONE: None,
    schema.ActivationFunctionType.RELU: "relu",
    schema.ActivationFunctionType.RELU6: "relu6",
}


@dataclass(frozen=True)
class FloatChain:
    """A float32 tensor: ``steps`` applied to the dequantized node ``source`` (``None``: a float input)."""

    source: str | None
    steps: tuple[tuple[str, float], ...] = ()


Variable = tuple[str, str]  # container and name


@dataclass(frozen=True)
class PendingPad:
    """A padded tensor whose only reader is a window that can do the padding itself."""

    source: str
    padding: tuple[int, int, int, int]


@dataclass
class TfliteReader:
    """The subgraph while it is turned into nodes; ``values``, ``floats``, ``pads``, ``static`` say what a
    tensor is: a node, a float32 chain, a padding still to be fused, or numbers known while importing.

    ``shapes`` are those of the nodes, :func:`mcuprune.graph.shapes.canonical_shape`; :meth:`dimensions` are
    those of the file, batch first, which is what the axes of operators mean.

    ``variables`` has the node whose value a variable holds at this point of the run, ``state_of`` the State
    that it begins with, ``handles`` the tensors that stand for variables.  ``input_names`` tells which
    float32 input of the file an Input node stands for.
    """

    model: schema.ModelT
    names: tuple[str, ...] = ()
    nodes: list[ir.Node] = field(default_factory=list)
    constants: dict[str, ir.Constant] = field(default_factory=dict)
    shapes: dict[str, tuple[int, ...]] = field(default_factory=dict)
    quantization: dict[str, ir.Quantization] = field(default_factory=dict)
    values: dict[int, str] = field(default_factory=dict)
    floats: dict[int, FloatChain] = field(default_factory=dict)
    pads: dict[int, PendingPad] = field(default_factory=dict)
    static: dict[int, np.ndarray] = field(default_factory=dict)
    taken_rows: dict[int, tuple[str, tuple[int, ...]]] = field(default_factory=dict)
    views: dict[tuple[str, tuple[int, ...]], str] = field(default_factory=dict)
    handles: dict[int, Variable] = field(default_factory=dict)
    first_values: dict[Variable, np.ndarray] = field(default_factory=dict)
    state_of: dict[Variable, str] = field(default_factory=dict)
    variables: dict[Variable, str] = field(default_factory=dict)
    input_names: dict[str, str] = field(default_factory=dict)
    subgraph: int = 0

    def __post_init__(self) -> None:
        graph = self.model.subgraphs[self.subgraph]
        self.graph = graph
        self.names = unique_names(tensor.name for tensor in graph.tensors)
        self._taken = frozenset(self.names)
        used = [int(i) for operator in graph.operators for i in operator.inputs] + [
            int(i) for i in graph.outputs
        ]
        self._readers = Counter(used)

    def operator_name(self, operator: schema.OperatorT) -> str:
        code = self.model.operatorCodes[operator.opcodeIndex]
        return OPERATOR_NAMES.get(max(code.builtinCode, code.deprecatedBuiltinCode), "CUSTOM")

    def refuse(self, operator: schema.OperatorT, problem: str) -> UnsupportedError:
        """The error for something in this operator that has no equivalent here."""
        code = self.operator_name(operator)
        if operator.outputs is None or not len(operator.outputs):
            return UnsupportedError(f"{code}: {problem}")
        target = self.names[int(operator.outputs[0])]
        return UnsupportedError(f"{code} producing tensor '{target}': {problem}")

    def sole_reader(self, operator: schema.OperatorT) -> schema.OperatorT | None:
        """The operator that reads this one's output, if nothing else does."""
        index = int(operator.outputs[0])
        if self._readers[index] != 1:
            return None
        return next((other for other in self.graph.operators if index in other.inputs), None)

    def is_read_once(self, index: int) -> bool:
        return self._readers[index] == 1

    def source(
        self, operator: schema.OperatorT, position: int = 0, types: tuple[str, ...] = ("int8",)
    ) -> str:
        """The node that an activation input of one of these types stands for."""
        index = int(operator.inputs[position])
        if index in self.values and self.quantization[self.values[index]].dtype in types:
            return self.values[index]
        name = self.names[index] if index >= 0 else "(none)"
        if index >= 0 and self.is_stored(index):
            raise self.refuse(operator, f"its operand '{name}' is a constant")
        raise self.refuse(operator, f"its input '{name}' is {self.type_name(index)}, not an int8 activation")

    def is_stored(self, index: int) -> bool:
        data = self.model.buffers[self.graph.tensors[index].buffer].data
        return data is not None and len(data) > 0

    def type_name(self, index: int) -> str:
        return (
            TYPE_NAMES.get(self.graph.tensors[index].type, "of an unknown type") if index >= 0 else "missing"
        )

    def shape(self, index: int) -> tuple[int, ...]:
        """The shape that a tensor has here: (height, width, channels) or (channels,)."""
        return canonical_shape(self.dimensions(index))

    def image(self, operator: schema.OperatorT, position: int = 0, types: tuple[str, ...] = ("int8",)) -> str:
        """The node behind an input that must be one image: (1, h, w, c) in the file, (h, w, c) here."""
        dims = self.dimensions(int(operator.inputs[position]))
        if len(dims) != 4 or dims[0] != 1:
            raise self.refuse(operator, f"its input has shape {dims}, need (1, h, w, c)")
        return self.source(operator, position, types)

    def arithmetic(self, source: str) -> str:
        """Of a layer that reads ``source`` and makes the same type."""
        return WIDE if self.quantization[source].dtype == "int16" else "s8"

    def view(self, source: str, shape: tuple[int, ...], wish: str | None = None) -> str:
        """The node ``source`` under another shape, named ``wish`` if it is new: itself, or an alias of it."""
        if shape == self.shapes[source]:
            return source
        if (source, shape) not in self.views:
            name = wish or self.fresh(f"{source}/{'x'.join(map(str, shape))}")
            flat = len(shape) == 1 and len(self.shapes[source]) == 3
            node = (ir.Flatten if flat else ir.Reshape)(name, (source,))
            self.record(node, shape, self.quantization[source])
            self.views[source, shape] = name
        return self.views[source, shape]

    def fresh(self, wish: str) -> str:
        """A name that neither a tensor nor a node has."""
        name, number = wish, 2
        while name in self.shapes or name in self._taken:
            name, number = f"{wish}_{number}", number + 1
        return name

    def dimensions(self, index: int) -> tuple[int, ...]:
        stored = self.graph.tensors[index].shape
        shape = () if stored is None else tuple(int(size) for size in stored)
        if any(size < 1 for size in shape) or np.prod(shape, dtype=float) > _MAX_ELEMENTS:
            raise UsageError(f"tensor '{self.names[index]}': impossible shape {shape}")
        return shape

    def array(self, index: int) -> np.ndarray:
        """The stored values of a constant tensor."""
        tensor = self.graph.tensors[index]
        name, shape = self.names[index], self.dimensions(index)
        if tensor.type not in _DTYPES:
            raise UnsupportedError(f"tensor '{name}': type {self.type_name(index)} is not supported")
        data = self.model.buffers[tensor.buffer].data
        if data is None or len(data) == 0:
            raise UnsupportedError(f"tensor '{name}' must be a constant")
        dtype = np.dtype(_DTYPES[tensor.type])
        values = np.frombuffer(np.asarray(data, np.uint8).tobytes(), dtype.newbyteorder("<"))
        return values.astype(dtype).reshape(shape)

    def scales(self, index: int) -> tuple[np.ndarray, np.ndarray]:
        """Scales (float32) and zero points of a tensor."""
        found = self.graph.tensors[index].quantization
        if found is None or found.scale is None or len(found.scale) == 0:
            raise UnsupportedError(
                f"tensor '{self.names[index]}' has no quantization: only int8 models are imported"
            )
        scale = np.asarray(found.scale, np.float32)
        zero_point = (
            np.zeros(scale.size, np.int64) if found.zeroPoint is None else np.asarray(found.zeroPoint)
        )
        return scale, zero_point

    def record(self, node: ir.Node, shape: tuple[int, ...], quantization: ir.Quantization) -> None:
        """Append a node whose output has this shape; UsageError where its operator gives another."""
        if node.name in self.shapes:
            raise UsageError(f"tensor '{node.name}' is produced twice")
        inputs = tuple(self.shapes[name] for name in node.inputs)
        found = output_shape(node, inputs, self.constants, shape)
        if found != shape:
            raise UsageError(f"tensor '{node.name}': the file says shape {shape}, its operator gives {found}")
        self.nodes.append(node)
        self.shapes[node.name] = shape
        self.quantization[node.name] = quantization

    def quantization_at(
        self, index: int, types: tuple[str, ...] = tuple(ir.ELEMENT_BYTES)
    ) -> ir.Quantization:
        """What the integers of the tensor ``index`` mean; int32 may go without."""
        name, dtype = self.names[index], _DTYPES.get(self.graph.tensors[index].type, "")
        if dtype not in types:
            raise UnsupportedError(
                f"tensor '{name}' is {self.type_name(index)}: only int8 models are imported"
            )
        if dtype == "int32" and self.graph.tensors[index].quantization is None:
            return ir.Quantization(1.0, 0, dtype)
        scale, zero_point = self.scales(index)
        if scale.size != 1 or zero_point.size != 1:
            raise UnsupportedError(f"tensor '{name}': an activation needs one scale and one zero point")
        limits = np.iinfo(dtype)
        if not (np.isfinite(scale[0]) and scale[0] > 0) or not limits.min <= zero_point[0] <= limits.max:
            raise UsageError(f"tensor '{name}': impossible scale {scale[0]} or zero point {zero_point[0]}")
        return ir.Quantization(float(scale[0]), int(zero_point[0]), dtype)

    def alias(self, source: str, index: int) -> str:
        """The node that has the bytes of ``source`` under shape and quantization of the tensor ``index``."""
        quantization = self.quantization_at(index)
        if quantization.dtype != self.quantization[source].dtype:
            made_of = self.quantization[source].dtype
            raise UnsupportedError(
                f"tensor '{self.names[index]}' is {quantization.dtype}, of {made_of} bytes"
            )
        if quantization == self.quantization[source]:
            return self.view(source, self.shape(index), self.names[index])
        self.record(ir.Reshape(self.names[index], (source,)), self.shape(index), quantization)
        return self.names[index]

    def define(
        self,
        node: ir.Node,
        index: int,
        shape: tuple[int, ...] | None = None,
        types: tuple[str, ...] | None = None,
    ) -> None:
        """Record ``node`` as what produces the tensor ``index``, which must be of one of these types; else of
        the type of the node's arithmetic.

        ``shape`` is the node's own where the file has the same elements under another one.
        """
        own_type = "int16" if arithmetic(node) == WIDE else "int8"
        quantization = self.quantization_at(index, types or (own_type,))
        wanted = self.shape(index)
        if shape is None or shape == wanted:
            self.record(node, wanted, quantization)
            self.values[index] = node.name
            return
        own = self.fresh(f"{node.name}/{'x'.join(map(str, shape))}")
        self.record(replace(node, name=own), shape, quantization)
        self.values[index] = self.view(own, wanted, node.name)

    def fused(self, operator: schema.OperatorT) -> str | None:
        """The activation that an operator applies to its result."""
        function = operator.builtinOptions.fusedActivationFunction
        if function not in _FUSED:
            raise self.refuse(operator, f"fused activation number {function}; only RELU and RELU6 are known")
        return _FUSED[function]

    def weight(
        self, operator: schema.OperatorT, axis: int, position: int = 1
    ) -> tuple[str, np.ndarray, np.ndarray]:
        """Name, int8 values and float32 scales (one, or one per slice along ``axis``) of a weight tensor."""
        index = int(operator.inputs[position])
        values = self.array(index)
        scale, zero_point = self.scales(index)
        if values.dtype != np.int8 or zero_point.any():
            raise self.refuse(operator, f"weights '{self.names[index]}' must be int8 with zero point 0")
        stored_axis = self.graph.tensors[index].quantization.quantizedDimension
        if scale.size != 1 and (scale.size != values.shape[axis] or stored_axis != axis):
            raise self.refuse(
                operator, f"weights '{self.names[index]}' need one scale, or one per output channel"
            )
        if not (np.isfinite(scale).all() and (scale >= 0).all()):
            raise UsageError(f"tensor '{self.names[index]}': impossible weight scales")
        return self.names[index], values, scale

    def bias(self, operator: schema.OperatorT, position: int = 2, dtype: str = "int32") -> str | None:
        """Name of the bias constant of this type, recorded; ``None`` where there is none."""
        index = int(operator.inputs[position]) if len(operator.inputs) > position else -1
        if index < 0:
            return None
        values = self.array(index).reshape(-1)
        if values.dtype != np.dtype(dtype):
            raise self.refuse(operator, f"bias '{self.names[index]}' is {values.dtype}, must be {dtype}")
        if self.names[index].endswith(NO_BIAS) and not values.any():
            return None
        found = self.graph.tensors[index].quantization
        scale = None if found is None or found.scale is None else np.asarray(found.scale, np.float32)
        self.constants[self.names[index]] = ir.Constant(values, scale)
        return self.names[index]


def unique_names(raw: Iterable[bytes | str | None]) -> tuple[str, ...]:
    """Short printable names: the first of several joined by ';', no odd characters, repeats numbered."""
    names: list[str] = []
    taken: dict[str, int] = {}
    for index, name in enumerate(raw):
        text = name.decode("utf-8", "replace") if isinstance(name, bytes) else (name or "")
        text = re.sub(r"[^A-Za-z0-9_./:-]", "_", text.split(";")[0])[:120] or f"tensor_{index}"
        unique, number = text, taken.get(text, 1)
        while unique in taken:
            number += 1
            unique = f"{text}_{number}"
        taken[text] = number
        taken.setdefault(unique, 1)
        names.append(unique)
    return tuple(names)
