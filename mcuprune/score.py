"""The test set, read once: metrics of the compressed network in all its forms and of its controls."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from mcuprune.deploy import Deployment
from mcuprune.form import Compressed
from mcuprune.graph.ir import Graph
from mcuprune.graph.passes import run_passes
from mcuprune.quantize.convert import dequantize_output, layer_sqnr, quantize_input
from mcuprune.quantize.run_int8 import run_int8
from mcuprune.resources.model import ResourceModel, breakdown
from mcuprune.tasks.task import Task
from mcuprune.training.graph_module import GraphModule
from mcuprune.training.loop import predict
from mcuprune.verify.host import run_host


@dataclass(frozen=True)
class Score:
    """A metric with the number of samples behind it."""

    value: float
    n: int


@dataclass(frozen=True)
class Scores:
    """Test scores by key (dense, compressed, int8, host, controls); flash bytes by key, of all but dense."""

    values: Mapping[str, Score]
    flash: Mapping[str, int]
    sqnr: Mapping[str, float]


def evaluate(compressed: Compressed, built: Deployment) -> tuple[Scores, np.ndarray]:
    """Scores on the test set, which is read here for the first time; and its inputs as int8."""
    task, whole, outcome = compressed.form.problem.task, compressed.whole.task, compressed.outcome
    test, target = task.test, compressed.target
    graphs: dict[str, Graph] = {"compressed": outcome.found.graph}
    if outcome.dense is not None:
        graphs["dense"] = outcome.dense.graph
    graphs |= {name: trained.graph for name, trained in outcome.controls.items()}
    values = {}
    for name, graph in graphs.items():  # each on the inputs that it reads: the chosen ones, or all
        read = task if graph.shape(graph.inputs[0]) == task.input_shape else whole
        values[name] = score_outputs(task, predict(GraphModule(graph), read.test.x))
    quantized = built.subject.graph
    inputs = quantize_input(quantized, test.x)
    outputs = run_int8(quantized, inputs)
    assert isinstance(outputs, np.ndarray)
    values["int8"] = score_outputs(task, dequantize_output(quantized, outputs))
    host = run_host(built.subject.files, built.subject.sources.name, inputs.reshape(len(inputs), -1))
    values["host"] = score_outputs(task, dequantize_output(quantized, host.reshape(outputs.shape)))
    unfolded = quantized if built.folded is None else built.folded.original
    sqnr = layer_sqnr(outcome.found.graph, unfolded, task.calibration(64))
    flash = {n: flash_bytes(graph, target.resources) for n, graph in graphs.items() if n != "dense"}
    resources = target.resources
    ours = breakdown(quantized, built.subject.plan, resources.core, resources.toolchain).flash
    flash |= dict.fromkeys(("int8", "host", "emulated"), ours)
    return Scores(values, flash, sqnr), inputs


def flash_bytes(graph: Graph, resources: ResourceModel) -> int:
    """Flash that a float network would take when deployed like ours."""
    folded = run_passes(graph)
    return breakdown(folded, resources.plan(folded), resources.core, resources.toolchain).flash


def score_outputs(task: Task, outputs: np.ndarray) -> Score:
    return Score(task.score(outputs, task.test.y[: len(outputs)]), len(outputs))
