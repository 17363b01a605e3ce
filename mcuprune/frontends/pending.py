"""Factors and offsets by constants: kept with a value until a layer can absorb them."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from mcuprune.frontends.emit import Emitter
from mcuprune.frontends.value import Value
from mcuprune.graph.ir import DepthwiseConv2d, Window


class Pending(Emitter):
    """An emitter that can multiply by constants and add them."""

    def affine(self, x: Value, gain: np.ndarray | float = 1.0, offset: np.ndarray | float = 0.0) -> Value:
        """``gain * x + offset`` with constants of one value, or of one value per channel (source layout)."""
        gain, offset = self._per_channel(x, gain), self._per_channel(x, offset)
        total = np.asarray(x.gain * gain)
        total = np.where(np.abs(total - 1.0) < 1e-6, 1.0, total)  # 6 * (1 / 6) in float32
        return replace(x, gain=total if total.ndim else float(total), offset=x.offset * gain + offset)

    def settle(self, x: Value) -> Value:
        """``x`` with nothing pending: folded into the layer that made it, or into a depthwise 1x1 layer."""
        if not x.is_pending:
            return x
        scale, shift = x.spread("gain"), x.spread("offset")
        if x.order is not None:
            scale, shift = scale[x.order], shift[x.order]
        tensor = self.scaled(x.tensor, scale, shift)
        if tensor is None and x.is_map:
            constants = {"weight": scale.reshape(1, 1, -1), "bias": shift if x.is_shifted else None}
            node = DepthwiseConv2d("", (x.tensor,), "", None, Window((1, 1)))
            layer, hint = self.layer, self.hint
            self.at(layer, f"{hint}_scale")
            tensor = self.emit(node, self.shapes[x.tensor], constants)
            self.at(layer, hint)
        if tensor is None:
            raise self.fail(
                "scales or shifts a vector by a constant with no linear layer beside it to take it; put the "
                "constant into a layer's weights"
            )
        return replace(x, tensor=tensor, gain=1.0, offset=0.0)

    def _per_channel(self, x: Value, constant: np.ndarray | float) -> np.ndarray | float:
        values = np.asarray(constant, np.float64)
        if values.size == 1 and values.ndim <= len(x.shape) + 1:
            return float(values.reshape(()))
        full = values.reshape((1,) * (len(x.shape) + 1 - values.ndim) + values.shape)
        if full.shape != (1, x.channels, *(1 for _ in x.shape[1:])):
            raise self.fail(
                f"combines a tensor of shape {x.shape} with a constant of shape {values.shape}; constants of "
                "one value, or of one value per channel, work"
            )
        return full.reshape(-1)
