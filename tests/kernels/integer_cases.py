"""Random calls of the kernels that only integer networks need, made from random one-operator graphs."""

from __future__ import annotations

import numpy as np
from hypothesis import strategies as st
from kernel_cases import CASES as LAYER_CASES
from kernel_cases import Case, rngs

from mcuprune.graph import ir
from mcuprune.graph.op_shape import op_shape
from mcuprune.quantize.scheme import integer_parameters
from tests.quantize.integer_graphs import INTEGER_OPERATORS
from tests.quantize.recurrent_graphs import RECURRENT_GRAPHS
from tests.quantize.wide_graphs import WIDE_OPERATORS


@st.composite
def case_of(draw: st.DrawFn, graphs: st.SearchStrategy[ir.QuantizedGraph]) -> Case:
    """The last node of a graph, on random values of its inputs."""
    graph, rng = draw(graphs), draw(rngs)
    node = graph.nodes[-1]
    stored = [n for n in graph.nodes if isinstance(n, ir.Stored)]
    given = {n.name: graph.constants[n.constant].values for n in stored}
    shape = op_shape(node, graph.shape)
    kinds = graph.quantization
    inputs = tuple(
        given.get(name, numbers(rng, graph.shape(name), kinds[name].dtype)) for name in node.inputs
    )
    return Case(shape, integer_parameters(node, graph), inputs)


def numbers(rng: np.random.Generator, shape: tuple[int, ...], dtype: str) -> np.ndarray:
    """Random numbers of the whole range of a type."""
    limits = np.iinfo(dtype)
    return rng.integers(limits.min, limits.max + 1, shape).astype(dtype)


def cases(*names: str) -> st.SearchStrategy[Case]:
    return case_of(st.one_of(*(INTEGER_OPERATORS[name] for name in names)))


CASES: dict[str, st.SearchStrategy[Case]] = {
    **LAYER_CASES,
    "mcp_sub_s8": cases("Sub"),
    "mcp_squared_difference_s8": cases("SquaredDifference"),
    "mcp_minimum_s8": cases("Minimum"),
    "mcp_maximum_s8": cases("Maximum"),
    "mcp_prelu_s8": cases("Prelu"),
    "mcp_reduce_mean_s8": cases("reduce_mean", "reduce_sum"),
    "mcp_div_s8": cases("Div"),
    "mcp_log_softmax_s8": cases("log_softmax"),
    "mcp_rearrange_s8": cases("rearrange"),
    "mcp_take_s8": cases("take"),
    "mcp_resize_bilinear_s8": cases("resize_bilinear"),
    "mcp_reduce_extreme_s8": cases("reduce_max", "reduce_min"),
    **{name: case_of(graphs) for name, graphs in RECURRENT_GRAPHS.items()},
    **{name: case_of(graphs) for name, graphs in WIDE_OPERATORS.items()},
}
