"""A core and its memories in the instruction-set emulator, without peripherals."""

from __future__ import annotations

import importlib.util
from collections.abc import Callable
from types import ModuleType
from typing import Any

from mcuprune.board import Board
from mcuprune.errors import ToolchainError
from mcuprune.verify.image import Image
from mcuprune.verify.toolchain import FIRMWARE_HINT

PAGE = 4096
# Where Arm's memory map allows code, and few boards have memory.  A page there is the return address of
# functions called from outside; the memory of images that have none of their own lies above it.
OUTSIDE = (0x9C00_0000, 0x7C00_0000, 0x1C00_0000)
OUTSIDE_BYTES = 0x0200_0000


def require_emulator(board: Board) -> None:
    """Raises ToolchainError when firmware for this board cannot be run here, saying why."""
    if board.core.unicorn is None:
        raise ToolchainError(
            f"board {board.name}: the emulator has no {board.core.cpu}; use QEMU ({board.qemu})"
        )
    for name in ("unicorn", "capstone"):
        if importlib.util.find_spec(name) is None:
            raise ToolchainError(f"the instruction-set emulator needs {name}; {FIRMWARE_HINT}")


class Machine:
    """Memory, registers and ``run``.  Addresses of Thumb code are even here; the mode bit is added inside.

    Flash is read-only; an access outside the board's memories, an undefined instruction and a run that takes
    longer than ``time_limit_s`` are ToolchainErrors that name the place in the code.
    """

    def __init__(self, image: Image, board: Board, time_limit_s: float = 60.0) -> None:
        require_emulator(board)
        self.image = image
        self.board = board
        self.time_limit_s = time_limit_s
        self._fault: str | None = None
        self._fault_place = ""
        self._arm = board.core.family == "arm"
        self._uc, self._registers = _open_arm(board) if self._arm else _open_riscv(board)
        self._map_memories()
        self._map_other_sections()
        self.outside = self._free_address()
        self._load()
        self._watch_faults()

    def _map_memories(self) -> None:
        import unicorn

        for kind, access in (
            ("flash", unicorn.UC_PROT_READ | unicorn.UC_PROT_EXEC),
            ("ram", unicorn.UC_PROT_ALL),
        ):
            for bank in self.board.memory.banks(kind):
                first, last = bank.origin // PAGE * PAGE, -(-bank.end // PAGE) * PAGE
                self._uc.mem_map(first, last - first, access)

    def _map_other_sections(self) -> None:
        """Memory that an image uses beyond the board's own, such as an external flash."""
        mapped = {(first, last + 1) for first, last, _ in self._uc.mem_regions()}
        for section in self.image.sections:
            first = section.address // PAGE * PAGE
            for page in range(first, section.address + section.size, PAGE):
                if not any(low <= page < high for low, high in mapped):
                    self._uc.mem_map(page, PAGE)
                    mapped.add((page, page + PAGE))

    def _free_address(self) -> int:
        """Where nothing of the board or the image lies."""
        mapped = [(first, last) for first, last, _ in self._uc.mem_regions()]
        for start in OUTSIDE:
            if all(last < start or first >= start + OUTSIDE_BYTES for first, last in mapped):
                return start
        raise ToolchainError("the image leaves no free addresses to call it from")

    def _load(self) -> None:
        for section in self.image.sections:
            if section.stored and section.data:
                self.write(section.address, section.data)

    def _watch_faults(self) -> None:
        import unicorn

        names = {
            unicorn.UC_MEM_READ_UNMAPPED: "read outside memory",
            unicorn.UC_MEM_WRITE_UNMAPPED: "write outside memory",
            unicorn.UC_MEM_FETCH_UNMAPPED: "execution outside memory",
            unicorn.UC_MEM_WRITE_PROT: "write into flash",
        }

        def invalid(_uc: Any, access: int, address: int, size: int, _value: int, _data: Any) -> bool:
            self._fault = f"{names.get(access, 'invalid access')}: {size} bytes at {address:#010x}"
            return False

        self._uc.hook_add(unicorn.UC_HOOK_MEM_INVALID, invalid)

    def map_outside(self, size: int) -> int:
        """Maps extra memory for images that are called from outside; returns its address."""
        self._uc.mem_map(self.outside, PAGE + -(-size // PAGE) * PAGE)
        return self.outside + PAGE

    def on_block(self, callback: Callable[[int, int], None]) -> Callable[[], None]:
        """Calls back with (address, size) before each block of instructions; returns how to stop that."""
        from unicorn import UC_HOOK_BLOCK

        # Translated code either calls back or does not: it must be translated anew when that changes.
        self._uc.ctl_flush_tb()
        handle = self._uc.hook_add(UC_HOOK_BLOCK, lambda _uc, address, size, _data: callback(address, size))

        def stop() -> None:
            self._uc.hook_del(handle)
            self._uc.ctl_flush_tb()

        return stop

    def on_flash_read(self, callback: Callable[[int], None]) -> Callable[[], None]:
        """Calls back with the size of each load from flash; returns how to stop that.  Slow."""
        from unicorn import UC_HOOK_MEM_READ

        def read(_uc: Any, _access: int, _address: int, size: int, _value: int, _data: Any) -> None:
            callback(size)

        self._uc.ctl_flush_tb()
        banks = self.board.memory.banks("flash")
        handles = [
            self._uc.hook_add(UC_HOOK_MEM_READ, read, begin=bank.origin, end=bank.end - 1) for bank in banks
        ]

        def stop() -> None:
            for handle in handles:
                self._uc.hook_del(handle)
            self._uc.ctl_flush_tb()

        return stop

    def on_unaligned(self) -> Callable[[], None]:
        """Makes unaligned loads and stores fault, as the core does; returns how to stop that.

        The emulated core would let them pass.  Looking at every access is slow.
        """
        from unicorn import UC_HOOK_MEM_READ, UC_HOOK_MEM_WRITE

        if self.board.core.unaligned:
            return lambda: None

        def check(uc: Any, _access: int, address: int, size: int, _value: int, _data: Any) -> None:
            if address % size and self._fault is None:
                self._fault = f"unaligned access: {size} bytes at {address:#010x}"
                self._fault_place = self._here()
                uc.emu_stop()

        self._uc.ctl_flush_tb()
        handle = self._uc.hook_add(UC_HOOK_MEM_READ | UC_HOOK_MEM_WRITE, check)

        def stop() -> None:
            self._uc.hook_del(handle)
            self._uc.ctl_flush_tb()

        return stop

    def read(self, address: int, size: int) -> bytes:
        return bytes(self._uc.mem_read(address, size))

    def write(self, address: int, data: bytes) -> None:
        self._uc.mem_write(address, data)

    def register(self, name: str) -> int:
        """``pc``, ``sp``, ``lr`` (``ra``), ``gp`` (RISC-V) or an argument register ``a0`` to ``a3``."""
        value = int(self._uc.reg_read(self._registers[name]))
        return value & ~1 if self._arm and name in ("pc", "lr") else value

    def set_register(self, name: str, value: int) -> None:
        if self._arm and name in ("pc", "lr"):
            value |= 1
        self._uc.reg_write(self._registers[name], value)

    def reset(self) -> int:
        """Puts the core into its reset state; returns the address of the first instruction."""
        if not self._arm:
            return self.image.entry
        vectors = self.board.memory.main("flash", "code").origin
        words = self.read(vectors, 8)
        self.set_register("sp", int.from_bytes(words[:4], "little"))
        return int.from_bytes(words[4:], "little") & ~1

    def run(self, start: int, until: int) -> None:
        """Runs from one address to another."""
        from unicorn import UcError

        self._fault = None
        begin = start | 1 if self._arm else start
        try:
            self._uc.emu_start(begin, until, timeout=int(1e6 * self.time_limit_s))
        except UcError as error:
            what = self._fault or str(error)
            raise ToolchainError(f"emulated {self.board.name}: {what}, in {self._here()}") from error
        if self._fault is not None:
            raise ToolchainError(f"emulated {self.board.name}: {self._fault}, in {self._fault_place}")
        if self.register("pc") != until:
            limit = f"{self.time_limit_s:g} seconds"
            raise ToolchainError(f"emulated {self.board.name}: not finished after {limit}, in {self._here()}")

    def _here(self) -> str:
        return self.image.where(self.register("pc"))


def _unicorn() -> tuple[ModuleType, Any, Any]:
    import unicorn
    from unicorn import arm_const, riscv_const

    return unicorn, arm_const, riscv_const


def _open_arm(board: Board) -> tuple[Any, dict[str, int]]:
    unicorn, const, _ = _unicorn()
    uc = unicorn.Uc(unicorn.UC_ARCH_ARM, unicorn.UC_MODE_THUMB | unicorn.UC_MODE_MCLASS)
    uc.ctl_set_cpu_model(getattr(const, str(board.core.unicorn)))
    names = {"pc": "PC", "sp": "SP", "lr": "LR", "a0": "R0", "a1": "R1", "a2": "R2", "a3": "R3"}
    return uc, {name: getattr(const, f"UC_ARM_REG_{register}") for name, register in names.items()}


def _open_riscv(board: Board) -> tuple[Any, dict[str, int]]:
    unicorn, _, const = _unicorn()
    uc = unicorn.Uc(unicorn.UC_ARCH_RISCV, unicorn.UC_MODE_RISCV32)
    uc.ctl_set_cpu_model(getattr(const, str(board.core.unicorn)))
    names = {"pc": "PC", "sp": "SP", "lr": "RA", "gp": "GP", "a0": "A0", "a1": "A1", "a2": "A2", "a3": "A3"}
    return uc, {name: getattr(const, f"UC_RISCV_REG_{register}") for name, register in names.items()}
