"""Cycle rules against sums worked out by hand from the manuals' tables."""

from __future__ import annotations

import pytest

from mcuprune.core import CORES
from mcuprune.errors import UnsupportedError
from mcuprune.verify.cycles import Cycles, cycle_rules
from mcuprune.verify.disassembly import Instruction


def make(name: str, destination: str | None = None, address: str = "", **values: object) -> Instruction:
    registers = frozenset(address.split())
    return Instruction(0, 2, name, name, destination, registers, **values)  # type: ignore[arg-type]


def cost(
    core: str, instruction: Instruction, previous: Instruction | None = None
) -> tuple[float, float, float]:
    cycles = cycle_rules(core).cost(instruction, previous)
    return (cycles.low, cycles.mid, cycles.high)


LOAD = make("ldr", "r1", "r0")
ADD = make("add", "r0")


@pytest.mark.parametrize(
    ("instruction", "previous", "expected"),
    [
        (make("smlad", "r0"), None, (1, 1, 1)),
        (LOAD, None, (2, 2, 2)),
        (make("ldr", "r2", "r0"), LOAD, (1, 1, 1)),  # behind a load
        (make("ldr", "r2", "r1"), LOAD, (2, 2, 2)),  # behind the load that gives its address
        (LOAD, ADD, (2, 3, 3)),  # waits for its address
        (LOAD, make("cmp", "r0"), (2, 2, 2)),  # a comparison writes nothing
        (make("str", "r2", "r0"), None, (1, 1, 1)),
        (make("strb", "r2", "r0 r3", register_offset=True), None, (2, 2, 2)),
        (make("strb", "r2", "r0 r3", register_offset=True), LOAD, (1, 1, 1)),
        (make("str", "r2", "r0"), ADD, (1, 2, 2)),
        (make("ldrd", "r2", "r0"), None, (3, 3, 3)),
        (make("push", "r4", listed=4), None, (5, 5, 5)),
        (make("pop", "r4", listed=4, writes_pc=True), None, (5, 5, 5)),
        (make("sdiv", "r0"), None, (2, 7, 12)),
        (make("it"), None, (0, 1, 1)),
        (make("b"), None, (1, 1, 1)),
        (make("tbb", None, "pc r0"), None, (2, 3, 3)),
        (make("vmov", "s0"), None, (1, 1, 1)),
        (make("vfma", "s0"), None, (3, 3, 3)),
        (make("vldr", "s0", "r0"), None, (2, 2, 2)),
        (make("vpush", "s16", listed=4), None, (5, 5, 5)),
        (make("vdiv", "s0"), None, (14, 14, 14)),
    ],
)
def test_cortex_m4(
    instruction: Instruction, previous: Instruction | None, expected: tuple[float, float, float]
) -> None:
    assert cost("cortex-m4", instruction, previous) == expected
    assert cost("cortex-m33", instruction, previous) == expected
    assert cost("cortex-m7", instruction, previous) == (expected[0] / 2, *expected[1:])


@pytest.mark.parametrize(
    ("core", "instruction", "expected"),
    [
        ("cortex-m3", make("mla", "r0"), (2, 2, 2)),
        ("cortex-m3", make("smull", "r0"), (3, 4, 5)),
        ("cortex-m3", make("mul", "r0"), (1, 1, 1)),
        ("cortex-m0plus", LOAD, (2, 2, 2)),
        ("cortex-m0plus", make("pop", "r4", listed=2, writes_pc=True), (4, 4, 4)),  # 3 + N with the refill
        ("cortex-m0plus", make("bl"), (2, 2, 2)),  # 3 with the refill
        ("rv32", make("lbu"), (1, 2, 2)),
        ("rv32", make("mul"), (1, 1, 1)),
        ("rv32", make("div"), (2, 17, 33)),
    ],
)
def test_other_cores(core: str, instruction: Instruction, expected: tuple[float, float, float]) -> None:
    assert cost(core, instruction) == expected


@pytest.mark.parametrize(
    ("core", "name"),
    [("cortex-m4", "wfe"), ("cortex-m3", "smlad"), ("cortex-m0plus", "sdiv"), ("rv32", "fadd.s")],
)
def test_an_unknown_instruction_is_an_error(core: str, name: str) -> None:
    with pytest.raises(UnsupportedError, match=f"no cycle rule for '{name}'"):
        cost(core, make(name))


def test_refill() -> None:
    assert cycle_rules("cortex-m4").refill == Cycles(1, 2, 3)
    assert cycle_rules("cortex-m0plus").refill == Cycles(1, 1, 1)


def test_every_emulated_core_has_rules() -> None:
    for core in CORES.values():
        assert (core.timing is None) == (core.unicorn is None)
        if core.timing:
            assert cycle_rules(core.timing).refill.low > 0
