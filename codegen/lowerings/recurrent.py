"""LSTM and SVDF: ``mcp_lstm`` and ``mcp_svdf``; their states are changed in place."""

from __future__ import annotations

from typing import Any

import numpy as np

from mcuprune.codegen.c_text import dims
from mcuprune.codegen.lowering import Array, KernelCall, Operation, Struct, lower
from mcuprune.graph.ir import Lstm, Svdf


@lower.register(Lstm)
def _(node: Lstm, operation: Operation) -> tuple[KernelCall, ...]:
    return _call("mcp_lstm", operation, "int16")


@lower.register(Svdf)
def _(node: Svdf, operation: Operation) -> tuple[KernelCall, ...]:
    return _call("mcp_svdf", operation, node.state)


def _call(kind: str, operation: Operation, state: str) -> tuple[KernelCall, ...]:
    source, place = operation.inputs
    if state == "int16":
        place = f"(int16_t *)(void *)({place})"
    return (KernelCall(Struct(kind, _fields(operation.parameters)), (source, place, operation.output)),)


def _fields(parameters: Any) -> dict[str, Any]:
    return {
        name: Array(name, value.reshape(-1), dims(value.shape)) if isinstance(value, np.ndarray) else value
        for name, value in vars(parameters).items()
    }
