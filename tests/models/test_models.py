"""Every network that comes with mcuprune: captured, prunable, deployable in kind, sized as documented."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch

from mcuprune.errors import UsageError
from mcuprune.frontends.torch_export import trace
from mcuprune.graph.channels import prunable
from mcuprune.graph.ir import BatchNorm, Graph
from mcuprune.graph.passes import run_passes
from mcuprune.kernels import catalogue
from mcuprune.models import MODELS, build_model, model_options
from mcuprune.models.siren import OMEGA, Siren
from mcuprune.plan.make import make_plan
from mcuprune.quantize.convert import layer_sqnr, quantize
from mcuprune.training.graph_module import GraphModule

SHAPES = {
    "lenet": (1, 28, 28),
    "mlp": (64,),
    "ds_cnn": (1, 49, 10),
    "small_resnet": (3, 32, 32),
    "small_mobilenet": (3, 32, 32),
    "fashion_cnn": (1, 28, 28),
    "pool_cnn": (1, 28, 28),
    "siren": (2,),
    "sequence_cnn": (3, 52, 1),
    "autoencoder": (640,),
}
WEIGHTS = {  # of the dense network with 10 outputs, without batch norms
    "lenet": 430_500 + 580,
    "mlp": 25_856 + 266,
    "ds_cnn": 1_600 + 4 * (576 + 4_096) + 640 + 10,
    "small_resnet": 77_360 + 10,
    "small_mobilenet": 864 + 9 * 2 * 224 + 1_024 + 2_048 + 4_096 + 8_192 + 2 * 16_384 + 1_290,
    "fashion_cnn": 64_920 + 10,
    "pool_cnn": 144 + 4_608 + 9_216 + 2_880 + 10,
    "siren": 2_432 + 106,
    "sequence_cnn": 480 + 3 * 32 * 5 + 1_024 + 2_048 + 160 + 4_096 + 640 + 10,
    "autoencoder": 2 * 49_152 + 81_920 + 2 * 1_024 + 1_280 + 8 * 128 + 8 + 10,
}


def built(name: str, outputs: int = 10) -> Graph:
    torch.manual_seed(0)
    return trace(MODELS[name](SHAPES[name], outputs), SHAPES[name], name)


def test_shapes_are_listed_for_all():
    assert set(SHAPES) == set(MODELS)


@pytest.mark.parametrize("name", sorted(MODELS))
def test_network(name):
    graph = built(name)
    assert graph.shape(graph.outputs[0]) == (10,)
    norms = {n for node in graph.nodes if isinstance(node, BatchNorm) for n in vars(node).values()}
    count = sum(c.values.size for key, c in graph.constants.items() if key not in norms)
    assert count == WEIGHTS[name]
    groups = prunable(graph)
    assert len(groups) >= 2
    assert min(graph.widths[group] for group in groups) >= (8 if name == "autoencoder" else 16)


@pytest.mark.parametrize("name", sorted(MODELS))
def test_every_layer_has_a_kernel_and_survives_int8(name):
    graph = run_passes(built(name))
    x = np.random.default_rng(0).uniform(-1, 1, (8, *graph.shape(graph.inputs[0]))).astype(np.float32)
    quantized = quantize(graph, x)
    plan = make_plan(quantized, ("portable",))
    assert all(catalogue.kernel(step.kernel) for step in plan.steps)
    assert layer_sqnr(graph, quantized, x)[graph.outputs[0]] > 15.0


@pytest.mark.parametrize("name", sorted(MODELS))
def test_gradients_reach_every_parameter(name):
    graph = built(name, 4)
    module = GraphModule(graph)
    module.train()
    x = torch.randn(6, *graph.shape(graph.inputs[0]), generator=torch.Generator().manual_seed(1))
    module(x).square().sum().backward()
    silent = [n for n, p in module.values.items() if p.grad is None or not p.grad.abs().sum() > 0]
    assert silent == []


@pytest.mark.parametrize(
    ("name", "shape"),
    [
        ("ds_cnn", (3, 96, 96)),
        ("ds_cnn", (1, 5, 4)),
        ("small_resnet", (1, 9, 8)),
        ("lenet", (3, 32, 16)),
        ("mlp", (1, 6, 6)),
    ],
)
def test_other_input_sizes(name, shape):
    graph = trace(MODELS[name](shape, 3), shape, name)
    assert graph.shape(graph.outputs[0]) == (3,)


@pytest.mark.parametrize(
    ("name", "shape"), [("lenet", (1, 12, 40)), ("fashion_cnn", (64,)), ("ds_cnn", (3, 3, 9))]
)
def test_inputs_that_do_not_suit(name, shape):
    with pytest.raises(UsageError, match=rf"model '{name}' needs images of at least \d+x\d+ pixels"):
        MODELS[name](shape, 3)


def test_siren_keeps_the_spread_of_its_activations():
    torch.manual_seed(3)
    network = Siren((2,), 1, hidden=256, layers=4)
    x = torch.rand(2000, 2) * 2 - 1
    for index, layer in enumerate(network.hidden):
        phase = OMEGA * layer(x)
        x = torch.sin(phase)
        if index:  # the first layer's phases are uniform
            assert 0.7 < float(phase.detach().std()) < 1.4
            assert float(x.detach().std()) == pytest.approx(0.66, abs=0.12)
    assert network.hidden[1].weight.abs().max() <= math.sqrt(6.0 / 256) / OMEGA


def test_options_of_networks():
    wide = build_model("small_resnet:width=32", (3, 32, 32), 10)
    assert sum(p.numel() for p in wide.parameters() if p.dim() == 4) == 306_016
    deep = build_model("small_resnet:blocks=3", (3, 32, 32), 10)
    assert sum(p.numel() for p in deep.parameters()) == 272_474  # 0.27 M, as published for 20 layers
    perceptron = build_model("mlp:hidden=300/100", (1, 28, 28), 10)
    assert sum(p.numel() for p in perceptron.parameters()) == 266_610  # as published
    one = build_model("mlp:hidden=7", (64,), 10)
    assert [p.shape for p in one.parameters() if p.dim() == 2] == [(7, 64), (10, 7)]
    assert model_options("lenet") == {}
    assert model_options("autoencoder") == {"width": 128, "code": 8}


@pytest.mark.parametrize(
    ("spec", "words"),
    [
        ("small_resnet:wdth=32", "no option 'wdth'; did you mean 'width'.; it takes width"),
        ("lenet:width=3", "no option 'width'.*it takes none"),
        ("mlp:hidden=300-100", "hidden=300-100: give a value like 128/128"),
        ("mlp:hidden=0", "model 'mlp': hidden must be above zero"),
        ("smal_resnet", "unknown model 'smal_resnet'; did you mean 'small_resnet'"),
    ],
)
def test_options_that_do_not_exist(spec, words):
    with pytest.raises(UsageError, match=words):
        build_model(spec, (3, 32, 32), 10)
