"""Float .tflite files to graphs: float32, float16 weights, and int8 weights under float32 activations.

Weights stored as float16 or int8 ("dynamic range") become the float32 numbers that they stand for.  What the
operators mean is in :mod:`mcuprune.frontends.tflite_float_ops`.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from ai_edge_litert import schema_py_generated as schema

from mcuprune.errors import UnsupportedError, UsageError
from mcuprune.frontends.nhwc import ChannelsLastBuilder
from mcuprune.frontends.tflite_float_ops import OPERATORS, Call, Tensor, spelled
from mcuprune.frontends.tflite_fold import fold
from mcuprune.frontends.tflite_types import NUMPY_TYPES, OPERATOR_NAMES, TYPE_NAMES
from mcuprune.graph.ir import Graph

LARGEST = 1 << 28  # elements of a tensor; more comes only from a damaged file
WEIGHT_READERS = ("CONV_2D", "DEPTHWISE_CONV_2D", "FULLY_CONNECTED")
_FLOATS = (schema.TensorType.FLOAT32, schema.TensorType.FLOAT16)


def is_float_model(model: schema.ModelT) -> bool:
    """Whether no tensor that an operator computes is quantized, so that the model is one of real numbers."""
    graph = model.subgraphs[0]
    computed = [int(i) for operator in graph.operators for i in operator.outputs] + list(graph.inputs)
    kinds = {graph.tensors[int(i)].type for i in computed}
    narrow = (schema.TensorType.INT8, schema.TensorType.UINT8, schema.TensorType.INT16)
    return schema.TensorType.FLOAT32 in kinds and not kinds & set(narrow)


def read_float(model: schema.ModelT, names: Sequence[str], name: str) -> Graph:
    """The graph of a model for which :func:`is_float_model` holds; ``names`` are its tensors'.

    Raises UnsupportedError naming operator and tensor for what has no equivalent, UsageError for damage.
    """
    reader = _Reader(model, tuple(names))
    reader.read_inputs()
    for operator in model.subgraphs[0].operators:
        reader.read(operator)
    outputs = [reader.output(int(index)) for index in model.subgraphs[0].outputs]
    return reader.builder.build(name, [tensor.value for tensor in outputs])


@dataclass
class _Reader:
    """A subgraph on its way into a builder: ``values`` holds what each tensor read so far is."""

    model: schema.ModelT
    names: tuple[str, ...]
    builder: ChannelsLastBuilder = field(default_factory=ChannelsLastBuilder)
    values: dict[int, Tensor | np.ndarray] = field(default_factory=dict)
    readers_of_weight: dict[int, str] = field(default_factory=dict)

    @property
    def graph(self) -> schema.SubGraphT:
        return self.model.subgraphs[0]

    def read_inputs(self) -> None:
        for index in (int(i) for i in self.graph.inputs):
            sizes = self._sizes(index)
            self.builder.at(f"input '{self.names[index]}'", self.names[index])
            if self.graph.tensors[index].type != schema.TensorType.FLOAT32:
                raise self.builder.fail(f"is {self._type(index)}; a float model needs float32 inputs")
            signature = self.graph.tensors[index].shapeSignature
            if signature is not None and any(int(size) < 0 for size in signature[1:]):
                raise self.builder.fail("has sizes that are not fixed; convert the model with fixed sizes")
            if not 2 <= len(sizes) <= 4 or sizes[0] != 1:
                raise self.builder.fail(f"has shape {sizes}; a batch of 1 and one to three sizes work")
            self.values[index] = Tensor(self.builder.input(self.names[index], spelled(sizes)), sizes)

    def read(self, operator: schema.OperatorT) -> None:
        code, target = self._code(operator), int(operator.outputs[0])
        self.builder.at(f"{code} producing tensor '{self.names[target]}'", self.names[target])
        if len(operator.outputs) != 1 and code not in OPERATORS:
            raise self.builder.fail("this operator is not supported")
        inputs = tuple(self._operand(int(index)) for index in operator.inputs)
        if code == "SHAPE" and isinstance(inputs[0], Tensor):
            self.values[target] = np.array(inputs[0].sizes, np.int32)
        elif not any(isinstance(operand, Tensor) for operand in inputs):
            self.values[target] = self._fold(code, operator, inputs)
        elif code not in OPERATORS:
            raise self.builder.fail("this operator is not supported ('mcuprune ops' lists what works)")
        else:
            self._claim_weights(code, operator)
            self.values[target] = OPERATORS[code](Call(self.builder, operator.builtinOptions, inputs))

    def output(self, index: int) -> Tensor:
        found = self.values.get(index)
        self.builder.at(f"output '{self.names[index]}'", self.names[index])
        if not isinstance(found, Tensor):
            raise self.builder.fail("is a constant, or no operator computes it")
        return found

    def _fold(self, code: str, operator: schema.OperatorT, inputs: Sequence[Any]) -> np.ndarray:
        try:
            return fold(code, operator, [operand for operand in inputs if operand is not None])
        except UnsupportedError as error:
            raise self.builder.fail(str(error)) from None

    def _operand(self, index: int) -> Tensor | np.ndarray | None:
        if index < 0:
            return None
        if index not in self.values:
            self.values[index] = self._stored(index)
        return self.values[index]

    def _stored(self, index: int) -> np.ndarray:
        """A stored tensor; quantized weights as the real numbers that they stand for."""
        tensor, name = self.graph.tensors[index], self.names[index]
        if tensor.type not in NUMPY_TYPES or tensor.sparsity is not None:
            what = "sparse" if tensor.sparsity is not None else self._type(index)
            raise self.builder.fail(f"its operand '{name}' is {what}, which is not supported")
        data = self.model.buffers[tensor.buffer].data
        sizes = self._sizes(index)
        if data is None or len(data) == 0:
            if math.prod(sizes) == 0:
                return np.zeros(sizes, NUMPY_TYPES[tensor.type])
            raise UsageError(f"{self.builder.layer}: nothing computes its operand '{name}'")
        kind = np.dtype(NUMPY_TYPES[tensor.type])
        raw = np.frombuffer(np.asarray(data, np.uint8).tobytes(), kind.newbyteorder("<"))
        values = raw.astype(np.float32 if tensor.type in _FLOATS else kind).reshape(sizes)
        return self._real(tensor, values)

    def _real(self, tensor: schema.TensorT, values: np.ndarray) -> np.ndarray:
        found = tensor.quantization
        if values.dtype not in (np.int8, np.uint8) or found is None or found.scale is None:
            return values
        shape = [1] * values.ndim
        if len(found.scale) > 1:
            shape[found.quantizedDimension] = -1
        scale = np.asarray(found.scale, np.float32).reshape(shape)
        zero = 0 if found.zeroPoint is None else np.asarray(found.zeroPoint).reshape(shape)
        return ((values.astype(np.int32) - zero) * scale).astype(np.float32)

    def _sizes(self, index: int) -> tuple[int, ...]:
        stored = self.graph.tensors[index].shape
        sizes = () if stored is None else tuple(int(size) for size in stored)
        if any(size < 0 for size in sizes) or math.prod(sizes) > LARGEST:
            raise UsageError(f"tensor '{self.names[index]}': impossible shape {sizes}")
        return sizes

    def _claim_weights(self, code: str, operator: schema.OperatorT) -> None:
        """Refuse a second layer on the same weights: layers are pruned and stored one by one."""
        if code not in WEIGHT_READERS:
            return
        index = int(operator.inputs[1])
        if index in self.readers_of_weight:
            first = self.readers_of_weight[index]
            raise self.builder.fail(
                f"shares its weights '{self.names[index]}' with {first}; give each layer its own"
            )
        self.readers_of_weight[index] = self.builder.layer

    def _code(self, operator: schema.OperatorT) -> str:
        code = self.model.operatorCodes[operator.opcodeIndex]
        return OPERATOR_NAMES.get(max(code.builtinCode, code.deprecatedBuiltinCode), "CUSTOM")

    def _type(self, index: int) -> str:
        return TYPE_NAMES.get(self.graph.tensors[index].type, "of an unknown type")
