"""Post-training channel removal with optimal brain surgeon compensation: no labels, no gradient steps."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from mcuprune.graph.channels import Keep, prunable, unit_of_element
from mcuprune.graph.ir import Conv2d, Graph, Linear
from mcuprune.graph.passes import run_passes
from mcuprune.progress import Progress
from mcuprune.prune.allocate import allocate
from mcuprune.prune.run import Found
from mcuprune.prune.setting import Setting, trained
from mcuprune.prune.shrink import shrink
from mcuprune.prune.stage import Stage
from mcuprune.prune.target import Target
from mcuprune.training.graph_module import GraphModule

Reader = Conv2d | Linear
DAMPING = 1e-4  # of the mean diagonal of the Hessian


@dataclass(frozen=True)
class Layer:
    """A reader as a matrix: ``weight`` (out, columns), last column the bias if it has one; ``inverse`` of its
    Hessian.

    ``columns`` maps a group to (units, columns per unit) positions: what the removal of a unit takes away.
    ``energy`` is the loss of removing all weights, above 0: losses of layers are compared as shares of it.
    """

    weight: np.ndarray
    inverse: np.ndarray
    columns: Mapping[str, np.ndarray]
    energy: float


class ExactOBS(Stage):
    """Removes the units whose loss, after the other weights have made up for it, is least.

    ExactOBS (Frantar & Alistarh 2022, section 4) with a unit's input columns, in every layer that reads it,
    as the block ``P``: loss ``tr(W_P (A_PP)^-1 W_P^T) / 2``, update ``W -= W_P (A_PP)^-1 A_P``, with ``A``
    the inverse Hessian of the surviving columns.  A bias is a column with constant input, so means are
    compensated too.
    """

    name = "exact_obs"
    title = "post-training removal with optimal brain surgeon updates, no labels"
    paper = "Frantar & Alistarh 2022 (arXiv 2208.11580)"

    def compress(self, initial: Graph, target: Target, setting: Setting, progress: Progress) -> Found:
        dense = trained("dense", initial, setting, progress)
        graph, keep = self.apply(run_passes(dense.graph), setting.calibration, target)
        return Found(graph, {}, keep, dense.history, dense.seconds)

    def apply(self, graph: Graph, calibration: np.ndarray, target: Target) -> tuple[Graph, Keep]:
        """``graph`` (batch norms folded) cut to the target, and the units kept.

        ``calibration`` is (N, *input shape) float32, unlabelled.
        """
        layers = measure(graph, calibration)
        traces = {group: removal_trace(group, graph.widths[group], layers) for group in prunable(graph)}
        curves = {group: losses[::-1] for group, (_, losses) in traces.items()}
        levels = allocate(target.problem(curves))
        keep = {g: np.sort(traces[g][0][graph.widths[g] - n :]).astype(np.int64) for g, n in levels.items()}
        return shrink(compensate(graph, keep, layers), keep), keep


def measure(graph: Graph, calibration: np.ndarray) -> dict[str, Layer]:
    """Hessians ``2/N X X^T`` of every layer that mixes channels, from the inputs it sees in ``graph``."""
    module = GraphModule(graph).eval()
    seen: dict[str, Tensor] = {}

    def record(name: str, value: Tensor) -> Tensor:
        seen[name] = value
        return value

    with torch.no_grad():
        module(torch.from_numpy(calibration), activation=record)
    return {
        node.name: _layer(graph, node, seen[node.inputs[0]])
        for node in graph.nodes
        if isinstance(node, Conv2d | Linear)
    }


def _layer(graph: Graph, node: Reader, x: Tensor) -> Layer:
    weight = graph.constants[node.weight].values.astype(np.float64)
    if isinstance(node, Conv2d):
        window = node.window
        top, left, bottom, right = window.padding
        patches = F.unfold(
            F.pad(x, (left, right, top, bottom)), window.kernel, window.dilation, 0, window.stride
        )
        inputs = patches.transpose(0, 1).flatten(1).double().numpy()
        weight = weight.transpose(0, 3, 1, 2)
    else:
        inputs = x.T.double().numpy()
    taps = int(np.prod(weight.shape[2:], dtype=int))
    full = weight.reshape(len(weight), -1)
    if node.bias is not None:
        full = np.column_stack([full, graph.constants[node.bias].values.astype(np.float64)])
        inputs = np.concatenate([inputs, np.ones((1, inputs.shape[1]))])
    hessian = 2.0 / inputs.shape[1] * inputs @ inputs.T
    hessian += DAMPING * np.mean(np.diag(hessian)) * np.eye(len(hessian))
    columns = {}
    for group, pairs in unit_of_element(graph.tensors[node.inputs[0]].channels, graph.widths).items():
        owned = [pairs[pairs[:, 1] == unit, 0] for unit in range(graph.widths[group])]
        columns[group] = np.stack([(p[:, None] * taps + np.arange(taps)).reshape(-1) for p in owned])
    energy = float(np.einsum("oi,ij,oj->", full, hessian, full)) / 2
    return Layer(full, np.linalg.inv(hessian), columns, max(energy, 1e-12))


def removal_trace(group: str, width: int, layers: Mapping[str, Layer]) -> tuple[np.ndarray, np.ndarray]:
    """Units in the order of removal, and (width + 1,) the relative output error after each removal."""
    readers = [layer for layer in layers.values() if group in layer.columns]
    states = [
        (layer.weight.copy(), layer.inverse.copy(), layer.columns[group], layer.energy) for layer in readers
    ]
    left, order, losses = list(range(width)), [], [0.0]
    while left:
        total = np.zeros(len(left))
        for weight, inverse, columns, energy in states:
            total += _block_losses(weight, inverse, columns[left]) / energy
        best = int(np.argmin(total))
        unit = left.pop(best)
        for weight, inverse, columns, _ in states:
            _remove_block(weight, inverse, columns[unit])
        order.append(unit)
        losses.append(losses[-1] + max(0.0, float(total[best])))
    return np.array(order), np.array(losses)


def _block_losses(weight: np.ndarray, inverse: np.ndarray, blocks: np.ndarray) -> np.ndarray:
    """(blocks,) ``tr(W_P (A_PP)^-1 W_P^T) / 2``."""
    inner = inverse[blocks[:, :, None], blocks[:, None, :]]
    part = weight[:, blocks].transpose(1, 2, 0)  # (blocks, columns, out)
    found: np.ndarray = np.einsum("bco,bco->b", part, np.linalg.solve(inner, part)) / 2
    return found


def _remove_block(weight: np.ndarray, inverse: np.ndarray, block: np.ndarray) -> None:
    """Take the columns of a block out of a layer, in place."""
    inner = np.linalg.inv(inverse[np.ix_(block, block)])
    rows = inner @ inverse[block]
    weight -= weight[:, block] @ rows
    inverse -= inverse[:, block] @ rows
    weight[:, block] = 0.0
    inverse[block, block] = 1.0  # keeps the sub-matrix invertible; these columns are never used again


def compensate(graph: Graph, keep: Mapping[str, np.ndarray], layers: Mapping[str, Layer]) -> Graph:
    """``graph`` with the removed units' columns zero and the others updated to make up for them."""
    constants = dict(graph.constants)
    for node in graph.nodes:
        layer = layers.get(node.name)
        if layer is None or not isinstance(node, Conv2d | Linear):
            continue
        blocks = [
            columns[np.setdiff1d(np.arange(len(columns)), keep[group])].reshape(-1)
            for group, columns in layer.columns.items()
            if group in keep
        ]
        block = np.concatenate(blocks) if blocks else np.zeros(0, np.int64)
        weight = layer.weight.copy()
        if len(block):
            inner = np.linalg.solve(layer.inverse[np.ix_(block, block)], layer.inverse[block])
            weight -= weight[:, block] @ inner
            weight[:, block] = 0.0
        shape = constants[node.weight].values.shape
        matrix = weight if node.bias is None else weight[:, :-1]
        if isinstance(node, Conv2d):
            matrix = matrix.reshape(shape[0], shape[3], shape[1], shape[2]).transpose(0, 2, 3, 1)
        constants[node.weight] = replace(constants[node.weight], values=matrix.astype(np.float32))
        if node.bias is not None:
            constants[node.bias] = replace(constants[node.bias], values=weight[:, -1].astype(np.float32))
    return replace(graph, constants=constants)
