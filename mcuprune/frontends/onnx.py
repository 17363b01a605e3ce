"""Float ONNX files to graphs.  A file may come from anywhere, so nothing in it is trusted."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import onnx
from onnx import helper, numpy_helper

from mcuprune.errors import McupruneError, UsageError
from mcuprune.frontends.onnx_call import Call
from mcuprune.frontends.onnx_file import first_line, parse
from mcuprune.frontends.onnx_fold import computed, is_folded, result_size
from mcuprune.frontends.onnx_layout import INDIFFERENT, channels_first, is_transposed
from mcuprune.frontends.onnx_ops import READERS
from mcuprune.frontends.onnx_qoperator import spelled_out
from mcuprune.frontends.qdq import Described, integer_graph
from mcuprune.frontends.quantized import QuantizedBuilder, int8_quantization
from mcuprune.frontends.value import Value
from mcuprune.graph.ir import Graph, Quantization, QuantizedGraph

DYNAMIC_BATCH = 7919  # an unknown batch in shape arithmetic; a prime, so that no size divides it by chance
KEEP_SCALES = ("Transpose", "Reshape", "Squeeze", "Unsqueeze", "Identity")
MOST_FOLDED = 1 << 26  # elements that folding may compute in all
WEIGHT_READERS = ("Conv", "Gemm", "MatMul")


def load(path: str | Path) -> Graph | QuantizedGraph:
    """Read an ONNX model with channels-first layers; the batch may be dynamic, other sizes not.

    A model whose tensors are all quantized to 8 bits (QuantizeLinear and DequantizeLinear, or operators on
    integers) gives a QuantizedGraph, any other a Graph.

    Raises UsageError for a file that is missing, damaged or has unknown sizes, and UnsupportedError naming
    node and operator for what mcuprune does not implement.
    """
    path = Path(path)
    model = parse(path)
    reader = _Model(model, path)
    try:
        return reader.read()
    except McupruneError:
        raise
    except Exception as error:  # a damaged file can fail anywhere: at an attribute, at a shape, in folding
        where = reader.builder.layer
        raise UsageError(f"'{path}' is malformed at {where}: {first_line(error)}") from error


class _Model:
    """One ONNX graph on its way into a builder."""

    def __init__(self, model: onnx.ModelProto, path: Path) -> None:
        self.graph, self.path = model.graph, path
        self.opsets = {entry.domain or "ai.onnx": entry.version for entry in model.opset_import}
        self.builder = QuantizedBuilder()
        self.batch = DYNAMIC_BATCH
        self.values: dict[str, Value | np.ndarray | None] = {"": None}
        self.origins: dict[str, frozenset[str]] = {}  # which initializers a constant is computed from
        self.readers_of_weight: dict[str, str] = {}
        self.scales: dict[str, np.ndarray] = {}  # of constants that are multiples of them
        self.integer_values: dict[str, Quantization] = {}  # results of QuantizeLinear
        self.folded = 0  # elements of the constants computed so far

    def read(self) -> Graph | QuantizedGraph:
        for tensor in self.graph.initializer:
            self._store(tensor)
        for entry in self.graph.input:
            if entry.name not in self.values:
                self.values[entry.name] = self._input(entry)
        for node in self.graph.node:
            label = node.name or node.output[0]
            self.builder.at(f"node '{label}' ({node.op_type})", label)
            for part in spelled_out(node, self.values):
                if isinstance(part, onnx.TensorProto):
                    self._store(part)
                else:
                    self.values[part.output[0]] = self._call(part)
        outputs = [self.values.get(entry.name) for entry in self.graph.output]
        self.builder.at("the model's output", "output")
        if not all(isinstance(value, Value) for value in outputs):
            raise self.builder.fail("is a constant or a second result of an operator")
        return self._finish(self.builder.build(self.path.stem, outputs))  # type: ignore[arg-type]

    def _store(self, tensor: onnx.TensorProto) -> None:
        self.values[tensor.name] = numpy_helper.to_array(tensor)
        self.origins[tensor.name] = frozenset({tensor.name})

    def _finish(self, graph: Graph) -> Graph | QuantizedGraph:
        """The integer network that the graph describes if all of it is quantized."""
        builder, names = self.builder, self.builder.names
        if not builder.marks:
            return graph
        marks = {names[key]: q for key, q in builder.marks.items() if key in names}
        scales = {names[key]: scale for key, scale in builder.weight_scales.items() if key in names}
        integers, _ = integer_graph(Described(graph, marks, scales))
        return graph if integers is None else integers

    def _input(self, entry: onnx.ValueInfoProto) -> Value:
        """A model input; one that is only transposed to channels first is taken as channels last."""
        shape = self._input_shape(entry)
        if len(shape) > 1 and self._orders(entry.name) == {(0, 3, 1, 2)}:
            found = self.builder.input(entry.name, (shape[-1], *(1,) * (3 - len(shape)), *shape[:-1]))
            return replace(found, shape=(shape[-1], *shape[:-1]), last=True)
        return self.builder.input(entry.name, shape)

    def _orders(self, name: str) -> set[tuple[int, ...]]:
        """The orders of axes to which a tensor is transposed, quantized or not; ``()`` for any other use."""
        found: set[tuple[int, ...]] = set()
        waiting = [name]
        for node in self.graph.node:  # in topological order
            if not set(waiting) & set(node.input):
                continue
            if node.op_type == "Transpose":
                found.add(tuple(_attributes(node).get("perm", ())))
            elif node.op_type in ("QuantizeLinear", "DequantizeLinear", "Unsqueeze"):
                waiting.append(node.output[0])
            else:
                found.add(())
        return found

    def _input_shape(self, entry: onnx.ValueInfoProto) -> tuple[int, ...]:
        dims = entry.type.tensor_type.shape.dim
        sizes = [dim.dim_value if dim.HasField("dim_value") else 0 for dim in dims]
        if len(sizes) < 2 or any(size < 1 for size in sizes[1:]):
            raise UsageError(
                f"'{self.path}': input '{entry.name}' has no fixed sizes after the batch; export it with "
                "fixed sizes"
            )
        self.batch = sizes[0] if sizes[0] > 0 else DYNAMIC_BATCH
        return tuple(sizes[1:])

    def _call(self, node: onnx.NodeProto) -> Value | np.ndarray:
        if node.domain not in ("", "ai.onnx"):
            raise self.builder.fail(f"operator set '{node.domain}' is not supported; export to plain ONNX")
        if node.op_type == "Constant":
            return self._constant(node)
        missing = [name for name in node.input if name not in self.values]
        if missing:
            raise self.builder.fail(
                f"reads '{missing[0]}', a second result of an operator; only the first works"
            )
        inputs = tuple(self.values[name] for name in node.input)
        if node.op_type == "Shape" and isinstance(inputs[0], Value):
            return self._shape(node, inputs[0])
        if not any(isinstance(value, Value) for value in inputs):
            self._note_scales(node, inputs)
            return self._fold(node, inputs)
        if node.op_type in ("QuantizeLinear", "DequantizeLinear"):
            return self._quantized(node, inputs)
        if node.op_type not in READERS:
            raise self.builder.fail("is not supported; replace the layer ('mcuprune ops' lists what works)")
        self._claim_weights(node)
        made = self._read(node, inputs)
        if node.op_type in WEIGHT_READERS and node.input[1] in self.scales:
            self.builder.weight_scales[made.tensor] = self.scales[node.input[1]]
        return made

    def _read(self, node: onnx.NodeProto, inputs: tuple[Any, ...]) -> Value:
        """What the operator's reader makes of the inputs; channels-last maps are read as channels first."""
        options, opset = _attributes(node), self.opsets.get("ai.onnx", 1)
        transposed = node.op_type not in INDIFFERENT and is_transposed(inputs)
        if transposed:
            found = channels_first(node.op_type, inputs, options)
            if found is None:
                raise self.builder.fail(
                    "reads a map whose channels stand last; export the model channels-first"
                )
            inputs, options = found
        made = READERS[node.op_type](Call(self.builder, inputs, options, opset, self.batch))
        return replace(made, last=True) if transposed and made.is_map else made

    def _quantized(self, node: onnx.NodeProto, inputs: tuple[Any, ...]) -> Value:
        """QuantizeLinear and DequantizeLinear of a computed tensor: a note on how it is stored."""
        value, scale, zero_point = (*inputs, None)[:3]
        if zero_point is None:
            zero_point = np.zeros((), np.uint8)
        if not all(isinstance(entry, np.ndarray) for entry in (scale, zero_point)):
            raise self.builder.fail(
                "its scale or zero point is computed while running; it must be a constant"
            )
        q = int8_quantization(scale, zero_point)
        if q is None:
            raise self.builder.fail(
                f"quantizes an activation with {scale.size} scales to {zero_point.dtype}; one positive scale "
                "and int8 or uint8 work"
            )
        if node.op_type == "QuantizeLinear":
            self.integer_values[node.output[0]] = q
        elif self.integer_values.get(node.input[0], q) != q:
            raise self.builder.fail("reads integers with another scale than they were made with")
        return self.builder.quantized(value, q)

    def _note_scales(self, node: onnx.NodeProto, inputs: tuple[Any, ...]) -> None:
        """Keep the scales of weights that are stored as integers with zero point 0."""
        if node.op_type == "DequantizeLinear":
            zero_point = inputs[2] if len(inputs) > 2 else None
            centre = np.zeros(1) if zero_point is None else zero_point
            if not np.any(centre != 0):
                self.scales[node.output[0]] = np.asarray(inputs[1])
        elif node.op_type in KEEP_SCALES and node.input[0] in self.scales:
            self.scales[node.output[0]] = self.scales[node.input[0]]

    def _constant(self, node: onnx.NodeProto) -> np.ndarray:
        (value,) = _attributes(node).values()
        self.origins[node.output[0]] = frozenset({node.output[0]})
        return numpy_helper.to_array(value) if isinstance(value, onnx.TensorProto) else np.asarray(value)

    def _shape(self, node: onnx.NodeProto, x: Value) -> np.ndarray:
        options = _attributes(node)
        return np.array((self.batch, *x.shape), np.int64)[options.get("start", 0) : options.get("end")]

    def _fold(self, node: onnx.NodeProto, inputs: tuple[Any, ...]) -> np.ndarray:
        """Compute a node of constants, such as the shape arithmetic that exporters leave in."""
        if not is_folded(node, inputs):
            raise self.builder.fail("computes on constants in an unsupported way; simplify the model first")
        self.folded += result_size(node.op_type, inputs)
        if self.folded > MOST_FOLDED:
            raise self.builder.fail(
                "computes constants larger than any model needs; simplify the model first"
            )
        self.origins[node.output[0]] = frozenset().union(
            *(self.origins.get(name, frozenset()) for name in _carriers(node))
        )
        return computed(node, inputs, self.opsets.get("ai.onnx", 1))

    def _claim_weights(self, node: onnx.NodeProto) -> None:
        """Refuse a second layer on the same weights: layers are pruned and stored one by one."""
        if node.op_type not in WEIGHT_READERS:
            return
        for origin in sorted(self.origins.get(node.input[1], frozenset())):
            if origin in self.readers_of_weight:
                first = self.readers_of_weight[origin]
                raise self.builder.fail(
                    f"shares its weights '{origin}' with {first}; give each layer its own"
                )
            self.readers_of_weight[origin] = self.builder.layer


def _carriers(node: onnx.NodeProto) -> list[str]:
    """The inputs that a folded node takes its values from: scales and zero points are shared by many."""
    return list(node.input[:1] if node.op_type in ("QuantizeLinear", "DequantizeLinear") else node.input)


def _attributes(node: onnx.NodeProto) -> dict[str, Any]:
    return {entry.name: helper.get_attribute_value(entry) for entry in node.attribute}
