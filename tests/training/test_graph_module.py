"""A Graph trains exactly like the module that it was read from."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn
from torch.func import functional_call, grad, vmap

from mcuprune.frontends.torch_export import trace
from mcuprune.graph.ir import Conv2d, Graph
from mcuprune.training import graph_module
from mcuprune.training.graph_module import POINTWISE, GraphModule, reinitialise, run


def batch(graph: Graph, count: int = 6) -> tuple[Tensor, Tensor]:
    """The same random batch for the graph (NHWC) and for the module (NCHW)."""
    generator = torch.Generator().manual_seed(5)
    x = torch.randn(count, *graph.shape(graph.inputs[0]), generator=generator)
    return x, x.permute(0, 3, 1, 2) if x.dim() == 4 else x


def test_evaluation_outputs_agree(network: tuple[nn.Module, Graph]) -> None:
    module, graph = network
    x, x_module = batch(graph)
    found = GraphModule(graph).eval()(x)
    torch.testing.assert_close(found, module.eval()(x_module), rtol=1e-5, atol=1e-5)


def test_training_outputs_statistics_and_gradients_agree(network: tuple[nn.Module, Graph]) -> None:
    module, graph = network
    x, x_module = batch(graph)
    ours = GraphModule(graph).train()
    mine, theirs = ours(x), module.train()(x_module)
    torch.testing.assert_close(mine, theirs, rtol=1e-5, atol=1e-5)
    mine.square().sum().backward()
    theirs.square().sum().backward()
    expected = sorted(float(p.grad.norm()) for p in module.parameters())
    found = sorted(float(p.grad.norm()) for p in ours.values.values())
    np.testing.assert_allclose(found, expected, rtol=1e-3, atol=1e-5)
    statistics = sorted(float(b.sum()) for n, b in module.named_buffers() if "running" in n)
    np.testing.assert_allclose(
        sorted(float(s.sum()) for s in ours.statistics.values()), statistics, rtol=1e-4
    )


def test_pointwise_convolutions_are_products_and_large_ones_convolutions(
    network: tuple[nn.Module, Graph], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Both ways give the same outputs and gradients, and each is taken: it shows in what is called."""
    _, graph = network
    x, _ = batch(graph)
    pointwise = sum(isinstance(n, Conv2d) and n.window == POINTWISE for n in graph.nodes)

    def trained(macs: float) -> tuple[list[Tensor], int]:
        monkeypatch.setattr(graph_module, "FEW_MACS", macs)
        module = GraphModule(graph).train()
        with torch.profiler.profile() as profile:
            outputs = module(x)
        outputs.square().sum().backward()
        convolutions = sum(e.count for e in profile.key_averages() if e.key == "aten::conv2d")
        return [outputs, *(p.grad for p in module.values.values() if p.grad is not None)], convolutions

    few, left = trained(1e6)
    many, all_of_them = trained(0)
    assert all_of_them - left == pointwise
    for found, expected in zip(few, many, strict=True):
        torch.testing.assert_close(found, expected, rtol=1e-3, atol=1e-4)


@pytest.mark.parametrize("padding", [0, 1])
def test_strided_pointwise_convolutions_read_less_instead(
    padding: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """torch's own, of few channels, write beyond their memory in the backward pass on some processors."""
    torch.manual_seed(0)
    module = nn.Sequential(nn.Conv2d(3, 5, 1, (2, 3), padding), nn.ReLU())
    graph = trace(module, (3, 8, 9), "shortcut")
    x = torch.randn(4, 8, 9, 3)
    strides: list[object] = []
    convolve = torch.conv2d

    def watched(*arguments: Any) -> Tensor:
        strides.append(arguments[3])
        return convolve(*arguments)

    monkeypatch.setattr(graph_module, "FEW_MACS", 0)
    monkeypatch.setattr(torch.nn.functional, "conv2d", watched)
    ours = GraphModule(graph).train()
    ours(x).square().sum().backward()
    assert strides == [(1, 1)]
    weight, bias = (p.detach().requires_grad_() for p in module[0].parameters())
    whole = convolve(x.permute(0, 3, 1, 2), weight, bias, 1, padding)[:, :, ::2, ::3]
    whole.relu().square().sum().backward()
    found = {p.dim(): p.grad for p in ours.values.values()}
    torch.testing.assert_close(found[4].permute(0, 3, 1, 2), weight.grad, rtol=1e-3, atol=1e-3)
    torch.testing.assert_close(found[1], bias.grad, rtol=1e-3, atol=1e-3)


def test_run_is_functional(network: tuple[nn.Module, Graph]) -> None:
    """Per-sample gradients by torch.func equal a loop over samples."""
    _, graph = network
    x, _ = batch(graph, 3)
    parameters, statistics = GraphModule(graph).state()
    parameters = {k: v.detach() for k, v in parameters.items()}

    def loss(values: dict[str, Tensor], sample: Tensor) -> Tensor:
        return run(graph, values, statistics, sample[None]).square().sum()

    every = vmap(grad(loss), in_dims=(None, 0))(parameters, x)
    one = grad(loss)(parameters, x[1])
    for name, value in one.items():
        torch.testing.assert_close(every[name][1], value, rtol=1e-3, atol=1e-4)
    module = GraphModule(graph).eval()
    torch.testing.assert_close(functional_call(module, dict(module.named_parameters()), (x,)), module(x))


def test_round_trip_and_reinitialisation(network: tuple[nn.Module, Graph]) -> None:
    _, graph = network
    again = GraphModule(graph).to_graph()
    assert all(np.array_equal(again.constants[k].values, c.values) for k, c in graph.constants.items())
    fresh = reinitialise(graph, graph, seed=3)
    for name, constant in graph.constants.items():
        assert fresh.constants[name].values.shape == constant.values.shape
        assert set(fresh.constants[name].values.ravel()) <= set(constant.values.ravel())
