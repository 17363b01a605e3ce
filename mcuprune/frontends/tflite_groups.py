"""Convolutions whose channels fall into groups: as depthwise ones, or one convolution per group."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from mcuprune.frontends.tflite_reader import TfliteReader
from mcuprune.graph import ir


@dataclass(frozen=True, eq=False)
class Weights:
    """``values`` (out, kernel height, kernel width, in of one group), ``scale`` (out), a bias constant."""

    key: str
    values: np.ndarray
    scale: np.ndarray
    bias: str | None


def grouped_convolution(
    reader: TfliteReader,
    index: int,
    source: str,
    groups: int,
    weights: Weights,
    window: ir.Window,
    clamp: str | None,
) -> None:
    """Define the tensor ``index``: every group reads its own channels and makes its part of the output."""
    name, (height, width, channels) = reader.names[index], reader.shapes[source]
    if channels == groups:
        values = np.ascontiguousarray(weights.values[..., 0].transpose(1, 2, 0))
        reader.constants[weights.key] = ir.Constant(values, weights.scale)
        multiplier = len(weights.values) // groups
        reader.define(
            ir.DepthwiseConv2d(name, (source,), weights.key, weights.bias, window, multiplier, clamp), index
        )
        return
    size, quantization = channels // groups, reader.quantization[source]
    parts = []
    for group in range(groups):
        part = reader.fresh(f"{name}/channels_{group}")
        counts, strides = (1, 1, height * width, size), (0, 0, channels, 1)
        node = ir.Rearrange(part, (source,), group * size, counts, strides)
        reader.record(node, (height, width, size), quantization)
        parts.append(_one(reader, index, part, group, groups, weights, window, clamp))
    reader.define(ir.Concat(name, tuple(parts)), index)


def _one(
    reader: TfliteReader,
    index: int,
    source: str,
    group: int,
    groups: int,
    weights: Weights,
    window: ir.Window,
    clamp: str | None,
) -> str:
    """The convolution of one group."""
    count = len(weights.values) // groups
    mine = slice(group * count, (group + 1) * count)
    key = f"{weights.key}/group_{group}"
    reader.constants[key] = ir.Constant(weights.values[mine], weights.scale[mine])
    bias = None if weights.bias is None else f"{weights.bias}/group_{group}"
    if bias is not None and weights.bias is not None:
        whole = reader.constants[weights.bias]
        scale = whole.scale if whole.scale is None or whole.scale.size == 1 else whole.scale[mine]
        reader.constants[bias] = ir.Constant(whole.values[mine], scale)
    name = reader.fresh(f"{reader.names[index]}/group_{group}")
    shape = (*window.output_size(*reader.shapes[source][:2]), count)
    scales, zero_points = reader.scales(index)
    quantization = ir.Quantization(float(scales[0]), int(zero_points[0]))
    reader.record(ir.Conv2d(name, (source,), key, bias, window, clamp), shape, quantization)
    return name
