"""A network on int16 activations, from its .tflite file to the emulated core: every byte that of TFLM."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from mcuprune.board import load_board
from mcuprune.export import export
from mcuprune.verify.prove import make_inputs, prove
from tests.frontends.tflite_files import FileBuilder, Quantization

pytest.importorskip("tflite_micro", reason="tflite_micro, the byte-exact oracle, is not installed")
pytest.importorskip("ziglang")
pytest.importorskip("unicorn")


@dataclass
class WideFile(FileBuilder):
    """A file whose weights and 64-bit biases are random."""

    rng: np.random.Generator = field(default_factory=lambda: np.random.default_rng(0))

    def weighted(
        self, code: str, x: int, weight: tuple[int, ...], out: tuple[Any, ...], axis: int = 0, **options: Any
    ) -> int:
        scale = self.rng.uniform(0.005, 0.02, weight[axis]).astype(np.float32)
        w = self.constant(f"w{x}", self.rng.integers(-127, 128, weight).astype(np.int8), (scale, 0))
        parameters = self.tensors[w].quantization
        assert parameters is not None
        parameters.quantizedDimension = axis
        biases = self.rng.integers(-(10**5), 10**5, weight[axis])
        b = self.constant(f"b{x}", biases, (scale * np.float32(1e-4), 0))
        dims, quantization = out
        y = self.tensor(f"y{x}", dims, "int16", quantization)
        names = {"CONV_2D": "Conv2DOptions", "DEPTHWISE_CONV_2D": "DepthwiseConv2DOptions"}
        self.operator(code, [x, w, b], [y], names.get(code, "FullyConnectedOptions"), **options)
        return y

    def quantize(self, x: int, dims: tuple[int, ...], dtype: str, quantization: Quantization) -> int:
        y = self.tensor(f"q{x}", dims, dtype, quantization)
        self.operator("QUANTIZE", [x], [y])
        return y


def network() -> bytes:
    file = WideFile()
    source = file.input("x", (1, 8, 8, 3), (0.02, 3))
    steps = {"strideW": 1, "dilationHFactor": 1, "dilationWFactor": 1}
    x = file.quantize(source, (1, 8, 8, 3), "int16", (1e-4, 0))
    out = (1, 4, 8, 4), (5e-4, 0)
    x = file.weighted("CONV_2D", x, (4, 3, 3, 3), out, strideH=2, fusedActivationFunction=1, **steps)
    out = (1, 4, 8, 4), (7e-4, 0)
    x = file.weighted(
        "DEPTHWISE_CONV_2D", x, (1, 3, 3, 4), out, axis=3, strideH=1, depthMultiplier=1, **steps
    )
    flat, shape = file.tensor("flat", (1, 128), "int16", (7e-4, 0)), np.array([1, 128], np.int32)
    file.operator("RESHAPE", [x, file.constant("shape", shape)], [flat], "ReshapeOptions", newShape=shape)
    x = file.weighted("FULLY_CONNECTED", flat, (5, 128), ((1, 5), (1e-3, 0)))
    return file.pack([source], [file.quantize(x, (1, 5), "int8", (0.25, -3)), x])


def branches() -> bytes:
    """int16 from end to end: pools, a sum, a product, a difference, functions, padding, concatenation."""
    file, same = WideFile(), (5e-4, 0)
    source = x = file.tensor("x", (1, 6, 6, 3), "int16", same)

    def step(
        code: str, inputs: list[int], dims: tuple[int, ...], scale: float, *options: str, **fields: Any
    ) -> int:
        y = file.tensor(f"{code}{len(file.tensors)}", dims, "int16", (scale, 0))
        file.operator(code, inputs, [y], *options, **fields)
        return y

    window = {"strideH": 1, "strideW": 1, "filterHeight": 3, "filterWidth": 3}
    most = step("MAX_POOL_2D", [x], (1, 6, 6, 3), 5e-4, "Pool2DOptions", **window)
    mean = step("AVERAGE_POOL_2D", [x], (1, 6, 6, 3), 5e-4, "Pool2DOptions", **window)
    total = step("ADD", [most, mean], (1, 6, 6, 3), 8e-4, "AddOptions")
    gate = step("LOGISTIC", [total], (1, 6, 6, 3), 2.0**-15)
    product = step("MUL", [most, gate], (1, 6, 6, 3), 6e-4, "MulOptions")
    rest = step("SUB", [product, mean], (1, 6, 6, 3), 7e-4, "SubOptions")
    bent = step("TANH", [rest], (1, 6, 6, 3), 2.0**-15)
    margins = file.constant("margins", np.array([[0, 0], [1, 0], [0, 2], [0, 0]], np.int32))
    padded = step("PAD", [gate, margins], (1, 7, 8, 3), 2.0**-15, "PadOptions")
    other = step("PAD", [bent, margins], (1, 7, 8, 3), 2.0**-15, "PadOptions")
    y = step("CONCATENATION", [padded, other], (1, 7, 8, 6), 2.0**-15, "ConcatenationOptions", axis=3)
    return file.pack([source], [y])


def test_same_bytes_of_branches(tmp_path: Path) -> None:
    (model := tmp_path / "branches.tflite").write_bytes(branches())
    deployment = export(model, load_board("rpi-pico"), tmp_path / "out").deployment
    proof = prove(deployment.subject, make_inputs(deployment.subject.graph, 12))
    proof.require_equal()
    assert sum(entry.status == "equal" for entry in proof.comparisons) >= 3
    assert proof.emulated is not None


def test_same_bytes_everywhere(tmp_path: Path) -> None:
    """Outputs of one and of two bytes an element; a 16-bit tensor is counted with two."""
    (model := tmp_path / "wide.tflite").write_bytes(network())
    deployment = export(model, load_board("stm32f4"), tmp_path / "out").deployment
    graph = deployment.subject.graph
    assert [graph.quantization[name].dtype for name in graph.outputs] == ["int8", "int16"]
    proof = prove(deployment.subject, make_inputs(graph, 20))
    proof.require_equal()
    assert sum(entry.status == "equal" for entry in proof.comparisons) >= 3
    assert proof.emulated is not None
