"""From a float graph to an integer one: post-training quantization, with measured or given ranges."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

import numpy as np

from mcuprune.errors import UsageError
from mcuprune.graph.ir import (
    BatchNorm,
    Constant,
    Conv2d,
    DepthwiseConv2d,
    Graph,
    Linear,
    Node,
    Quantization,
    QuantizedGraph,
    Softmax,
    unsupported,
)
from mcuprune.graph.run_float import run_tensors
from mcuprune.graph.sharing import scale_owners
from mcuprune.quantize.equalize import equalized
from mcuprune.quantize.multipliers import BIAS_LIMIT, CHANNEL_AXIS, shared_scales, weight_sums
from mcuprune.quantize.observers import (
    EMPTY_CHANNEL_SCALE,
    OBSERVERS,
    Range,
    activation_quantization,
    minmax,
    snapped,
    weight_scales,
)
from mcuprune.quantize.resolution import Weighted, coarsen
from mcuprune.quantize.run_int8 import run_int8
from mcuprune.quantize.scheme import FIXED_OUTPUT

OFFSET = 128  # the largest input offset, which a bias may have to take over
ROOM = 2  # times what biases need: rounding changes sums of weights, folding of constant channels biases


def quantize_trained(graph: Graph, calibration: np.ndarray, ranges: Mapping[str, Range]) -> QuantizedGraph:
    """:func:`quantize` for a network of ours: on the ``ranges`` that int8 training settled on.

    One that had none, for a run too short for it or a method without it, has its channels equalized and its
    ranges measured.
    """
    if not ranges:
        graph = equalized(graph, calibration)
    return quantize(graph, calibration, ranges=ranges)


def quantize(
    graph: Graph,
    calibration: np.ndarray,
    observer: str = "minmax",
    ranges: Mapping[str, Range] | None = None,
) -> QuantizedGraph:
    """Quantize a graph whose batch norms are folded and activations fused.

    ``calibration`` is (N, *input shape) float32; ``ranges`` (from int8 training) replaces what would be
    measured on it, tensor by tensor.  Raises UsageError for an unknown observer, no calibration inputs, and
    weights or activations that are not finite.
    """
    if observer not in OBSERVERS:
        raise UsageError(f"unknown observer '{observer}'; use one of {', '.join(OBSERVERS)}")
    require_finite_weights(graph)
    known = dict(ranges or {})
    if any(name not in known for name in graph.tensors):
        known = {**measure_ranges(graph, calibration, observer), **known}
    quantization = tensor_quantization(graph, known)
    graph = _with_biases_for_clipped_weights(graph, quantization, calibration)
    constants = {
        name: constant
        for node in graph.nodes
        for name, constant in _constants(node, graph, quantization).items()
    }
    return QuantizedGraph(
        name=graph.name,
        nodes=graph.nodes,
        outputs=graph.outputs,
        shapes={name: graph.shape(name) for name in graph.tensors},
        quantization=quantization,
        constants=constants,
    )


def measure_ranges(graph: Graph, calibration: np.ndarray, observer: str) -> dict[str, Range]:
    """Range of every tensor over the calibration inputs."""
    if len(calibration) == 0:
        raise UsageError("no calibration inputs; quantization needs at least one to measure ranges on")
    tensors = run_tensors(graph, calibration)
    for name, values in tensors.items():
        require_finite_range(name, minmax(values))
    return {name: OBSERVERS[observer](values) for name, values in tensors.items()}


def require_finite_range(name: str, span: Range) -> None:
    if not np.isfinite(span).all():
        raise UsageError(f"tensor '{name}' reaches from {span[0]} to {span[1]}; give finite values")


def require_finite_weights(graph: Graph) -> None:
    for name, constant in graph.constants.items():
        if not np.isfinite(constant.values).all():
            raise UsageError(f"constant '{name}' holds NaN or infinity; train with a lower learning rate")


def tensor_quantization(graph: Graph, ranges: Mapping[str, Range]) -> dict[str, Quantization]:
    """Quantization of every tensor; tensors that must agree share the union of their ranges.

    Scales too fine for the arithmetic are raised, see :mod:`mcuprune.quantize.resolution`.
    """
    owner, fixed = scale_owners(graph), fixed_quantization(graph)
    found: dict[str, Quantization] = {}
    for name in graph.tensors:
        if name in fixed:
            found[name] = fixed[name]
            continue
        group = [ranges[other] for other, leader in owner.items() if leader == owner[name]]
        low, high = min(low for low, _ in group), max(high for _, high in group)
        require_finite_range(name, (low, high))
        found[name] = activation_quantization(low, high)

    def step(node: Weighted, source: float) -> float:
        weights, biases = _weight_and_bias_scales(graph, node, source)
        used = shared_scales(weights, _base(weights))[weights != EMPTY_CHANNEL_SCALE]
        return source * max(float(min(used, default=0.0)), float(biases.max()))

    scales = coarsen(graph, {name: q.scale for name, q in found.items()}, owner, step)
    return {
        name: q if name in fixed else replace(q, scale=float(np.float32(scales[name])))
        for name, q in found.items()
    }


def fixed_quantization(graph: Graph) -> dict[str, Quantization]:
    """Tensors whose quantization TFLM prescribes: softmax, sigmoid, tanh, and all that must share theirs."""
    owner = scale_owners(graph)
    leaders = {}
    for node in graph.nodes:
        function = "softmax" if isinstance(node, Softmax) else getattr(node, "function", "")
        if function in FIXED_OUTPUT:
            leaders[owner[node.name]] = FIXED_OUTPUT[function]
    return {name: leaders[leader] for name, leader in owner.items() if leader in leaders}


def _constants(node: Node, graph: Graph, quantization: Mapping[str, Quantization]) -> dict[str, Constant]:
    if isinstance(node, BatchNorm):
        raise unsupported(node, "quantization (fold it first)")
    if not isinstance(node, Conv2d | DepthwiseConv2d | Linear):
        return {}
    source, target = _ends(node, quantization)
    scales = channel_scales(graph, node, source, target)
    found = {}
    if node.bias is not None:
        bias = graph.constants[node.bias].values.astype(np.float64)
        stored = np.round(bias / (source * scales.astype(np.float64)))
        found[node.bias] = Constant(stored.astype(np.int32), (source * scales).astype(np.float32))
    original = graph.constants[node.weight]
    shape = [1] * original.values.ndim
    shape[CHANNEL_AXIS[type(node)]] = -1
    exact = original.values.astype(np.float64) / scales.astype(np.float64).reshape(shape)
    levels = np.clip(np.round(exact), -127, 127).astype(np.int8)
    found[node.weight] = replace(original, values=levels, scale=scales)
    return found


def channel_scales(graph: Graph, node: Weighted, source: float, target: float = np.inf) -> np.ndarray:
    """(channels,) float32 scales of a layer's weights, which are powers of two times each other.

    The finest such that hold the largest weight and the bias; but none twice as wide as where a step of the
    accumulator is one of the output: larger weights than that leaves are clipped.  They belong to inputs that
    do not move, of which one step more would cross half of the output's range.  ``source`` and ``target`` are
    the scales of the layer's input and output.
    """
    weights, biases = _weight_and_bias_scales(graph, node, source)
    return shared_scales(np.maximum(np.minimum(weights, target / source), biases), _base(weights))


def _with_biases_for_clipped_weights(
    graph: Graph, quantization: Mapping[str, Quantization], calibration: np.ndarray
) -> Graph:
    """Where weights are clipped, biases make up for what that takes of the mean over ``calibration``.

    Of inputs that do not move that is all there is to it (Nagel et al. 2019, arXiv 1906.04721, section 4.2).
    """
    found: dict[Weighted, tuple[np.ndarray, np.ndarray]] = {}
    for node in graph.nodes:
        if isinstance(node, Conv2d | DepthwiseConv2d | Linear) and node.bias is not None:
            source, target = _ends(node, quantization)
            scales = channel_scales(graph, node, source, target)
            clipped = scales < channel_scales(graph, node, source)
            if clipped.any():
                found[node] = scales, clipped
    if not found or not len(calibration):
        return graph
    tensors, constants = run_tensors(graph, calibration), dict(graph.constants)
    for node, (scales, clipped) in found.items():
        assert node.bias is not None
        lost = _lost(graph, node, scales, tensors[node.inputs[0]], quantization[node.inputs[0]])
        bias = constants[node.bias]
        values = bias.values + np.where(clipped, lost, 0.0)
        constants[node.bias] = replace(bias, values=values.astype(np.float32))
    return replace(graph, constants=constants)


def _lost(graph: Graph, node: Weighted, scales: np.ndarray, x: np.ndarray, q: Quantization) -> np.ndarray:
    """(channels,) what clipping to ``scales`` and rounding of the inputs ``x`` take of the mean output."""
    weight = np.moveaxis(graph.constants[node.weight].values.astype(np.float64), CHANNEL_AXIS[type(node)], 0)
    limit = 127.0 * scales.reshape(-1, *[1] * (weight.ndim - 1))
    places = tuple(range(x.ndim - 1))
    means = (x.mean(places, dtype=np.float64), snapped(x.astype(np.float64), q).mean(places))

    def response(weight: np.ndarray, mean: np.ndarray) -> np.ndarray:
        if isinstance(node, DepthwiseConv2d):
            return np.asarray(weight.sum((1, 2)) * mean.repeat(node.multiplier))
        return np.asarray((weight @ mean).reshape(len(weight), -1).sum(1))

    return response(weight, means[0]) - response(np.clip(weight, -limit, limit), means[1])


def _ends(node: Weighted, quantization: Mapping[str, Quantization]) -> tuple[float, float]:
    """The scales of a layer's input and output, as they are stored."""
    source, target = (float(np.float32(quantization[name].scale)) for name in (node.inputs[0], node.name))
    return source, target


def _weight_and_bias_scales(graph: Graph, node: Weighted, source: float) -> tuple[np.ndarray, np.ndarray]:
    """(channels,) finest scales that hold the largest weight, and that hold the bias with an input offset."""
    values = graph.constants[node.weight].values.astype(np.float64)
    held = OFFSET * np.abs(weight_sums(values, type(node)))
    if node.bias is not None:
        held = held + np.abs(graph.constants[node.bias].values.astype(np.float64)) / source
    return weight_scales(values, CHANNEL_AXIS[type(node)]), ROOM * held / BIAS_LIMIT


def _base(weights: np.ndarray) -> float:
    """The widest of the scales of weights; channels of zeros have none that counts."""
    return float(max(weights[weights != EMPTY_CHANNEL_SCALE], default=EMPTY_CHANNEL_SCALE))


def quantize_input(graph: QuantizedGraph, x: np.ndarray) -> np.ndarray:
    """Float inputs (N, *shape) as the int8 that the model takes."""
    q = graph.quantization[graph.inputs[0]]
    return np.clip(np.round(x / np.float32(q.scale)) + q.zero_point, -128, 127).astype(np.int8)


def dequantize_output(graph: QuantizedGraph, y: np.ndarray) -> np.ndarray:
    q = graph.quantization[graph.outputs[0]]
    return ((y.astype(np.float32) - q.zero_point) * np.float32(q.scale)).astype(np.float32)


def layer_sqnr(graph: Graph, quantized: QuantizedGraph, inputs: np.ndarray) -> dict[str, float]:
    """Signal to quantization noise ratio in dB of every tensor, over a batch of float inputs."""
    stored = quantize_input(quantized, inputs)
    exact, integer = run_tensors(graph, inputs), run_int8(quantized, stored, keep_all=True)
    assert isinstance(integer, dict)
    found = {}
    for name, values in exact.items():
        if name in integer:
            q = quantized.quantization[name]
            restored = (integer[name].astype(np.float64) - q.zero_point) * q.scale
            noise = float(np.square(values - restored).sum())
            found[name] = 10.0 * float(
                np.log10(max(float(np.square(values).sum()), 1e-30) / max(noise, 1e-30))
            )
    return found
