"""From channels-first models to graphs: what the PyTorch and the ONNX frontend share.

Feature maps become NHWC and weights OHWI without a transpose ever being computed.  A flattened map is then
in another order than the source believes; each vector remembers the difference, and the linear layer that
finally reads it gets its columns permuted.  Constant factors and offsets wait until a layer can absorb them.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from mcuprune.frontends.pending import Pending
from mcuprune.frontends.value import Value
from mcuprune.graph.ir import (
    Activation,
    Add,
    AveragePool2d,
    BatchNorm,
    Concat,
    Conv2d,
    DepthwiseConv2d,
    Flatten,
    Graph,
    Input,
    Linear,
    MaxPool2d,
    Mul,
    Node,
    Pad,
    Softmax,
    Window,
)


class Builder(Pending):
    """Reads a model layer by layer: each method takes what a layer reads and returns what it makes."""

    def input(self, name: str, shape: tuple[int, ...]) -> Value:
        """A model input of the given shape in the source's layout, without the batch."""
        self.at(f"input '{name}'", name)
        if not 1 <= len(shape) <= 3 or any(size < 1 for size in shape):
            raise self.fail(
                f"has shape {shape}; (channels, height, width), (channels, length) or (features,) works"
            )
        value = Value("", shape)
        ours = (*value.size, value.channels) if value.is_map else shape
        return replace(value, tensor=self.emit(Input("", ()), ours))

    def window(
        self,
        kernel: Sequence[int],
        stride: Sequence[int] = (1, 1),
        padding: Sequence[int] = (0, 0, 0, 0),
        dilation: Sequence[int] = (1, 1),
    ) -> Window:
        """A checked window; one-dimensional kernels, strides and dilations get width 1."""
        (kh, kw), (sh, sw), (dh, dw) = ((*sizes, 1)[:2] for sizes in (kernel, stride, dilation))
        top, left, bottom, right = padding
        if min(kh, kw, sh, sw, dh, dw) < 1 or min(padding) < 0:
            raise self.fail(
                f"kernel {kernel}, stride {stride}, padding {padding}, dilation {dilation} is no window"
            )
        return Window((kh, kw), (sh, sw), (top, left, bottom, right), (dh, dw))

    def conv(
        self, x: Value, weight: np.ndarray, bias: np.ndarray | None, window: Window, groups: int = 1
    ) -> Value:
        """``weight`` is (out, in / groups, kernel height, kernel width), or without the width."""
        x = self._need_map(x, "a convolution")
        x = self.settle(x) if x.is_shifted else x
        weight = weight if weight.ndim == 4 else weight[..., None]
        out, per_group = weight.shape[:2]
        gain = x.spread("gain")
        if per_group * groups != x.channels:
            raise self.fail(f"its weights read {per_group * groups} channels, its input has {x.channels}")
        if groups == 1:
            ours = (weight * gain[:, None, None]).transpose(0, 2, 3, 1)
            return self._windowed(x, Conv2d("", (x.tensor,), "", None, window), out, weight=ours, bias=bias)
        if groups != x.channels or out % groups:
            raise self.fail(
                f"grouped convolution with {groups} groups of {per_group} channels; only groups=1 and "
                "depthwise (groups = input channels) work"
            )
        multiplier = out // groups
        ours = (weight[:, 0] * np.repeat(gain, multiplier)[:, None, None]).transpose(1, 2, 0)
        node = DepthwiseConv2d("", (x.tensor,), "", None, window, multiplier)
        return self._windowed(x, node, out, weight=ours, bias=bias)

    def linear(self, x: Value, weight: np.ndarray, bias: np.ndarray | None) -> Value:
        """``weight`` is (out, in)."""
        if x.is_map:
            raise self.fail(f"reads the last axis of a feature map of shape {x.shape}; flatten it first")
        if weight.ndim != 2 or weight.shape[1] != x.channels:
            raise self.fail(f"its weights are {weight.shape}, its input has {x.channels} features")
        if x.is_shifted:
            bias = (0.0 if bias is None else bias) + weight @ x.spread("offset")
        weight = weight * x.gain
        weight = weight if x.order is None else weight[:, x.order]
        shape = (len(weight),)
        constants = {"weight": weight, "bias": bias}
        return Value(self.emit(Linear("", (x.tensor,), "", None), shape, constants), shape)

    def batch_norm(self, x: Value, constants: dict[str, np.ndarray], epsilon: float) -> Value:
        """``constants``: gamma, beta, mean and variance, one value per channel."""
        x = self.settle(x)
        if any(values.shape != (x.channels,) for values in constants.values()):
            raise self.fail(f"its parameters do not fit {x.channels} channels")
        if x.order is not None:
            constants = {field: values[x.order] for field, values in constants.items()}
        node = BatchNorm("", (x.tensor,), "", "", "", "", epsilon)
        return replace(x, tensor=self.emit(node, self.shapes[x.tensor], constants))

    def activation(self, x: Value, function: str, slope: float = 0.01) -> Value:
        if function == "relu6" and np.all(x.offset == 3.0) and np.all(x.gain == 1.0):
            made = self.activation(replace(x, offset=0.0), "hard_sigmoid")
            return replace(made, gain=6.0)  # relu6(x + 3) is 6 hard_sigmoid(x)
        gain, pending = 1.0, 1.0
        if function == "sine" and np.ndim(x.gain) == 0 and not x.is_shifted:
            gain, x = float(x.gain), replace(x, gain=1.0)
        if function in ("relu", "leaky_relu") and np.all(np.asarray(x.gain) > 0) and not x.is_shifted:
            pending, x = x.gain, replace(x, gain=1.0)  # type: ignore[assignment]
        x = self.settle(x)
        node = Activation("", (x.tensor,), function, gain, slope)
        return replace(x, tensor=self.emit(node, self.shapes[x.tensor]), gain=pending)

    def max_pool(self, x: Value, window: Window) -> Value:
        x = self.settle(self._need_map(x, "pooling"))
        return self._windowed(x, MaxPool2d("", (x.tensor,), window), x.channels)

    def average_pool(self, x: Value, window: Window, count_padding: bool = False) -> Value:
        """``count_padding``: padded zeros count as elements of the mean."""
        x = self.settle(self._need_map(x, "pooling"))
        if count_padding and any(window.padding):
            x, window = self.pad(x, window.padding), replace(window, padding=(0, 0, 0, 0))
        return self._windowed(x, AveragePool2d("", (x.tensor,), window), x.channels)

    def global_pool(self, x: Value, kind: str, keep_dims: bool = True) -> Value:
        """``kind`` is "max" or "average"; without ``keep_dims`` the result is a vector."""
        x = self._need_map(x, "pooling")
        pool = {"max": self.max_pool, "average": self.average_pool}[kind]
        made = pool(x, Window(self.shapes[x.tensor][:2]))  # type: ignore[arg-type]
        return made if keep_dims else self.reshape(made, (x.channels,))

    def add(self, a: Value, b: Value) -> Value:
        a, b = self.settle(a), self.settle(b)
        return self._pairwise(Add("", (a.tensor, b.tensor)), a, b)

    def mul(self, a: Value, b: Value) -> Value:
        a, b = (self.settle(x) if x.is_shifted or np.ndim(x.gain) else x for x in (a, b))
        gain = a.gain * b.gain
        a, b = replace(a, gain=1.0), replace(b, gain=1.0)
        for x, gate in ((a, b), (b, a)):
            node = self.nodes[gate.tensor]
            if (
                isinstance(node, Activation)
                and node.function == "hard_sigmoid"
                and node.inputs == (x.tensor,)
            ):
                return self.affine(self.activation(x, "hard_swish"), gain=gain)
        return self.affine(self._pairwise(Mul("", (a.tensor, b.tensor)), a, b), gain=gain)

    def concat(self, values: Sequence[Value]) -> Value:
        if len({(len(x.shape), x.shape[1:]) for x in values}) != 1:
            raise self.fail(f"concatenates different shapes {[x.shape for x in values]} on the channel axis")
        total = sum(x.channels for x in values)
        order = None
        if any(x.order is not None for x in values):
            starts = np.cumsum([0] + [x.channels for x in values])
            parts = [np.arange(x.channels) if x.order is None else x.order for x in values]
            order = np.concatenate([part + start for part, start in zip(parts, starts, strict=False)])
        tensors = tuple(x.tensor for x in values)
        tensor = self.emit(Concat("", tensors), (*self.shapes[tensors[0]][:-1], total))
        made = Value(tensor, (total, *values[0].shape[1:]), order)
        if any(x.is_pending for x in values):
            gain, offset = (np.concatenate([x.spread(field) for x in values]) for field in ("gain", "offset"))
            made = replace(made, gain=gain, offset=offset)
        return made

    def reshape(self, x: Value, shape: tuple[int, ...]) -> Value:
        """Flattening, and adding or dropping axes of size 1; any other reshaping is an error."""
        if shape == x.shape:
            return x
        if np.prod(shape, dtype=int) != np.prod(x.shape, dtype=int) or any(size < 1 for size in shape):
            raise self.fail(f"reshapes {x.shape} to {shape}, which mixes the batch with the other axes")
        if len(shape) == 1:
            return self._flatten(x)
        if len(shape) <= 3:
            target = Value("", shape)
            if x.is_map and (target.channels, target.size) == (x.channels, x.size):
                return replace(x, shape=shape)
            node, ours = self.nodes[x.tensor], (*target.size, target.channels)
            if (
                isinstance(node, Flatten)
                and self.shapes[node.inputs[0]] == ours
                and not np.ndim(x.gain + x.offset)
            ):
                return replace(x, tensor=node.inputs[0], shape=shape, order=None)
            if not x.is_map and shape[0] == x.channels and x.order is None:
                return replace(x, tensor=self.lift(x.tensor), shape=shape)
        raise self.fail(f"reshapes {x.shape} to {shape}; only flattening and axes of size 1 work")

    def pad(self, x: Value, padding: Sequence[int]) -> Value:
        """Zeros around a map; ``padding`` is (top, left, bottom, right)."""
        x = self.settle(self._need_map(x, "padding"))
        top, left, bottom, right = padding
        if min(padding) < 0:
            raise self.fail("negative padding crops; only padding with zeros works")
        height, width, channels = self.shapes[x.tensor]
        size = (height + top + bottom, width + left + right)
        tensor = self.emit(Pad("", (x.tensor,), (top, left, bottom, right)), (*size, channels))
        return self._map_value(x, tensor)

    def softmax(self, x: Value) -> Value:
        x = self.settle(x)
        return replace(x, tensor=self.emit(Softmax("", (x.tensor,)), self.shapes[x.tensor]))

    def build(self, name: str, outputs: Sequence[Value]) -> Graph:
        """The finished graph; raises UnsupportedError for an output whose order differs from the source's."""
        tensors = []
        for x in outputs:
            self.at(*self._places[x.tensor])
            if x.order is not None:
                raise self.fail(
                    f"a flattened feature map of {x.channels} elements reaches the output with no linear "
                    "layer in between, where its order would change; return the map itself"
                )
            tensors.append(self.settle(x).tensor)
            if isinstance(self.nodes[tensors[-1]], Input):
                raise self.fail("is returned as it is, so there is nothing to compute")
        if len(set(tensors)) < len(tensors):
            raise self.fail("is returned twice; return it once")
        return self.finish(name, tensors)

    def _need_map(self, x: Value, what: str) -> Value:
        if not x.is_map:
            raise self.fail(f"{what} needs a feature map, not a vector of {x.channels}")
        return x

    def _windowed(
        self,
        x: Value,
        node: Conv2d | DepthwiseConv2d | MaxPool2d | AveragePool2d,
        out: int,
        **constants: np.ndarray | None,
    ) -> Value:
        size = node.window.output_size(*self.shapes[x.tensor][:2])
        return self._map_value(x, self.emit(node, (*size, out), constants))

    def _map_value(self, x: Value, tensor: str) -> Value:
        """A new map with as many axes as the source's value ``x`` had."""
        height, width, channels = self.shapes[tensor]
        return Value(tensor, (channels, height, width) if len(x.shape) == 3 else (channels, height * width))

    def _pairwise(self, node: Node, a: Value, b: Value) -> Value:
        if len(a.shape) != len(b.shape):
            raise self.fail(f"combines shapes {a.shape} and {b.shape}")
        shape = tuple(max(sizes) for sizes in zip(a.shape, b.shape, strict=True))
        for side in (a, b):
            whole = side.shape[1:] == shape[1:] or all(size == 1 for size in side.shape[1:])
            if not whole or side.channels not in (1, shape[0]):
                raise self.fail(f"shapes {a.shape} and {b.shape} do not broadcast in a supported way")
        orders = [x.order for x in (a, b) if x.channels == shape[0]]
        if any((o is None) != (orders[0] is None) or not np.array_equal(o, orders[0]) for o in orders):  # type: ignore
            raise self.fail("combines a flattened feature map with a vector in another order")
        spatial = np.maximum(self.shapes[a.tensor][:-1], self.shapes[b.tensor][:-1])
        tensor = self.emit(node, (*(int(size) for size in spatial), shape[0]))
        return Value(tensor, shape, orders[0])

    def _flatten(self, x: Value) -> Value:
        height, width, channels = self.shapes[x.tensor]
        length = height * width * channels
        if x.last:
            return self._flatten_as_stored(x)
        source = np.arange(length).reshape(channels, height * width)
        order = None if channels == 1 or height * width == 1 else source.T.reshape(-1)
        tensor = self.emit(Flatten("", (x.tensor,)), (length,))
        gain, offset = (
            np.repeat(value, height * width) if np.ndim(value) else value for value in (x.gain, x.offset)
        )
        return Value(tensor, (length,), order, gain, offset)

    def _flatten_as_stored(self, x: Value) -> Value:
        """Flattening in our own order, which is the source's where its channels stand last."""
        height, width, channels = self.shapes[x.tensor]
        gain, offset = (
            np.tile(value, height * width) if np.ndim(value) else value for value in (x.gain, x.offset)
        )
        shape = (height * width * channels,)
        return Value(self.emit(Flatten("", (x.tensor,)), shape), shape, None, gain, offset)
