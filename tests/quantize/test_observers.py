"""Ranges, scales and zero points."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mcuprune.quantize.observers import (
    EMPTY_CHANNEL_SCALE,
    MINIMUM_SCALE,
    OBSERVERS,
    activation_quantization,
    drawn,
    minmax,
    mse,
    percentile,
    snapped,
    weight_scales,
)

FINITE = st.floats(-1e4, 1e4, width=32)


@pytest.mark.parametrize("labels", [np.arange(640) // 64, np.arange(640) % 10])
def test_inputs_to_measure_on_are_of_all_classes(labels):
    chosen = labels[drawn(len(labels), 64)]
    assert len(chosen) == 64
    assert set(chosen) == set(range(10))
    np.testing.assert_array_equal(np.sort(drawn(5, 64)), np.arange(5))


@settings(deadline=None, max_examples=300)
@given(FINITE, FINITE)
def test_activation_grid_covers_the_range_and_holds_zero_exactly(a, b):
    low, high = min(a, b), max(a, b)
    q = activation_quantization(low, high)
    assert -128 <= q.zero_point <= 127
    assert q.scale == float(np.float32(q.scale)) >= np.float32(MINIMUM_SCALE)
    ends = [(-128 - q.zero_point) * q.scale, (127 - q.zero_point) * q.scale]
    assert ends[0] <= min(low, 0.0) + 0.501 * q.scale
    assert ends[1] >= max(high, 0.0) - 0.501 * q.scale
    assert snapped(np.zeros(1), q)[0] == 0.0


@settings(deadline=None, max_examples=100)
@given(st.lists(FINITE, min_size=1, max_size=40))
def test_snapping_moves_by_half_a_step_at_most(values):
    array = np.array(values)
    q = activation_quantization(*minmax(array))
    assert np.abs(snapped(array, q) - array).max() <= 0.502 * q.scale + 1e-9


def test_ranges_of_one_sign_reach_zero():
    assert activation_quantization(3.0, 51.0) == activation_quantization(0.0, 51.0)
    assert activation_quantization(0.0, 51.0).zero_point == -128
    assert activation_quantization(-51.0, -3.0).zero_point == 127
    assert activation_quantization(-1.0, 1.0).zero_point in (-1, 0)


def test_constant_zero_has_a_scale():
    q = activation_quantization(0.0, 0.0)
    assert q.scale == pytest.approx(MINIMUM_SCALE)
    assert q.zero_point == -128


def test_weights_are_symmetric_per_channel():
    weight = np.array([[1.0, -2.54], [0.0, 0.0], [1e-20, 5e-21]])
    scales = weight_scales(weight, 0)
    np.testing.assert_allclose(scales, [0.02, EMPTY_CHANNEL_SCALE, 1e-20 / 127], rtol=1e-6)
    assert scales.dtype == np.float32
    np.testing.assert_allclose(weight_scales(weight.T, -1), scales)
    assert np.round(weight[0] / scales[0]).tolist() == [50.0, -127.0]


def test_observers_on_a_bell_with_an_outlier():
    values = np.random.default_rng(0).normal(size=20_000)
    values[17] = 60.0
    ranges = {name: observe(values) for name, observe in OBSERVERS.items()}
    assert ranges["minmax"] == (values.min(), 60.0)
    assert 3.0 < ranges["percentile"][1] < 6.0
    assert ranges["mse"][1] < 60.0

    def error(name: str) -> float:
        return float(np.square(values - snapped(values, activation_quantization(*ranges[name]))).mean())

    assert error("mse") <= error("minmax")
    inside = np.delete(values, 17)
    steps = {name: activation_quantization(*found).scale for name, found in ranges.items()}
    assert steps["percentile"] < 0.2 * steps["minmax"]
    assert np.abs(snapped(inside, activation_quantization(*ranges["percentile"])) - inside).mean() < 0.01


def test_percentile_of_everything_is_minmax():
    values = np.random.default_rng(1).normal(size=500)
    assert percentile(values, 100.0) == minmax(values)


@settings(deadline=None, max_examples=40)
@given(st.integers(0, 1000), st.floats(0.1, 50.0))
def test_mse_is_never_worse_than_minmax(seed, outlier):
    values = np.append(np.random.default_rng(seed).normal(size=400), outlier)
    errors = [
        np.square(values - snapped(values, activation_quantization(*observe(values)))).mean()
        for observe in (mse, minmax)
    ]
    assert errors[0] <= errors[1] * (1 + 1e-12)


def test_the_mse_observer_beats_minmax_on_long_tails() -> None:
    rng = np.random.default_rng(1)
    for values in (rng.normal(size=50_000), rng.laplace(size=50_000), rng.gamma(0.3, size=50_000)):
        grids = {name: activation_quantization(*OBSERVERS[name](values)) for name in ("minmax", "mse")}
        noise = {name: float(np.square(snapped(values, q) - values).sum()) for name, q in grids.items()}
        assert noise["mse"] < 0.98 * noise["minmax"]
