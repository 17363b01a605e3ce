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
    before: list[schema.SubGraphT] = field(default_factory=list)

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
        graphs = [self._subgraph(inputs, outputs), *self.before]
        model = schema.ModelT(version=3, operatorCodes=self.codes, subgraphs=graphs, buffers=self.buffers)
        builder = flatbuffers.Builder(1024)
        builder.Finish(model.Pack(builder), file_identifier=b"TFL3")
        return bytes(builder.Output())

    def _subgraph(self, inputs: list[int], outputs: list[int]) -> schema.SubGraphT:
        return schema.SubGraphT(
            tensors=self.tensors,
            inputs=np.array(inputs, np.int32),
            outputs=np.array(outputs, np.int32),
            operators=self.operators,
            name="made",
        )

    def variable(self, name: str) -> int:
        handle = self.tensor(f"{name}/handle", (), "resource")
        self.operator("VAR_HANDLE", [], [handle], "VarHandleOptions", container="", sharedName=name)
        return handle

    def call_once(self, first: dict[str, np.ndarray], quantization: Quantization) -> None:
        """CALL_ONCE of a subgraph that assigns these values to the variables."""
        self.operator("CALL_ONCE", [], [], "CallOnceOptions", initSubgraphIndex=1)
        kept = self.tensors, self.operators
        self.tensors, self.operators = [], []
        for name, values in first.items():
            handle = self.variable(name)
            constant = self.constant(f"{name}/first", values, quantization)
            self.operator("ASSIGN_VARIABLE", [handle, constant], [], "AssignVariableOptions")
        self.before.append(self._subgraph([], []))
        self.tensors, self.operators = kept

    def read(self, handle: int, name: str, dims: tuple[int, ...], quantization: Quantization) -> int:
        tensor = self.tensor(name, dims, "int8", quantization)
        self.operator("READ_VARIABLE", [handle], [tensor], "ReadVariableOptions")
        return tensor

    def assign(self, handle: int, tensor: int) -> None:
        self.operator("ASSIGN_VARIABLE", [handle, tensor], [], "AssignVariableOptions")


def streaming(kind: str, first: np.ndarray | None, quantization: Quantization = (0.05, 3)) -> bytes:
    """(1, 12) int8 to (1, 12): a running ``sum`` of the inputs, a sum of states that ``exchange`` their
    values, or a state that is ``read back`` after it was assigned."""
    file, dims = FileBuilder(), (1, 12)
    x = file.input("x", dims, quantization)
    if first is not None:
        file.call_once({"a/state": first}, quantization)
    a, b = file.variable("a/state"), file.variable("b/state")
    old_a, old_b = file.read(a, "old a", dims, quantization), file.read(b, "old b", dims, quantization)
    y = file.tensor("total", dims, "int8", quantization)
    if kind == "sum":
        file.operator("ADD", [x, old_a], [y], "AddOptions")
        file.assign(a, y)
    elif kind == "exchange":
        file.operator("ADD", [old_a, x], [y], "AddOptions")
        file.assign(a, old_b)
        file.assign(b, y)
    else:
        half = file.tensor("half", dims, "int8", quantization)
        file.operator("ADD", [old_a, old_b], [half], "AddOptions")
        file.assign(a, x)
        file.assign(b, half)
        again = file.read(a, "again", dims, quantization)
        file.operator("ADD", [again, half], [y], "AddOptions")
    return file.pack([x], [y])
