"""Fixed-point primitives against a literal transcription of what C does, one value at a time."""

from __future__ import annotations

import importlib.util
import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mcuprune.exporters.tflite import write_tflite
from mcuprune.graph import ir
from mcuprune.quantize import arithmetic as fx
from mcuprune.quantize.run_int8 import run_int8
from mcuprune.verify.oracle import run_tflm
from tests.quantize.int8_graphs import one_op

INT32 = st.integers(-(2**31), 2**31 - 1)
MULTIPLIERS = st.one_of(st.just(0), st.integers(2**30, 2**31 - 1))
QUICK = settings(max_examples=300, deadline=None)


def truncated_quotient(a: int, b: int) -> int:
    return abs(a) // b if a >= 0 else -(abs(a) // b)


def wrapped(value: int) -> int:
    return (value + 2**31) % 2**32 - 2**31


def c_multiply(x: int, multiplier: int, shift: int) -> int:
    """High multiplication that truncates after a signed nudge, then a right shift that rounds."""
    product = wrapped(x << max(shift, 0)) * multiplier
    high = truncated_quotient(product + (2**30 if product >= 0 else 1 - 2**30), 2**31)
    right = max(-shift, 0)
    mask = 2**right - 1
    return (high >> right) + ((high & mask) > (mask >> 1) + (high < 0))


@QUICK
@given(INT32, MULTIPLIERS, st.integers(-31, 30))
def test_double_rounding_as_in_c(x: int, multiplier: int, shift: int) -> None:
    ours = fx.multiply_by_quantized_multiplier(np.array([x]), multiplier, shift)
    assert ours.tolist() == [c_multiply(x, multiplier, shift)]


def test_per_channel_parameters_broadcast_over_the_last_axis() -> None:
    x = np.array([[3, -5, 1000], [-7, 2**20, -1]])
    multiplier, shift = np.array([2**30, 2**31 - 1, 1518500250]), np.array([1, -3, 4])
    expected = [
        [c_multiply(int(v), int(m), int(s)) for v, m, s in zip(row, multiplier, shift, strict=True)]
        for row in x
    ]
    assert fx.multiply_by_quantized_multiplier(x, multiplier, shift).tolist() == expected


@pytest.mark.parametrize(
    ("real", "expected"),
    [
        (0.0, (0, 0)),
        (1.0, (2**30, 1)),
        (0.5, (2**30, 0)),
        (0.75, (1610612736, 0)),
        (2.0**-32, (2**30, -31)),
        (2.0**-33, (0, 0)),
        (1.0 - 2.0**-40, (2**30, 1)),  # rounds up to the next power of two
        (2.0**29, (2**30, 30)),
    ],
)
def test_quantize_multiplier(real: float, expected: tuple[int, int]) -> None:
    assert fx.quantize_multiplier(real) == expected


@QUICK
@given(st.floats(2.0**-31, 2.0**29))
def test_quantize_multiplier_is_within_half_a_unit(real: float) -> None:
    multiplier, shift = fx.quantize_multiplier(real)
    assert 2**30 <= multiplier < 2**31
    assert abs(multiplier * 2.0 ** (shift - 31) - real) <= 2.0 ** (shift - 32)


@QUICK
@given(st.floats(-1e6, 1e6, width=32))
def test_rounding_is_half_away_from_zero(value: float) -> None:
    assert fx.round_half_away(value) == math.copysign(math.floor(abs(value) + 0.5), value)


def test_transcendental_functions_are_close_to_the_real_ones() -> None:
    raw = np.linspace(-(2**31) + 1, 2**31 - 1, 4001).astype(np.int64)
    a = raw / 2.0**27
    assert np.abs(fx.logistic(raw, 4) / 2.0**31 - 1 / (1 + np.exp(-a))).max() < 1e-6
    assert np.abs(fx.tanh(raw, 4) / 2.0**31 - np.tanh(a)).max() < 1e-6
    negative = raw[raw <= 0]
    assert np.abs(fx.exp_on_negative_values(negative, 5) / 2.0**31 - np.exp(negative / 2.0**26)).max() < 1e-6


def test_reciprocal_of_a_sum() -> None:
    total = np.array([2**19, 2**19 + 1, 3 * 2**19, 2**31 - 1])
    mantissa, bits = fx.reciprocal_of_sum(total, 12)
    assert np.allclose(mantissa / 2.0**31 / 2.0**bits, 2.0**19 / total, rtol=1e-7)


@pytest.mark.parametrize("taps", [514, 515, 20000])
def test_accumulators_are_exact_at_the_extremes(taps: int) -> None:
    """Every product at its largest magnitude: the sum is exact in the floating-point width chosen."""
    weight = np.full((2, taps), -128, np.int8)
    weight[1, ::2] = 127
    constants = {
        "w": ir.Constant(weight, np.array([1.0], np.float32)),
        "b": ir.Constant(np.array([1, -1], np.int32)),
    }
    source, target = ir.Quantization(1.0, -128), ir.Quantization(2.0**24, 0)
    graph = one_op(ir.Linear("y", ("x",), "w", "b"), (taps,), (2,), source, target, constants)
    x = np.full((1, taps), 127, np.int8)
    x[0, 1] = 126
    total = (x.astype(np.int64) + 128) @ weight.astype(np.int64).T + [1, -1]
    expected = [np.clip(c_multiply(int(t), *fx.quantize_multiplier(2.0**-24)), -128, 127) for t in total[0]]
    assert run_int8(graph, x)[0].tolist() == expected


@pytest.mark.parametrize(
    ("output_scale", "expected"),
    [(4.0, [-128, 127, 127]), (1.0, [126, -1, -128])],  # with scale 1 the left shift by one wraps as well
)
def test_accumulators_wrap_like_int32(output_scale: float, expected: list[int]) -> None:
    constants = {
        "w": ir.Constant(np.array([[127]], np.int8), np.array([1.0], np.float32)),
        "b": ir.Constant(np.array([2**31 - 1], np.int32)),
    }
    node, target = ir.Linear("y", ("x",), "w", "b"), ir.Quantization(output_scale, 0)
    graph = one_op(node, (1,), (1,), ir.Quantization(1.0, 0), target, constants)
    x = np.array([[1], [0], [-1]], np.int8)
    assert run_int8(graph, x).reshape(-1).tolist() == expected
    if importlib.util.find_spec("tflite_micro"):
        assert run_tflm(write_tflite(graph), x).reshape(-1).tolist() == expected
