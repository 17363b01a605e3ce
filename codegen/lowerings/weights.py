"""Weights, biases and requantization of the operators that multiply and accumulate."""

from __future__ import annotations

import numpy as np

from mcuprune.codegen.c_text import dims
from mcuprune.codegen.lowering import Array, Operation
from mcuprune.errors import UnsupportedError
from mcuprune.kernels.layouts import ROW_PAIRS, pack, pack_channels, pack_row_pairs, pack_shared_row_pairs


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
    if kernel.layout in ROW_PAIRS:
        return _row_pairs(operation, shape, bias)
    packed_weight = Array("weight", pack(kernel.layout, p.weight), shape)
    note = "(out_c), holds the input offset" if kernel.folds_input_offset else "(out_c)"
    if kernel.shares_multiplier:
        words, shared = pack_channels(bias, *np.broadcast_arrays(p.multiplier, p.shift, bias)[:2])
        return {
            "weight": packed_weight,
            "bias": Array("bias", words, f"{dims(words.shape)} {note}, each above its shift"),
            "multiplier": _one(shared),
            "shift": 0,
        }
    # One scale for the whole tensor is stored once where the node says so, as the flash model counts it.
    scales = (1,) if getattr(operation.node, "one_scale", False) else bias.shape
    multiplier = np.broadcast_to(p.multiplier, scales).astype(np.int32)
    shift = np.broadcast_to(p.shift, scales).astype(np.int8)
    which = " (out_c)" if scales == bias.shape else ""
    return {
        "weight": packed_weight,
        "bias": Array("bias", bias.astype(np.int32), f"{dims(bias.shape)} {note}"),
        "multiplier": Array("multiplier", multiplier, f"{dims(multiplier.shape)}{which}, Q31"),
        "shift": Array("shift", shift, f"{dims(shift.shape)}{which}"),
    }


def _row_pairs(operation: Operation, shape: str, bias: np.ndarray) -> dict[str, Array | int]:
    """Weights that hold biases and scales."""
    p, kernel = operation.parameters, operation.kernel
    given = (kernel.layout, p.weight, bias, p.multiplier, p.shift)
    if kernel.shares_multiplier:
        packed, shared = pack_shared_row_pairs(*given)
        multiplier: Array | int = _one(shared)
        note = f"{shape}, with 2 biases and 2 shifts each"
    else:
        packed, multiplier = pack_row_pairs(*given), 0
        note = f"{shape}, with 2 biases, 2 multipliers and 2 powers each"
    return {"weight": Array("weight", packed, note), "bias": 0, "multiplier": multiplier, "shift": 0}


def _one(multiplier: int) -> Array:
    return Array("multiplier", np.array([multiplier], np.int32), f"{dims((1,))}, Q31")
