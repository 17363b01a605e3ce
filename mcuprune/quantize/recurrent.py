"""LSTM and SVDF: parameters and specification, as TensorFlow Lite Micro computes them.

Gates are 16-bit numbers: sums in Q3.12 go through sigmoid or tanh to Q0.15.  Both functions interpolate
between 256 values of the sigmoid (:data:`SIGMOID_TABLE`).
"""

from __future__ import annotations

import math

import numpy as np

from mcuprune.errors import UnsupportedError
from mcuprune.graph import ir
from mcuprune.quantize import arithmetic as fx
from mcuprune.quantize.dispatch import advance, evaluate, integer_parameters
from mcuprune.quantize.operands import quantization_of, require_s8
from mcuprune.quantize.parameters import LstmParameters, SvdfParameters

GATE_SCALE = 2.0**-12  # of what enters sigmoid and tanh
UNIT_SCALE = 2.0**-15  # of what leaves them
INT16 = (-(2**15), 2**15 - 1)


def _sigmoid_table() -> np.ndarray:
    """sigmoid(i / 24) in units of 2**-16, int64 (256), for linear interpolation.

    The sigmoid is concave here: a line through two of its points lies below it, by up to an eighth of the
    second derivative.  Half of that is added to every point, so that the error is as large on either side;
    the last one stands for everything beyond.
    """
    s = 1.0 / (1.0 + np.exp(-np.arange(256) / 24.0))
    bend = s * (1.0 - s) * (2.0 * s - 1.0) / 24.0**2
    table = np.floor(65536.0 * (s + bend / 16.0) + 0.5).astype(np.int64)
    table[-1] = 65535
    return table


SIGMOID_TABLE = _sigmoid_table()


def sigmoid_int16(x: np.ndarray, multiplier: int = 3, shift: int = 0) -> np.ndarray:
    """``sigmoid(x * multiplier / 2**shift / 3 / 2**12)`` in Q0.15, int64 arrays of int16 values."""
    scaled = (x * multiplier + (1 << shift >> 1)) >> shift
    magnitude = np.abs(scaled)
    result = np.where(magnitude >> 9 >= 255, 0x7FFF << 10, _interpolated(magnitude, 9))
    return np.where(scaled >= 0, result + (1 << 9), (1 << 25) - result + (1 << 9) - 1) >> 10


def tanh_int16(x: np.ndarray, multiplier: int, shift: int) -> np.ndarray:
    """``tanh(x * multiplier / 2**shift / 3 / 2**12)`` in Q0.15; the product is rounded."""
    scaled = (x * multiplier + (1 << shift >> 1)) >> shift
    magnitude = np.abs(scaled)
    result = np.where(magnitude >> 8 >= 255, 0xFFFF << 8, _interpolated(magnitude, 8))
    return np.where(scaled >= 0, result - (1 << 23) + (1 << 7), (1 << 23) - result + (1 << 7) - 1) >> 8


def _interpolated(magnitude: np.ndarray, bits: int) -> np.ndarray:
    index = np.minimum(magnitude >> bits, 254)
    low, high = SIGMOID_TABLE[index], SIGMOID_TABLE[index + 1]
    return (low << bits) + (magnitude & ((1 << bits) - 1)) * (high - low)


@integer_parameters.register(ir.Lstm)
def _(node: ir.Lstm, qgraph: ir.QuantizedGraph) -> LstmParameters:
    require_s8(node)
    source, hidden = (quantization_of(name, qgraph) for name in (node.inputs[0], node.name))
    power = _cell_power(node, qgraph.quantization[node.inputs[1]])
    cell = 2.0**power
    weights = [_weight(name, node, qgraph) for name in (*node.weights, *node.recurrent)]
    scales = [
        given.scale * scale / GATE_SCALE
        for given, (_, scale) in zip([source] * 4 + [hidden] * 4, weights, strict=True)
    ]
    inner = (UNIT_SCALE, UNIT_SCALE * UNIT_SCALE / cell, UNIT_SCALE * UNIT_SCALE / hidden.scale)
    pairs = np.array([fx.quantize_multiplier(real) for real in (*scales, *inner)], np.int64)
    if pairs[:, 1].max() > fx.MAX_SHIFT:
        raise UnsupportedError(f"layer '{node.name}': its scales are too far apart")
    values = [np.stack([array for array, _ in part]) for part in (weights[:4], weights[4:])]
    biases = np.stack([_bias(name, node, qgraph) for name in node.biases])
    sums = [array.astype(np.int64).sum(axis=2) for array in values]
    steps, _, in_c = qgraph.shape(node.inputs[0])
    power_shift = 12 + power
    return LstmParameters(
        steps=steps,
        in_c=in_c,
        units=values[1].shape[2],
        weight=values[0],
        recurrent=values[1],
        bias=fx.wrap_int32(biases - source.zero_point * sums[0]).astype(np.int32),
        recurrent_bias=fx.wrap_int32(-hidden.zero_point * sums[1]).astype(np.int32),
        multiplier=pairs[:, 0].astype(np.int32),
        shift=pairs[:, 1].astype(np.int8),
        output_offset=hidden.zero_point,
        cell_clip=int(min(max(float(np.float32(node.cell_clip)) / cell, 0.0), float(INT16[1]))),
        tanh_multiplier=3 << max(power_shift, 0),
        tanh_shift=max(-power_shift, 0),
    )


def _cell_power(node: ir.Lstm, cell: ir.Quantization) -> int:
    """The exponent of the cell state's scale."""
    fraction, exponent = math.frexp(cell.scale)
    if cell.dtype != "int16" or cell.zero_point or fraction != 0.5 or not -26 <= exponent - 1 <= -9:
        raise UnsupportedError(
            f"layer '{node.name}': a cell state of {cell.dtype}, scale {cell.scale}, zero point "
            f"{cell.zero_point}; need int16, a power of two up to 2**-9, and 0"
        )
    return exponent - 1


def _weight(name: str, node: ir.Node, qgraph: ir.QuantizedGraph) -> tuple[np.ndarray, float]:
    constant = qgraph.constants[name]
    if constant.values.dtype != np.int8 or constant.scale is None or np.size(constant.scale) != 1:
        raise UnsupportedError(f"layer '{node.name}': weights '{name}' must be int8 with one scale")
    return constant.values, float(np.asarray(constant.scale, np.float32).reshape(-1)[0])


def _bias(name: str, node: ir.Node, qgraph: ir.QuantizedGraph) -> np.ndarray:
    values = qgraph.constants[name].values
    if values.dtype != np.int32:
        raise UnsupportedError(f"layer '{node.name}': bias '{name}' must be int32")
    return values.astype(np.int64)


@advance.register(ir.Lstm)
def _(node: ir.Lstm, parameters: LstmParameters, x: np.ndarray, state: np.ndarray) -> tuple[np.ndarray, ...]:
    p = parameters
    stored = state.reshape(-1)
    c = stored[: p.units].astype(np.int64)
    h = stored[p.units :].view(np.int8)[: p.units].astype(np.int64)
    rows = []
    for row in x.reshape(p.steps, p.in_c).astype(np.int64):
        c = _next_cell(p, row, h, c)
        activated = tanh_int16(c, p.tanh_multiplier, p.tanh_shift)
        opened = sigmoid_int16(_gate(p, 3, row, h))
        h = np.clip(_scaled(p, 10, opened * activated) + p.output_offset, -128, 127)
        rows.append(h)
    new = stored.copy()
    new[: p.units] = c
    new[p.units :].view(np.int8)[: p.units] = h
    return np.stack(rows).astype(np.int8)[None], new.reshape(state.shape)


def _next_cell(p: LstmParameters, row: np.ndarray, h: np.ndarray, c: np.ndarray) -> np.ndarray:
    taken, kept = (sigmoid_int16(_gate(p, gate, row, h)) for gate in (0, 1))
    candidate = tanh_int16(_gate(p, 2, row, h), 3, 0)
    kept = np.clip(_scaled(p, 8, kept * c), *INT16)
    added = np.clip(_scaled(p, 9, taken * candidate), *INT16)
    total = np.clip(kept + added, *INT16)
    return np.clip(total, -p.cell_clip, p.cell_clip) if p.cell_clip else total


def _gate(p: LstmParameters, gate: int, row: np.ndarray, h: np.ndarray) -> np.ndarray:
    """Sums over the input and over the hidden state, each brought to Q3.12, added with saturation."""
    first = fx.wrap_int32(p.weight[gate].astype(np.int64) @ row + p.bias[gate])
    second = fx.wrap_int32(p.recurrent[gate].astype(np.int64) @ h + p.recurrent_bias[gate])
    scaled = (np.clip(_scaled(p, gate, first), *INT16), np.clip(_scaled(p, gate + 4, second), *INT16))
    return np.clip(scaled[0] + scaled[1], *INT16)


def _scaled(p: LstmParameters, index: int, values: np.ndarray) -> np.ndarray:
    return fx.multiply_by_quantized_multiplier(values, p.multiplier[index], p.shift[index])


@integer_parameters.register(ir.Svdf)
def _(node: ir.Svdf, qgraph: ir.QuantizedGraph) -> SvdfParameters:
    require_s8(node)
    source, target = quantization_of(node.inputs[0], qgraph), quantization_of(node.name, qgraph)
    state = qgraph.quantization[node.inputs[1]]
    weight, scale = _weight(node.weight, node, qgraph)
    time = qgraph.constants[node.time]
    wanted = {state.dtype, node.state, time.values.dtype.name}
    if len(wanted) != 1 or state.dtype not in ("int8", "int16") or state.zero_point:
        raise UnsupportedError(
            f"layer '{node.name}': state ({state.dtype}) and time weights must be int8 or int16, zero point 0"
        )
    if time.scale is None or np.size(time.scale) != 1:
        raise UnsupportedError(f"layer '{node.name}': its time weights need one scale")
    state_scale, time_scale = (float(np.float32(np.ravel(value)[0])) for value in (state.scale, time.scale))
    first = source.scale * scale / state_scale
    second = state_scale * time_scale / target.scale
    pairs = [fx.quantize_multiplier(real) for real in (first, second)]
    if max(shift for _, shift in pairs) > fx.MAX_SHIFT:
        raise UnsupportedError(f"layer '{node.name}': its scales are too far apart")
    units = len(weight) // node.rank
    bias = np.zeros(units, np.int64) if node.bias is None else _bias(node.bias, node, qgraph)
    return SvdfParameters(
        in_c=weight.shape[1],
        units=units,
        rank=node.rank,
        memory=time.values.shape[1],
        weight=weight,
        feature_bias=(-source.zero_point * weight.astype(np.int64).sum(axis=1)).astype(np.int32),
        time=time.values,
        bias=bias.astype(np.int32),
        feature_multiplier=pairs[0][0],
        feature_shift=pairs[0][1],
        multiplier=pairs[1][0],
        shift=pairs[1][1],
        output_offset=target.zero_point,
    )


@advance.register(ir.Svdf)
def _(node: ir.Svdf, parameters: SvdfParameters, x: np.ndarray, state: np.ndarray) -> tuple[np.ndarray, ...]:
    p = parameters
    limits = np.iinfo(state.dtype)
    made = p.weight.astype(np.int64) @ x.reshape(-1).astype(np.int64) + p.feature_bias
    scaled = fx.multiply_by_quantized_multiplier(fx.wrap_int32(made), p.feature_multiplier, p.feature_shift)
    newest = np.clip(scaled, limits.min, limits.max)
    old = state.reshape(-1, p.memory).astype(np.int64)
    new = np.concatenate([old[:, 1:], newest[:, None]], axis=1)
    sums = (new * p.time).sum(axis=1).reshape(p.units, p.rank).sum(axis=1) + p.bias
    result = fx.multiply_by_quantized_multiplier(fx.wrap_int32(sums), p.multiplier, p.shift)
    y = np.clip(fx.wrap_int32(result + p.output_offset), -128, 127).astype(np.int8)
    return y[None], new.astype(state.dtype).reshape(state.shape)


@evaluate.register(ir.Lstm)
@evaluate.register(ir.Svdf)
def _(
    node: ir.Lstm | ir.Svdf, parameters: LstmParameters | SvdfParameters, *inputs: np.ndarray
) -> np.ndarray:
    return advance(node, parameters, *inputs)[0]
