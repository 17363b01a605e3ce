"""The order of the stages: a module imports only from its own stage and from those before it."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
STAGES = (
    "errors",
    "share",
    "terminal",
    "progress",
    "core",
    "memory",
    "board",
    "budget",
    "graph",
    "kernels",
    "plan",
    "resources",
    "quantize",
    "signal",
    "frontends",
    "exporters",
    "lossless",
    "training",
    "prune",
    "models",
    "tasks",
    "inr",
    "codegen",
    "verify",
    "report",
    "layers",
    "config",
    "identity",
    "workspace",
    "deploy",
    "fit",
    "problem",
    "form",
    "sound",
    "score",
    "evidence",
    "figures",
    "summarize",
    "package",
    "posttrain",
    "analyze",
    "export",
    "recheck",
    "check",
    "pipeline",
    "engine",
    "sweep",
    "family",
    "doctor",
    "listing",
    "cli",
    "__main__",
)
ONLY_IN = {  # optional or heavy packages, and the stages that may import them
    "unicorn": ("verify",),
    "capstone": ("verify",),
    "tflite_micro": ("verify",),
    "tflite_runtime": ("verify",),
    "onnxruntime": ("verify",),
    "typer": ("cli",),
    "rich": ("progress", "report"),
}
MODULES = sorted(
    path
    for folder in ("mcuprune", "codegen")
    for path in (ROOT / folder).rglob("*.py")
    if path != ROOT / "mcuprune" / "__init__.py"
)


def stage_of(path: Path) -> str:
    parts = path.relative_to(ROOT).with_suffix("").parts
    return parts[0] if parts[0] == "codegen" else parts[1]


def imported(path: Path) -> Iterator[tuple[int, str]]:
    """(line, dotted name) of every import, also of those inside functions."""
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            yield from ((node.lineno, alias.name) for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path}:{node.lineno}: write the import with its full name"
            yield from ((node.lineno, f"{node.module}.{alias.name}") for alias in node.names)


@pytest.mark.parametrize("path", MODULES, ids=lambda path: str(path.relative_to(ROOT)))
def test_imports_only_earlier_stages(path: Path) -> None:
    stage = stage_of(path)
    assert stage in STAGES, f"{path}: a new stage needs its place in STAGES"
    for line, name in imported(path):
        package, _, rest = name.partition(".")
        target = rest.partition(".")[0]
        if package == "mcuprune" and target in STAGES:
            assert STAGES.index(target) <= STAGES.index(stage), (
                f"{path}:{line}: {stage} may not import {target}"
            )
        assert package != "codegen", f"{path}:{line}: the generator is imported as mcuprune.codegen"


@pytest.mark.parametrize("path", MODULES, ids=lambda path: str(path.relative_to(ROOT)))
def test_optional_packages_stay_in_their_stage(path: Path) -> None:
    for line, name in imported(path):
        owners = ONLY_IN.get(name.partition(".")[0], (stage_of(path),))
        assert stage_of(path) in owners, f"{path}:{line}: {name} may be imported in {owners} only"
        assert not name.startswith("torch.ao"), f"{path}:{line}: torch.ao.quantization is going away"


def test_every_stage_is_there() -> None:
    present = {stage_of(path) for path in MODULES}
    assert set(STAGES) <= present, f"no such stage: {sorted(set(STAGES) - present)}"
