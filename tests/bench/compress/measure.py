"""Accuracy and resources of one trained network, float and as the integer network that is deployed."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from mcuprune.core import Core
from mcuprune.figures import nominal
from mcuprune.graph.channels import prunable
from mcuprune.graph.ir import Graph
from mcuprune.graph.passes import run_passes
from mcuprune.prune.density import MODEL, Density
from mcuprune.quantize.convert import dequantize_output, quantize_input, quantize_trained
from mcuprune.quantize.run_int8 import run_int8
from mcuprune.tasks.task import Task
from mcuprune.training.graph_module import GraphModule
from mcuprune.training.loop import predict
from tests.bench.compress.resources import Parts

DIGITS = 6  # of the metrics that are kept


def accuracies(task: Task, graph: Graph, ranges: Mapping[str, tuple[float, float]]) -> dict[str, Any]:
    """Test and validation metric, and of classifiers the number of correct answers.

    ``ranges`` are those that int8 training settled on; without them they are measured on training inputs.
    """
    module, test = GraphModule(graph), task.test
    floats = predict(module, test.x)
    integer = quantize_trained(run_passes(graph), task.calibration(), ranges)
    outputs = run_int8(integer, quantize_input(integer, test.x))
    assert isinstance(outputs, np.ndarray)
    scores = {
        "score": task.score(floats, test.y),
        "int8": task.score(dequantize_output(integer, outputs), test.y),
        "validation": task.score(predict(module, task.validation.x), task.validation.y),
    }
    found: dict[str, Any] = {name: round(value, DIGITS) for name, value in scores.items()}
    found |= {"metric": task.metric, "n": len(test)}
    if task.metric == "accuracy":
        found |= {f"correct_{name}": round(scores[name] * len(test)) for name in ("score", "int8")}
    return found


def resources(graph: Graph, dense: Graph, core: Core, objective: str) -> dict[str, Any]:
    """Bytes, MACs and modelled cycles (upper bound, no wait states), widths and densities.

    ``nominal_macs`` and ``parameters`` leave out weights that are zero, as papers count.
    """
    folded = run_passes(graph)
    figures = Parts(folded, core, objective=objective).exact({})
    nominal_macs, parameters = nominal(folded)
    widths = {group: graph.widths[group] for group in prunable(dense) if group in graph.widths}
    whole = Density(run_passes(dense), core)
    left = Density(folded, core).weights() / whole.weights()
    shares = whole.exact(widths) if set(widths) == set(prunable(dense)) else {MODEL: left}
    return {
        **{name: round(value) for name, value in figures.items()},
        "objective": objective,
        "nominal_macs": nominal_macs,
        "parameters": parameters,
        "widths": widths,
        "densities": {name: round(share, DIGITS) for name, share in shares.items()},
    }
