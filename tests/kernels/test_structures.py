"""Structures and constants have the sizes that the flash model counts."""

from __future__ import annotations

import ctypes
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from integer_cases import CASES
from kernel_calls import NESTED, STRUCTURES, constants_for, structure_32
from kernel_cases import Case

from mcuprune import share
from mcuprune.kernels import catalogue
from mcuprune.kernels.constants import STRUCT_BYTES


def test_python_mirrors_have_the_declared_sizes() -> None:
    sizes = sorted(ctypes.sizeof(structure_32(kind)) for kind in STRUCTURES.values() if kind not in NESTED)
    assert sizes == sorted(STRUCT_BYTES.values())


@pytest.mark.parametrize("target", ["thumb-freestanding-eabi", "riscv32-freestanding-none"])
def test_compiler_agrees_on_sizes(target: str, tmp_path: Path) -> None:
    pytest.importorskip("ziglang")
    checks = "".join(
        f"typedef char check_{name}[sizeof({name}) == {size} ? 1 : -1];\n"
        for name, size in STRUCT_BYTES.items()
    )
    source = tmp_path / "sizes.c"
    source.write_text(f'#include "mcp_kernels.h"\n{checks}')
    include = f"-I{share.folder('codegen') / 'kernels'}"
    command = [sys.executable, "-m", "ziglang", "cc", "-target", target, include, "-c", str(source)]
    done = subprocess.run([*command, "-o", str(tmp_path / "sizes.o")], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize("name", CASES)
def test_constants_are_counted_exactly(name: str) -> None:
    @settings(max_examples=20, deadline=None, suppress_health_check=list(HealthCheck))
    @given(CASES[name])
    def check(case: Case) -> None:
        kernel = catalogue.kernel(name)
        total = 0
        for part in getattr(case.parameters, "parts", (case.parameters,)):
            stored = constants_for(kernel, part)
            arrays = [value for value in vars(stored).values() if isinstance(value, np.ndarray)]
            total += sum(-(-array.nbytes // 4) * 4 for array in arrays)
            total += ctypes.sizeof(structure_32(STRUCTURES[type(part)]))
        assert kernel.constants(case.shape) == total

    check()
