"""Small .tflite files of real numbers, written operator by operator, and how LiteRT runs them."""

from __future__ import annotations

from dataclasses import dataclass, field

import flatbuffers
import numpy as np
from ai_edge_litert import schema_py_generated as schema
from ai_edge_litert.interpreter import Interpreter, OpResolverType

TYPES = {
    np.dtype(np.float32): schema.TensorType.FLOAT32,
    np.dtype(np.float16): schema.TensorType.FLOAT16,
    np.dtype(np.int32): schema.TensorType.INT32,
    np.dtype(np.int8): schema.TensorType.INT8,
}


@dataclass
class FloatFile:
    """``input`` and ``op`` return tensor numbers; the last tensor made is the output."""

    tensors: list[schema.TensorT] = field(default_factory=list)
    buffers: list[schema.BufferT] = field(default_factory=lambda: [schema.BufferT()])
    operators: list[schema.OperatorT] = field(default_factory=list)
    codes: list[str] = field(default_factory=list)
    inputs: list[int] = field(default_factory=list)

    def tensor(self, shape, dtype=np.float32, buffer: int = 0, quantization=None) -> int:
        self.tensors.append(
            schema.TensorT(
                shape=np.array(shape, np.int32),
                type=TYPES[np.dtype(dtype)],
                buffer=buffer,
                name=f"t{len(self.tensors)}",
                quantization=quantization,
                hasRank=True,
            )
        )
        return len(self.tensors) - 1

    def input(self, *shape: int) -> int:
        self.inputs.append(self.tensor(shape))
        return self.inputs[-1]

    def constant(self, values, dtype=np.float32, quantization=None) -> int:
        stored = np.array(values, dtype)
        self.buffers.append(schema.BufferT(data=stored.reshape(-1).view(np.uint8)))
        return self.tensor(stored.shape, dtype, len(self.buffers) - 1, quantization)

    def op(self, code: str, inputs, shape, options=None, dtype=np.float32) -> int:
        """``options`` is an option table, e.g. ``schema.AddOptionsT()``."""
        if code not in self.codes:
            self.codes.append(code)
        output = self.tensor(shape, dtype)
        kind = "NONE" if options is None else type(options).__name__.removesuffix("T")
        self.operators.append(
            schema.OperatorT(
                opcodeIndex=self.codes.index(code),
                inputs=np.array(inputs, np.int32),
                outputs=np.array([output], np.int32),
                builtinOptionsType=getattr(schema.BuiltinOptions, kind),
                builtinOptions=options,
            )
        )
        return output

    def bytes(self) -> bytes:
        graph = schema.SubGraphT(
            tensors=self.tensors,
            inputs=np.array(self.inputs, np.int32),
            outputs=np.array([int(self.operators[-1].outputs[0])], np.int32),
            operators=self.operators,
            name="small",
        )
        numbers = [getattr(schema.BuiltinOperator, code) for code in self.codes]
        codes = [
            schema.OperatorCodeT(deprecatedBuiltinCode=min(n, 127), builtinCode=n, version=1) for n in numbers
        ]
        return packed(schema.ModelT(version=3, operatorCodes=codes, subgraphs=[graph], buffers=self.buffers))


def packed(model: schema.ModelT) -> bytes:
    builder = flatbuffers.Builder(1024)
    builder.Finish(model.Pack(builder), file_identifier=b"TFL3")
    return bytes(builder.Output())


def real_weights(data: bytes) -> bytes:
    """The file with its int8 weights stored as the float32 numbers that they stand for.

    LiteRT quantizes the inputs of layers with int8 weights while it runs; what such a file means is this.
    """
    model = schema.ModelT.InitFromObj(schema.Model.GetRootAsModel(data, 0))
    for tensor in model.subgraphs[0].tensors:
        if tensor.type == schema.TensorType.INT8:
            shape = [1] * len(tensor.shape)
            if len(tensor.quantization.scale) > 1:
                shape[tensor.quantization.quantizedDimension] = -1
            stored = np.asarray(model.buffers[tensor.buffer].data, np.uint8).view(np.int8)
            values = stored.reshape(tensor.shape) * tensor.quantization.scale.reshape(shape)
            model.buffers[tensor.buffer].data = values.astype(np.float32).reshape(-1).view(np.uint8)
            tensor.type, tensor.quantization = schema.TensorType.FLOAT32, None
    return packed(model)


def run_litert(data: bytes, inputs: np.ndarray) -> np.ndarray:
    """Output ``(N, ...)`` of LiteRT's reference kernels; ``inputs`` (N, ...) are given one by one."""
    found = Interpreter(
        model_content=data, experimental_op_resolver_type=OpResolverType.BUILTIN_REF, num_threads=1
    )
    found.allocate_tensors()
    source, target = found.get_input_details()[0]["index"], found.get_output_details()[0]["index"]
    outputs = []
    for value in inputs:
        found.set_tensor(source, value[None])
        found.invoke()
        outputs.append(found.get_tensor(target)[0].copy())
    return np.array(outputs)
