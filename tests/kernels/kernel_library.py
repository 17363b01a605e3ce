"""The kernels as a shared library of this machine."""

from __future__ import annotations

import shutil
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

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
