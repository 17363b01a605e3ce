"""How fine an output scale may be, given what it is computed from.

An output step below one step of the accumulator resolves nothing, and the integer arithmetic would have to
scale *up*: its 32 bits overflow, or TensorFlow Lite Micro refuses the layer.  Such scales come from tensors
that are (nearly) constant over the calibration inputs, as behind a layer that pruning has emptied.  Where
that is so of some channels of a layer alone, their weights are clipped instead
(:func:`mcuprune.quantize.convert.channel_scales`).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import singledispatch

from mcuprune.graph.ir import Add, Conv2d, DepthwiseConv2d, Graph, Linear, Mul, Node, Softmax

SUM_STEPS = 2.0**8  # output steps per step of the coarser operand of a sum
FINEST_LOGITS = 2.0**-20  # a softmax over 255 of these steps is uniform to eight bits

Weighted = Conv2d | DepthwiseConv2d | Linear
Scales = Mapping[str, float]
AccumulatorStep = Callable[[Weighted, float], float]  # finest of a layer, given the scale of its input


def coarsen(
    graph: Graph, scales: Scales, owner: Mapping[str, str], step: AccumulatorStep
) -> dict[str, float]:
    """``scales`` (tensor -> scale), raised where they are finer than the arithmetic can use.

    ``owner`` maps a tensor to the representative of those that share its scale: they are raised together.
    """
    found = dict(scales)
    for _ in graph.nodes:  # raising a scale can raise those of readers, and of what is tied to them
        before = dict(found)
        for node in graph.nodes:
            for tensor, least in finest(node, found, step).items():
                tied = tensor == node.name and any(owner[name] == owner[tensor] for name in node.inputs)
                if least > found[tensor] and not tied:
                    found |= {name: least for name, held in owner.items() if held == owner[tensor]}
        if found == before:
            break
    return found


@singledispatch
def finest(node: Node, scales: Scales, step: AccumulatorStep) -> dict[str, float]:
    """Tensor -> the finest scale that ``node`` can compute with; look-ups and moves take any."""
    return {}


@finest.register(Conv2d)
@finest.register(DepthwiseConv2d)
@finest.register(Linear)
def _(node: Weighted, scales: Scales, step: AccumulatorStep) -> dict[str, float]:
    return {node.name: step(node, scales[node.inputs[0]])}


@finest.register
def _(node: Add, scales: Scales, step: AccumulatorStep) -> dict[str, float]:
    return {node.name: max(scales[name] for name in node.inputs) / SUM_STEPS}


@finest.register
def _(node: Mul, scales: Scales, step: AccumulatorStep) -> dict[str, float]:
    first, second = (scales[name] for name in node.inputs)
    return {node.name: first * second}


@finest.register
def _(node: Softmax, scales: Scales, step: AccumulatorStep) -> dict[str, float]:
    return {node.inputs[0]: FINEST_LOGITS}
