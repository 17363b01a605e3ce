"""ONNX files quantized by onnxruntime's own tool, and how onnxruntime runs them."""

from __future__ import annotations

import logging
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import torch
from torch import nn

from mcuprune.graph.ir import QuantizedGraph
from mcuprune.quantize.convert import dequantize_output, quantize_input
from mcuprune.quantize.run_int8 import run_int8


class Residual(nn.Module):
    """Convolutions, a residual sum, pooling of both kinds, flattening of a map into a linear layer."""

    def __init__(self) -> None:
        super().__init__()
        self.first = nn.Sequential(nn.Conv2d(3, 8, 3, padding=1), nn.BatchNorm2d(8), nn.ReLU())
        self.depthwise = nn.Sequential(nn.Conv2d(8, 8, 3, padding=1, groups=8), nn.ReLU6())
        self.point = nn.Conv2d(8, 8, 1)
        self.last = nn.Linear(8 * 4 * 3, 5)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        x = self.first(x)
        x = torch.relu(x + self.point(self.depthwise(x)))
        return self.last(nn.functional.max_pool2d(x, 2).flatten(1))


class Pooled(nn.Module):
    """Branches that are concatenated, an average over space, an activation by table, a softmax."""

    def __init__(self) -> None:
        super().__init__()
        self.left, self.right = nn.Conv2d(3, 6, 3, stride=2), nn.Conv2d(3, 4, 3, stride=2)
        self.last = nn.Linear(10, 5)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        joined = torch.cat([torch.relu(self.left(x)), torch.sigmoid(self.right(x))], dim=1)
        pooled = nn.functional.adaptive_avg_pool2d(joined, 1).flatten(1)
        return torch.softmax(self.last(pooled), dim=1)


class Perceptron(nn.Sequential):
    def __init__(self) -> None:
        super().__init__(
            nn.Flatten(), nn.Linear(3 * 8 * 6, 16), nn.ReLU(), nn.Linear(16, 12), nn.Tanh(), nn.Linear(12, 5)
        )


NETWORKS = (Residual, Pooled, Perceptron)
SHAPE = (3, 8, 6)


def samples(count: int, seed: int = 0) -> np.ndarray:
    """(count, channels, height, width) float32."""
    return np.random.default_rng(seed).normal(0.3, 1.0, (count, *SHAPE)).astype(np.float32)


def float_file(kind: type[nn.Module], folder: Path) -> Path:
    torch.manual_seed(1)
    path = folder / "float.onnx"
    module = kind()
    for layer in module.modules():
        if isinstance(layer, nn.BatchNorm2d):
            nn.init.uniform_(layer.running_var, 0.5, 2.0)
    torch.onnx.export(
        module.eval(),
        (torch.zeros(1, *SHAPE),),
        path,
        dynamo=False,
        input_names=["x"],
        dynamic_axes={"x": {0: "n"}},
    )
    return path


def quantized_file(source: Path, **options: object) -> Path:
    """``options`` are onnxruntime.quantization.quantize_static's."""
    from onnxruntime import quantization

    class Reader(quantization.CalibrationDataReader):
        def __init__(self) -> None:
            self.rest = iter(samples(32))

        def get_next(self) -> dict | None:
            found = next(self.rest, None)
            return None if found is None else {"x": found[None]}

    target = source.with_name("quantized.onnx")
    logging.disable(logging.WARNING)  # it advises to preprocess
    try:
        quantization.quantize_static(str(source), str(target), Reader(), **options)
    finally:
        logging.disable(logging.NOTSET)
    return target


def exact_options() -> Any:
    """One thread, and sums that cannot saturate: processors without VNNI add pairs of products in 16 bits."""
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    options.add_session_config_entry("session.x64quantprecision", "1")
    return options


def run_onnxruntime(path: Path, x: np.ndarray) -> np.ndarray:
    import onnxruntime

    options, levels = exact_options(), onnxruntime.GraphOptimizationLevel
    integer = any(node.op_type.startswith(("QLinear", "QGemm")) for node in onnx.load(path).graph.node)
    # what keeps sums from saturating is an optimization; files of real layers between roundings need none
    options.graph_optimization_level = levels.ORT_ENABLE_EXTENDED if integer else levels.ORT_DISABLE_ALL
    session = onnxruntime.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])
    return np.asarray(session.run(None, {session.get_inputs()[0].name: x})[0])


def run_ours(graph: QuantizedGraph, x: np.ndarray) -> np.ndarray:
    """Real outputs for real inputs in the source's layout."""
    shape = graph.shape(graph.inputs[0])
    ours = x.transpose(0, 2, 3, 1) if len(shape) == 3 else x
    outputs = run_int8(graph, quantize_input(graph, ours))
    assert isinstance(outputs, np.ndarray)
    return dequantize_output(graph, outputs)
