"""What .tflite files with int16 activations may not say here is refused by name."""

from __future__ import annotations

import numpy as np
import pytest

from mcuprune.errors import UnsupportedError
from mcuprune.frontends.tflite import load_tflite
from mcuprune.quantize.run_int8 import run_int8
from tests.frontends.tflite_files import FileBuilder


def linear(bias: str, zero_point: int = 0, largest: int = 1000) -> bytes:
    file = FileBuilder()
    x = file.tensor("x", (1, 8), "int16", (1e-3, zero_point))
    w = file.constant("w", np.ones((4, 8), np.int8), (0.01, 0))
    b = file.constant("b", np.array([0, 1, -1, largest]).astype(bias), (1e-5, 0))
    y = file.tensor("y", (1, 4), "int16", (2e-3, 0))
    file.operator("FULLY_CONNECTED", [x, w, b], [y], "FullyConnectedOptions")
    return file.pack([x], [y])


def test_narrow_biases_are_refused() -> None:
    with pytest.raises(UnsupportedError, match="'y': bias 'b' is int32, must be int64"):
        load_tflite(linear("int32"))


@pytest.mark.parametrize(
    ("file", "problem"),
    [(linear("int64", zero_point=3), "zero point 3"), (linear("int64", largest=2**31), "fit into 32 bits")],
)
def test_values_that_no_kernel_takes(file: bytes, problem: str) -> None:
    with pytest.raises(UnsupportedError, match=problem):
        run_int8(load_tflite(file), np.zeros((1, 8), np.int16))


@pytest.mark.parametrize("operator", ["RELU", "HARD_SWISH", "ABS", "SOFTMAX"])
def test_operators_without_int16_are_refused(operator: str) -> None:
    file = FileBuilder()
    x, y = (file.tensor(name, (1, 8), "int16", (1e-3, 0)) for name in "xy")
    options = ("SoftmaxOptions",) if operator == "SOFTMAX" else ()
    fields = {"beta": 1.0} if operator == "SOFTMAX" else {}
    file.operator(operator, [x], [y], *options, **fields)
    with pytest.raises(UnsupportedError, match=f"{operator} producing tensor 'y': its input 'x' is INT16"):
        load_tflite(file.pack([x], [y]))
