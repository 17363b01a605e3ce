"""PyTorch modules to graphs, by way of torch.export."""

from __future__ import annotations

import operator
import warnings
from collections.abc import Mapping
from contextlib import contextmanager
from typing import Any

import numpy as np
import torch
from torch import fx, nn
from torch.export import ExportedProgram
from torch.export.graph_signature import InputKind
from torch.utils import _pytree as pytree

from mcuprune.errors import UnsupportedError, UsageError
from mcuprune.frontends.nchw import Builder
from mcuprune.frontends.torch_ops import READERS
from mcuprune.frontends.value import Value
from mcuprune.graph.ir import Graph
from mcuprune.graph.run_float import run_tensors

BATCH = 2  # not 1, so that squeezing or mixing the batch axis shows in the shapes
TOLERANCE = 1e-3  # of the largest output, between the graph and the (float32) module that it was read from


def trace(module: nn.Module, example_input_shape: tuple[int, ...], name: str = "model") -> Graph:
    """Capture ``module`` in evaluation mode as a Graph; batch normalization stays as nodes.

    ``example_input_shape`` is without the batch: (channels, height, width), (channels, length) or
    (features,); the graph's input is NHWC.  Raises UsageError when the module does not run on such an input,
    and UnsupportedError naming the layer for whatever mcuprune does not implement.  The graph's outputs are
    compared with the module's on a random batch before it is returned.
    """
    example = _example(module, tuple(example_input_shape))
    with _evaluating(module):
        expected = _run(module, example, name)
        program = _capture(module, example, name)
    graph = _Program(program, Builder()).read(name)
    _compare(graph, example, expected)
    return graph


def _example(module: nn.Module, shape: tuple[int, ...]) -> torch.Tensor:
    tensors = [t for t in (*module.parameters(), *module.buffers()) if t.is_floating_point()]
    like = tensors[0] if tensors else torch.zeros(1)
    values = torch.from_numpy(np.random.default_rng(0).standard_normal((BATCH, *shape)))
    return values.to(like.device, like.dtype)


@contextmanager
def _evaluating(module: nn.Module):  # type: ignore[no-untyped-def]
    """Evaluation mode without gradients; each submodule gets its own mode back."""
    modes = [(part, part.training) for part in module.modules()]
    module.eval()
    try:
        with torch.no_grad():
            yield
    finally:
        for part, mode in modes:
            part.training = mode


def _run(module: nn.Module, example: torch.Tensor, name: str) -> list[np.ndarray]:
    try:
        outputs = pytree.tree_leaves(module(example))
    except Exception as error:  # anything can be raised by a user's forward()
        shape = tuple(example.shape[1:])
        raise UsageError(
            f"model '{name}' fails on a batch of {BATCH} inputs of shape {shape}: {_line(error)}"
        ) from error
    return [
        x.detach().float().cpu().numpy() if isinstance(x, torch.Tensor) else np.asarray(x) for x in outputs
    ]


def _capture(module: nn.Module, example: torch.Tensor, name: str) -> ExportedProgram:
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # about attributes set in forward(); what matters fails below
            return torch.export.export(module, (example,), strict=False)
    except Exception as error:  # torch.export raises many kinds for what it cannot follow
        raise UnsupportedError(
            f"model '{name}': torch.export cannot capture forward() ({_line(error)}); remove branches and "
            "loops that depend on tensor values"
        ) from error


def _line(error: Exception) -> str:
    return f"{type(error).__name__}: {(str(error).strip().splitlines() or [''])[0]}"


def _compare(graph: Graph, example: torch.Tensor, expected: list[np.ndarray]) -> None:
    source = example.float().cpu().numpy()
    ours = np.moveaxis(source, 1, -1) if source.ndim > 2 else source
    given = {key: ours.reshape(BATCH, *graph.shape(key)) for key in graph.inputs}
    made = run_tensors(graph, given)
    for output, wanted in zip(graph.outputs, expected, strict=True):
        found = np.moveaxis(made[output], -1, 1).reshape(wanted.shape)
        limit = max(TOLERANCE, 8 * torch.finfo(example.dtype).eps) * max(1e-6, float(np.max(np.abs(wanted))))
        if not np.allclose(found, wanted, rtol=0, atol=limit):
            raise UnsupportedError(
                f"output '{output}' of the captured graph differs from the module's by "
                f"{np.max(np.abs(found - wanted)):.3g}; forward() does something that capturing does not "
                "see, such as in-place changes of views"
            )


class _Program:
    """One exported program on its way into a builder."""

    def __init__(self, program: ExportedProgram, builder: Builder) -> None:
        self.program, self.builder = program, builder
        self.values: dict[fx.Node, Any] = {}
        self.readers_of_weight: dict[str, str] = {}

    def read(self, name: str) -> Graph:
        kinds = {spec.arg.name: spec for spec in self.program.graph_signature.input_specs}
        outputs: list[Value] = []
        for node in self.program.graph.nodes:
            if node.op == "placeholder":
                self.values[node] = self._placeholder(node, kinds[node.name])
            elif node.op == "output":
                outputs = self._outputs(node)
            else:
                self.builder.at(*_place(node))
                self.values[node] = self._call(node)
        return self.builder.build(name, outputs)

    def _placeholder(self, node: fx.Node, spec: Any) -> Any:
        if spec.kind == InputKind.USER_INPUT:
            return self.builder.input(node.name, tuple(node.meta["val"].shape[1:]))
        stored = self.program.state_dict.get(spec.target, self.program.constants.get(spec.target))
        if not isinstance(stored, torch.Tensor):
            raise UnsupportedError(f"'{spec.target}' is no tensor; only tensors can be a model's parameters")
        return stored.detach()

    def _outputs(self, node: fx.Node) -> list[Value]:
        found = [
            self.values[leaf] if isinstance(leaf, fx.Node) else leaf for leaf in pytree.tree_leaves(node.args)
        ]
        self.builder.at("the model's output", "output")
        if not all(isinstance(value, Value) for value in found):
            raise self.builder.fail("returns a constant; return only tensors computed from the input")
        return found

    def _call(self, node: fx.Node) -> Any:
        if node.target is operator.getitem:
            return self._item(node)
        if not isinstance(node.target, torch._ops.OpOverload):
            raise self.builder.fail(f"'{node.target}' is control flow or no plain operator; remove it")
        if _operator(node).startswith("_assert"):
            return None
        arguments = self._arguments(node)
        if not any(isinstance(leaf, Value) for leaf in pytree.tree_leaves(list(arguments.values()))):
            return self._constant(node)
        reader = READERS.get(_operator(node))
        if reader is None:
            raise self.builder.fail(
                f"operator '{_operator(node)}' is not supported; replace the layer ('mcuprune ops' lists "
                "what works)"
            )
        self._claim_weights(node)
        made = reader(self.builder, arguments)
        if made.shape != arguments["shape"]:
            raise self.builder.fail(f"makes shape {arguments['shape']}, which is not understood")
        self._note_in_place(node, made)
        return (made,) if isinstance(node.meta["val"], tuple) else made

    def _item(self, node: fx.Node) -> Any:
        source, index = self.values[node.args[0]], node.args[1]  # type: ignore[index]
        if isinstance(source, tuple) and index not in range(len(source)):
            raise self.builder.fail(
                "uses the second result of an operator (indices); only the first one works"
            )
        return source[index]

    def _constant(self, node: fx.Node) -> Any:
        """Run an operator on parameters and constants alone, such as a weight normalization."""
        if torch.Tag.nondeterministic_seeded in node.target.tags:  # type: ignore[union-attr]
            raise self.builder.fail(f"operator '{_operator(node)}' draws random numbers; a network must not")
        arguments, options = fx.node.map_arg((node.args, node.kwargs), lambda source: self.values[source])
        with torch.no_grad():
            return node.target(*arguments, **options)  # type: ignore[operator]

    def _arguments(self, node: fx.Node) -> dict[str, Any]:
        """Arguments by schema name, tensors as float arrays; ``shape`` is the result's, without the batch."""
        made = node.meta.get("val")
        first = made[0] if isinstance(made, tuple | list) else made
        shape = tuple(int(size) for size in getattr(first, "shape", ()))
        found: dict[str, Any] = {}
        for index, argument in enumerate(node.target._schema.arguments):  # type: ignore[union-attr]
            default = argument.default_value if argument.has_default_value() else None
            given = node.args[index] if index < len(node.args) else node.kwargs.get(argument.name, default)
            found[argument.name] = pytree.tree_map(self._plain, given)
        values = [leaf for leaf in pytree.tree_leaves(list(found.values())) if isinstance(leaf, Value)]
        if values and shape[:1] != (BATCH,):
            raise self.builder.fail(
                f"makes shape {shape} from a batch of {BATCH}: it mixes or drops the batch axis"
            )
        return {**found, "shape": shape[1:]}

    def _plain(self, given: Any) -> Any:
        value = self.values[given] if isinstance(given, fx.Node) else given
        return value.detach().cpu().float().numpy() if isinstance(value, torch.Tensor) else value

    def _claim_weights(self, node: fx.Node) -> None:
        """Refuse a second layer on the same weights: layers are pruned and stored one by one."""
        field = {"conv1d": 1, "conv2d": 1, "linear": 1, "batch_norm": 3}.get(_operator(node))
        if field is None or field >= len(node.args):
            return
        for parameter in _parameters(node.args[field]):
            path = _place(node)[0]
            if parameter in self.readers_of_weight:
                raise self.builder.fail(
                    f"uses its weights a second time (first: {self.readers_of_weight[parameter]}); give each "
                    "use a layer of its own, for example with copy.deepcopy"
                )
            self.readers_of_weight[parameter] = path

    def _note_in_place(self, node: fx.Node, made: Value) -> None:
        """After ``x.add_(y)`` whoever reads ``x`` gets the changed value."""
        if node.target._schema.is_mutable:  # type: ignore[union-attr]
            changed = self.values[node.args[0]]  # type: ignore[index]
            self.values |= {key: made for key, value in self.values.items() if value is changed}


def _operator(node: fx.Node) -> str:
    name = str(node.target.overloadpacket.__name__)  # type: ignore[union-attr]
    return name.removesuffix("_") if node.target._schema.is_mutable else name  # type: ignore[union-attr]


def _place(node: fx.Node) -> tuple[str, str]:
    """How to name the layer of a node in messages, and in the graph."""
    stack: Mapping[str, Any] = node.meta.get("nn_module_stack") or {}
    path, kind = list(stack.values())[-1] if stack else ("", "")
    kind = kind if isinstance(kind, str) else f"{kind.__module__}.{kind.__qualname__}"
    what = _operator(node) if isinstance(node.target, torch._ops.OpOverload) else str(node.target)
    if kind.startswith("torch.nn.modules.") and ".container." not in kind:
        kind = kind.rsplit(".", 1)[-1]
        return f"layer '{path or 'model'}' ({kind})", path or kind.lower()
    return f"layer '{path or 'forward'}' ({what})", f"{path}_{what}" if path else what


def _parameters(node: Any) -> list[str]:
    """Names of the placeholders that a constant is computed from."""
    if not isinstance(node, fx.Node):
        return []
    if node.op == "placeholder":
        return [node.name]
    return [name for source in node.all_input_nodes for name in _parameters(source)]
