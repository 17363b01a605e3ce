"""The catalogue of C kernels: every function that generated code may call, as data.

To add a kernel: its C file, one record in the tuple of its instruction set, a prototype in ``mcp_kernels.h``.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from functools import cache
from importlib import resources
from types import MappingProxyType
from typing import Any

from mcuprune.errors import UnsupportedError, UsageError
from mcuprune.graph.ir import unsupported
from mcuprune.graph.op_shape import Number, OpShape
from mcuprune.kernels.dsp import DSP
from mcuprune.kernels.integer_only import INTEGER_ONLY
from mcuprune.kernels.kernel import Kernel
from mcuprune.kernels.mve import MVE
from mcuprune.kernels.portable import PORTABLE
from mcuprune.kernels.sharing import SHARING, twin
from mcuprune.kernels.wide import WIDE

KERNELS: tuple[Kernel, ...] = (*PORTABLE, *INTEGER_ONLY, *WIDE, *DSP, *MVE, *SHARING)

# Functions that only the reset function of a model with states calls.
RESET_SUPPORT = ("mcp_fill",)

HEADERS = ("mcp_kernels.h",)
# What a loop over rows needs besides the kernels of its layers.
ROW_LOOP_FILES = ("mcp_arithmetic.h", "mcp_rows.h", "portable/mcp_fill.c", "portable/mcp_row_buffer.c")
OBJECTIVES = ("cycles", "size", "ram", "balanced")
# A kernel slower than the fastest by more than this factor is not taken for the memory that it saves.
SLOWEST_FOR_RAM = 2.0

_BY_NAME: Mapping[str, Kernel] = MappingProxyType({kernel.name: kernel for kernel in KERNELS})
# A core whose time is not modelled takes a slower relative's figures for the instructions both have.
_TIMED_AS = MappingProxyType({"cortex-m55": "cortex-m33"})
# What a kernel is ranked by where no core is named: a typical core with these instructions.
_TYPICAL_CPU = MappingProxyType({"mve": "cortex-m55", "dsp": "cortex-m4", "portable": "cortex-m0plus"})


def kernel(name: str) -> Kernel:
    """The kernel of that name; UsageError if there is none."""
    if name not in _BY_NAME:
        raise UsageError(f"no kernel is called '{name}'; the catalogue has {', '.join(_BY_NAME)}")
    return _BY_NAME[name]


def candidates(shape: OpShape, isa: frozenset[str]) -> tuple[Kernel, ...]:
    """The kernels for ``shape`` on a core with the instruction sets ``isa``, in catalogue order.

    All that can run it; of twins, where channels share a multiplier, the one that stores it once.
    Raises UnsupportedError for a node class or a shape that no kernel implements.
    """
    same_op = [kernel for kernel in KERNELS if type(shape.node) is kernel.op]
    if not same_op:
        raise unsupported(shape.node, "the kernel catalogue")
    found = tuple(kernel for kernel in same_op if kernel.isa in isa and kernel.accepts(shape))
    if not found:
        raise UnsupportedError(
            f"layer '{shape.node.name}': no {'/'.join(sorted(isa))} kernel takes {shape.inputs} -> "
            f"{shape.output} with {shape.node}"
        )
    sharing = {kernel.name for kernel in found if kernel.shares_multiplier}
    return tuple(kernel for kernel in found if twin(kernel.name) not in sharing)


def choose(shape: OpShape, isa: frozenset[str], objective: str = "cycles") -> Kernel:
    """The best kernel for ``shape``, whose channel numbers are ints, as if the model had no other layer.

    ``cycles`` are fewest first, ``size`` counts the constants of the call and the code of the kernel,
    ``balanced`` is the least product of both, ``ram`` the least scratch of the kernels that take at most
    SLOWEST_FOR_RAM times the fewest cycles.  The order of the catalogue breaks ties.
    """
    cpu = typical_cpu(isa)

    def rank(kernel: Kernel) -> tuple[float, ...]:
        time, size = cycles(kernel, shape, cpu), kernel.constants(shape) + code_bytes(kernel, cpu)
        scratch = kernel.scratch(shape)
        ranks = {
            "cycles": (time, size),
            "size": (size, time),
            "ram": (scratch, time),
            "balanced": (time * size, time),
        }
        if objective not in ranks:
            raise UsageError(f"objective '{objective}' is unknown; choose {' or '.join(OBJECTIVES)}")
        return ranks[objective]

    found = candidates(shape, isa)
    return min(quick_enough(found, shape, cpu) if objective == "ram" else found, key=rank)


def quick_enough(kernels: Iterable[Kernel], shape: OpShape, cpu: str) -> tuple[Kernel, ...]:
    """Those that take at most SLOWEST_FOR_RAM times the cycles of the fastest, in their order."""
    times = {kernel: cycles(kernel, shape, cpu) for kernel in kernels}
    limit = SLOWEST_FOR_RAM * min(times.values())
    return tuple(kernel for kernel, time in times.items() if time <= limit)


def typical_cpu(isa: frozenset[str]) -> str:
    """The core whose figures rank kernels where no core is named."""
    return next(cpu for family, cpu in _TYPICAL_CPU.items() if family in isa)


def functions(kernel: Kernel) -> tuple[str, ...]:
    """The kernel's C function and those that it calls."""
    return (kernel.name, *(need for need in kernel.needs if not need.endswith(".h")))


def cycles(kernel: Kernel, shape: OpShape, cpu: str) -> Number:
    """Modelled cycles of one call on a core, without flash wait states; UsageError for an unknown core."""
    terms = zip(coefficients(kernel, cpu), kernel.features(shape), strict=True)
    return sum(coefficient * feature for coefficient, feature in terms)


def coefficients(kernel: Kernel, cpu: str) -> tuple[float, ...]:
    """Cycles per unit of each of the kernel's features on a core."""
    return tuple(_timing(kernel, cpu)["coefficients"])


def code_bytes(kernel: Kernel, cpu: str, toolchain: str = "zig") -> int:
    """Code and read-only data of a kernel and of the functions it calls."""
    return sum(function_bytes(name, cpu, toolchain) for name in functions(kernel))


def function_bytes(name: str, cpu: str, toolchain: str = "zig") -> int:
    """Code and read-only data of one function of the catalogue, callees not included."""
    return int(_figure("code_bytes.json", name, cpu, toolchain)["code_bytes"])


def stack_bytes(name: str, cpu: str, toolchain: str = "zig") -> int:
    """Stack below a call of a kernel, its callees included."""
    return int(_figure("code_bytes.json", name, cpu, toolchain)["stack_bytes"])


def cycle_excess(kernel: Kernel, cpu: str) -> float:
    """The share by which an emulated run exceeded :func:`cycles` at most, over all shapes that were tried."""
    return float(_timing(kernel, cpu)["largest_excess"])


def sources(names: Iterable[str]) -> tuple[str, ...]:
    """Files under ``codegen/kernels`` that these kernels need, headers included, sorted."""
    files = set(HEADERS)
    for name in names:
        if name in RESET_SUPPORT:
            files.update(("mcp_arithmetic.h", f"portable/{name}.c"))
            continue
        chosen = kernel(name)
        files.add(f"{chosen.isa}/{chosen.name}.c")
        files.update(need if need.endswith(".h") else f"{chosen.isa}/{need}.c" for need in chosen.needs)
    return tuple(sorted(files))


def _timing(kernel: Kernel, cpu: str) -> Any:
    timed_as = cpu if kernel.isa == "mve" else _TIMED_AS.get(cpu, cpu)
    return _figure("cycle_coefficients.json", kernel.name, timed_as)


@cache
def _table(file: str) -> Any:
    return json.loads(resources.files("mcuprune.kernels").joinpath(file).read_text())


def _figure(file: str, *keys: str) -> Any:
    found = _table(file)["kernels"]
    for key in keys:
        if key not in found:
            raise UsageError(f"mcuprune/kernels/{file} has no '{key}' of {'/'.join(keys)}: measure it again")
        found = found[key]
    return found
