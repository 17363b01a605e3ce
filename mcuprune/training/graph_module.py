"""A Graph as a trainable torch module.

Gates scale the *input columns of every reader that mixes channels* (convolution and linear weights), never
the activations.  A gate of zero is then exactly the removal of the channel, whatever stands between producer
and reader (depthwise convolution, residual addition, sigmoid(0) = 0.5, folded biases), and costs weight-sized
work.

``run`` is functional: it takes parameters and buffers as mappings and works under ``torch.func``.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from functools import singledispatch
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from mcuprune.errors import UnsupportedError
from mcuprune.graph.channels import constant_axes
from mcuprune.graph.ir import (
    Activation,
    Add,
    AveragePool2d,
    Axis,
    BatchNorm,
    Block,
    Concat,
    Conv2d,
    DepthwiseConv2d,
    Flatten,
    Graph,
    Linear,
    MaxPool2d,
    Mul,
    Node,
    Pad,
    Softmax,
    Window,
    unsupported,
)
from mcuprune.training.lanes import NO_LANES, Lanes

Gates = Mapping[str, Tensor]  # group -> (width,) multipliers
Hook = Callable[[str, Tensor], Tensor]  # (constant or tensor name, value) -> value to use instead
MOMENTUM = 0.1
# Up to here a pointwise convolution of a batch takes half to all of its time as a product of matrices: what a
# convolution costs beside its arithmetic is more (measured on one thread with AVX-512).
FEW_POSITIONS, FEW_MACS = 1700, 1e6
POINTWISE = Window((1, 1))


class GraphModule(nn.Module):
    """Parameters and batch statistics of a Graph, keyed by constant name.

    Inputs and outputs are NHWC (or vectors) with a leading batch dimension, float32.  Weights keep the
    graph's layout (OHWI), which is torch's channels-last layout seen through a permutation.

    With ``bf16`` convolutions and linear layers of training compute in bfloat16; parameters, batch
    statistics, outputs, evaluation and everything with an ``activation`` hook (int8) stay float32.
    Gates may lie on another device than the module: what is decided stays where decisions are taken.
    With ``lanes`` parameters and statistics hold spare channels; those of a module with gates cannot.
    """

    def __init__(self, graph: Graph, bf16: bool = False, lanes: Lanes = NO_LANES) -> None:
        super().__init__()
        self.graph, self.bf16, self.lanes = graph, bf16, lanes
        statistics = {
            n for node in graph.nodes if isinstance(node, BatchNorm) for n in (node.mean, node.variance)
        }
        self.values = nn.ParameterDict()
        self.statistics = nn.ParameterDict()
        for name, constant in graph.constants.items():
            value = lanes.widened(name, torch.from_numpy(np.array(constant.values, np.float32)))
            if name in statistics:
                self.statistics[_key(name)] = nn.Parameter(value, requires_grad=False)
            else:
                self.values[_key(name)] = nn.Parameter(value)

    def state(self) -> tuple[dict[str, Tensor], dict[str, Tensor]]:
        """Parameters and statistics by constant name, the live tensors."""
        names = {_key(name): name for name in self.graph.constants}
        return (
            {names[k]: v for k, v in self.values.items()},
            {names[k]: v for k, v in self.statistics.items()},
        )

    def forward(
        self,
        x: Tensor,
        gates: Gates | None = None,
        weight: Hook | None = None,
        activation: Hook | None = None,
    ) -> Tensor:
        parameters, statistics = self.state()
        bf16 = self.bf16 and self.training and activation is None
        with torch.autocast(x.device.type, torch.bfloat16, enabled=bf16):
            result = run(self.graph, parameters, statistics, x, gates, weight, activation, self.training)
        return result.float() if bf16 else result

    def to_graph(self) -> Graph:
        """The graph with this module's current values."""
        parameters, statistics = self.state()
        constants = dict(self.graph.constants)
        for name, value in (parameters | statistics).items():
            narrow = self.lanes.narrowed(name, value.detach()).cpu()
            constants[name] = replace(constants[name], values=narrow.numpy().copy())
        return replace(self.graph, constants=constants)


class Seen(torch.nn.Module):
    """A module seen through gates, masks or quantization, for evaluation."""

    def __init__(self, module: GraphModule, transforms: Mapping[str, Any]) -> None:
        super().__init__()
        self.module, self.transforms = module, transforms

    def forward(self, x: Tensor) -> Tensor:
        result: Tensor = self.module(x, **self.transforms)
        return result


def _key(name: str) -> str:
    return name.replace(".", "/")  # ParameterDict keys may not contain dots


def run(
    graph: Graph,
    parameters: Mapping[str, Tensor],
    statistics: Mapping[str, Tensor],
    x: Tensor,
    gates: Gates | None = None,
    weight: Hook | None = None,
    activation: Hook | None = None,
    training: bool = False,
) -> Tensor:
    """Outputs for a batch.  With ``training`` batch norm uses (and, if given, updates) batch statistics."""
    if len(graph.inputs) != 1 or len(graph.outputs) != 1:
        raise UnsupportedError(f"model '{graph.name}': training needs one input and one output")
    scope = _Scope(graph, parameters, statistics, gates or {}, weight, activation, training)
    values: dict[str, Tensor] = {}
    for node in graph.nodes:
        if not node.inputs:
            value = x.permute(0, 3, 1, 2) if x.dim() == 4 else x
        else:
            value = evaluate(node, scope, tuple(values[name] for name in node.inputs))
        values[node.name] = value if activation is None else activation(node.name, value)
    result = values[graph.outputs[0]]
    return result.permute(0, 2, 3, 1) if result.dim() == 4 else result


class _Scope:
    """What evaluation of one batch may look at."""

    def __init__(
        self,
        graph: Graph,
        parameters: Mapping[str, Tensor],
        statistics: Mapping[str, Tensor],
        gates: Gates,
        weight: Hook | None,
        activation: Hook | None,
        training: bool,
    ) -> None:
        self.graph, self.parameters, self.statistics = graph, parameters, statistics
        self.gates, self.weight_hook, self.training = gates, weight, training

    def weight(self, name: str) -> Tensor:
        value = self.parameters[name]
        return value if self.weight_hook is None else self.weight_hook(name, value)

    def gated(self, node: Conv2d | Linear) -> Tensor:
        """The weight with its input columns scaled by the gates of the channels that it reads."""
        value = self.weight(node.weight)
        factors = gates_before(node, self.graph, self.gates)
        return value if factors is None else value * factors.to(value.device)

    def bias(self, node: Conv2d | DepthwiseConv2d | Linear) -> Tensor | None:
        return None if node.bias is None else self.parameters[node.bias]


def fold_gates(graph: Graph, gates: Mapping[str, Tensor]) -> Graph:
    """``graph`` with the gates of its groups multiplied into the weights behind them."""
    constants = dict(graph.constants)
    for node in graph.nodes:
        if isinstance(node, Conv2d | Linear):
            factors = gates_before(node, graph, gates)
            if factors is not None:
                weight = constants[node.weight]
                constants[node.weight] = replace(weight, values=weight.values * factors.detach().numpy())
    return replace(graph, constants=constants)


def gates_before(node: Conv2d | Linear, graph: Graph, gates: Gates) -> Tensor | None:
    """Gates of the channels that ``node`` reads; None where none of them has any."""
    axis = graph.tensors[node.inputs[0]].channels
    if not any(block.group in gates for block in axis):
        return None
    return gate_vector(axis, graph.widths, gates)


def gate_vector(axis: Axis, widths: Mapping[str, int], gates: Gates) -> Tensor:
    """Gate of every element along a channel axis; differentiable."""
    blocks = [_expand(block, widths[block.group], gates) for block in axis]
    return blocks[0] if len(blocks) == 1 else torch.cat(blocks)


def _expand(block: Block, width: int, gates: Gates) -> Tensor:
    gate = gates.get(block.group)
    if gate is None:
        like = next(iter(gates.values()))
        gate = torch.ones(width, dtype=like.dtype, device=like.device)
    return gate.repeat_interleave(block.size).repeat(block.repeat) if block != Block(block.group) else gate


@singledispatch
def evaluate(node: Node, scope: _Scope, inputs: tuple[Tensor, ...]) -> Tensor:
    """Value of a node; feature maps are NCHW (channels last in memory) inside."""
    raise unsupported(node, "training")


@evaluate.register
def _(node: Conv2d, scope: _Scope, inputs: tuple[Tensor, ...]) -> Tensor:
    weight, bias = scope.gated(node), scope.bias(node)
    x, window = _unstrided(inputs[0], node.window)
    if window == POINTWISE and _is_few(x, weight):
        pixels = F.linear(x.permute(0, 2, 3, 1), weight.flatten(1), bias)
        return clamp(pixels.permute(0, 3, 1, 2), node.activation)
    x, padding = _padding(x, window.padding)
    result = F.conv2d(x, weight.permute(0, 3, 1, 2), bias, window.stride, padding, window.dilation)
    return clamp(result, node.activation)


@evaluate.register
def _(node: DepthwiseConv2d, scope: _Scope, inputs: tuple[Tensor, ...]) -> Tensor:
    weight = scope.weight(node.weight).permute(2, 0, 1).unsqueeze(1)
    x, window = _unstrided(inputs[0], node.window)
    x, padding = _padding(x, window.padding)
    result = F.conv2d(x, weight, scope.bias(node), window.stride, padding, window.dilation, groups=x.shape[1])
    return clamp(result, node.activation)


@evaluate.register
def _(node: Linear, scope: _Scope, inputs: tuple[Tensor, ...]) -> Tensor:
    return clamp(F.linear(inputs[0], scope.gated(node), scope.bias(node)), node.activation)


@evaluate.register
def _(node: BatchNorm, scope: _Scope, inputs: tuple[Tensor, ...]) -> Tensor:
    mean, variance = scope.statistics.get(node.mean), scope.statistics.get(node.variance)
    gamma, beta = scope.parameters[node.gamma], scope.parameters[node.beta]
    return F.batch_norm(inputs[0], mean, variance, gamma, beta, scope.training, MOMENTUM, node.epsilon)


@evaluate.register
def _(node: Activation, scope: _Scope, inputs: tuple[Tensor, ...]) -> Tensor:
    functions: dict[str, Callable[[Tensor], Tensor]] = {
        "relu": F.relu,
        "relu6": F.relu6,
        "leaky_relu": lambda x: F.leaky_relu(x, node.slope),
        "hard_swish": F.hardswish,
        "hard_sigmoid": F.hardsigmoid,
        "sigmoid": torch.sigmoid,
        "tanh": torch.tanh,
        "sine": torch.sin,
    }
    if node.function not in functions:
        raise UnsupportedError(
            f"layer '{node.name}': training does not support the activation '{node.function}'"
        )
    return functions[node.function](inputs[0] if node.gain == 1.0 else inputs[0] * node.gain)


@evaluate.register
def _(node: MaxPool2d, scope: _Scope, inputs: tuple[Tensor, ...]) -> Tensor:
    x, padding = _padding(inputs[0], node.window.padding, value=float("-inf"))
    return clamp(F.max_pool2d(x, node.window.kernel, node.window.stride, padding), node.activation)


@evaluate.register
def _(node: AveragePool2d, scope: _Scope, inputs: tuple[Tensor, ...]) -> Tensor:
    x, window = inputs[0], node.window
    top, left, bottom, right = window.padding
    if (top, left) == (bottom, right):
        result = F.avg_pool2d(x, window.kernel, window.stride, (top, left), count_include_pad=False)
    else:
        area = window.kernel[0] * window.kernel[1]
        padded = F.pad(x, (left, right, top, bottom))
        inside = F.pad(torch.ones_like(x[:1, :1]), (left, right, top, bottom))
        total, count = (F.avg_pool2d(t, window.kernel, window.stride) * area for t in (padded, inside))
        result = total / count
    return clamp(result, node.activation)


@evaluate.register
def _(node: Add, scope: _Scope, inputs: tuple[Tensor, ...]) -> Tensor:
    return clamp(inputs[0] + inputs[1], node.activation)


@evaluate.register
def _(node: Mul, scope: _Scope, inputs: tuple[Tensor, ...]) -> Tensor:
    return clamp(inputs[0] * inputs[1], node.activation)


@evaluate.register
def _(node: Concat, scope: _Scope, inputs: tuple[Tensor, ...]) -> Tensor:
    return torch.cat(inputs, dim=1)


@evaluate.register
def _(node: Flatten, scope: _Scope, inputs: tuple[Tensor, ...]) -> Tensor:
    x = inputs[0]
    return x if x.dim() == 2 else x.permute(0, 2, 3, 1).flatten(1)


@evaluate.register
def _(node: Pad, scope: _Scope, inputs: tuple[Tensor, ...]) -> Tensor:
    top, left, bottom, right = node.padding
    return F.pad(inputs[0], (left, right, top, bottom))


@evaluate.register
def _(node: Softmax, scope: _Scope, inputs: tuple[Tensor, ...]) -> Tensor:
    x = inputs[0].float() if inputs[0].dtype == torch.bfloat16 else inputs[0]
    return torch.softmax(node.gain * x, dim=1)


def _unstrided(x: Tensor, window: Window) -> tuple[Tensor, Window]:
    """A pointwise convolution with a stride as one without, of what it reads.

    Backward, torch 2.13 (oneDNN) writes beyond its memory for strided ones of fewer than eight channels where
    there is no AVX-512: a run crashed, or went on with spoiled numbers.
    """
    if window.kernel != (1, 1) or window.stride == (1, 1):
        return x, window
    top, left, bottom, right = window.padding
    padded = F.pad(x, (left, right, top, bottom)) if any(window.padding) else x
    return padded[:, :, :: window.stride[0], :: window.stride[1]], POINTWISE


def _is_few(x: Tensor, weight: Tensor) -> bool:
    positions = x.shape[0] * x.shape[2] * x.shape[3]
    return positions <= FEW_POSITIONS and positions * weight.numel() <= FEW_MACS


def clamp(x: Tensor, activation: str | None) -> Tensor:
    if activation is None:
        return x
    return F.relu(x) if activation == "relu" else F.relu6(x)


def _padding(
    x: Tensor, padding: tuple[int, int, int, int], value: float = 0.0
) -> tuple[Tensor, tuple[int, int]]:
    """The input, padded first where torch's symmetric padding cannot express it, and what is left to pad."""
    top, left, bottom, right = padding
    if (top, left) == (bottom, right) and value == 0.0:
        return x, (top, left)
    return (x if padding == (0, 0, 0, 0) else F.pad(x, (left, right, top, bottom), value=value)), (0, 0)


def reinitialise(graph: Graph, initial: Graph, seed: int) -> Graph:
    """Fresh weights to train ``graph`` from scratch (Liu et al. 2019), drawn like the untrained ``initial``.

    ``graph`` is ``initial`` with channels removed.  Every constant is drawn from the values that the user's
    own initialisation gave it, scaled by ``sqrt(fan_in of initial / fan_in of graph)``, so that SIREN, He and
    Glorot initialisations all keep their variance rule.
    """
    generator = np.random.default_rng(seed)
    constants = dict(graph.constants)
    for node in graph.nodes:
        gain = 1.0
        if isinstance(node, Conv2d | DepthwiseConv2d | Linear):
            gain = float(np.sqrt(fan_in(initial, node) / fan_in(graph, node)))
        for name in constant_axes(node, graph):
            source, shape = initial.constants[name].values, constants[name].values.shape
            drawn = generator.choice(source.reshape(-1), size=shape) * gain
            constants[name] = replace(constants[name], values=drawn.astype(np.float32))
    return replace(graph, constants=constants)


def fan_in(graph: Graph, node: Conv2d | DepthwiseConv2d | Linear) -> int:
    """Products summed into one output element."""
    shape = graph.constants[node.weight].values.shape
    return int(np.prod(shape[:2] if isinstance(node, DepthwiseConv2d) else shape[1:]))
