"""Channels of a tensor brought nearer to one range, by factors that the layers around it make up for.

Channels share their tensor's int8 scale, so one whose values stay small has few of its 256 steps.  A factor
passes through a ReLU, a pool, a sum: weights and bias that make a channel divided by it, and weights that
read the channel multiplied, change no output (Nagel et al. 2019, arXiv 1906.04721, section 4.1).
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import replace

import numpy as np

from mcuprune.graph.channels import unit_of_element
from mcuprune.graph.ir import Activation, Add, Axis, Constant, DepthwiseConv2d, Graph, Node, axis_width
from mcuprune.graph.run_float import run_tensors
from mcuprune.graph.sharing import KEEPS_QUANTIZATION, joined
from mcuprune.quantize.multipliers import CHANNEL_AXIS
from mcuprune.quantize.resolution import Weighted

# Of the way to one range, in logarithms.  The less ranges differ, the more do the weights that read them, and
# those of an output share a scale, too; and inputs that are yet to come may reach further than those seen.
NEARER = 0.75
LEAST = 1 / 256  # of the largest range: a channel below it counts as one of it
BATCH = 32  # inputs that are computed at once

Tied = Mapping[str, str]  # tensor -> the one that stands for those whose channels must have equal factors
Units = dict[tuple[str, str], np.ndarray]  # (that one, group) -> (units,) values


def equalized(graph: Graph, inputs: np.ndarray) -> Graph:
    """``graph``, which :func:`run_passes` has simplified, with channels of more equal ranges.

    Ranges are the largest magnitudes over ``inputs`` (N, *input shape) float32.  The outputs are the same but
    for rounding.
    """
    tied = tied_tensors(graph) if len(inputs) else {}
    factors = _factors(_largest(graph, tied, inputs)) if tied else {}
    constants = dict(graph.constants)
    for node in graph.nodes:
        if isinstance(node, Weighted):
            constants |= _scaled(node, graph, tied, factors)
    return replace(graph, constants=constants)


def tied_tensors(graph: Graph) -> dict[str, str]:
    """The tensors whose channels may have any factors, and which of them must have the same.

    Between layers of weights, and not beyond what does more than pass a factor on.
    """
    leader = {name: name for name in graph.tensors}
    bound = set(graph.outputs)
    uses = Counter(node.weight for node in graph.nodes if isinstance(node, Weighted))
    for node in graph.nodes:
        touched = (node.name, *node.inputs)
        if isinstance(node, Weighted):
            if uses[node.weight] > 1:
                bound.update(touched)
            elif node.activation == "relu6":
                bound.add(node.name)
        elif _passes_on(node, graph):
            leader = joined(leader, touched)
        else:
            bound.update(touched)
    held = {leader[name] for name in bound}
    return {name: of for name, of in leader.items() if of not in held}


def _passes_on(node: Node, graph: Graph) -> bool:
    """Whether factors of the inputs' channels are factors of the outputs'."""
    if isinstance(node, Activation):
        return node.function in ("relu", "leaky_relu")
    if isinstance(node, Add):
        alike = len({graph.tensors[name].channels for name in node.inputs}) == 1
        return alike and node.activation != "relu6"
    return isinstance(node, KEEPS_QUANTIZATION) and getattr(node, "activation", None) != "relu6"


def _largest(graph: Graph, tied: Tied, inputs: np.ndarray) -> Units:
    """Largest magnitude of every unit, over ``inputs`` and the tensors that are tied."""
    found: Units = {}
    for start in range(0, len(inputs), BATCH):
        tensors = run_tensors(graph, inputs[start : start + BATCH])
        for name, of in tied.items():
            values, axis = np.abs(tensors[name]), graph.tensors[name].channels
            peaks = values.max(axis=tuple(range(values.ndim - 1)))
            for group, pairs in unit_of_element(axis, graph.widths).items():
                units = found.setdefault((of, group), np.zeros(graph.widths[group]))
                np.maximum.at(units, pairs[:, 1], peaks[pairs[:, 0]])
    return found


def _factors(largest: Units) -> Units:
    """By which channels are divided; 1 for those that are always zero."""
    widest: dict[str, float] = {}
    for (of, _), values in largest.items():
        widest[of] = max(widest.get(of, 0.0), float(values.max()))
    return {
        (of, group): np.where(values > 0, np.maximum(values / (widest[of] or 1.0), LEAST), 1.0) ** NEARER
        for (of, group), values in largest.items()
    }


def _scaled(node: Weighted, graph: Graph, tied: Tied, factors: Units) -> dict[str, Constant]:
    """The node's constants, where what it reads is divided by factors and what it makes is to be."""
    makes = graph.tensors[node.name].channels
    reads = makes if isinstance(node, DepthwiseConv2d) else graph.tensors[node.inputs[0]].channels
    before = _along(reads, node.inputs[0], graph, tied, factors)
    after = _along(makes, node.name, graph, tied, factors)
    weight = graph.constants[node.weight]
    outputs = [1] * weight.values.ndim
    outputs[CHANNEL_AXIS[type(node)]] = -1
    found = {node.weight: _with(weight, weight.values * before / after.reshape(outputs))}
    if node.bias is not None:
        bias = graph.constants[node.bias]
        found[node.bias] = _with(bias, bias.values / after)
    return found


def _along(axis: Axis, tensor: str, graph: Graph, tied: Tied, factors: Units) -> np.ndarray:
    """The factors of ``tensor`` for every element of ``axis``."""
    found = np.ones(int(axis_width(axis, graph.widths)))
    if tensor in tied:
        for group, pairs in unit_of_element(axis, graph.widths).items():
            found[pairs[:, 0]] = factors[tied[tensor], group][pairs[:, 1]]
    return found


def _with(constant: Constant, values: np.ndarray) -> Constant:
    return replace(constant, values=values.astype(np.float32))
