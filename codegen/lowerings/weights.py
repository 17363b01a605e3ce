"""Weights, biases and requantization of the operators that multiply and accumulate."""

from __future__ import annotations

import numpy as np

from mcuprune.codegen.c_text import dims
from mcuprune.codegen.lowering import Array, Operation
from mcuprune.errors import UnsupportedError
from mcuprune.kernels.kernel import Kernel
from mcuprune.kernels.layouts import ROW_PAIRS, stored


def channel_arrays(operation: Operation, axes: str, reduced: tuple[int, ...]) -> dict[str, Array | int]:
    """``weight``, ``bias``, ``multiplier`` and ``shift`` as constants, laid out as the kernel wants them.

    Where the weights of a layout hold the others, these are null pointers; so is ``shift`` where
    channels share a multiplier.
    ``axes`` names the axes of the weights, ``reduced`` are those that one output sums over.
    """
    p, kernel = operation.parameters, operation.kernel
    shape = f"{dims(p.weight.shape)} {axes}" + ("" if kernel.layout == "ohwi" else f", {kernel.layout}")
    bias = p.bias.astype(np.int64)
    if kernel.folds_input_offset:
        bias = bias + p.input_offset * p.weight.astype(np.int64).sum(axis=reduced)
    if np.abs(bias).max(initial=0) >= 2**31:
        raise UnsupportedError(f"layer '{operation.node.name}': a bias does not fit into 32 bits")
    # One scale for the whole tensor is stored once where the node says so, as the flash model counts it.
    scales = (1,) if getattr(operation.node, "one_scale", False) else bias.shape
    multiplier = np.broadcast_to(p.multiplier, scales).astype(np.int32)
    shift = np.broadcast_to(p.shift, scales).astype(np.int8)
    shared = kernel.shares_multiplier
    weight, *others = stored(kernel.layout, shared, p.weight, bias, multiplier, shift)
    offset = ", holds the input offset" if kernel.folds_input_offset else ""
    axis = "" if shared or scales != bias.shape else " (out_c)"
    notes = {
        "bias": f" (out_c){offset}" + (", each above its shift" if shared else ""),
        "multiplier": f"{axis}, Q31",
        "shift": axis,
    }
    found: dict[str, Array | int] = {"weight": Array("weight", weight, shape + _held(kernel))}
    for (name, note), values in zip(notes.items(), others, strict=True):
        found[name] = 0 if values is None else Array(name, values, dims(values.shape) + note)
    return found


def _held(kernel: Kernel) -> str:
    """What the weights hold besides."""
    if kernel.layout not in ROW_PAIRS:
        return ""
    scales = "2 biases and 2 shifts" if kernel.shares_multiplier else "2 biases, 2 multipliers and 2 powers"
    return f", with {scales} each"
