"""Concatenations of tensors whose int8 scale is prescribed with others."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from mcuprune.frontends.torch_export import trace
from mcuprune.graph.ir import Activation, Concat, Graph, Softmax
from mcuprune.graph.passes import run_passes
from mcuprune.graph.passes.separate_scales import PRESCRIBED, PRESCRIBED_SOFTMAX, separate_scales
from mcuprune.graph.run_float import run_tensors
from mcuprune.quantize.convert import layer_sqnr, quantize
from mcuprune.quantize.run_int8 import run_int8
from mcuprune.quantize.scheme import FIXED_OUTPUT

RNG = np.random.default_rng(5)
X = RNG.normal(0, 2, (64, 6, 6, 2)).astype(np.float32)


class Joined(nn.Module):
    """``parts`` of one input, concatenated: each a function of a convolution that scales it up."""

    def __init__(self, *parts: object) -> None:
        super().__init__()
        torch.manual_seed(1)
        self.parts = parts
        self.convs = nn.ModuleList(nn.Conv2d(2, 3, 1) for _ in parts)

    def forward(self, x: Tensor) -> Tensor:
        return torch.cat([f(4.0 * conv(x)) for f, conv in zip(self.parts, self.convs, strict=True)], 1)  # type: ignore


def joined(*parts: object) -> Graph:
    return trace(Joined(*parts), (2, 6, 6), "joined")


def rescalings(graph: Graph) -> list[str]:
    return [n.inputs[0] for n in graph.nodes if isinstance(n, Activation) and n.function == "leaky_relu"]


def pooled_sigmoid(x: Tensor) -> Tensor:
    return nn.functional.max_pool2d(torch.sigmoid(x), 3, 1, 1)


@pytest.mark.parametrize(
    ("parts", "expected"),
    [
        ((torch.sigmoid, torch.relu), 1),
        ((torch.relu, torch.tanh), 1),
        ((torch.sigmoid, torch.tanh), 2),
        ((pooled_sigmoid, torch.relu), 1),
        ((torch.sigmoid, torch.sigmoid), 0),
        ((torch.sigmoid, pooled_sigmoid), 0),
        ((torch.relu, torch.relu), 0),
    ],
)
def test_rescaling_only_where_scales_differ(parts, expected):
    before = joined(*parts)
    after = separate_scales(before)
    assert len(rescalings(after)) == expected
    concat = next(node for node in after.nodes if isinstance(node, Concat))
    for name in rescalings(after):
        assert name not in concat.inputs
    for name in after.outputs:
        np.testing.assert_array_equal(run_tensors(after, X)[name], run_tensors(before, X)[name])
    assert separate_scales(after) == after  # nothing is left to do


def test_passes_include_it_and_nothing_clips():
    graph = run_passes(joined(torch.sigmoid, torch.relu))
    assert len(rescalings(graph)) == 1
    quantized = quantize(graph, X)
    output = graph.outputs[0]
    top = float(run_tensors(graph, X)[output].max())
    q = quantized.quantization[output]
    assert (127 - q.zero_point) * q.scale >= top - 0.5 * q.scale > 1.5  # far outside of sigmoid's 0..1
    assert layer_sqnr(graph, quantized, X)[output] > 35.0


def test_without_it_the_other_part_clips():
    graph = joined(torch.sigmoid, torch.relu)
    assert layer_sqnr(graph, quantize(graph, X), X)[graph.outputs[0]] < 25.0


def test_rescaling_is_exact_in_integers():
    graph = run_passes(joined(torch.tanh, torch.relu))
    quantized = quantize(graph, X)
    q = quantized.quantization[quantized.inputs[0]]
    stored = np.clip(np.round(X / q.scale) + q.zero_point, -128, 127).astype(np.int8)
    values = run_int8(quantized, stored, keep_all=True)
    source = rescalings(graph)[0]
    copy = next(n.name for n in graph.nodes if n.inputs == (source,) and isinstance(n, Activation))
    a, b = (quantized.quantization[name] for name in (source, copy))
    wanted = (values[source].astype(float) - a.zero_point) * a.scale / b.scale + b.zero_point
    assert np.abs(values[copy] - wanted).max() <= 0.5 + 1e-6


def test_prescribed_ranges_are_those_of_the_quantizer():
    ranges = {**PRESCRIBED, "softmax": PRESCRIBED_SOFTMAX}
    assert set(ranges) == set(FIXED_OUTPUT)
    for name, (low, high) in ranges.items():
        q = FIXED_OUTPUT[name]
        assert (-128 - q.zero_point) * q.scale == low
        assert (127 - q.zero_point) * q.scale == pytest.approx(high, abs=q.scale)
    assert FIXED_OUTPUT["softmax"] == FIXED_OUTPUT["sigmoid"]


def test_softmax_is_prescribed():
    class Net(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.a, self.b = nn.Linear(4, 3), nn.Linear(4, 2)

        def forward(self, x: Tensor) -> Tensor:
            return torch.cat([torch.softmax(self.a(x), 1), self.b(x)], 1)

    graph = separate_scales(trace(Net(), (4,), "net"))
    softmax = next(node.name for node in graph.nodes if isinstance(node, Softmax))
    assert rescalings(graph) == [softmax]
