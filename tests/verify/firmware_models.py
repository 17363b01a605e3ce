"""Small models in C and assembly whose outputs and counts are known by hand, linked for any board."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import numpy as np

KEY = np.array([1, -2, 3, -4, 5, -6, 7, -8, 9, -10, 11, -12, 13, -14, 15, -16], np.int8)


def tiny_files() -> dict[str, str]:
    root = Path(__file__).with_name("tiny")
    return {str(path.relative_to(root)): path.read_text() for path in sorted(root.rglob("*.[ch]"))}


def tiny_reference(inputs: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """What both layers of the model compute, for inputs (n, 16) int8."""
    mixed = inputs ^ KEY
    sums = (mixed[:, 0::2].astype(np.int32) + mixed[:, 1::2]).astype(np.int8)
    return mixed, np.trunc(sums / 3).astype(np.int8)


def tiny_inputs(count: int) -> np.ndarray:
    return np.random.default_rng(0).integers(-128, 128, (count, 16)).astype(np.int8)


HEADER = """#include <stdint.h>
#define PROBE_ARENA_SIZE 64
#define PROBE_ARENA_ALIGN 4
#define PROBE_INPUT_SIZE 4
#define PROBE_INPUT_OFFSET 0
#define PROBE_OUTPUT_SIZE 4
#define PROBE_OUTPUT_OFFSET 4
int probe_run(const int8_t *input, int8_t *output, void *arena);
"""
FUNCTION = """__attribute__((naked)) void {name}(void *arena);
void {name}(void *arena)
{{
    __asm__ volatile("{body}");
}}
"""


def assembly_model(bodies: Mapping[str, str]) -> dict[str, str]:
    """Model ``probe``: one call per body, in order; a body gets the arena as its argument and must return."""
    functions = "".join(
        FUNCTION.format(name=name, body="\\n".join(line.strip() for line in body.strip().splitlines()))
        for name, body in bodies.items()
    )
    calls = "".join(f"    {name}(arena);\n" for name in bodies)
    run = (
        "int probe_run(const int8_t *input, int8_t *output, void *arena)\n{\n    (void)input, (void)output;\n"
    )
    return {
        "include/probe.h": HEADER,
        "src/probe_kernels.c": functions,
        "src/probe.c": '#include "probe.h"\n'
        + "".join(f"void {name}(void *arena);\n" for name in bodies)
        + f"{run}{calls}    return 0;\n}}\n",
    }
