"""The generated C on this machine: a shared library, called through ctypes."""

from __future__ import annotations

import ctypes
import hashlib
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np

from mcuprune import share
from mcuprune.codegen import Layer
from mcuprune.errors import MismatchError, UsageError
from mcuprune.verify.interface import read_interface
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
        self.face = read_interface(files, name)
        self._files, self._directory = dict(files), directory
        self._toolchain, self._flags = toolchain, tuple(flags)
        self._library = self._load(self._files, HOST_FLAGS)
        self._traced: ctypes.CDLL | None = None

    def run(self, inputs: np.ndarray, in_arena: bool = False) -> np.ndarray:
        """int8 ``(N, input bytes)``, or any shape with as many bytes a sample, to int8 ``(N, output bytes)``.

        Several inputs, or outputs, follow each other in a sample, as bytes whatever their type.  A model with
        states gets the samples as one sequence, from reset.  ``in_arena`` places inputs and outputs in the
        arena, as firmware does; otherwise they have buffers of their own.  Raises MismatchError when the
        code writes outside its memory or reports an error.
        """
        batch = self._batch(inputs)
        state = self._reset(self._library)
        outputs = np.empty((len(batch), self.face.output_bytes), np.int8)
        for index, sample in enumerate(batch):
            outputs[index] = self._call(self._library, sample, in_arena, state)
        return outputs

    def tensors(self, sample: np.ndarray, before: np.ndarray | None = None) -> dict[str, np.ndarray]:
        """The output of every layer on one input, flat int8, in the order in which the layers run.

        ``before`` (samples of the same form) is what a model with states has seen since its reset.
        """
        library = self._tracing()
        seen: dict[str, np.ndarray] = {}

        def layer_done(index: int, pointer: int, size: int) -> None:
            seen[self.layers[index].node] = np.frombuffer(ctypes.string_at(pointer, size), np.int8)

        callback = _TRACE(layer_done)
        state = self._reset(library)
        for row in () if before is None else self._batch(before):
            self._call(library, row, False, state)
        library.mcp_trace_set(callback)
        self._call(library, self._batch(sample.reshape(1, -1))[0], False, state)
        library.mcp_trace_set(_TRACE())
        if len(seen) != len(self.layers):
            raise MismatchError(f"{self.name}: {len(seen)} layers ran, {len(self.layers)} were generated")
        return seen

    def _batch(self, inputs: np.ndarray) -> np.ndarray:
        size = self.face.input_bytes
        if inputs.dtype != np.int8 or inputs.ndim < 2 or inputs[0:1].size != size * len(inputs[0:1]):
            raise UsageError(
                f"{self.name} takes int8 arrays of (N, {size}), not {inputs.dtype} {inputs.shape}"
            )
        return np.ascontiguousarray(inputs.reshape(len(inputs), size))

    def _reset(self, library: ctypes.CDLL) -> _Guarded | None:
        """The memory of a model's states, reset; ``None`` for a model without."""
        if not self.face.state:
            return None
        state = _Guarded(self.face.state, self.face.align)
        memory = _pointers([*[0] * (1 + len(self.face.banks)), state.address])
        status = getattr(library, f"{self.name}_reset")(memory)
        if status != 0 or not state.intact():
            raise MismatchError(f"{self.name}_reset returned {status}, or wrote outside the state")
        return state

    def _call(
        self, library: ctypes.CDLL, sample: np.ndarray, in_arena: bool, state: _Guarded | None
    ) -> np.ndarray:
        face = self.face
        arena = _Guarded(face.arena, face.align)
        sources = [_Guarded(buffer.bytes, face.align) for buffer in face.inputs]
        targets = [_Guarded(buffer.bytes, face.align) for buffer in face.outputs]
        own = {
            **dict(zip(face.inputs, sources, strict=True)),
            **dict(zip(face.outputs, targets, strict=True)),
        }
        places = {
            buffer: arena.bytes[buffer.offset : buffer.offset + buffer.bytes] if in_arena else memory.bytes
            for buffer, memory in own.items()
        }
        parts = np.split(sample, np.cumsum([buffer.bytes for buffer in face.inputs])[:-1])
        for buffer, part in zip(face.inputs, parts, strict=True):
            places[buffer][:] = part
        pointers = [places[buffer].ctypes.data for buffer in (*face.inputs, *face.outputs)]
        banks = [_Guarded(size, face.align) for size in face.banks]
        memory = [*(bank.address for bank in (arena, *banks)), *([state.address] if state else [])]
        status = self._invoke(library, pointers, memory)
        if status != 0:
            raise MismatchError(f"{self.name}_run returned {status} instead of 0")
        named = [
            *(("arena", m) for m in (arena, *banks)),
            *(("input", m) for m in sources),
            *(("output", m) for m in targets),
        ]
        for what, memory in (*named, *((("state", state),) if state else ())):
            if not memory.intact():
                raise MismatchError(f"{self.name}_run wrote outside its {what}")
        if not in_arena and any((m.bytes != part).any() for m, part in zip(sources, parts, strict=True)):
            raise MismatchError(f"{self.name}_run changed its input, which is constant")
        return np.concatenate([places[buffer] for buffer in face.outputs])

    def _invoke(self, library: ctypes.CDLL, pointers: list[int], memory: list[int]) -> int:
        run = getattr(library, f"{self.name}_run")
        if self.face.plain:
            return int(run(*pointers, *memory))
        return int(run(_pointers(memory), _pointers(pointers)))

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
        run.argtypes = [ctypes.c_void_p] * (3 if self.face.plain else 2)
        run.restype = ctypes.c_int
        return library


def run_host(files: Mapping[str, str], name: str, inputs: np.ndarray) -> np.ndarray:
    """int8 ``(N, input bytes)`` through a package, built for the occasion; int8 ``(N, output bytes)``."""
    with tempfile.TemporaryDirectory(prefix="mcuprune-") as folder:
        return HostModel(files, name, Path(folder)).run(inputs)


def _pointers(addresses: Sequence[int]) -> ctypes.Array[ctypes.c_void_p]:
    return (ctypes.c_void_p * len(addresses))(*addresses)


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
