"""Device and number format of training: what computes in bf16, what never does, and what is refused."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from mcuprune.config import RunConfig, load_config
from mcuprune.errors import UsageError
from mcuprune.frontends.torch_export import trace
from mcuprune.graph.ir import Graph
from mcuprune.models.ds_cnn import DSCNN
from mcuprune.models.resnet import SmallResNet
from mcuprune.training import compute
from mcuprune.training.compute import BF16_MACS, Compute, convolution_macs
from mcuprune.training.graph_module import GraphModule
from mcuprune.training.int8 import FakeQuantizer
from mcuprune.training.loop import Arrays, make_module, predict, train
from mcuprune.training.recipe import Recipe

BF16 = Compute("cpu", "bf16")
FLOAT32 = Compute("cpu", "float32")
RECIPE = Recipe(epochs=2, batch_size=16, learning_rate=5e-3)


@pytest.fixture(scope="module")
def graph() -> Graph:
    torch.manual_seed(0)
    return trace(SmallResNet((3, 8, 8), 4, width=4), (3, 8, 8), "small")


@pytest.fixture(scope="module")
def data() -> Arrays:
    """Four classes that differ in the mean of each quarter."""
    rng = np.random.default_rng(0)
    y = np.arange(128) % 4
    x = rng.normal(0, 0.5, (128, 8, 8, 3)).astype(np.float32)
    for label in range(4):
        row, column = divmod(label, 2)
        x[y == label, 4 * row : 4 * row + 4, 4 * column : 4 * column + 4] += 1.0
    return Arrays(x, y)


def types_seen(monkeypatch: pytest.MonkeyPatch, work: Callable[[], object]) -> set[torch.dtype]:
    """Number formats that convolutions compute in while ``work`` runs."""
    found: set[torch.dtype] = set()
    convolve = torch.conv2d

    def watched(*arguments: Tensor, **options: object) -> Tensor:
        result: Tensor = convolve(*arguments, **options)  # type: ignore[arg-type]
        found.add(result.dtype)
        return result

    with monkeypatch.context() as patch:
        patch.setattr(torch.nn.functional, "conv2d", watched)
        work()
    return found


def test_training_convolves_in_bf16_and_keeps_the_rest_in_float32(
    monkeypatch: pytest.MonkeyPatch, graph: Graph, data: Arrays
) -> None:
    module = make_module(graph, replace(RECIPE, compute=BF16))
    x = torch.from_numpy(data.x[:16])
    outputs: list[Tensor] = []
    assert types_seen(monkeypatch, lambda: outputs.append(module(x))) == {torch.bfloat16}
    assert outputs[0].dtype == torch.float32
    outputs[0].square().sum().backward()
    parameters, statistics = module.state()
    assert all(p.grad is not None and p.grad.dtype == torch.float32 for p in parameters.values())
    assert all(s.dtype == torch.float32 for s in statistics.values())


def test_evaluation_is_float32(monkeypatch: pytest.MonkeyPatch, graph: Graph, data: Arrays) -> None:
    module = make_module(graph, replace(RECIPE, compute=BF16))
    plain = predict(GraphModule(graph), data.x)
    outputs: list[np.ndarray] = []
    assert types_seen(monkeypatch, lambda: outputs.append(predict(module, data.x))) == {torch.float32}
    assert np.array_equal(outputs[0], plain)


def test_int8_training_is_float32(monkeypatch: pytest.MonkeyPatch, graph: Graph, data: Arrays) -> None:
    module = make_module(graph, replace(RECIPE, compute=BF16))
    quantizer, x = FakeQuantizer(graph), torch.from_numpy(data.x[:16])
    quantizer.calibrate(module, data.x[:16])
    work = lambda: module(x, weight=quantizer.weight, activation=quantizer.activation)  # noqa: E731
    assert types_seen(monkeypatch, work) == {torch.float32}


@pytest.mark.parametrize("chosen", [BF16, FLOAT32])
def test_equal_seeds_give_equal_weights(graph: Graph, data: Arrays, chosen: Compute) -> None:
    recipe = replace(RECIPE, compute=chosen)
    first, second = (
        train(graph, data, nn.functional.cross_entropy, recipe, lambda _: 0.0).graph for _ in range(2)
    )
    for name, constant in first.constants.items():
        assert np.array_equal(constant.values, second.constants[name].values)


def test_bf16_learns_what_float32_learns(graph: Graph, data: Arrays) -> None:
    def score(module: nn.Module) -> float:
        return float((predict(module, data.x).argmax(1) == data.y).mean())

    recipes = [replace(RECIPE, epochs=6, compute=chosen) for chosen in (FLOAT32, BF16)]
    full, half = (train(graph, data, nn.functional.cross_entropy, r, score).history for r in recipes)
    assert full[-1].score > 0.9
    assert half[-1].score > 0.9
    assert half[0].loss != full[0].loss
    assert half[0].loss == pytest.approx(full[0].loss, rel=0.02)


def test_gates_keep_their_gradients_in_float32(graph: Graph, data: Arrays) -> None:
    slopes = []
    for chosen in (FLOAT32, BF16):
        gates = {group: torch.ones(width, requires_grad=True) for group, width in graph.widths.items()}
        module = make_module(graph, replace(RECIPE, compute=chosen), addressed=True)
        found = module(torch.from_numpy(data.x), gates=gates)
        nn.functional.cross_entropy(found, torch.from_numpy(data.y)).backward()
        slopes.append(torch.cat([g.grad for g in gates.values() if g.grad is not None]))
    assert slopes[1].dtype == torch.float32
    assert float(nn.functional.cosine_similarity(slopes[0], slopes[1], dim=0)) > 0.98


@pytest.mark.parametrize("fast", [False, True])
def test_auto_asks_the_machine_and_the_work(
    monkeypatch: pytest.MonkeyPatch, graph: Graph, fast: bool
) -> None:
    monkeypatch.setattr(compute, "is_fast_in_bf16", lambda device: fast)
    enough = int(np.ceil(BF16_MACS / convolution_macs(graph)))
    assert Compute().is_bf16(graph, enough) is fast
    assert not Compute().is_bf16(graph, enough - 1)
    assert Compute(precision="bf16").is_bf16(graph, 1)
    assert not Compute(precision="float32").is_bf16(graph, enough)


def test_depthwise_and_linear_layers_are_no_reason_for_bf16() -> None:
    graph = trace(DSCNN((1, 16, 8), 4, width=8), (1, 16, 8), "separable")
    stem, pointwise = 8 * 4 * 8 * 5 * 5, 4 * 8 * 4 * 8 * 8
    assert convolution_macs(graph) == stem + pointwise


def test_cuda_that_is_absent_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    with pytest.raises(UsageError, match=r"--device cuda: torch .* use --device cpu or auto"):
        Compute("cuda").find_device()
    assert Compute("auto").find_device() == torch.device("cpu")


def test_cuda_is_taken_where_present(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    assert Compute("auto").find_device().type == "cuda"
    assert Compute("cpu").find_device().type == "cpu"


@pytest.mark.parametrize(("flag", "value"), [("device", "tpu"), ("precision", "int4")])
def test_unknown_values_are_refused(graph: Graph, flag: str, value: str) -> None:
    with pytest.raises(UsageError, match=value):
        load_config(None, {flag: value})
    with pytest.raises(UsageError, match=f"--{flag} {value}: choose auto"):
        make_module(graph, Recipe(compute=Compute(**{flag: value})))


def test_both_are_part_of_the_written_run() -> None:
    text = RunConfig(device="cpu", precision="bf16").to_toml()
    assert 'device = "cpu"' in text
    assert 'precision = "bf16"' in text
