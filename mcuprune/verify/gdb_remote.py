"""The few commands of GDB's remote protocol that drive a program from outside, over a pipe."""

from __future__ import annotations

import os
import selectors
import subprocess
import time
from collections.abc import Sequence
from types import TracebackType

from mcuprune.errors import ToolchainError

CHUNK = 1024  # bytes of memory in one packet


class Remote:
    """Starts ``command``, whose standard input and output speak the protocol, and ends it on exit."""

    def __init__(self, command: Sequence[str], time_limit_s: float = 60.0) -> None:
        self._name = command[0]
        self._time_limit_s = time_limit_s
        self._process = subprocess.Popen(
            command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, bufsize=0
        )
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._input, self._output = self._process.stdin, self._process.stdout
        self._selector = selectors.DefaultSelector()
        self._selector.register(self._output, selectors.EVENT_READ)
        self._buffer = b""

    def __enter__(self) -> Remote:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: object, trace: TracebackType | None) -> None:
        self._process.kill()
        self._process.wait()
        self._selector.close()
        self._input.close()
        self._output.close()

    def set_breakpoint(self, address: int) -> None:
        self._ask(f"Z0,{address:x},2")

    def clear_breakpoint(self, address: int) -> None:
        self._ask(f"z0,{address:x},2")

    def set_register(self, number: int, value: int) -> None:
        """A 32-bit register, by its number in the target's description.

        Raises ToolchainError unless :meth:`read_description` came first.
        """
        answer = self._ask(f"P{number:x}={value.to_bytes(4, 'little').hex()}")
        if answer != "OK":
            raise ToolchainError(f"{self._name} has no register {number}: '{answer}'")

    def read_description(self) -> str:
        """The names of the target's register sets; from then on registers are numbered as these say."""
        return self._ask(f"qXfer:features:read:target.xml:0,{CHUNK:x}")

    def run_to(self, address: int) -> None:
        """Continues until the instruction at ``address`` is next; steps first, to leave a breakpoint here."""
        self._wait_stop("s")
        self.set_breakpoint(address)
        self._wait_stop("c")
        self.clear_breakpoint(address)

    def read(self, address: int, size: int) -> bytes:
        parts = []
        for start in range(0, size, CHUNK):
            count = min(CHUNK, size - start)
            parts.append(bytes.fromhex(self._ask(f"m{address + start:x},{count:x}")))
        return b"".join(parts)

    def write(self, address: int, data: bytes) -> None:
        for start in range(0, len(data), CHUNK):
            part = data[start : start + CHUNK]
            self._ask(f"M{address + start:x},{len(part):x}:{part.hex()}")

    def _wait_stop(self, command: str) -> None:
        answer = self._exchange(command)
        if answer[:1] not in ("T", "S"):
            raise ToolchainError(f"{self._name} stopped unexpectedly: '{answer[:60]}'")

    def _ask(self, command: str) -> str:
        answer = self._exchange(command)
        if answer.startswith("E"):
            raise ToolchainError(f"{self._name} refused '{command[:40]}': {answer}")
        return answer

    def _exchange(self, command: str) -> str:
        checksum = sum(command.encode()) % 256
        try:
            self._input.write(f"${command}#{checksum:02x}".encode())
        except BrokenPipeError:
            raise self._ended() from None
        answer = self._packet()
        self._input.write(b"+")
        return answer

    def _packet(self) -> str:
        deadline = time.monotonic() + self._time_limit_s
        while True:
            begin = self._buffer.find(b"$")
            end = self._buffer.find(b"#", begin)
            if begin >= 0 and end >= 0 and len(self._buffer) >= end + 3:
                packet = self._buffer[begin + 1 : end].decode()
                self._buffer = self._buffer[end + 3 :]
                return packet
            if not self._selector.select(max(0.0, deadline - time.monotonic())):
                raise ToolchainError(f"{self._name} did not answer within {self._time_limit_s:g} seconds")
            received = os.read(self._output.fileno(), 65536)
            if not received:
                raise self._ended()
            self._buffer += received

    def _ended(self) -> ToolchainError:
        return ToolchainError(f"{self._name} ended with status {self._process.wait()}")
