"""Network and data together: the model as a graph for the task's inputs, or what does not fit."""

from __future__ import annotations

from dataclasses import replace

from torch import nn

from mcuprune.errors import UnsupportedError, UsageError
from mcuprune.frontends.torch_export import trace
from mcuprune.graph.channels import build_graph
from mcuprune.graph.ir import Graph
from mcuprune.tasks.task import Task


def channels_first(shape: tuple[int, ...]) -> tuple[int, ...]:
    """(height, width, channels) as torch orders it; feature vectors stay."""
    return (shape[2], *shape[:2]) if len(shape) == 3 else shape


def as_graph(model: nn.Module | Graph, task: Task, name: str) -> Graph:
    """The model as a Graph called ``name``; a module is traced at the shape of the task's inputs."""
    if isinstance(model, Graph):
        return replace(at_shape(model, task.input_shape), name=name)
    shape = channels_first(task.input_shape)
    try:
        return trace(model, shape, name)
    except UsageError as error:
        raise UsageError(f"{error} (the shape of the data of '{task.name}')") from error


def at_shape(graph: Graph, shape: tuple[int, ...]) -> Graph:
    """The graph on maps of another height and width; as it is where its layers do not take them."""
    (read, *more), own = graph.inputs, graph.shape(graph.inputs[0])
    if more or own == shape or len(own) != 3 or len(shape) != 3 or own[2] != shape[2]:
        return graph
    try:
        return build_graph(graph.name, graph.nodes, {read: shape}, graph.outputs, graph.constants)
    except UnsupportedError:
        return graph


def check_fit(graph: Graph, task: Task) -> None:
    """Raises UsageError unless the network reads the task's inputs and writes as many values as it needs."""
    if len(graph.inputs) != 1 or len(graph.outputs) != 1:
        raise UsageError(
            f"model '{graph.name}' has {len(graph.inputs)} inputs and {len(graph.outputs)} outputs; "
            "give a model with one of each"
        )
    reads, writes = graph.shape(graph.inputs[0]), graph.shape(graph.outputs[0])
    if reads != task.input_shape:
        raise UsageError(
            f"model '{graph.name}' reads inputs of shape {reads}, the data of '{task.name}' have "
            f"{task.input_shape}; change the model or the data"
        )
    what = "classes" if task.classes else "target values"
    if len(writes) != 1:
        raise UsageError(
            f"model '{graph.name}' writes shape {writes}, task '{task.name}' needs a vector "
            f"of {task.outputs} {what}; pool or flatten at the end"
        )
    if writes[0] != task.outputs:
        raise UsageError(
            f"model '{graph.name}' has {writes[0]} outputs, the data of '{task.name}' {task.outputs} {what}; "
            "make the last layer as wide"
        )
