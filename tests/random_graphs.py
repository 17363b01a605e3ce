"""Random small networks of every topology, as graphs without batch norms."""

from __future__ import annotations

import numpy as np

from mcuprune.graph.channels import build_graph
from mcuprune.graph.ir import (
    Add,
    AveragePool2d,
    Concat,
    Constant,
    Conv2d,
    DepthwiseConv2d,
    Flatten,
    Graph,
    Input,
    Linear,
    Node,
    Window,
)


class _Builder:
    def __init__(self, seed: int) -> None:
        self.random = np.random.default_rng(seed)
        self.nodes: list[Node] = [Input("x", ())]
        self.constants: dict[str, Constant] = {}
        self.size, self.width, self.last = (
            int(self.random.integers(4, 13)),
            int(self.random.integers(1, 4)),
            "x",
        )

    def _weight(self, name: str, shape: tuple[int, ...], outputs: int) -> tuple[str, str]:
        self.constants[f"{name}.weight"] = Constant(self.random.normal(size=shape).astype(np.float32))
        self.constants[f"{name}.bias"] = Constant(np.zeros(outputs, np.float32))
        return f"{name}.weight", f"{name}.bias"

    def conv(self, source: str, reads: int, width: int, stride: int = 1) -> str:
        name, kernel = f"conv{len(self.nodes)}", int(self.random.choice([1, 3]))
        names = self._weight(name, (width, kernel, kernel, reads), width)
        window = Window((kernel, kernel), (stride, stride), (kernel // 2,) * 4)
        self.nodes.append(Conv2d(name, (source,), *names, window, "relu"))
        return name

    def depthwise(self) -> None:
        name = f"depthwise{len(self.nodes)}"
        names = self._weight(name, (3, 3, self.width), self.width)
        self.nodes.append(DepthwiseConv2d(name, (self.last,), *names, Window((3, 3), (1, 1), (1,) * 4)))
        self.last = name

    def residual(self) -> None:
        branch = self.conv(self.last, self.width, self.width)
        name = f"add{len(self.nodes)}"
        self.nodes.append(Add(name, (self.last, branch), "relu"))
        self.last = name

    def branches(self) -> None:
        widths = [int(w) for w in self.random.integers(2, 9, 2)]
        parts = tuple(self.conv(self.last, self.width, w) for w in widths)
        name = f"concat{len(self.nodes)}"
        self.nodes.append(Concat(name, parts))
        self.last, self.width = name, sum(widths)

    def plain(self) -> None:
        width, stride = int(self.random.integers(4, 17)), int(self.random.integers(1, 3))
        self.last = self.conv(self.last, self.width, width, stride)
        self.size, self.width = -(-self.size // stride), width

    def head(self) -> Graph:
        if self.random.random() < 0.5:
            window = Window((self.size, self.size))
            self.nodes.append(AveragePool2d("pool", (self.last,), window))
            self.last, area = "pool", 1
        else:
            area = self.size * self.size
        names = self._weight("head", (5, self.width * area), 5)
        self.nodes += [Flatten("flat", (self.last,)), Linear("head", ("flat",), *names)]
        side = self.shape
        return build_graph("random", self.nodes, {"x": side}, ["head"], self.constants)

    shape: tuple[int, int, int]


def random_graph(seed: int) -> Graph:
    """One to four blocks after a plain convolution; widths up to 16, inputs up to 12 x 12 x 3."""
    builder = _Builder(seed)
    builder.shape = (builder.size, builder.size, builder.width)
    builder.plain()
    blocks = (builder.plain, builder.depthwise, builder.residual, builder.branches)
    for choice in builder.random.integers(0, len(blocks), builder.random.integers(1, 4)):
        blocks[choice]()
    return builder.head()
