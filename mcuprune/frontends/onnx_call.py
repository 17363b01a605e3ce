"""One node of an ONNX graph, as the functions that read operators see it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from mcuprune.errors import UnsupportedError
from mcuprune.frontends.nchw import Builder
from mcuprune.frontends.value import Value
from mcuprune.graph.ir import Window


@dataclass(frozen=True)
class Call:
    """One node: its inputs (None: left out), its attributes, and what it needs to know of its model."""

    builder: Builder
    inputs: tuple[Value | np.ndarray | None, ...]
    attributes: Mapping[str, Any]
    opset: int
    batch: int

    def value(self, index: int = 0) -> Value:
        found = self.inputs[index]
        if not isinstance(found, Value):
            raise self.builder.fail(
                f"input {index} is a constant; it must be computed from the model's input"
            )
        return found

    def constant(self, index: int) -> np.ndarray | None:
        found = self.inputs[index] if index < len(self.inputs) else None
        if isinstance(found, Value):
            raise self.builder.fail(f"input {index} is computed; it must be a constant")
        return found

    def needed(self, index: int) -> np.ndarray:
        found = self.constant(index)
        if found is None:
            raise self.builder.fail(f"input {index} is missing")
        return found

    def option(self, name: str, index: int, default: Any = None) -> Any:
        """An option that was an attribute in old operator sets and is a constant input in new ones."""
        if name in self.attributes:
            return self.attributes[name]
        found = self.constant(index)
        return default if found is None else found

    def fail(self, problem: str) -> UnsupportedError:
        return self.builder.fail(problem)

    @property
    def rank(self) -> int:
        """Axes of input 0, with the batch."""
        return len(self.value().shape) + 1

    def window(self, kernel: Sequence[int]) -> Window:
        """The sliding window of a node, from its attributes and the kernel's size."""
        rank = len(kernel)
        stride = list(self.attributes.get("strides", [1] * rank))
        dilation = list(self.attributes.get("dilations", [1] * rank))
        pads = list(self.attributes.get("pads", [0] * 2 * rank))
        auto = self.attributes.get("auto_pad", b"NOTSET").decode()
        if auto.startswith("SAME"):
            sizes = self.value().shape[1:]
            total = [
                max((-(-n // s) - 1) * s + (k - 1) * d + 1 - n, 0)
                for n, k, s, d in zip(sizes, kernel, stride, dilation, strict=True)
            ]
            small, large = [t // 2 for t in total], [t - t // 2 for t in total]
            pads = small + large if auto == "SAME_UPPER" else large + small
        if rank == 1:
            pads = [pads[0], 0, pads[1], 0]
        return self.builder.window(kernel, stride, pads, dilation)
