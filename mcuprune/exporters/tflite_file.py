"""Tensors, buffers and operators of a .tflite file in the making."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import singledispatch

import flatbuffers
import numpy as np
from ai_edge_litert import schema_py_generated as schema

from mcuprune.graph import ir

_FILE_IDENTIFIER = b"TFL3"
_SCHEMA_VERSION = 3
_BUFFER_ALIGNMENT = 16
_TYPES = {
    "int8": schema.TensorType.INT8,
    "uint8": schema.TensorType.UINT8,
    "int16": schema.TensorType.INT16,
    "resource": schema.TensorType.RESOURCE,
    "int32": schema.TensorType.INT32,
    "int64": schema.TensorType.INT64,
    "float32": schema.TensorType.FLOAT32,
}

FUSED = {
    None: schema.ActivationFunctionType.NONE,
    "relu": schema.ActivationFunctionType.RELU,
    "relu6": schema.ActivationFunctionType.RELU6,
}
_VERSIONS = {  # operator versions that introduced int8
    "CONV_2D": 3,
    "DEPTHWISE_CONV_2D": 3,
    "FULLY_CONNECTED": 4,
    "RESHAPE": 1,
    "SIN": 1,
    "HARD_SWISH": 1,
    "QUANTIZE": 2,
}
_DEFAULT_VERSION = 2


class _AlignedBuffer(schema.BufferT):
    """Constants lie on 16-byte boundaries, so that a microcontroller can read them in place."""

    def Pack(self, builder: flatbuffers.Builder) -> int:
        if self.data is not None:
            builder.Prep(_BUFFER_ALIGNMENT, self.data.nbytes)
        return super().Pack(builder)


@dataclass
class TfliteFile:
    """Tensors, buffers and operators in the order in which they are first mentioned."""

    qgraph: ir.QuantizedGraph
    tensors: list[schema.TensorT] = field(default_factory=list)
    buffers: list[schema.BufferT] = field(default_factory=lambda: [_AlignedBuffer()])
    operators: list[schema.OperatorT] = field(default_factory=list)
    codes: list[str] = field(default_factory=list)
    index: dict[str, int] = field(default_factory=dict)
    before: list[TfliteFile] = field(default_factory=list)  # subgraphs that run before the first inference

    def activation(self, name: str) -> int:
        """Tensor of a node's output."""
        if name not in self.index:
            self.index[name] = self.quantized(name, self.qgraph.shape(name), self.qgraph.quantization[name])
        return self.index[name]

    def quantized(self, name: str, shape: tuple[int, ...], quantization: ir.Quantization) -> int:
        parameters = affine([quantization.scale], [quantization.zero_point])
        return self.tensor(name, (1, *shape), quantization.dtype, parameters)

    def tensor(
        self,
        name: str,
        shape: tuple[int, ...],
        dtype: str,
        quantization: schema.QuantizationParametersT | None = None,
        buffer: int = 0,
    ) -> int:
        tensor = schema.TensorT(
            shape=np.array(shape, np.int32),
            type=_TYPES[dtype],
            buffer=buffer,
            name=name,
            quantization=quantization,
            hasRank=True,
        )
        self.tensors.append(tensor)
        return len(self.tensors) - 1

    def constant(
        self, name: str, values: np.ndarray, quantization: schema.QuantizationParametersT | None = None
    ) -> int:
        """Tensor of stored values; little-endian as the format demands."""
        if name not in self.index:
            stored = np.ascontiguousarray(values.astype(values.dtype.newbyteorder("<")))
            self.buffers.append(_AlignedBuffer(data=stored.reshape(-1).view(np.uint8)))
            buffer = len(self.buffers) - 1
            self.index[name] = self.tensor(name, values.shape, values.dtype.name, quantization, buffer)
        return self.index[name]

    def operator(
        self,
        code: str,
        inputs: list[int],
        output: int | None,
        options: object = None,
        options_type: str = "NONE",
    ) -> int:
        """One operator; returns its output tensor, -1 if it has none."""
        if code not in self.codes:
            self.codes.append(code)
        self.operators.append(
            schema.OperatorT(
                opcodeIndex=self.codes.index(code),
                inputs=np.array(inputs, np.int32),
                outputs=np.array([] if output is None else [output], np.int32),
                builtinOptionsType=getattr(schema.BuiltinOptions, options_type),
                builtinOptions=options,
            )
        )
        return -1 if output is None else output

    def pack(self) -> bytes:
        graphs = [self._subgraph(self.qgraph.inputs, self.qgraph.outputs)]
        graphs += [inner._subgraph((), ()) for inner in self.before]
        model = schema.ModelT(
            version=_SCHEMA_VERSION,
            operatorCodes=[_operator_code(code) for code in self.codes],
            subgraphs=graphs,
            description="mcuprune",
            buffers=self.buffers,
        )
        builder = flatbuffers.Builder(1024)
        builder.Finish(model.Pack(builder), file_identifier=_FILE_IDENTIFIER)
        return bytes(builder.Output())

    def _subgraph(self, inputs: Sequence[str], outputs: Sequence[str]) -> schema.SubGraphT:
        return schema.SubGraphT(
            tensors=self.tensors,
            inputs=np.array([self.index[name] for name in inputs], np.int32),
            outputs=np.array([self.index[name] for name in outputs], np.int32),
            operators=self.operators,
            name=self.qgraph.name,
        )


@singledispatch
def lower(node: ir.Node, file: TfliteFile) -> None:
    """Append the operators of one node."""
    raise ir.unsupported(node, "the .tflite exporter")


def _operator_code(code: str) -> schema.OperatorCodeT:
    number = getattr(schema.BuiltinOperator, code)
    return schema.OperatorCodeT(
        deprecatedBuiltinCode=min(number, 127),
        builtinCode=number,
        version=_VERSIONS.get(code, _DEFAULT_VERSION),
    )


def affine(scale: object, zero_point: object, dimension: int = 0) -> schema.QuantizationParametersT:
    return schema.QuantizationParametersT(
        scale=np.asarray(scale, np.float32),
        zeroPoint=np.asarray(zero_point, np.int64),
        quantizedDimension=dimension,
    )
