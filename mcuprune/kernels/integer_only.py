"""Portable kernels of the node classes that only integer networks have."""

from __future__ import annotations

from dataclasses import replace

from mcuprune.graph import ir
from mcuprune.kernels import accepts, constants, features
from mcuprune.kernels.kernel import Kernel
from mcuprune.kernels.portable import ADD, ARITHMETIC, in_place, no_scratch

_BINARY = replace(ADD, needs=("mcp_elementwise.h", *ARITHMETIC))
_REDUCE = Kernel(
    name="mcp_reduce_mean_s8",
    op=ir.Reduce,
    isa="portable",
    accepts=accepts.mean_or_sum,
    scratch=no_scratch,
    overlap=in_place,
    constants=constants.reduce_mean,
    features=features.reduction,
    needs=("mcp_reduce.h", *ARITHMETIC),
)

INTEGER_ONLY: tuple[Kernel, ...] = (
    replace(_BINARY, name="mcp_sub_s8", op=ir.Sub),
    replace(_BINARY, name="mcp_squared_difference_s8", op=ir.SquaredDifference),
    replace(_BINARY, name="mcp_minimum_s8", op=ir.Minimum),
    replace(_BINARY, name="mcp_maximum_s8", op=ir.Maximum),
    replace(_BINARY, name="mcp_prelu_s8", op=ir.Prelu),
    _REDUCE,
    replace(
        _REDUCE,
        name="mcp_reduce_extreme_s8",
        accepts=accepts.extreme,
        constants=constants.reduce_extreme,
    ),
)
