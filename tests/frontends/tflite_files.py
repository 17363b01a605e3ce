"""Hand-made .tflite files, operator by operator."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import flatbuffers
import numpy as np
from ai_edge_litert import schema_py_generated as schema

Quantization = tuple[Any, int]


@dataclass
class FileBuilder:
    """One subgraph in the making; tensors are known by their number."""

    tensors: list[schema.TensorT] = field(default_factory=list)
    buffers: list[schema.BufferT] = field(default_factory=lambda: [schema.BufferT()])
    operators: list[schema.OperatorT] = field(default_factory=list)
    codes: list[schema.OperatorCodeT] = field(default_factory=list)

    def tensor(
        self,
        name: str,
        dims: tuple[int, ...],
        dtype: str,
        quantization: Quantization | None = None,
        buffer: int = 0,
    ) -> int:
        """``quantization`` is (scale or scales, zero point), along the first dimension."""
        parameters = None
        if quantization is not None:
            scale = np.atleast_1d(np.asarray(quantization[0], np.float32))
            zero_point = np.full(scale.size, quantization[1], np.int64)
            parameters = schema.QuantizationParametersT(scale=scale, zeroPoint=zero_point)
        kind = getattr(schema.TensorType, dtype.upper())
        self.tensors.append(
            schema.TensorT(
                shape=np.array(dims, np.int32),
                type=kind,
                buffer=buffer,
                name=name,
                quantization=parameters,
                hasRank=True,
            )
        )
        return len(self.tensors) - 1

    def input(self, name: str, dims: tuple[int, ...], quantization: Quantization) -> int:
        return self.tensor(name, dims, "int8", quantization)

    def constant(self, name: str, values: np.ndarray, quantization: Quantization | None = None) -> int:
        stored = np.ascontiguousarray(values).reshape(-1).view(np.uint8)
        self.buffers.append(schema.BufferT(data=stored))
        return self.tensor(name, values.shape, values.dtype.name, quantization, len(self.buffers) - 1)

    def operator(
        self, code: str, inputs: list[int], outputs: list[int], options: str | None = None, **fields: Any
    ) -> None:
        number = getattr(schema.BuiltinOperator, code)
        self.codes.append(
            schema.OperatorCodeT(deprecatedBuiltinCode=min(number, 127), builtinCode=number, version=1)
        )
        operator = schema.OperatorT(
            opcodeIndex=len(self.codes) - 1,
            inputs=np.array(inputs, np.int32),
            outputs=np.array(outputs, np.int32),
        )
        if options is not None:
            operator.builtinOptionsType = getattr(schema.BuiltinOptions, options)
            operator.builtinOptions = getattr(schema, f"{options}T")(**fields)
        self.operators.append(operator)

    def pack(self, inputs: list[int], outputs: list[int]) -> bytes:
        graph = schema.SubGraphT(
            tensors=self.tensors,
            inputs=np.array(inputs, np.int32),
            outputs=np.array(outputs, np.int32),
            operators=self.operators,
            name="made",
        )
        model = schema.ModelT(version=3, operatorCodes=self.codes, subgraphs=[graph], buffers=self.buffers)
        builder = flatbuffers.Builder(1024)
        builder.Finish(model.Pack(builder), file_identifier=b"TFL3")
        return bytes(builder.Output())
