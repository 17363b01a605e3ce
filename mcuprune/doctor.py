"""What of the outside world a run needs, and whether it is here."""

from __future__ import annotations

import importlib.metadata
import re
import shutil
import subprocess
from dataclasses import dataclass


@dataclass(frozen=True)
class Finding:
    """One tool; ``version`` is None when it is missing, ``required`` when a full run needs it."""

    name: str
    purpose: str
    required: bool
    version: str | None
    install: str


PACKAGES = (  # distribution, purpose, required, extra
    ("ziglang", "pinned C compiler for the host and every board", True, "firmware"),
    ("unicorn", "emulator of the board's core", True, "firmware"),
    ("capstone", "disassembler of the cycle model", True, "firmware"),
    ("tflite_micro", "TensorFlow Lite Micro, the byte-exact witness", True, "oracle"),
    ("ai-edge-litert", "TensorFlow Lite interpreter", True, ""),
    ("tensorflow", "second TensorFlow Lite interpreter", False, "keras"),
    ("tflite-runtime", "third TensorFlow Lite interpreter", False, "tflite-runtime"),
    ("onnxruntime", "runs the exported model.onnx", False, "test"),
)
PROGRAMS = (  # program, purpose, required, how to get it
    ("arm-none-eabi-gcc", "`--toolchain gcc` for Arm boards", False, "the system's package of that name"),
    ("qemu-system-arm", "second emulator, and Helium", False, "the system's package of that name"),
)


def examine() -> tuple[Finding, ...]:
    """Every tool with its version, in a fixed order."""
    packages = (
        Finding(name, purpose, required, _package_version(name), _pip(name, extra))
        for name, purpose, required, extra in PACKAGES
    )
    programs = (
        Finding(name, purpose, required, _program_version(name), install)
        for name, purpose, required, install in PROGRAMS
    )
    return (*packages, *programs)


def missing(findings: tuple[Finding, ...]) -> tuple[Finding, ...]:
    """The required tools that are not here."""
    return tuple(finding for finding in findings if finding.required and finding.version is None)


def _pip(name: str, extra: str) -> str:
    return f"pip install 'mcuprune[{extra}]'" if extra else f"pip install {name}"


def _package_version(name: str) -> str | None:
    try:
        return importlib.metadata.version(name)
    except importlib.metadata.PackageNotFoundError:
        return None


def _program_version(name: str) -> str | None:
    path = shutil.which(name)
    if path is None:
        return None
    try:
        shown = subprocess.run([path, "--version"], capture_output=True, text=True, timeout=20, check=True)
    except (OSError, subprocess.SubprocessError):
        return None
    number = re.search(r"\d+\.\d+(\.\d+)?", re.sub(r"\(.*?\)", "", shown.stdout))
    return number[0] if number else "unknown version"
