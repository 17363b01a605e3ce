"""Modelled cycles of executed instructions, with zero-wait-state memory: low, mid and high estimate.

Cortex-M3 and M4: instruction timing of the technical reference manuals (Arm DDI 0337, DDI 0439).  Data
processing, multiply and SIMD 1; single load 2, or 1 right after another load that does not give its
address; store 1, with register offset 2 (1 right after a load); LDRD and STRD 3; register lists 1 + N;
division 2 to 12; each taken branch refills the pipeline: P = 1 (low), 2 (mid), 3 (high) more.  A load or
store whose address comes from the data-processing instruction before it waits 1 (not in the low
estimate).  IT folds into the instruction before it in the low estimate and takes 1 otherwise.  Floating
point: 1; fused or chained multiplication 3, division and square root 14, load and store 2, lists 1 + N.  The
Cortex-M3 multiplies more slowly: MLA 2, SMULL 3 to 5, SMLAL 4 to 7.

Cortex-M33 and M7 publish no such table.  The M33 is taken as an M4.  The M7 issues up to two instructions
in one cycle: half of the M4's low estimate is its low one; mid and high are the M4's, and so upper
estimates.

Cortex-M0+: Arm DDI 0484.  Everything 1; load and store 2; register lists 1 + N; taken branch 1 more, BL 2
more, POP with the program counter 2 more; multiplication in one cycle.

RV32: an in-order core of four stages without published timing.  Everything 1; load 2 (low: 1); taken
branch and jump 1, 2 or 3 more; division 2 to 33.

Cortex-M55: QEMU counts its instructions and nothing else.  The core does half of a vector instruction in a
cycle, and may overlap it with its neighbour: so all instructions are taken as 1 (low), 1.5 (mid) or 2 (high).
An estimate, not a model: nothing tells the kinds of instructions apart, and memory is not looked at.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

from mcuprune.errors import UnsupportedError
from mcuprune.verify.disassembly import Instruction


@dataclass(frozen=True)
class Cycles:
    """An estimate of core cycles; ``mid`` is the one to compare and ``high`` the one to promise."""

    low: float = 0.0
    mid: float = 0.0
    high: float = 0.0

    def __add__(self, other: Cycles) -> Cycles:
        return Cycles(self.low + other.low, self.mid + other.mid, self.high + other.high)

    def __mul__(self, times: float) -> Cycles:
        return Cycles(self.low * times, self.mid * times, self.high * times)


@dataclass(frozen=True)
class CycleRules:
    """``cost(instruction, previous)`` without, ``refill`` with what a change of the program counter adds.

    ``previous`` is the instruction before it in memory, or ``None`` where that is never executed.
    """

    cost: Callable[[Instruction, Instruction | None], Cycles]
    refill: Cycles


def cycle_rules(timing: str) -> CycleRules:
    """The rules of a core, by its ``timing`` name."""
    return _RULES[timing]


def from_instructions(count: int) -> Cycles:
    """What a number of instructions may take on a core with vectors that do half of their work in a cycle."""
    return Cycles(count, 1.5 * count, 2.0 * count)


def _same(cycles: float) -> Cycles:
    return Cycles(cycles, cycles, cycles)


def _unknown(instruction: Instruction) -> UnsupportedError:
    return UnsupportedError(f"no cycle rule for '{instruction.text}' at {instruction.address:#010x}")


def _words(text: str) -> frozenset[str]:
    return frozenset(text.split())


LOADS = _words("ldr ldrb ldrh ldrsb ldrsh")
STORES = _words("str strb strh")
DOUBLES = frozenset(("ldrd", "strd"))
LISTS = _words("ldm ldmdb stm stmdb push pop")
BRANCHES = _words("b bl bx blx cbz cbnz")
TABLES = frozenset(("tbb", "tbh"))
DIVISIONS = frozenset(("sdiv", "udiv"))
COMPARES = _words("cmp cmn tst teq")
SYSTEM = _words("bkpt dmb dsb isb mrs msr hint nop cps svc")
MULTIPLY_32 = _words("mul smlabb smlabt smlatb smlatt smulbb smulbt smultb smultt smulwb smulwt")
ACCUMULATE_32 = _words("mla mls smlawb smlawt smmul smmulr smmla smmlar smmls smmlsr")
MULTIPLY_64 = frozenset(("smull", "umull"))
ACCUMULATE_64 = _words("smlal umlal umaal smlalbb smlalbt smlaltb smlaltt")
SIMD = _words(
    """smlad smladx smlsd smlsdx smuad smuadx smusd smusdx smlald smlaldx smlsld smlsldx sxtb16 uxtb16
    sxtab16 uxtab16 sxtab sxtah uxtab uxtah pkhbt pkhtb ssat16 usat16 sel usad8 usada8 qadd qsub
    qdadd qdsub qadd8 qadd16 qsub8 qsub16 qasx qsax sadd8 sadd16 ssub8 ssub16 sasx ssax uadd8 uadd16
    usub8 usub16 uqadd8 uqadd16 uqsub8 uqsub16 shadd8 shadd16 shsub8 shsub16 uhadd8 uhadd16 uhsub8
    uhsub16"""
)
FP = _words(
    """vmov vmrs vmsr vadd vsub vmul vnmul vneg vabs vcmp vcmpe vcvt vcvtr vcvta vcvtn vcvtm vcvtp vrint
    vrintr vrintz vrintx vsel vmaxnm vminnm"""
)
FP_ACCUMULATE = _words("vmla vmls vnmla vnmls vfma vfms vfnma vfnms")
FP_LISTS = _words("vpush vpop vldmia vstmia vldmdb vstmdb")
PLAIN = _words(
    """add addw adc adr sub subw sbc rsb rsc mov movw movt mvn and orr orn eor bic lsl lsr asr ror rrx
    sxtb sxth uxtb uxth ubfx sbfx bfi bfc clz rbit rev rev16 revsh ssat usat neg"""
)
DATA = PLAIN | COMPARES | MULTIPLY_32 | ACCUMULATE_32 | MULTIPLY_64 | ACCUMULATE_64 | SIMD


def _waits_for_address(instruction: Instruction, previous: Instruction | None) -> bool:
    if previous is None or previous.name not in DATA or previous.name in COMPARES:
        return False
    return previous.destination in instruction.address_registers


def _pipelined(instruction: Instruction, previous: Instruction | None) -> bool:
    """Right behind a single load that does not deliver its address."""
    if previous is None or previous.name not in LOADS:
        return False
    return previous.destination not in instruction.address_registers


def _memory_m4(instruction: Instruction, previous: Instruction | None) -> Cycles:
    cycles = 2.0 if instruction.name in LOADS or instruction.register_offset else 1.0
    if _pipelined(instruction, previous):
        return _same(1)
    wait = 1.0 if _waits_for_address(instruction, previous) else 0.0
    return Cycles(cycles, cycles + wait, cycles + wait)


def _cost_m4(instruction: Instruction, previous: Instruction | None) -> Cycles:
    name = instruction.name
    if name in DATA or name in BRANCHES or name in SYSTEM:
        return _same(1)
    if name in LOADS or name in STORES:
        return _memory_m4(instruction, previous)
    if name in DOUBLES:
        wait = 1.0 if _waits_for_address(instruction, previous) else 0.0
        return Cycles(3, 3 + wait, 3 + wait)
    if name in LISTS:
        return _same(1 + instruction.listed)
    if name in TABLES:
        return Cycles(2, 3, 3)
    if name in DIVISIONS:
        return Cycles(2, 7, 12)
    if name == "it":
        return Cycles(0, 1, 1)
    return _cost_fp(instruction)


def _cost_fp(instruction: Instruction) -> Cycles:
    """A compiler that may use the unit also moves integers through it."""
    name = instruction.name
    if name in FP:
        return _same(1)
    if name in FP_ACCUMULATE:
        return _same(3)
    if name in ("vldr", "vstr"):
        return _same(2)
    if name in FP_LISTS:
        return _same(1 + instruction.listed)
    if name in ("vdiv", "vsqrt"):
        return _same(14)
    raise _unknown(instruction)


def _cost_m3(instruction: Instruction, previous: Instruction | None) -> Cycles:
    name = instruction.name
    if name in SIMD or name.startswith("v"):
        raise _unknown(instruction)
    if name in ACCUMULATE_32:
        return _same(2)
    if name in MULTIPLY_64:
        return Cycles(3, 4, 5)
    if name in ACCUMULATE_64:
        return Cycles(4, 5.5, 7)
    return _cost_m4(instruction, previous)


def _cost_m7(instruction: Instruction, previous: Instruction | None) -> Cycles:
    cycles = _cost_m4(instruction, previous)
    return Cycles(cycles.low / 2, cycles.mid, cycles.high)


def _cost_m0plus(instruction: Instruction, previous: Instruction | None) -> Cycles:
    name = instruction.name
    if name == "bl":
        return _same(2)
    if name == "pop" and instruction.writes_pc:
        return _same(2 + instruction.listed)
    if name in LISTS:
        return _same(1 + instruction.listed)
    if name in LOADS or name in STORES:
        return _same(2)
    if name in PLAIN or name in COMPARES or name == "mul" or name in BRANCHES or name in SYSTEM:
        return _same(1)
    raise _unknown(instruction)


RV_LOADS = _words("lb lbu lh lhu lw lwsp")
RV_DIVISIONS = _words("div divu rem remu")
RV_OTHERS = _words(
    """sb sh sw swsp add addi sub neg and andi or ori xor xori not sll slli srl srli sra srai slt slti
    sltu sltiu seqz snez sltz sgtz lui li mv nop auipc addi16sp addi4spn mul mulh mulhu mulhsu beq
    beqz bne bnez blt bltz blez bge bgez bgtz bltu bgeu bgt ble bgtu bleu j jal jr jalr ret call
    tail csrw csrr csrrw csrrs csrrc csrs csrc fence ecall ebreak unimp"""
)


def _cost_rv32(instruction: Instruction, previous: Instruction | None) -> Cycles:
    name = instruction.name
    if name in RV_LOADS:
        return Cycles(1, 2, 2)
    if name in RV_DIVISIONS:
        return Cycles(2, 17, 33)
    if name in RV_OTHERS:
        return _same(1)
    raise _unknown(instruction)


_REFILL = Cycles(1, 2, 3)
_RULES: Mapping[str, CycleRules] = {
    "cortex-m0plus": CycleRules(_cost_m0plus, _same(1)),
    "cortex-m3": CycleRules(_cost_m3, _REFILL),
    "cortex-m4": CycleRules(_cost_m4, _REFILL),
    "cortex-m7": CycleRules(_cost_m7, Cycles(0.5, 2, 3)),
    "cortex-m33": CycleRules(_cost_m4, _REFILL),
    "rv32": CycleRules(_cost_rv32, _REFILL),
}
