"""Small quantized networks for the tests of generated code, all from a seed."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from mcuprune.graph import ir
from mcuprune.graph.ir import Quantization, QuantizedGraph, Window
from mcuprune.quantize.multipliers import marked
from mcuprune.quantize.scheme import FIXED_OUTPUT, SOFTMAX_OUTPUT

Size = int | tuple[int, int]


class Builder:
    """Grows a QuantizedGraph node by node; every method returns the new tensor's name.

    With ``trained`` tensors are quantized as training leaves those behind a ReLU: from 0 on, so that no layer
    has to clamp.  ``sharing`` is how probably scales of a layer's weights are powers of two times each other.
    """

    def __init__(
        self, name: str, shape: tuple[int, ...], seed: int = 0, trained: bool = False, sharing: float = 0.0
    ) -> None:
        self.name, self.rng, self.trained = name, np.random.default_rng(seed), trained
        self.sharing = sharing
        self.nodes: list[ir.Node] = []
        self.shapes: dict[str, tuple[int, ...]] = {}
        self.quantization: dict[str, Quantization] = {}
        self.constants: dict[str, ir.Constant] = {}
        self._add(ir.Input("input", ()), shape, Quantization(0.03125, 3))

    def graph(self, *outputs: str) -> QuantizedGraph:
        return marked(
            QuantizedGraph(
                self.name, tuple(self.nodes), outputs, self.shapes, self.quantization, self.constants
            )
        )

    def conv(
        self,
        x: str,
        channels: int,
        kernel: Size = 3,
        stride: Size = 1,
        pad: int | None = None,
        activation: str | None = "relu",
        bias: bool = True,
    ) -> str:
        name, weight = self._names("conv")
        window, in_c = self._window(kernel, stride, pad), self.shapes[x][2]
        taps = int(np.prod(window.kernel))
        self._weights(weight, (channels, *window.kernel, in_c), channels, taps * in_c, x, bias)
        node = ir.Conv2d(name, (x,), weight, f"{weight}_bias" if bias else None, window, activation)
        return self._add(node, (*window.output_size(*self.shapes[x][:2]), channels), self._target())

    def depthwise(self, x: str, multiplier: int = 1, stride: Size = 1, kernel: Size = 3) -> str:
        name, weight = self._names("depthwise")
        window = self._window(kernel, stride)
        channels, taps = self.shapes[x][2] * multiplier, int(np.prod(window.kernel))
        self._weights(weight, (*window.kernel, channels), channels, taps, x, True)
        node = ir.DepthwiseConv2d(name, (x,), weight, f"{weight}_bias", window, multiplier, "relu6")
        return self._add(node, (*window.output_size(*self.shapes[x][:2]), channels), self._target())

    def linear(self, x: str, channels: int, per_channel: bool = True, activation: str | None = None) -> str:
        name, weight = self._names("linear")
        in_c = self.shapes[x][0]
        self._weights(weight, (channels, in_c), channels if per_channel else 1, in_c, x, True, channels)
        node = ir.Linear(name, (x,), weight, f"{weight}_bias", activation, one_scale=not per_channel)
        return self._add(node, (channels,), self._target())

    def pool(self, x: str, kind: type[ir.Node], kernel: int = 2, stride: int = 2, pad: int = 0) -> str:
        window = self._window(kernel, stride, pad)
        node = kind(self._names("pool")[0], (x,), window)  # type: ignore[call-arg]
        size = window.output_size(*self.shapes[x][:2])
        return self._add(node, (*size, self.shapes[x][2]), self.quantization[x])

    def global_pool(self, x: str) -> str:
        height, width, channels = self.shapes[x]
        node = ir.AveragePool2d(self._names("mean")[0], (x,), Window((height, width)))
        return self._add(node, (1, 1, channels), self.quantization[x])

    def join(self, kind: type[ir.Node], a: str, b: str) -> str:
        scale = self.quantization[a].scale * (1.5 if kind is ir.Add else self.quantization[b].scale * 40)
        name = self._names(kind.__name__.lower())[0]
        target = replace(self._target(), scale=float(np.float32(scale)))
        return self._add(kind(name, (a, b)), max(self.shapes[a], self.shapes[b], key=np.prod), target)

    def concat(self, *tensors: str) -> str:
        for name in tensors:
            self.quantization[name] = self.quantization[tensors[0]]
        channels = sum(self.shapes[name][-1] for name in tensors)
        node = ir.Concat(self._names("concat")[0], tensors)
        return self._add(node, (*self.shapes[tensors[0]][:-1], channels), self.quantization[tensors[0]])

    def activation(self, x: str, function: str, gain: float = 1.0) -> str:
        target = FIXED_OUTPUT.get(
            function, Quantization(0.0078125, 0) if function == "sine" else self._target()
        )
        return self._add(
            ir.Activation(self._names(function)[0], (x,), function, gain), self.shapes[x], target
        )

    def pad(self, x: str, padding: tuple[int, int, int, int]) -> str:
        height, width, channels = self.shapes[x]
        size = (height + padding[0] + padding[2], width + padding[1] + padding[3], channels)
        return self._add(ir.Pad(self._names("pad")[0], (x,), padding), size, self.quantization[x])

    def flatten(self, x: str) -> str:
        size = (int(np.prod(self.shapes[x])),)
        return self._add(ir.Flatten(self._names("flatten")[0], (x,)), size, self.quantization[x])

    def softmax(self, x: str) -> str:
        return self._add(ir.Softmax(self._names("softmax")[0], (x,)), self.shapes[x], SOFTMAX_OUTPUT)

    def _names(self, word: str) -> tuple[str, str]:
        name = f"{word}{len(self.nodes)}"
        return name, f"{name}.weight"

    def _window(self, kernel: Size, stride: Size, pad: int | None = None) -> Window:
        """Padded by half the kernel, or as told."""
        high, wide = kernel if isinstance(kernel, tuple) else (kernel, kernel)
        down, right = stride if isinstance(stride, tuple) else (stride, stride)
        pads = (high // 2, wide // 2) if pad is None else (pad, pad)
        return Window((high, wide), (down, right), pads * 2)

    def _target(self) -> Quantization:
        if self.trained:
            return Quantization(float(np.float32(self.rng.uniform(0.01, 6.0 / 255.0))), -128)
        return Quantization(float(np.float32(self.rng.uniform(0.02, 0.06))), int(self.rng.integers(-128, 40)))

    def _weights(
        self, name: str, shape: tuple[int, ...], scales: int, taps: int, x: str, bias: bool, out: int = 0
    ) -> None:
        scale = (self.rng.uniform(0.5, 1.5, scales) / (64 * np.sqrt(taps))).astype(np.float32)
        if self.sharing and self.rng.random() < self.sharing:
            scale = scale[0] * np.exp2(self.rng.integers(-2, 2, scales)).astype(np.float32)
        values = self.rng.integers(-127, 128, shape).astype(np.int8)
        self.constants[name] = ir.Constant(values, scale)
        if bias:
            size = out or scales
            unit = np.float32(self.quantization[x].scale) * scale
            biases = self.rng.integers(-2000, 2000, size).astype(np.int32)
            self.constants[f"{name}_bias"] = ir.Constant(biases, np.broadcast_to(unit, size))

    def _add(self, node: ir.Node, shape: tuple[int, ...], quantization: Quantization) -> str:
        self.nodes.append(node)
        self.shapes[node.name] = tuple(int(size) for size in shape)
        self.quantization[node.name] = quantization
        return node.name


def plain(seed: int = 0) -> QuantizedGraph:
    """A small classifier: convolutions, pooling, a linear layer, softmax."""
    b = Builder("plain", (8, 8, 1), seed)
    x = b.conv("input", 4)
    x = b.pool(x, ir.MaxPool2d)
    x = b.conv(x, 6, stride=2, activation="relu6")
    x = b.linear(b.flatten(x), 5)
    return b.graph(b.softmax(x))


def residual(seed: int = 0) -> QuantizedGraph:
    b = Builder("residual", (6, 6, 3), seed)
    x = b.conv("input", 5)
    y = b.conv(b.conv(x, 5), 5, activation=None, bias=False)
    x = b.join(ir.Add, x, y)
    short = b.conv(x, 7, kernel=1, stride=2, pad=0, activation=None)
    y = b.conv(b.conv(x, 7, stride=2), 7, activation=None)
    x = b.join(ir.Add, y, short)
    return b.graph(b.linear(b.flatten(b.global_pool(x)), 4, per_channel=False))


def separable(seed: int = 0) -> QuantizedGraph:
    """Depthwise-separable with squeeze-and-excitation."""
    b = Builder("separable", (7, 5, 2), seed, sharing=1.0)
    x = b.conv(b.depthwise("input", multiplier=3), 8, kernel=1)
    gate = b.conv(b.conv(b.global_pool(x), 2, kernel=1), 8, kernel=1, activation=None)
    x = b.join(ir.Mul, x, b.activation(gate, "hard_sigmoid"))
    x = b.conv(b.depthwise(x, stride=2, kernel=5), 6, kernel=1)
    return b.graph(b.activation(x, "hard_swish"))


def branches(seed: int = 0) -> QuantizedGraph:
    b = Builder("branches", (6, 6, 4), seed)
    left = b.conv("input", 3, kernel=1)
    right = b.conv(b.conv("input", 2, kernel=1), 5)
    pooled = b.pool("input", ir.AveragePool2d, kernel=3, stride=1, pad=1)
    x = b.concat(left, right, b.conv(pooled, 2, kernel=1))
    x = b.pad(x, (1, 0, 0, 1))
    return b.graph(b.pool(b.activation(x, "leaky_relu"), ir.AveragePool2d, kernel=7, stride=7))


def siren(seed: int = 0) -> QuantizedGraph:
    """Coordinates to values through sines."""
    b = Builder("siren", (2,), seed)
    x = b.activation(b.linear("input", 6), "sine", gain=30.0)
    x = b.activation(b.linear(x, 6), "sine")
    return b.graph(b.activation(b.linear(x, 3), "sigmoid"))


def perceptron(seed: int = 0) -> QuantizedGraph:
    b = Builder("perceptron", (9,), seed)
    x = b.activation(b.linear("input", 7), "tanh")
    return b.graph(b.linear(x, 3, activation="relu", per_channel=False))


MODELS = (plain, residual, separable, branches, siren, perceptron)


def inputs_of(graph: QuantizedGraph, count: int, seed: int = 1) -> np.ndarray:
    """int8 ``(count, *shape)``; the first is all -128, the second all 127."""
    values = np.random.default_rng(seed).integers(-128, 128, (count, *graph.shape(graph.inputs[0])))
    values[:1], values[1:2] = -128, 127
    return values.astype(np.int8)
