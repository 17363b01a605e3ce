"""The generated C on this machine: a shared library, called through ctypes."""

from __future__ import annotations

import ctypes
import hashlib
import re
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np

from mcuprune import share
from mcuprune.codegen import Layer
from mcuprune.errors import MismatchError, UsageError
from mcuprune.verify.toolchain import Toolchain, build_shared

GUARD_BYTES = 64  # around the arena and the buffers: no kernel may touch them
GUARD, GARBAGE = 0x5A, 0xA5
HOST_FLAGS = ("-DMCP_EMULATE_DSP", "-DMCP_EMULATE_MVE")
_TRACE = ctypes.CFUNCTYPE(None, ctypes.c_int, ctypes.c_void_p, ctypes.c_int)


class HostModel:
    """A generated package, built for this machine.

    ``files`` and ``name`` are those of :class:`mcuprune.codegen.Sources`; libraries are written to
    ``directory``.  With ``layers`` (of the same record) :meth:`tensors` is there too.  Raises ToolchainError
    when it cannot be built.
    """

    def __init__(
        self,
        files: Mapping[str, str],
        name: str,
        directory: Path,
        layers: Sequence[Layer] = (),
        toolchain: Toolchain | None = None,
        flags: Sequence[str] = (),
    ) -> None:
        self.name, self.layers = name, tuple(layers)
        sizes = header_numbers(files, name)
        self.input_size, self.output_size = sizes["INPUT_SIZE"], sizes["OUTPUT_SIZE"]
        self.arena_size, self.arena_align = sizes["ARENA_SIZE"], sizes["ARENA_ALIGN"]
        self._input_offset, self._output_offset = sizes["INPUT_OFFSET"], sizes["OUTPUT_OFFSET"]
        self._files, self._directory = dict(files), directory
        self._toolchain, self._flags = toolchain, tuple(flags)
        self._library = self._load(self._files, HOST_FLAGS)
        self._traced: ctypes.CDLL | None = None

    def run(self, inputs: np.ndarray, in_arena: bool = False) -> np.ndarray:
        """int8 ``(N, input size)``, or any shape with as many bytes a sample, to int8 ``(N, output size)``.

        ``in_arena`` places input and output in the arena, as firmware does; otherwise they have buffers of
        their own.  Raises MismatchError when the code writes outside its memory or reports an error.
        """
        batch = self._batch(inputs)
        outputs = np.empty((len(batch), self.output_size), np.int8)
        for index, sample in enumerate(batch):
            outputs[index] = self._call(self._library, sample, in_arena)
        return outputs

    def tensors(self, sample: np.ndarray) -> dict[str, np.ndarray]:
        """The output of every layer on one input, flat int8, in the order in which the layers run."""
        library = self._tracing()
        seen: dict[str, np.ndarray] = {}

        def layer_done(index: int, pointer: int, size: int) -> None:
            seen[self.layers[index].node] = np.frombuffer(ctypes.string_at(pointer, size), np.int8)

        callback = _TRACE(layer_done)
        library.mcp_trace_set(callback)
        self._call(library, self._batch(sample.reshape(1, -1))[0], False)
        library.mcp_trace_set(_TRACE())
        if len(seen) != len(self.layers):
            raise MismatchError(f"{self.name}: {len(seen)} layers ran, {len(self.layers)} were generated")
        return seen

    def _batch(self, inputs: np.ndarray) -> np.ndarray:
        if (
            inputs.dtype != np.int8
            or inputs.ndim < 2
            or inputs[0:1].size != self.input_size * len(inputs[0:1])
        ):
            raise UsageError(
                f"{self.name} takes int8 arrays of (N, {self.input_size}), not {inputs.dtype} {inputs.shape}"
            )
        return np.ascontiguousarray(inputs.reshape(len(inputs), self.input_size))

    def _call(self, library: ctypes.CDLL, sample: np.ndarray, in_arena: bool) -> np.ndarray:
        arena = _Guarded(self.arena_size, self.arena_align)
        source, target = _Guarded(self.input_size, 1), _Guarded(self.output_size, 1)
        input_at, output_at = source.address, target.address
        source.bytes[:] = sample
        result = target.bytes
        if in_arena:
            input_at, output_at = arena.address + self._input_offset, arena.address + self._output_offset
            arena.bytes[self._input_offset : self._input_offset + self.input_size] = sample
            result = arena.bytes[self._output_offset : self._output_offset + self.output_size]
        status = getattr(library, f"{self.name}_run")(input_at, output_at, arena.address)
        if status != 0:
            raise MismatchError(f"{self.name}_run returned {status} instead of 0")
        for what, memory in (("arena", arena), ("input", source), ("output", target)):
            if not memory.intact():
                raise MismatchError(f"{self.name}_run wrote outside its {what}")
        if not in_arena and not np.array_equal(source.bytes, sample):
            raise MismatchError(f"{self.name}_run changed its input, which is constant")
        return result.copy()

    def _tracing(self) -> ctypes.CDLL:
        if not self.layers:
            raise UsageError(f"{self.name}: pass the layers of the generated package to see its tensors")
        if self._traced is None:
            folder = share.folder("firmware_templates") / "host"
            files = {
                **self._files,
                **{f"src/{path}": (folder / path).read_text() for path in ("mcp_trace.h", "mcp_trace.c")},
            }
            self._traced = self._load(files, (*HOST_FLAGS, "-include", "mcp_trace.h"))
        return self._traced

    def _load(self, files: Mapping[str, str], flags: Sequence[str]) -> ctypes.CDLL:
        """Named by what goes into it: a library that is already loaded is never overwritten by another."""
        flags = (*flags, *self._flags)
        digest = hashlib.sha256(repr((sorted(files.items()), flags, str(self._toolchain))).encode())
        label = f"{self.name}-{digest.hexdigest()[:16]}"
        path = build_shared(files, self._directory, self._toolchain, flags, label)
        library = ctypes.CDLL(str(path.resolve()))
        run = getattr(library, f"{self.name}_run")
        run.argtypes, run.restype = [ctypes.c_void_p] * 3, ctypes.c_int
        return library


def run_host(files: Mapping[str, str], name: str, inputs: np.ndarray) -> np.ndarray:
    """int8 ``(N, input size)`` through a package, built for the occasion; int8 ``(N, output size)``."""
    with tempfile.TemporaryDirectory(prefix="mcuprune-") as folder:
        return HostModel(files, name, Path(folder)).run(inputs)


class _Guarded:
    """Memory filled with garbage, guards on both sides."""

    def __init__(self, size: int, align: int) -> None:
        self._all = np.full(size + 2 * GUARD_BYTES + align, GUARD, np.uint8)
        start = GUARD_BYTES + -(self._all.ctypes.data + GUARD_BYTES) % align
        self.bytes = self._all[start : start + size].view(np.int8)
        self.bytes[:] = np.array(GARBAGE, np.uint8).view(np.int8)
        self.address = self._all.ctypes.data + start
        self._outside = (self._all[:start], self._all[start + size :])

    def intact(self) -> bool:
        return all(bool((part == GUARD).all()) for part in self._outside)


def header_numbers(files: Mapping[str, str], name: str) -> dict[str, int]:
    """The whole numbers that ``include/<name>.h`` defines, without the model's prefix."""
    pattern = re.compile(rf"^#define {name.upper()}_(\w+) \(?(-?\d+)\)?$", re.MULTILINE)
    return {key: int(value) for key, value in pattern.findall(files[f"include/{name}.h"])}
