"""Instructions as the cycle rules need them, from capstone's disassembly."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from mcuprune.errors import ToolchainError
from mcuprune.verify.image import Image


@dataclass(frozen=True)
class Instruction:
    """One machine instruction.

    name              base mnemonic: no condition, no flag-setting ``s``, no width suffix
    destination       the register written first, if any
    address_registers registers that form a memory address
    register_offset   the address is base plus register
    listed            number of registers in a register list
    writes_pc         a load, pop or move into the program counter
    """

    address: int
    size: int
    name: str
    text: str
    destination: str | None = None
    address_registers: frozenset[str] = frozenset()
    register_offset: bool = False
    listed: int = 0
    writes_pc: bool = False


def disassembler(image: Image, family: str) -> Callable[[int, int], tuple[Instruction, ...]]:
    """A function that disassembles the code between two addresses of an image (``arm`` or ``riscv``)."""
    import capstone

    if family == "arm":
        mode = capstone.CS_MODE_THUMB | capstone.CS_MODE_MCLASS
        engine = capstone.Cs(capstone.CS_ARCH_ARM, mode)
        convert = _arm
    else:
        engine = capstone.Cs(capstone.CS_ARCH_RISCV, capstone.CS_MODE_RISCV32 | capstone.CS_MODE_RISCVC)
        convert = _riscv
    engine.detail = True

    def disassemble(start: int, end: int) -> tuple[Instruction, ...]:
        found = tuple(convert(raw) for raw in engine.disasm(image.read(start, end - start), start))
        reached = found[-1].address + found[-1].size if found else start
        if reached != end:
            code = image.read(reached, min(4, end - reached)).hex()
            raise ToolchainError(
                f"the disassembler does not know the instruction {code} in {image.where(reached)}"
            )
        return found

    return disassemble


def _arm(raw: Any) -> Instruction:
    from capstone import arm

    name = raw.insn_name().removesuffix("s") if raw.insn_name() == "movs" else raw.insn_name()
    registers = [operand for operand in raw.operands if operand.type == arm.ARM_OP_REG]
    memory = [operand.mem for operand in raw.operands if operand.type == arm.ARM_OP_MEM]
    listed = len(registers)
    if name in ("ldm", "ldmdb", "stm", "stmdb", "vldmia", "vstmia", "vldmdb", "vstmdb"):
        listed -= 1
    names = [raw.reg_name(operand.reg) for operand in registers]
    address = {raw.reg_name(part) for mem in memory for part in (mem.base, mem.index) if part}
    return Instruction(
        address=raw.address,
        size=raw.size,
        name=name,
        text=f"{raw.mnemonic} {raw.op_str}".strip(),
        destination=names[0] if names else None,
        address_registers=frozenset(address),
        register_offset=any(mem.index for mem in memory),
        listed=listed,
        writes_pc="pc" in (names[1:] if name in ("ldm", "ldmdb") else names if name == "pop" else names[:1]),
    )


def _riscv(raw: Any) -> Instruction:
    """Compressed forms carry the name of the instruction they stand for."""
    name = raw.mnemonic.removeprefix("c.")
    return Instruction(raw.address, raw.size, name, f"{raw.mnemonic} {raw.op_str}".strip())
