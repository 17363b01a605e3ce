"""The kernels as a shared library of this machine, built once a session."""

from __future__ import annotations

import ctypes
import os
import shutil
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

import pytest

from mcuprune import share

KERNELS = share.folder("codegen") / "kernels"
WARNINGS = ("-Wall", "-Wextra", "-Werror", "-pedantic", "-Wconversion", "-Wshadow")
SANITIZERS = "-fsanitize=address,undefined"


def host_compiler() -> tuple[str, ...]:
    found = shutil.which("cc")
    return (found,) if found else (sys.executable, "-m", "ziglang", "cc")


def build_library(target: Path, flags: Sequence[str], compiler: Sequence[str] = ()) -> Path:
    files = sorted(map(str, KERNELS.glob("*/*.c")))
    command = (*(compiler or host_compiler()), "-std=c99", "-O2", "-g0", *WARNINGS, *flags)
    done = subprocess.run(
        [*command, "-shared", "-fPIC", f"-I{KERNELS}", *files, "-o", str(target)],
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr
    return target


@pytest.fixture(scope="session", params=["wide", "narrow"])
def library(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> ctypes.CDLL:
    """``narrow``: with the arithmetic of cores that multiply to 32 bits only and have no division."""
    flags = ["-DMCP_NARROW_MULTIPLY", "-DMCP_NO_DIVISION"] if request.param == "narrow" else []
    if os.environ.get("MCUPRUNE_SANITIZE"):
        flags += [SANITIZERS, "-fno-sanitize-recover=all"]
    return ctypes.CDLL(str(build_library(tmp_path_factory.mktemp("kernels") / "kernels.so", flags)))
