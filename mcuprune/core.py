"""The processor cores that firmware is built for: instruction set, compiler flags, emulator model.

A core is what its compiler flags and its instruction timing are a function of; everything else is the board.
Firmware is built with the calling convention of software floating point on every core: the generated code has
none, and a float that slips in on a core without vectors then shows up as a library call.  Cores with vectors
(Helium) hold them in floating-point registers, inside functions only, which start-up code must switch on.
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Core:
    """One processor core.

    name        as board files write it
    cpu         the name in the vendor's documents
    family      ``arm`` or ``riscv``: start-up code, disassembler and emulator architecture
    isa         kernel sets that run on it (``Kernel.isa``)
    zig_target  ``-target`` and ``-mcpu`` of ``zig cc``
    gcc         name of the GNU cross compiler
    gcc_flags   its machine flags
    unicorn     name of the CPU model constant of the instruction-set emulator; ``None``: it has none
    timing      name of the cycle rules in ``verify/cycles.py``; ``None``: cycles are not modelled
    unaligned   whether loads and stores may be unaligned; elsewhere they fault
    """

    name: str
    cpu: str
    family: str
    isa: frozenset[str]
    zig_target: str
    zig_cpu: str
    gcc: str
    gcc_flags: tuple[str, ...]
    unicorn: str | None
    timing: str | None
    unaligned: bool = True


def _arm(name: str, cpu: str, unicorn: str | None, *isa: str, unaligned: bool = True) -> Core:
    return Core(
        name=name,
        cpu=cpu,
        family="arm",
        isa=frozenset(("portable", *isa)),
        zig_target="thumb-freestanding-eabi",
        # The DSP extension is optional on the M33; without floating point, zig leaves out vectors too.
        zig_cpu="+".join((name.replace("-", "_"), *isa)),
        gcc="arm-none-eabi-gcc",
        gcc_flags=(f"-mcpu={name}", "-mthumb", f"-mfloat-abi={'softfp' if 'mve' in isa else 'soft'}"),
        unicorn=unicorn,
        timing=name if unicorn else None,
        unaligned=unaligned,
    )


CORES: dict[str, Core] = {
    core.name: core
    for core in (
        _arm("cortex-m0plus", "Cortex-M0+", "UC_CPU_ARM_CORTEX_M0", unaligned=False),
        _arm("cortex-m3", "Cortex-M3", "UC_CPU_ARM_CORTEX_M3"),
        _arm("cortex-m4", "Cortex-M4", "UC_CPU_ARM_CORTEX_M4", "dsp"),
        _arm("cortex-m7", "Cortex-M7", "UC_CPU_ARM_CORTEX_M7", "dsp"),
        _arm("cortex-m33", "Cortex-M33", "UC_CPU_ARM_CORTEX_M33", "dsp"),
        _arm("cortex-m55", "Cortex-M55", None, "dsp", "mve"),
        Core(
            name="rv32imc",
            cpu="RV32IMC",
            family="riscv",
            isa=frozenset(("portable",)),
            zig_target="riscv32-freestanding-none",
            zig_cpu="generic_rv32+m+c",
            gcc="riscv64-unknown-elf-gcc",
            gcc_flags=("-march=rv32imc", "-mabi=ilp32"),
            unicorn="UC_CPU_RISCV32_ANY",
            timing="rv32",
        ),
    )
}
