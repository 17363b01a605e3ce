"""Nodes under construction: emitted in order, rewritten where a later layer demands it, named at the end.

A rewrite never changes a node; it emits another one beside it, and whatever no output needs is dropped by
:meth:`Emitter.finish`.  Until then nodes are known by ids ("%7"), so that the survivors get the plain names.
"""

from __future__ import annotations

import math
import re
from collections.abc import Mapping, Sequence
from dataclasses import replace

import numpy as np

from mcuprune.errors import UnsupportedError, UsageError
from mcuprune.graph.channels import build_graph
from mcuprune.graph.ir import (
    Activation,
    Add,
    BatchNorm,
    Concat,
    Constant,
    Conv2d,
    DepthwiseConv2d,
    Flatten,
    Graph,
    Input,
    Linear,
    Mul,
    Node,
    Softmax,
    Window,
)

ELEMENTWISE = Activation | BatchNorm | Add | Mul | Concat | Softmax  # the same on a vector and on a 1x1 map
WEIGHTED = Conv2d | DepthwiseConv2d | Linear
CONSTANT_FIELDS = ("weight", "bias", "gamma", "beta", "mean", "variance")

LARGEST_TENSOR = 1 << 28  # elements of an activation
LONGEST_NAME = 80  # characters; names are prefixes of C symbols


def safe_name(text: str) -> str:
    """``text`` as a C identifier: "features.3" becomes "features_3", "0" becomes "layer_0".

    Of the names of several merged layers, joined by ';' as TensorFlow does, the first is taken.
    """
    name = re.sub(r"[^0-9A-Za-z_]+", "_", text.split(";")[0]).strip("_")[:LONGEST_NAME].rstrip("_")
    return f"layer_{name}" if not name or name[0].isdigit() else name


class Emitter:
    """The growing node list.  ``layer`` and ``hint`` tell what is being read: for messages and for names."""

    def __init__(self) -> None:
        self.layer, self.hint = "the model", "model"
        self.nodes: dict[str, Node] = {}
        self.shapes: dict[str, tuple[int, ...]] = {}  # (height, width, channels) or (channels,)
        self.constants: dict[str, np.ndarray] = {}
        self._places: dict[str, tuple[str, str]] = {}  # (layer, hint) of each node
        self._rewrite_of: dict[str, str] = {}
        self._scaled_from: dict[str, tuple[str, np.ndarray, np.ndarray]] = {}
        self._lifted: dict[str, str] = {}
        self.names: dict[str, str] = {}  # of the nodes that are left, once the graph is finished

    def at(self, layer: str, hint: str) -> None:
        """Say which layer of the source model the next nodes come from."""
        self.layer, self.hint = layer, hint

    def fail(self, problem: str) -> UnsupportedError:
        return UnsupportedError(f"{self.layer}: {problem}")

    def emit(
        self, node: Node, shape: tuple[int, ...], constants: Mapping[str, np.ndarray | None] | None = None
    ) -> str:
        """Append ``node`` (its name is ignored), with arrays for its constant fields, and return its id."""
        key = f"%{len(self.nodes)}"
        if any(size < 1 for size in shape):
            raise self.fail("its window is larger than its input")
        if math.prod(int(size) for size in shape) > LARGEST_TENSOR:
            raise self.fail(f"makes a tensor of shape {shape}, which fits no microcontroller")
        names = {}
        for field, values in (constants or {}).items():
            names[field] = None if values is None else f"{key}.{field}"
            if values is not None:
                self.constants[f"{key}.{field}"] = np.ascontiguousarray(values, np.float32)
        self.nodes[key] = replace(node, name=key, **names)  # type: ignore[arg-type]
        self.shapes[key] = shape
        self._places[key] = (self.layer, self.hint)
        return key

    def constants_of(self, key: str) -> dict[str, np.ndarray | None]:
        """The arrays behind the constant fields of a node."""
        names = {field: getattr(self.nodes[key], field, None) for field in CONSTANT_FIELDS}
        return {field: self.constants[name] for field, name in names.items() if name is not None}

    def rewrite(
        self, key: str, node: Node, shape: tuple[int, ...], constants: Mapping[str, np.ndarray | None]
    ) -> str:
        """Emit ``node`` as another form of node ``key``, in the name of the layer that ``key`` came from."""
        place = (self.layer, self.hint)
        self.at(*self._places[key])
        new = self.emit(node, shape, constants)
        self.at(*place)
        self._rewrite_of[new] = self._rewrite_of.get(key, key)
        return new

    def scaled(self, key: str, scale: np.ndarray, shift: np.ndarray) -> str | None:
        """Another form of a weighted node that makes ``scale * output + shift``; None for other nodes."""
        node = self.nodes[key]
        if not isinstance(node, WEIGHTED):
            return None
        weight, bias = self.constants[node.weight], self.constants_of(key).get("bias")
        shape = [1] * weight.ndim
        shape[-1 if isinstance(node, DepthwiseConv2d) else 0] = -1
        bias = scale * (0.0 if bias is None else bias) + shift
        constants = {"weight": weight * scale.reshape(shape), "bias": bias}
        new = self.rewrite(key, node, self.shapes[key], constants)
        self._scaled_from[new] = (key, scale, shift)
        return new

    def lift(self, key: str) -> str:
        """The 1x1 feature map with the values of vector ``key``, computed by 1x1 forms of its layers."""
        if key not in self._lifted:
            self._lifted[key] = self._lift(key)
        return self._lifted[key]

    def _lift(self, key: str) -> str:
        node, shape = self.nodes[key], (1, 1, self.shapes[key][-1])
        if isinstance(node, Linear):
            return self._lift_linear(key, node)
        if isinstance(node, ELEMENTWISE):
            lifted = replace(node, inputs=tuple(self.lift(source) for source in node.inputs))
            return self.rewrite(key, lifted, shape, self.constants_of(key))
        if isinstance(node, Flatten) and self.shapes[node.inputs[0]][:2] == (1, 1):
            return node.inputs[0]
        raise self.fail(
            "turns a vector into a feature map, which works only for a vector computed by linear layers from "
            "a feature map; give the model a (channels, height, width) input instead"
        )

    def _lift_linear(self, key: str, node: Linear) -> str:
        """A linear layer on a flattened map is a convolution with a kernel as large as the map."""
        source = node.inputs[0]
        before = self.nodes[source]
        source = before.inputs[0] if isinstance(before, Flatten) else self.lift(source)
        constants = self.constants_of(key)
        weight = self.constants[node.weight]
        constants["weight"] = weight.reshape(len(weight), *self.shapes[source])
        kernel = (self.shapes[source][0], self.shapes[source][1])
        conv = Conv2d(key, (source,), "", node.bias, Window(kernel))
        return self.rewrite(key, conv, (1, 1, len(weight)), constants)

    def finish(self, name: str, outputs: Sequence[str]) -> Graph:
        """The graph of all nodes that ``outputs`` (ids) need, and of all inputs, under unique safe names."""
        self._keep_unscaled(self._alive(outputs))
        alive = self._alive(outputs)
        keys = [key for key, node in self.nodes.items() if key in alive or isinstance(node, Input)]
        self._refuse_doubles(keys)
        self._refuse_not_finite(keys)
        names = self.names = self._names(keys)
        constants: dict[str, Constant] = {}
        nodes = []
        for key in keys:
            fields = {field: f"{names[key]}.{field}" for field in self.constants_of(key)}
            constants |= {fields[f]: Constant(values) for f, values in self.constants_of(key).items()}  # type: ignore
            inputs = tuple(names[source] for source in self.nodes[key].inputs)
            nodes.append(replace(self.nodes[key], name=names[key], inputs=inputs, **fields))  # type: ignore
        sizes = {names[key]: self.shapes[key] for key in keys if isinstance(self.nodes[key], Input)}
        return build_graph(safe_name(name), nodes, sizes, [names[key] for key in outputs], constants)

    def _alive(self, outputs: Sequence[str]) -> set[str]:
        alive = set(outputs)
        for key, node in reversed(self.nodes.items()):
            if key in alive:
                alive.update(node.inputs)
        return alive

    def _keep_unscaled(self, alive: set[str]) -> None:
        """Where a map is needed both scaled and as it was, scale it by a layer of its own after all."""
        for new, (key, scale, shift) in self._scaled_from.items():
            if {new, key} <= alive and len(self.shapes[key]) == 3:
                weight, bias = f"{new}.weight", f"{new}.bias"
                self.nodes[new] = DepthwiseConv2d(new, (key,), weight, bias, Window((1, 1)))
                self.constants[weight] = scale.reshape(1, 1, -1).astype(np.float32)
                self.constants[bias] = shift.astype(np.float32)
                del self._rewrite_of[new]

    def _refuse_doubles(self, keys: Sequence[str]) -> None:
        """One layer must not end as two copies of its weights."""
        seen: set[str] = set()
        for key in keys:
            root = self._rewrite_of.get(key, key)
            if root in seen and isinstance(self.nodes[key], WEIGHTED):
                self.at(*self._places[key])
                raise self.fail(
                    "its output is used in two forms (with different factors, or as a vector and as a map), "
                    "which would store its weights twice; use one form"
                )
            seen.add(root)

    def _refuse_not_finite(self, keys: Sequence[str]) -> None:
        for key in keys:
            for field, values in self.constants_of(key).items():
                if not np.all(np.isfinite(values)):  # type: ignore[arg-type]
                    layer = self._places[key][0]
                    raise UsageError(
                        f"{layer}: its {field} holds NaN or infinite values; train the model again"
                    )

    def _names(self, keys: Sequence[str]) -> dict[str, str]:
        names: dict[str, str] = {}
        taken: set[str] = set()
        for key in keys:
            base = safe_name(self._places[key][1])
            name, count = base, 2
            while name in taken:
                name, count = f"{base}_{count}", count + 1
            taken.add(name)
            names[key] = name
        return names
