"""What the planner, the cost models and the generator need to know about a C kernel: facts, no C."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from mcuprune.graph.ir import Node
from mcuprune.graph.op_shape import Number, OpShape


@dataclass(frozen=True)
class Kernel:
    """One C function.  All sizes are bytes; all rules are plain arithmetic on :class:`OpShape`.

    name        C function, and file ``codegen/kernels/<isa>/<name>.c``
    op          node class it implements
    isa         ``portable`` (any C99 target), ``dsp`` (Armv7E-M / Armv8-M DSP extension), ``mve``
    needs       names of the support files it includes or calls besides ``mcp_kernels.h``
    accepts     whether it can run the shape
    scratch     bytes of scratch, 4-byte aligned
    overlap     per input, the smallest distance ``d >= 0`` such that the output may start ``d`` bytes (or
                more) *before* that input starts while sharing memory with it; ``None``: must be disjoint
    exact       the distances of ``overlap`` are exact: the output starts there, or is disjoint from the input
    layout      how the weights are stored: ``ohwi`` (as in the graph) or a packing of ``kernels/layouts.py``;
                those of pairs of rows hold biases and scales, too
    folds_input_offset   the bias constant already holds ``-input_zero_point * sum(weights)``
    shares_multiplier    its channels have one multiplier; bias and shift of each share a word
    constants   bytes in flash: weights, biases, multipliers, shifts, tables and the parameter struct
    calls_per_input      it is called once for each input of the node
    clamps_after         to less than int8 it clamps in a pass of its own, where it has to
    features    the terms of its cycle formula, multiplied with the calibrated coefficients per core
    """

    name: str
    op: type[Node]
    isa: str
    accepts: Callable[[OpShape], bool]
    scratch: Callable[[OpShape], Number]
    overlap: Callable[[OpShape], tuple[Number | None, ...]]
    constants: Callable[[OpShape], Number]
    features: Callable[[OpShape], tuple[Number, ...]]
    exact: bool = False
    layout: str = "ohwi"
    folds_input_offset: bool = False
    shares_multiplier: bool = False
    needs: tuple[str, ...] = ()
    calls_per_input: bool = False
    clamps_after: bool = False
