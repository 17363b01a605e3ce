"""A quantized network and its plan as a C package.  Knows no operator: those are in ``lowerings/``."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from mcuprune import share
from mcuprune.board import Board
from mcuprune.codegen import ConstantData, Layer, Picked, Sources
from mcuprune.codegen.c_structs import Pointer, Value, image, initialiser
from mcuprune.codegen.c_text import Names, comment, dims, model_identifier, rows, times
from mcuprune.codegen.ends import address, interface, places
from mcuprune.codegen.lowering import Array, Operation, Struct, lower
from mcuprune.codegen.lowerings import (  # noqa: F401  (each registers its operators)
    activation,
    concat,
    conv2d,
    copy,
    elementwise,
    fully_connected,
    movement,
    pad,
    pool2d,
    recurrent,
    reduce,
    softmax,
)
from mcuprune.codegen.render import (
    Constant,
    LayerText,
    LoopText,
    Package,
    ResetText,
    StructText,
    render,
)
from mcuprune.codegen.row_loop import row_text
from mcuprune.codegen.states import FirstValue, first_values
from mcuprune.errors import UnsupportedError
from mcuprune.graph.ir import Node, QuantizedGraph, Stored
from mcuprune.graph.memory import storages
from mcuprune.graph.op_shape import op_shape
from mcuprune.kernels import catalogue
from mcuprune.plan.ir import Call, Plan, RowLoop, kernels_of, row_loops
from mcuprune.quantize.scheme import integer_parameters
from mcuprune.resources.macs import macs

PUBLIC = ("run", "reset", "quantize", "dequantize", "memory", "io")  # what the header adds to the prefix


@dataclass
class _Constants:
    """The constants met so far.  Equal arrays are not shared: flash must follow from the widths alone."""

    names: Names
    arrays: dict[str, bytes] = field(default_factory=dict)
    structs: dict[str, ConstantData] = field(default_factory=dict)

    def add(self, array: Array, prefix: str) -> tuple[str, Constant]:
        """The symbol that holds the array, and its text."""
        symbol = self.names.new(f"{prefix}_{array.suffix}")
        self.arrays[symbol] = array.values.astype(array.values.dtype.newbyteorder("<")).tobytes()
        text = f"{array.values.dtype.name}_t {symbol}[{array.values.size}]"
        return symbol, Constant(text, array.shape, rows(array.values))


def emit(graph: QuantizedGraph, plan: Plan, board: Board, picked: Picked | None = None) -> Sources:
    """The C package of ``graph``; see :func:`mcuprune.codegen.emit`."""
    if not plan.steps:
        raise UnsupportedError(
            f"model '{graph.name}': its output is its input; there is no layer to generate"
        )
    name = model_identifier(graph.name)
    constants = _Constants(Names(f"{name}_{word}" for word in PUBLIC))
    face = interface(graph, plan)
    stored, symbols = _stored(graph, constants, name)
    where = {**places(graph, plan, face), **symbols}
    nodes = {node.name: node for node in graph.nodes}
    texts = tuple(
        _loop(index, step, graph, where, address(face, plan, step.scratch), constants, name)
        if isinstance(step, RowLoop)
        else _layer(
            index, step, nodes[step.node], graph, where, address(face, plan, step.scratch), constants, name
        )
        for index, step in enumerate(plan.steps)
    )
    resets = tuple(_reset(value, constants, name) for value in first_values(graph, plan))
    package = Package.of(name, graph, plan, board, face, resets, (*stored, *texts), picked)
    used = sorted({*kernels_of(plan), *(reset.function for reset in resets)})
    files = {**render(package), **_kernel_files(used, bool(row_loops(plan)))}
    plain = {symbol: data.data for symbol, data in constants.structs.items() if not data.pointers}
    return Sources(
        name=name,
        files=dict(sorted(files.items())),
        constants={**constants.arrays, **plain},
        structs={symbol: data for symbol, data in constants.structs.items() if data.pointers},
        layers=tuple(Layer(step.node, step.kernel, _bytes(graph, step.node)) for step in plan.steps),
    )


def _reset(value: FirstValue, constants: _Constants, name: str) -> ResetText:
    """How one state gets its first value: filled, or copied from a constant."""
    place = f"state + {value.offset}"
    if value.array is None:
        return ResetText("mcp_fill", f"mcp_fill({place}, {value.bytes}, {value.fill});", (), ())
    arrays: list[Constant] = []
    structs: list[StructText] = []
    prefix = f"{name}_{value.state}"
    source, text = constants.add(value.array, prefix)
    arrays.append(text)
    symbol = _struct(value.struct, prefix, value.state, constants, arrays, structs)
    call = f"mcp_copy(&{symbol}, {source}, {place});"
    return ResetText("mcp_copy", call, tuple(arrays), tuple(structs))


def _stored(
    graph: QuantizedGraph, constants: _Constants, name: str
) -> tuple[tuple[LayerText, ...], dict[str, str]]:
    """The constants that layers read as tensors: their text, and the symbol of each such tensor."""
    texts, symbols = [], {}
    for node in graph.nodes:
        if isinstance(node, Stored):
            values = graph.constants[node.constant].values
            array = Array("values", values.reshape(-1), dims(values.shape))
            symbols[node.name], text = constants.add(array, f"{name}_{node.name}")
            texts.append(LayerText(f"{comment(node.name)}, constant", (text,), (), (), ""))
    storage = storages(graph.nodes)
    found = {tensor: symbols[owner] for tensor, owner in storage.items() if owner in symbols}
    return tuple(texts), found


def _layer(
    index: int,
    call: Call,
    node: Node,
    graph: QuantizedGraph,
    places: Mapping[str, str],
    scratch: str,
    constants: _Constants,
    name: str,
) -> LayerText:
    """One step: its constants, its parameter structures and its calls."""
    operation = Operation(
        node=node,
        kernel=catalogue.kernel(call.kernel),
        parameters=integer_parameters(node, graph),
        inputs=tuple(places[tensor] for tensor in node.inputs),
        output=places[node.name],
        scratch=scratch if call.scratch_bytes else "NULL",
    )
    prefix = f"{name}_{node.name}"
    arrays: list[Constant] = []
    structs: list[StructText] = []
    return LayerText(
        title=f"{index}: {_title(node, graph)}",
        calls=_calls(operation, prefix, constants, arrays, structs),
        constants=tuple(arrays),
        structs=tuple(structs),
        done=f"MCP_LAYER_DONE({index}, {operation.output}, {_bytes(graph, node.name)});",
    )


def _calls(
    operation: Operation,
    prefix: str,
    constants: _Constants,
    arrays: list[Constant],
    structs: list[StructText],
) -> tuple[str, ...]:
    """The kernel calls of an operation; what they point to is added to the lists."""
    lines = []
    for call in lower(operation.node, operation):
        symbol = _struct(call.struct, prefix, operation.node.name, constants, arrays, structs)
        lines.append(f"{operation.kernel.name}({', '.join((f'&{symbol}', *call.arguments))});")
    return tuple(lines)


def _loop(
    index: int,
    loop: RowLoop,
    graph: QuantizedGraph,
    places: Mapping[str, str],
    scratch: str,
    constants: _Constants,
    name: str,
) -> LayerText:
    """Layers that run row by row: a function of its own, which the run function calls."""
    arrays: list[Constant] = []
    structs: list[StructText] = []

    def calls(operation: Operation) -> tuple[str, ...]:
        return _calls(operation, f"{name}_{operation.node.name}", constants, arrays, structs)

    function = constants.names.new(f"{name}_rows_{index}")
    rows = tuple(row_text(step, loop, graph, calls) for step in loop.steps)
    layers = [node for node in graph.nodes if node.name in {step.node for step in loop.steps if step.kernel}]
    output = places[loop.node]
    return LayerText(
        title=f"{index}: {len(layers)} layers row by row, {comment(loop.source)} to {comment(loop.node)}",
        calls=(f"{function}({places[loop.source]}, {output}, {scratch});",),
        constants=tuple(arrays),
        structs=tuple(structs),
        done=f"MCP_LAYER_DONE({index}, {output}, {_bytes(graph, loop.node)});",
        loop=LoopText(function, loop.ticks, rows, loop.kernel_scratch),
    )


def _struct(
    struct: Struct,
    prefix: str,
    where: str,
    constants: _Constants,
    arrays: list[Constant],
    structs: list[StructText],
) -> str:
    """Adds a structure and the arrays it points to; returns its symbol."""
    values: dict[str, Value] = {}
    for name, value in struct.fields.items():
        if isinstance(value, Array):
            symbol, text = constants.add(value, prefix)
            arrays.append(text)
            value = Pointer(symbol)
        values[name] = value
    symbol = constants.names.new(f"{prefix}_{struct.suffix}" if struct.suffix else prefix)
    constants.structs[symbol] = image(struct.kind, values, where)
    lines = tuple(initialiser(struct.kind, values, where))
    structs.append(StructText(f"{struct.kind} {symbol}", lines))
    return symbol


def _title(node: Node, graph: QuantizedGraph) -> str:
    count = macs(node, op_shape(node, graph.shape))
    sizes = ", ".join(times(graph.shape(name)) for name in node.inputs)
    title = f"{comment(node.name)}, {type(node).__name__} {sizes} -> {times(graph.shape(node.name))}"
    return f"{title}, {count} MACs" if count else title


def _bytes(graph: QuantizedGraph, tensor: str) -> int:
    return math.prod(graph.shape(tensor)) * graph.element_bytes(tensor)


def _kernel_files(kernels: Sequence[str], row_buffers: bool) -> dict[str, str]:
    folder = share.folder("codegen") / "kernels"
    paths = (*catalogue.sources(kernels), *(catalogue.ROW_LOOP_FILES if row_buffers else ()))
    return {f"src/{path.rpartition('/')[2]}": (folder / path).read_text(encoding="utf-8") for path in paths}
