"""A captured graph computes what the module computes, as it is, after the passes, and by way of ONNX."""

from __future__ import annotations

import warnings

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn
from torch.nn import functional as F

from mcuprune.frontends import onnx
from mcuprune.frontends.torch_export import trace
from mcuprune.graph.ir import Activation, BatchNorm, Conv2d, DepthwiseConv2d, Flatten, Graph
from mcuprune.graph.passes import run_passes
from mcuprune.graph.run_float import run_float


class Residual(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.stem = nn.Conv2d(3, 8, 3, padding=1, bias=False)
        self.bn = nn.BatchNorm2d(8)
        self.a = nn.Sequential(nn.Conv2d(8, 16, 3, 2, 1), nn.BatchNorm2d(16), nn.ReLU(inplace=True))
        self.b = nn.Sequential(nn.Conv2d(16, 16, 3, 1, 1), nn.BatchNorm2d(16))
        self.skip = nn.Conv2d(8, 16, 1, 2)
        self.fc = nn.Linear(16, 5)

    def forward(self, x):
        x = F.relu(self.bn(self.stem(x)))
        x = F.relu(self.b(self.a(x)) + self.skip(x))
        return self.fc(x.mean((2, 3)))


class Separable(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.body = nn.Sequential(
            nn.Conv2d(2, 12, (5, 3), stride=(2, 1), padding=(2, 0), groups=2, bias=False),  # multiplier 6
            nn.BatchNorm2d(12),
            nn.ReLU6(),
            nn.Conv2d(12, 8, 1),
            nn.BatchNorm2d(8),
            nn.Hardswish(),
            nn.ConstantPad2d((0, 1, 0, 1), 0.0),
            nn.Conv2d(8, 8, 3, stride=2, groups=8, dilation=2, padding=2),
            nn.LeakyReLU(0.2, inplace=True),
            nn.Dropout2d(0.2, inplace=True),
        )
        self.head = nn.Sequential(nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Dropout(0.5), nn.Linear(8, 4))

    def forward(self, x):
        return self.head(self.body(x)).softmax(-1)


class ConcatFlatten(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.a = nn.Conv2d(3, 4, 3, padding="same")
        self.b = nn.Conv2d(3, 6, 2, padding="same")
        self.fc0 = nn.Linear(10 * 16 + 6 * 64, 7)
        self.fc1 = nn.Linear(7, 3)

    def forward(self, x):
        a, b = self.a(x), self.b(x)
        pooled = F.max_pool2d(torch.cat([a, b], 1), 3, 2, 1).flatten(1)
        both = torch.cat([F.dropout(pooled.tanh(), training=self.training), b.view(b.size(0), -1)], dim=-1)
        return self.fc1(torch.sigmoid(self.fc0(both)))


class SqueezeExcite(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.conv = nn.Conv2d(3, 8, 3, bias=False)
        self.norm = nn.BatchNorm2d(8)
        self.down, self.up = nn.Linear(8, 4), nn.Linear(4, 8)
        self.out = nn.Conv2d(8, 2, 1)

    def forward(self, x):
        x = F.silu(self.norm(self.conv(2 * x - 1)))
        gate = F.adaptive_avg_pool2d(x, 1).view(x.size(0), 8)
        gate = torch.sigmoid(self.up(F.relu(self.down(gate))))
        x = x * gate.view(x.size(0), 8, 1, 1)
        return F.avg_pool2d(self.out(x), 2, padding=1)


class Preactivation(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.bn0, self.conv0 = nn.BatchNorm2d(3), nn.Conv2d(3, 6, 3)
        self.bn1, self.fc = nn.BatchNorm1d(6), nn.Linear(6, 4)

    def forward(self, x):
        x = self.conv0(F.relu(self.bn0(x)))
        x = torch.amax(F.hardsigmoid(x) * x, (2, 3))
        return self.fc(self.bn1(x)) / 3


class OldHardSwish(nn.Module):
    """As written before PyTorch had the function: x * relu6(x + 3) / 6."""

    def __init__(self) -> None:
        super().__init__()
        self.conv, self.scale = nn.Conv2d(2, 4, 1), nn.Parameter(torch.rand(4, 1, 1))

    def forward(self, x):
        x = self.conv(x)
        x = x * F.relu6(x + 3) / 6
        return x + 0.5 * self.scale * x


class Siren(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.layers = nn.ModuleList([nn.Linear(2, 16), nn.Linear(16, 16)])
        self.out = nn.Linear(16, 3)

    def forward(self, x):
        for layer in self.layers:
            x = torch.sin(30.0 * layer(x))
        return self.out(x)


class Audio(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.body = nn.Sequential(
            nn.Conv1d(2, 6, 5, stride=2, padding=2),
            nn.BatchNorm1d(6),
            nn.ReLU(),
            nn.MaxPool1d(2),
            nn.Conv1d(6, 6, 3, groups=6, padding="same"),
            nn.AvgPool1d(3, 1, 1, count_include_pad=False),
        )
        self.fc = nn.Linear(6 * 5, 3)

    def forward(self, x):
        return self.fc(self.body(x).flatten(1))


def vgg() -> nn.Module:
    return nn.Sequential(
        nn.Conv2d(3, 8, 3, padding=1),
        nn.BatchNorm2d(8),
        nn.ReLU(inplace=True),
        nn.MaxPool2d(2),
        nn.Conv2d(8, 12, 3, padding=1),
        nn.ReLU(inplace=True),
        nn.MaxPool2d(2, ceil_mode=True),
        nn.Flatten(),
        nn.Linear(12 * 9, 16),
        nn.BatchNorm1d(16),
        nn.ReLU(),
        nn.Linear(16, 10),
    )


def mlp() -> nn.Module:
    return nn.Sequential(nn.Linear(20, 12), nn.BatchNorm1d(12), nn.Tanh(), nn.Identity(), nn.Linear(12, 4))


def image_mlp() -> nn.Module:
    return nn.Sequential(nn.Flatten(), nn.BatchNorm1d(48), nn.Linear(48, 6), nn.PReLU(), nn.Linear(6, 4))


MODELS = {
    "residual": (Residual, (3, 12, 12)),
    "separable": (Separable, (2, 13, 11)),
    "concat_flatten": (ConcatFlatten, (3, 8, 8)),
    "squeeze_excite": (SqueezeExcite, (3, 7, 7)),
    "preactivation": (Preactivation, (3, 6, 6)),
    "old_hard_swish": (OldHardSwish, (2, 4, 4)),
    "siren": (Siren, (2,)),
    "audio": (Audio, (2, 20)),
    "vgg": (vgg, (3, 12, 12)),
    "mlp": (mlp, (20,)),
    "image_mlp": (image_mlp, (3, 4, 4)),
}


def lively(module: nn.Module) -> nn.Module:
    """Random statistics and affine parameters, so that every constant matters."""
    for part in module.modules():
        if isinstance(part, nn.BatchNorm1d | nn.BatchNorm2d):
            for values, low, high in (
                (part.weight, 0.5, 1.5),
                (part.bias, -0.5, 0.5),
                (part.running_mean, -0.5, 0.5),
                (part.running_var, 0.3, 2.0),
            ):
                nn.init.uniform_(values, low, high)
    return module.eval()


def make(key: str) -> tuple[nn.Module, tuple[int, ...]]:
    torch.manual_seed(3)
    factory, shape = MODELS[key]
    return lively(factory()), shape


def assert_same(graph: Graph, module: nn.Module, shape: tuple[int, ...]) -> None:
    x = torch.randn(4, *shape, generator=torch.Generator().manual_seed(1))
    with torch.no_grad():
        wanted = module(x).numpy()
    ours = np.moveaxis(x.numpy(), 1, -1).reshape(4, *graph.shape(graph.inputs[0]))
    found = np.moveaxis(run_float(graph, ours), -1, 1).reshape(wanted.shape)
    assert np.max(np.abs(found - wanted)) <= 1e-4 * np.max(np.abs(wanted))


@pytest.mark.parametrize("key", MODELS)
def test_captured_graph_and_passes(key):
    module, shape = make(key)
    graph = trace(module, shape, key)
    assert_same(graph, module, shape)
    simple = run_passes(graph)
    assert_same(simple, module, shape)
    assert not any(isinstance(node, BatchNorm) for node in simple.nodes)
    assert run_passes(simple).nodes == simple.nodes


@pytest.mark.parametrize("dynamic", [False, True])
@pytest.mark.parametrize("key", MODELS)
def test_by_way_of_onnx(key, dynamic, tmp_path):
    module, shape = make(key)
    path = tmp_path / "model.onnx"
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        torch.onnx.export(
            module,
            (torch.randn(1, *shape),),
            str(path),
            dynamo=False,
            opset_version=17 if dynamic else 11,
            input_names=["x"],
            dynamic_axes={"x": {0: "batch"}} if dynamic else None,
        )
    graph = onnx.load(path)
    assert graph.name == "model"
    assert_same(graph, module, shape)
    assert_same(run_passes(graph), module, shape)


@settings(deadline=None, max_examples=30)
@given(
    kernel=st.tuples(st.integers(1, 5), st.integers(1, 4)),
    stride=st.tuples(st.integers(1, 3), st.integers(1, 2)),
    dilation=st.tuples(st.integers(1, 2), st.integers(1, 2)),
    padding=st.one_of(st.just("same"), st.just("valid"), st.tuples(st.integers(0, 2), st.integers(0, 3))),
    kind=st.sampled_from([(1, 3), (4, 4), (4, 8)]),
    size=st.tuples(st.integers(9, 12), st.integers(9, 11)),
)
def test_convolution_windows(kernel, stride, dilation, padding, kind, size):
    groups, out = kind
    stride = (1, 1) if padding == "same" else stride
    module = nn.Conv2d(4, out, kernel, stride, padding, dilation, groups).eval()
    graph = trace(module, (4, *size))
    assert isinstance(graph.nodes[-1], Conv2d if groups == 1 else DepthwiseConv2d)
    assert_same(graph, module, (4, *size))


@settings(deadline=None, max_examples=20)
@given(
    kernel=st.tuples(st.integers(2, 4), st.integers(2, 3)),
    stride=st.tuples(st.integers(1, 3), st.integers(1, 2)),
    padding=st.tuples(st.integers(0, 1), st.integers(0, 1)),
    kind=st.sampled_from(["max", "average", "average of real elements"]),
)
def test_pooling_windows(kernel, stride, padding, kind):
    if kind == "max":
        module = nn.MaxPool2d(kernel, stride, padding)
    else:
        module = nn.AvgPool2d(kernel, stride, padding, count_include_pad=kind == "average")
    assert_same(trace(module, (2, 9, 8)), module, (2, 9, 8))


def test_names_follow_the_module_paths():
    graph = trace(make("vgg")[0], (3, 12, 12), "my net")
    assert graph.name == "my_net"
    assert [node.name for node in graph.nodes][:5] == ["input", "layer_0", "layer_1", "layer_2", "layer_3"]
    names = [node.name for node in trace(make("residual")[0], (3, 12, 12)).nodes]
    assert {"stem", "bn", "relu", "a_0", "a_1", "a_2", "b_0", "skip", "add", "relu_2", "mean", "fc"} <= set(
        names
    )
    assert len(set(names)) == len(names)


def test_omega_is_the_gain_of_the_sine():
    graph = trace(Siren(), (2,))
    assert [n.gain for n in graph.nodes if isinstance(n, Activation)] == [30.0, 30.0]


def test_old_hard_swish_is_one_node():
    graph = trace(make("old_hard_swish")[0], (2, 4, 4))
    assert [n.function for n in graph.nodes if isinstance(n, Activation)] == ["hard_swish"]


def test_excitation_stays_a_map():
    """The vector gate is computed by 1x1 convolutions, since no node turns a vector into a map."""
    graph = trace(make("squeeze_excite")[0], (3, 7, 7))
    assert {"down", "up"} <= {n.name for n in graph.nodes if isinstance(n, Conv2d)}
    assert not any(isinstance(n, Flatten) for n in graph.nodes)


def test_training_mode_is_given_back():
    module = Residual()
    module.train()
    module.a.eval()
    before = {name: value.clone() for name, value in module.state_dict().items()}
    trace(module, (3, 12, 12))
    assert module.training
    assert not module.a[1].training
    assert module.bn.training
    assert all(torch.equal(value, before[name]) for name, value in module.state_dict().items())


def test_same_module_gives_the_same_graph():
    module = make("concat_flatten")[0]
    first, second = (trace(module, (3, 8, 8)) for _ in range(2))
    assert first.nodes == second.nodes
    assert list(first.constants) == list(second.constants)
    for name, constant in first.constants.items():
        assert constant.values.dtype == np.float32
        assert np.array_equal(constant.values, second.constants[name].values)


def test_scaled_and_unscaled_use_of_one_map():
    class Net(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.conv = nn.Conv2d(2, 3, 1)

        def forward(self, x):
            x = self.conv(x)
            return x * torch.sigmoid(1.7 * x)

    module = Net().eval()
    graph = trace(module, (2, 5, 5))
    assert_same(graph, module, (2, 5, 5))
    assert sum(isinstance(n, Conv2d) for n in graph.nodes) == 1


def test_weight_normalization_is_computed_once():
    module = nn.Sequential(nn.utils.parametrizations.weight_norm(nn.Linear(4, 3)), nn.ReLU()).eval()
    graph = trace(module, (4,))
    assert len(graph.nodes) == 3
    assert_same(graph, module, (4,))


def test_in_place_addition():
    class Net(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.a, self.b = nn.Conv2d(2, 2, 1), nn.Conv2d(2, 2, 1)

        def forward(self, x):
            y = self.a(x)
            z = F.relu_(y)  # y changes too
            y = y + self.b(z)
            y += z
            return y

    module = Net().eval()
    assert_same(trace(module, (2, 4, 4)), module, (2, 4, 4))


@pytest.mark.parametrize("dtype", [torch.float64, torch.float16, torch.bfloat16])
def test_other_float_types(dtype):
    graph = trace(nn.Conv2d(2, 3, 3).to(dtype), (2, 5, 5))
    assert {constant.values.dtype for constant in graph.constants.values()} == {np.dtype(np.float32)}


def test_several_outputs():
    class Net(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.conv, self.fc = nn.Conv2d(2, 3, 1), nn.Linear(3, 2)

        def forward(self, x):
            x = self.conv(x)
            return {"map": x, "class": self.fc(x.mean((-2, -1)))}

    graph = trace(Net(), (2, 4, 5))
    assert [graph.shape(output) for output in graph.outputs] == [(4, 5, 3), (2,)]
