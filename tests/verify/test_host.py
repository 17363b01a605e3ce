"""The host runner sees what generated code does to memory that is not its own."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from mcuprune.errors import MismatchError, ToolchainError, UsageError
from mcuprune.verify.host import HostModel, run_host
from mcuprune.verify.interface import header_numbers

HEADER = """#include <stdint.h>
#define NET_ARENA_SIZE 8
#define NET_ARENA_ALIGN 4
#define NET_INPUT_SIZE 3
#define NET_INPUT_OFFSET 0
#define NET_INPUT_ZERO_POINT (-7)
#define NET_OUTPUT_SIZE 2
#define NET_OUTPUT_OFFSET 4
int net_run(const int8_t *input, int8_t *output, void *arena);
"""
RUN = "int net_run(const int8_t *input, int8_t *output, void *arena)"


def model(body: str, folder: Path) -> HostModel:
    files = {
        "include/net.h": HEADER,
        "src/net.c": f'#include "net.h"\n{RUN}\n'
        f"{{\n    int8_t *const memory = arena;\n    (void)memory;\n    {body}\n}}\n",
    }
    return HostModel(files, "net", folder)


SUM = "output[0] = (int8_t)(input[0] + input[1]); output[1] = input[2]; return 0;"


def test_outputs_with_own_buffers_and_in_the_arena(tmp_path: Path) -> None:
    net = model(SUM, tmp_path)
    inputs = np.array([[1, 2, 3], [-4, 5, 6]], np.int8)
    for in_arena in (False, True):
        assert net.run(inputs, in_arena).tolist() == [[3, 3], [1, 6]]


def test_run_host_needs_no_folder() -> None:
    files = {"include/net.h": HEADER, "src/net.c": f'#include "net.h"\n{RUN} {{ (void)arena; {SUM} }}\n'}
    assert run_host(files, "net", np.array([[1, 2, 3]], np.int8)).tolist() == [[3, 3]]


@pytest.mark.parametrize(
    ("body", "message"),
    [
        ("memory[8] = 1; return 0;", "outside its arena"),
        ("memory[-1] = 1; return 0;", "outside its arena"),
        ("output[2] = 1; return 0;", "outside its output"),
        ("*(int8_t *)(uintptr_t)(input + 3) = 1; return 0;", "outside its input"),
        ("*(int8_t *)(uintptr_t)input = (int8_t)(input[0] + 1); return 0;", "changed its input"),
        ("return 5;", "returned 5"),
    ],
)
def test_stray_writes_are_reported(body: str, message: str, tmp_path: Path) -> None:
    with pytest.raises(MismatchError, match=message):
        model(body, tmp_path).run(np.zeros((1, 3), np.int8))


def test_arena_starts_as_garbage(tmp_path: Path) -> None:
    net = model("output[0] = memory[0]; output[1] = memory[7]; return 0;", tmp_path)
    assert net.run(np.zeros((1, 3), np.int8)).tolist() == [[-91, -91]]


def test_two_versions_of_one_model_live_side_by_side(tmp_path: Path) -> None:
    first, second = model(SUM, tmp_path), model("output[0] = 9; output[1] = 9; return 0;", tmp_path)
    inputs = np.ones((1, 3), np.int8)
    assert second.run(inputs).tolist() == [[9, 9]]
    assert first.run(inputs).tolist() == [[2, 1]]


def test_wrong_inputs_are_refused(tmp_path: Path) -> None:
    net = model(SUM, tmp_path)
    for wrong in (np.zeros((1, 4), np.int8), np.zeros((2, 3), np.uint8), np.zeros(3, np.int8)):
        with pytest.raises(UsageError, match=r"int8 arrays of \(N, 3\)"):
            net.run(wrong)
    with pytest.raises(UsageError, match="layers"):
        net.tensors(np.zeros(3, np.int8))


def test_code_that_does_not_compile_is_a_toolchain_error(tmp_path: Path) -> None:
    with pytest.raises(ToolchainError, match="nonsense"):
        model("nonsense;", tmp_path)


def test_header_numbers() -> None:
    assert header_numbers(HEADER, "net")["INPUT_ZERO_POINT"] == -7
