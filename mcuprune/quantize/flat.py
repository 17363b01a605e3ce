"""Samples as bytes: all inputs, or all outputs, of a network one after the other, as firmware sees them."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

import numpy as np

from mcuprune.graph.ir import QuantizedGraph
from mcuprune.quantize.run_int8 import Session


def tensor_bytes(graph: QuantizedGraph, tensor: str) -> int:
    return math.prod(graph.shape(tensor)) * graph.element_bytes(tensor)


def sample_bytes(graph: QuantizedGraph) -> int:
    """Of all inputs together."""
    return sum(tensor_bytes(graph, name) for name in graph.inputs)


def split(graph: QuantizedGraph, names: Sequence[str], flat: np.ndarray) -> dict[str, np.ndarray]:
    """int8 ``(N, bytes)`` as the tensors ``names``: ``(N, *shape)`` of their types."""
    ends = np.cumsum([tensor_bytes(graph, name) for name in names])
    parts = np.split(flat, ends[:-1], axis=1)
    return {
        name: np.ascontiguousarray(part)
        .view(graph.quantization[name].dtype)
        .reshape(len(flat), *graph.shape(name))
        for name, part in zip(names, parts, strict=True)
    }


def join(names: Sequence[str], tensors: Mapping[str, np.ndarray]) -> np.ndarray:
    """The reverse of :func:`split`."""
    parts = [np.ascontiguousarray(tensors[name]).reshape(len(tensors[name]), -1) for name in names]
    return np.concatenate([part.view(np.int8) for part in parts], axis=1)


def run_flat(graph: QuantizedGraph, flat: np.ndarray) -> np.ndarray:
    """int8 ``(N, input bytes)`` to int8 ``(N, output bytes)``: one sequence from reset."""
    return join(graph.outputs, run_tensors(graph, flat))


def run_tensors(graph: QuantizedGraph, flat: np.ndarray) -> dict[str, np.ndarray]:
    """Every tensor of the same run, ``(N, *shape)``."""
    return Session(graph).run(split(graph, graph.inputs, flat))
