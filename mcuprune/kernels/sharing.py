"""Kernels for layers whose channels share a multiplier: twins of others, with less to read and to store."""

from __future__ import annotations

from dataclasses import replace

from mcuprune.graph import ir
from mcuprune.graph.op_shape import OpShape
from mcuprune.kernels import constants
from mcuprune.kernels.dsp import DSP
from mcuprune.kernels.kernel import Kernel
from mcuprune.kernels.layouts import ROW_PAIRS
from mcuprune.kernels.portable import PORTABLE

TWINS = (
    "mcp_conv2d_s8",
    "mcp_conv2d_1x1_s8",
    "mcp_depthwise_conv2d_s8",
    "mcp_fully_connected_s8",
    "mcp_conv2d_s8_dsp",
    "mcp_conv2d_3x3_s8_dsp",
    "mcp_conv2d_small_s8_dsp",
    "mcp_conv2d_1x1_s8_dsp",
    "mcp_depthwise_conv2d_s8_dsp",
    "mcp_depthwise_conv2d_3x3_s8_dsp",
    "mcp_depthwise_conv2d_small_s8_dsp",
    "mcp_fully_connected_s8_dsp",
)


def _sharing(kernel: Kernel) -> Kernel:
    def accepts(shape: OpShape) -> bool:
        return not shape.node.own_multipliers and kernel.accepts(shape)  # type: ignore[attr-defined]

    return replace(
        kernel,
        name=twin(kernel.name),
        accepts=accepts,
        constants=_constants(kernel),
        shares_multiplier=True,
        needs=tuple(twin(need) for need in kernel.needs),
    )


def twin(function: str) -> str:
    """The name of a kernel's twin, or of what it calls; headers are those of both."""
    return function.replace("_s8", "_shared_s8")


def _constants(kernel: Kernel) -> constants.Constants:
    if kernel.op is ir.Linear:
        return constants.fully_connected_shared(kernel.constants)
    return (constants.pairs_shared if kernel.layout in ROW_PAIRS else constants.shared)(kernel.constants)


SHARING: tuple[Kernel, ...] = tuple(_sharing(kernel) for kernel in (*PORTABLE, *DSP) if kernel.name in TWINS)
