"""Which kernel each layer of a network gets.

Speed is a matter of each layer alone.  Flash is not: the code of a kernel is there once, however many layers
call it, so bytes are counted for all layers together.

cycles    fewest cycles, layer by layer; bytes break ties
size      fewest bytes of constants and code
balanced  least product of the model's cycles and its bytes: one per cent of either is worth one of the other
ram       least memory while a layer runs, among kernels that take at most twice the fewest cycles
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace

from mcuprune.graph.op_shape import OpShape
from mcuprune.kernels import catalogue
from mcuprune.kernels.kernel import Kernel
from mcuprune.plan.live import Choose, LiveStep, Network, ShapeOf, Work, works


@dataclass(frozen=True)
class Option:
    """A kernel that a layer may get; ``constants`` in bytes, ``functions`` with the bytes of each."""

    kernel: Kernel
    cycles: float
    constants: int
    functions: tuple[tuple[str, int], ...]


Cost = tuple[float, ...]
Judge = Callable[[float, float], Cost]  # cycles and bytes of all layers -> what is to be least
_JUDGES: Mapping[str, Judge] = {
    "size": lambda cycles, size: (size, cycles),
    "balanced": lambda cycles, size: (cycles * size, cycles),
}


def select(network: Network, isa: frozenset[str], objective: str) -> Choose:
    """How the layers of ``network`` get their kernels; a shape that is none of its layers' is ranked alone.

    Raises UnsupportedError for a layer that no kernel implements.
    """
    if objective not in _JUDGES:
        return catalogue.choose
    layers = [(work.shape, work.kernel) for work in works(network, isa, "cycles", catalogue.choose)]
    found = _least([options(shape, isa) for shape, _ in layers], _JUDGES[objective])
    return _table([shape for shape, _ in layers], found)


def options(shape: OpShape, isa: frozenset[str]) -> tuple[Option, ...]:
    """The kernels for a shape with what ranks them, the fastest first."""
    cpu = catalogue.typical_cpu(isa)
    found = [
        Option(
            kernel,
            float(catalogue.cycles(kernel, shape, cpu)),
            int(kernel.constants(shape)),
            tuple((name, catalogue.function_bytes(name, cpu)) for name in catalogue.functions(kernel)),
        )
        for kernel in catalogue.candidates(shape, isa)
    ]
    return tuple(sorted(found, key=lambda option: (option.cycles, option.constants)))


def relaxed(steps: Sequence[LiveStep[Work]], network: Network, isa: frozenset[str], limit: int) -> Choose:
    """The fastest kernel of each layer with which its step stays within ``limit`` bytes of memory."""
    cpu = catalogue.typical_cpu(isa)

    def fastest(step: LiveStep[Work]) -> Kernel:
        shape = step.work.shape
        fitting = [
            kernel
            for kernel in catalogue.candidates(shape, isa)
            if replace(step, work=replace(step.work, kernel=kernel)).bytes(network.shape) <= limit
        ]
        return min((*fitting, step.work.kernel), key=lambda kernel: catalogue.cycles(kernel, shape, cpu))

    return _table([step.work.shape for step in steps], [fastest(step) for step in steps])


def sparing(network: Network, isa: frozenset[str]) -> Choose:
    """The kernel of each layer that needs least memory while it runs; cycles break ties."""
    cpu = catalogue.typical_cpu(isa)
    layers = works(network, isa, "cycles", catalogue.choose)

    def least(work: Work) -> Kernel:
        quick = catalogue.quick_enough(catalogue.candidates(work.shape, isa), work.shape, cpu)

        def rank(kernel: Kernel) -> tuple[float, float]:
            return _own_bytes(replace(work, kernel=kernel), network.shape), catalogue.cycles(
                kernel, work.shape, cpu
            )

        return min(quick, key=rank)

    return _table([work.shape for work in layers], [least(work) for work in layers])


def _own_bytes(work: Work, shape_of: ShapeOf) -> int:
    """Bytes of a layer's inputs, output and scratch, if nobody else reads the inputs afterwards."""
    return int(LiveStep(work, tuple(dict.fromkeys(work.reads)), frozenset(work.reads)).bytes(shape_of))


def _table(shapes: Sequence[OpShape], kernels: Sequence[Kernel]) -> Choose:
    chosen = {shape.node.name: (shape, kernel) for shape, kernel in zip(shapes, kernels, strict=True)}

    def choose(shape: OpShape, isa: frozenset[str], objective: str) -> Kernel:
        own = chosen.get(shape.node.name)
        if own is not None and own[0] == shape:
            return own[1]
        return catalogue.choose(shape, isa, objective)

    return choose


def _least(layers: Sequence[Sequence[Option]], judge: Judge) -> list[Kernel]:
    """The kernels of least cost that step by step improvement finds, from the fastest and the smallest ones.

    A step gives one layer, or all layers of one kernel that can, another kernel.
    """
    starts = (
        [options[0] for options in layers],
        [min(options, key=_bytes_alone) for options in layers],
    )
    ends = [_improved(start, layers, judge) for start in starts]
    best = min(ends, key=lambda found: _cost(found, judge))
    return [option.kernel for option in best]


def _bytes_alone(option: Option) -> int:
    return option.constants + sum(size for _, size in option.functions)


def _improved(found: list[Option], layers: Sequence[Sequence[Option]], judge: Judge) -> list[Option]:
    while True:
        better = min(_neighbours(found, layers), key=lambda other: _cost(other, judge), default=found)
        if _cost(better, judge) >= _cost(found, judge):
            return found
        found = better


def _neighbours(found: list[Option], layers: Sequence[Sequence[Option]]) -> list[list[Option]]:
    singles = [
        [*found[:index], other, *found[index + 1 :]]
        for index, options in enumerate(layers)
        for other in options
        if other != found[index]
    ]
    used = dict.fromkeys(option.kernel.name for option in found)
    known = dict.fromkeys(option.kernel.name for options in layers for option in options)
    swaps = [_swapped(found, layers, old, new) for old in used for new in known if old != new]
    return [*singles, *(other for other in swaps if other != found)]


def _swapped(found: list[Option], layers: Sequence[Sequence[Option]], old: str, new: str) -> list[Option]:
    return [
        next((o for o in options if o.kernel.name == new), own) if own.kernel.name == old else own
        for own, options in zip(found, layers, strict=True)
    ]


def _cost(found: Sequence[Option], judge: Judge) -> Cost:
    code = {name: size for option in found for name, size in option.functions}
    size = sum(option.constants for option in found) + sum(code.values())
    return judge(sum(option.cycles for option in found), size)
