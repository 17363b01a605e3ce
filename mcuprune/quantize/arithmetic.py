"""Fixed-point arithmetic of TensorFlow Lite Micro, vectorised over numpy arrays.

Every function here is exact: 32-bit values travel in int64 arrays, and where C would overflow a 32-bit
variable the result wraps modulo 2**32 as two's-complement hardware does.  ``Qm.n`` means a 32-bit value with
``m`` integer bits, i.e. ``real = raw / 2**(31 - m)``.

Source: TensorFlow Lite Micro's reference kernels with double rounding and the gemmlowp fixed-point library
(Jacob et al., "Quantization and Training of Neural Networks for Efficient Integer-Arithmetic-Only Inference",
CVPR 2018, section 2.2 and appendix).
"""

from __future__ import annotations

import math

import numpy as np

INT32_MAX = 2**31 - 1
MIN_SHIFT, MAX_SHIFT = -31, 30  # what a requantization may shift by; left if positive


def round_half_away(value: float) -> int:
    """Nearest integer, halves away from zero (C's ``round``); exact below 2**52."""
    magnitude = math.floor(abs(value) + 0.5)
    return magnitude if value >= 0 else -magnitude


def quantize_multiplier(real: float) -> tuple[int, int]:
    """``(multiplier, shift)``: ``real ~ multiplier * 2**(shift - 31)``, ``2**30 <= multiplier < 2**31``.

    Zero, and anything whose shift would be below -31, becomes ``(0, 0)``.
    """
    if real == 0.0:
        return 0, 0
    fraction, shift = math.frexp(real)
    multiplier = round_half_away(fraction * 2.0**31)
    if multiplier == 2**31:
        multiplier //= 2
        shift += 1
    return (0, 0) if shift < MIN_SHIFT else (multiplier, shift)


def wrap_int32(x: np.ndarray) -> np.ndarray:
    """The low 32 bits of each value, read as a signed number; int64 in, int64 out."""
    return x.astype(np.int32).astype(np.int64)


def rounding_high_mul(a: np.ndarray, b: np.ndarray | int) -> np.ndarray:
    """``a * b / 2**31`` rounded to nearest, ties toward plus infinity; only -2**31 squared saturates."""
    return np.minimum((np.asarray(a, np.int64) * np.asarray(b, np.int64) + 2**30) >> 31, INT32_MAX)


def rounding_divide_by_pot(x: np.ndarray, exponent: np.ndarray | int) -> np.ndarray:
    """``x / 2**exponent`` rounded to nearest, ties away from zero; ``0 <= exponent <= 31``."""
    exponent = np.asarray(exponent, np.int64)
    half = (np.int64(1) << exponent) >> 1
    return (x + half - ((x < 0) & (half > 0))) >> exponent


def multiply_by_quantized_multiplier(
    x: np.ndarray, multiplier: np.ndarray | int, shift: np.ndarray | int
) -> np.ndarray:
    """``x * multiplier * 2**(shift - 31)`` with two roundings; int64 array of int32 values in and out.

    A positive shift is applied first (wrapping), then the high multiplication rounds once, then a negative
    shift rounds again.  ``multiplier`` and ``shift`` broadcast against the last axis.
    """
    shift = np.asarray(shift, np.int64)
    if (shift > 0).any():
        x = wrap_int32(x << np.maximum(shift, 0))
    return rounding_divide_by_pot(rounding_high_mul(x, multiplier), np.maximum(-shift, 0))


MAX_WIDE_SHIFT = 7


def scale_wide(x: np.ndarray, multiplier: np.ndarray | int, shift: np.ndarray | int) -> np.ndarray:
    """``x * multiplier * 2**(shift - 31)`` of 48-bit sums with one rounding, half upwards.

    The multiplier is rounded to 16 bits first; ``shift`` is up to 7.
    """
    multiplier = np.asarray(multiplier, np.int64)
    factor = np.where(multiplier < 0x7FFF0000, (multiplier + 2**15) >> 16, 0x7FFF)
    right = 15 - np.asarray(shift, np.int64)
    return wrap_int32((x * factor + (np.int64(1) << (right - 1))) >> right)


def shift_saturating(x: np.ndarray, exponent: int) -> np.ndarray:
    """``x * 2**exponent``: saturating to the left, rounding (ties away from zero) to the right."""
    if exponent < 0:
        return rounding_divide_by_pot(x, -exponent)
    return np.clip(x << exponent, -(2**31), INT32_MAX)


# exp(-2**k) in Q0.31 for k = -2 .. 4
_EXP_FACTORS = (1672461947, 1302514674, 790015084, 290630308, 39332535, 720401, 242)
_EXP_MINUS_EIGHTH = 1895147668
_ONE_THIRD = 715827883


def exp_on_negative_values(a: np.ndarray, integer_bits: int) -> np.ndarray:
    """``exp(a)`` in Q0.31 for ``a <= 0`` in ``Q(integer_bits)``, ``integer_bits <= 5``.

    ``a`` is split into a multiple of 1/4 and a rest in ``[-1/4, 0)``; the rest goes through a Taylor
    polynomial of degree 4 around -1/8, each set bit of the multiple through one precomputed factor.
    """
    fraction_bits = 31 - integer_bits
    quarter = 1 << (fraction_bits - 2)
    rest = (a & (quarter - 1)) - quarter
    x = shift_saturating(rest, integer_bits) + (1 << 28)
    x2 = rounding_high_mul(x, x)
    x3 = rounding_high_mul(x2, x)
    x4 = rounding_high_mul(x2, x2)
    tail = rounding_high_mul(rounding_divide_by_pot(x4, 2) + x3, _ONE_THIRD) + x2
    polynomial = x + rounding_divide_by_pot(tail, 1)
    result = _EXP_MINUS_EIGHTH + rounding_high_mul(polynomial, _EXP_MINUS_EIGHTH)
    multiple = rest - a
    for exponent, factor in zip(range(-2, integer_bits), _EXP_FACTORS, strict=False):
        bit = 1 << (fraction_bits + exponent)
        result = np.where(multiple & bit, rounding_high_mul(result, factor), result)
    return np.where(a == 0, INT32_MAX, result)


def _newton_reciprocal(a: np.ndarray) -> np.ndarray:
    """``2 / (1 + a)`` in Q2.29 for ``a`` in Q0.31 within [0, 1]: three Newton-Raphson steps."""
    half_denominator = (a + INT32_MAX + 1) >> 1
    x = 1515870810 + rounding_high_mul(half_denominator, -1010580540)  # 48/17 - 32/17 * d
    for _ in range(3):
        error = (1 << 29) - rounding_high_mul(half_denominator, x)
        x = x + shift_saturating(rounding_high_mul(x, error), 2)
    return x


def one_over_one_plus(a: np.ndarray) -> np.ndarray:
    """``1 / (1 + a)`` in Q0.31 for ``a`` in Q0.31 within [0, 1]."""
    return shift_saturating(_newton_reciprocal(a), 1)


def logistic(a: np.ndarray, integer_bits: int) -> np.ndarray:
    """``1 / (1 + exp(-a))`` in Q0.31 for ``a`` in ``Q(integer_bits)``."""
    positive = one_over_one_plus(exp_on_negative_values(-np.abs(a), integer_bits))
    return np.where(a == 0, 1 << 30, np.where(a > 0, positive, INT32_MAX - positive))


def tanh(a: np.ndarray, integer_bits: int) -> np.ndarray:
    """``tanh(a)`` in Q0.31 for ``a`` in ``Q(integer_bits)``: ``(1 - e) / (1 + e)``, ``e = exp(-2|a|)``."""
    e = exp_on_negative_values(-np.abs(a), integer_bits + 1)
    magnitude = shift_saturating(_newton_reciprocal(e) - (1 << 29), 2)
    return np.where(a == 0, 0, np.where(a < 0, -magnitude, magnitude))


def reciprocal_of_sum(total: np.ndarray, integer_bits: int) -> tuple[np.ndarray, np.ndarray]:
    """``1 / total`` for ``total >= 1`` in ``Q(integer_bits)``: Q0.31 mantissa and its right shift."""
    leading_zeros = _leading_zeros(total)
    mantissa = (total << leading_zeros) - 2**31
    return one_over_one_plus(mantissa), integer_bits - leading_zeros


_SQRT_HALF = 1518500250
_CENTER = 1805811301  # 2**(-1/4)


def log_q12(x: np.ndarray) -> np.ndarray:
    """``log(x)`` in Q5.26 for ``x >= 1`` in Q12.19.

    ``x = 2**n * r`` with ``r`` near 1: ``n * log(2)`` and a Pade quotient of ``r`` around 2**(-1/4).  Of the
    two ways to choose ``n``, from ``x`` and from ``x / sqrt(2)``, the one with the larger exponent holds.
    """
    zeros_a = _leading_zeros(x)
    r_a = shift_saturating(rounding_high_mul(x << (zeros_a - 1), _SQRT_HALF), 1)
    zeros_b = _leading_zeros(rounding_high_mul(x, _SQRT_HALF)) - 1
    r_b = np.clip(x << zeros_b, -(2**31), INT32_MAX)
    n = np.maximum(((12 - zeros_a) << 25) + 2**23, ((12 - zeros_b) << 25) - 2**23)
    r = np.minimum(r_a, r_b)
    p, q = (r + _CENTER + 1) // 2, (r - _CENTER) * 2
    square = rounding_high_mul(q, q)
    over = rounding_high_mul(q, r) + rounding_high_mul(rounding_high_mul(q, square), 117049297)
    under = rounding_high_mul(p, 1057819769 + q + rounding_high_mul(square, 127690142))
    under = under + rounding_high_mul(q, 638450708)
    log_r = rounding_high_mul(rounding_divide_by_pot(over, 6), one_over_one_plus(under))
    return shift_saturating(rounding_high_mul(n, 1488522236) + log_r, 1)


def _leading_zeros(x: np.ndarray) -> np.ndarray:
    """Of positive 32-bit values."""
    return 32 - np.frexp(x.astype(np.float64))[1].astype(np.int64)
