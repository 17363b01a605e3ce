"""QuantizeLinear and DequantizeLinear: what an ONNX file says about how its tensors are quantized."""

from __future__ import annotations

from dataclasses import dataclass, field, replace

import numpy as np

from mcuprune.frontends.nchw import Builder
from mcuprune.frontends.value import Value
from mcuprune.graph.ir import Activation, Quantization

UINT8_SHIFT = 128  # uint8 numbers are int8 numbers plus this


@dataclass
class QuantizedBuilder(Builder):
    """A builder that also notes how the source quantizes what it builds.

    ``marks`` maps node ids to the int8 form of their output, ``weight_scales`` maps weighted nodes to the
    scales that their source weights are multiples of: one value, or one per output.
    """

    marks: dict[str, Quantization] = field(default_factory=dict)
    weight_scales: dict[str, np.ndarray] = field(default_factory=dict)

    def __post_init__(self) -> None:
        super().__init__()

    def quantized(self, x: Value, q: Quantization) -> Value:
        """``x`` quantized with ``q``: noted, or where ``x`` is quantized otherwise already, a rescaling."""
        x = self.settle(x)
        held = self.marks.get(x.tensor)
        if held == q:
            return x
        tensor = x.tensor
        if held is not None:
            tensor = self.emit(Activation("", (x.tensor,), "identity"), self.shapes[x.tensor])
        self.marks[tensor] = q
        return replace(x, tensor=tensor)

    def scaled(self, key: str, scale: np.ndarray, shift: np.ndarray) -> str | None:
        """As in the base class, but a tensor that is quantized already is not scaled in retrospect."""
        return None if key in self.marks else super().scaled(key, scale, shift)

    def lift(self, key: str) -> str:
        new = super().lift(key)
        if key in self.marks:
            self.marks.setdefault(new, self.marks[key])
        if key in self.weight_scales:
            self.weight_scales.setdefault(new, self.weight_scales[key])
        return new


def int8_quantization(scale: np.ndarray, zero_point: np.ndarray) -> Quantization | None:
    """The int8 form of an 8-bit activation quantization with one scale; None for any other."""
    if scale.size != 1 or zero_point.size != 1 or zero_point.dtype not in (np.int8, np.uint8):
        return None
    shift = UINT8_SHIFT if zero_point.dtype == np.uint8 else 0
    value = float(np.float32(scale.reshape(())))
    if not (np.isfinite(value) and value > 0):
        return None
    return Quantization(value, int(zero_point.reshape(())) - shift)
