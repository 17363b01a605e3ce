"""Calls the C kernels through ctypes, in memory whose edges are guarded."""

from __future__ import annotations

import ctypes as c
import os
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import singledispatchmethod
from typing import Any

import numpy as np

from mcuprune.graph import ir
from mcuprune.graph.op_shape import OpShape, element_bytes
from mcuprune.kernels.kernel import Kernel
from mcuprune.kernels.layouts import stored
from mcuprune.quantize import parameters as quantized

# Guards tell of writes alone; the address sanitizer tells of both, where it knows the true size.
GUARD_BYTES, GUARD = 0 if os.environ.get("MCUPRUNE_SANITIZE") else 64, 0x5A
_I8, _I16, _I32, _U8, _POINTER = c.c_int8, c.c_int16, c.c_int32, c.c_uint8, c.c_void_p


def _fields(**kinds: str) -> list[tuple[str, Any]]:
    types = {"i8": _I8, "i16": _I16, "i32": _I32, "u8": _U8, "p": _POINTER}
    return [(name, types[kind]) for kind, names in kinds.items() for name in names.split()]


class Conv2d(c.Structure):
    _fields_ = [
        *_fields(i16="in_h in_w in_c out_h out_w out_c"),
        *_fields(u8="kernel_h kernel_w stride_h stride_w dilation_h dilation_w pad_top pad_left"),
        *_fields(i16="input_offset output_offset clamp_min clamp_max", p="weight bias multiplier shift"),
    ]


class FullyConnected(c.Structure):
    _fields_ = [
        *_fields(i32="in_c out_c", i16="input_offset clamp_min clamp_max", i8="output_offset"),
        *_fields(u8="per_channel", p="weight bias multiplier shift"),
    ]


class Pool2d(c.Structure):
    _fields_ = [
        *_fields(i16="channels in_h in_w out_h out_w"),
        *_fields(u8="kernel_h kernel_w stride_h stride_w pad_top pad_left", i16="clamp_min clamp_max"),
    ]


class Operand(c.Structure):
    _fields_ = _fields(i32="stride_hw stride_c offset multiplier shift")


class Elementwise(c.Structure):
    _fields_ = [
        *_fields(i32="hw channels"),
        ("a", Operand),
        ("b", Operand),
        *_fields(i32="output_offset multiplier shift", i16="clamp_min clamp_max"),
    ]


class Reduction(c.Structure):
    _fields_ = _fields(i32="outer inner rows run outer_stride inner_stride row_stride run_stride")


class ReduceMean(c.Structure):
    _fields_ = [("walk", Reduction), *_fields(i32="bias multiplier shift output_offset")]


class ReduceExtreme(c.Structure):
    _fields_ = [("walk", Reduction), *_fields(i32="smallest")]


class Rearrange(c.Structure):
    _fields_ = _fields(i32="start count0 count1 count2 count3 stride0 stride1 stride2 stride3")


class Take(c.Structure):
    _fields_ = _fields(i32="channels row_stride", i16="out_h out_w", p="row column")


class ResizeBilinear(c.Structure):
    _fields_ = _fields(i32="channels step_h step_w half_h half_w", i16="in_h in_w out_h out_w")


class Concat(c.Structure):
    _fields_ = _fields(i32="hw in_c out_c offset")


class Pad(c.Structure):
    _fields_ = _fields(i32="channels", i16="in_h in_w pad_top pad_left pad_bottom pad_right", i8="value")


class Lookup(c.Structure):
    _fields_ = _fields(i32="elements", p="table")


class Lstm(c.Structure):
    _fields_ = [
        *_fields(i32="steps", i16="in_c units output_offset cell_clip", i8="tanh_multiplier tanh_shift"),
        *_fields(p="weight recurrent bias recurrent_bias multiplier shift"),
    ]


class Svdf(c.Structure):
    _fields_ = [
        *_fields(i32="in_c units", i16="rank memory", p="weight feature_bias time bias"),
        *_fields(i32="feature_multiplier multiplier", i8="feature_shift shift"),
        ("output_offset", _I16),
    ]


class Quantized(c.Structure):
    _fields_ = _fields(i32="elements", i16="input_offset output_offset") + _fields(i32="multiplier shift")


class Copied(c.Structure):
    _fields_ = _fields(i32="bytes")


class Softmax(c.Structure):
    _fields_ = _fields(i32="rows channels multiplier shift diff_min")


class LogSoftmax(c.Structure):
    _fields_ = _fields(i32="rows channels multiplier shift reverse_multiplier reverse_shift diff_min")


STRUCTURES: dict[type, type[c.Structure]] = {
    quantized.Conv2dParameters: Conv2d,
    quantized.FullyConnectedParameters: FullyConnected,
    quantized.Pool2dParameters: Pool2d,
    quantized.ElementwiseParameters: Elementwise,
    quantized.Operand: Operand,
    quantized.Reduction: Reduction,
    quantized.ReduceMeanParameters: ReduceMean,
    quantized.ReduceExtremeParameters: ReduceExtreme,
    quantized.RearrangeParameters: Rearrange,
    quantized.TakeParameters: Take,
    quantized.ResizeBilinearParameters: ResizeBilinear,
    quantized.ConcatPart: Concat,
    quantized.PadParameters: Pad,
    quantized.LookupParameters: Lookup,
    quantized.LstmParameters: Lstm,
    quantized.SvdfParameters: Svdf,
    quantized.QuantizedParameters: Quantized,
    quantized.CopyParameters: Copied,
    quantized.SoftmaxParameters: Softmax,
    quantized.LogSoftmaxParameters: LogSoftmax,
}


NESTED = (Operand, Reduction)  # parts of other structures


def constants_for(kernel: Kernel, parameters: Any) -> Any:
    """Parameters as the kernel wants them: weights packed, the input offset folded into the bias.

    Words for channels that share a multiplier, where the kernel takes them so.
    """
    if not hasattr(parameters, "weight"):
        return parameters
    bias = parameters.bias
    if kernel.folds_input_offset:
        # (out, ...) but for depthwise weights, (kh, kw, out)
        axes = (1, 2, 3)[: parameters.weight.ndim - 1] if kernel.op is not ir.DepthwiseConv2d else (0, 1)
        sums = parameters.weight.astype(np.int64).sum(axis=axes)
        bias = (bias + parameters.input_offset * sums).astype(np.int32)
    scales = (bias, parameters.multiplier, parameters.shift)
    arrays = stored(kernel.layout, kernel.shares_multiplier, parameters.weight, *scales)
    names = ("weight", "bias", "multiplier", "shift")
    return replace(
        parameters, **{n: 0 if values is None else values for n, values in zip(names, arrays, strict=True)}
    )


def structure(parameters: Any) -> tuple[c.Structure, list[np.ndarray]]:
    """The C structure, and the exact-sized arrays that its pointers refer to."""
    made = STRUCTURES[type(parameters)]()
    kept: list[np.ndarray] = []
    for name, kind in made._fields_:
        value = getattr(parameters, name)
        if kind is _POINTER and isinstance(value, np.ndarray):
            kept.append(np.ascontiguousarray(value))
            value = kept[-1].ctypes.data
        elif issubclass(kind, c.Structure):
            value = structure(value)[0]
        setattr(made, name, int(value) if not isinstance(value, c.Structure) else value)
    return made, kept


@dataclass(frozen=True)
class Memory:
    """Bytes with guards around them."""

    bytes: np.ndarray

    @classmethod
    def of(cls, size: int) -> Memory:
        return cls(np.full(size + 2 * GUARD_BYTES, GUARD, np.uint8))

    def address(self, offset: int = 0) -> int:
        return int(self.bytes.ctypes.data) + GUARD_BYTES + offset

    def write(self, offset: int, values: np.ndarray) -> None:
        start = GUARD_BYTES + offset
        self.bytes[start : start + values.nbytes] = values.reshape(-1).view(np.uint8)

    def read(self, offset: int, size: int) -> np.ndarray:
        return self.bytes[GUARD_BYTES + offset : GUARD_BYTES + offset + size].view(np.int8).copy()

    def check(self) -> None:
        edges = np.concatenate([self.bytes[:GUARD_BYTES], self.bytes[self.bytes.size - GUARD_BYTES :]])
        assert (edges == GUARD).all(), "a kernel wrote outside its memory"


def call(
    library: c.CDLL,
    kernel: Kernel,
    shape: OpShape,
    parameters: Any,
    inputs: Sequence[np.ndarray],
    shared: int | None = None,
) -> np.ndarray:
    """The kernel's output.  ``shared``: the input that the output overlaps, at the declared distance."""
    parts = getattr(parameters, "parts", (parameters,))
    size = int(np.prod(shape.output)) * element_bytes(shape.node)[1]
    distance = None if shared is None else kernel.overlap(shape)[shared]
    memories = [Memory.of(values.nbytes) for values in inputs]
    places = [(memory, 0) for memory in memories]
    target, memory = Memory.of(size), None
    if shared is not None:
        assert distance is not None
        target = Memory.of(max(size, distance + inputs[shared].nbytes))
        places[shared] = (target, distance)
    for (memory, offset), values in zip(places, inputs, strict=True):
        memory.write(offset, values)
    _Call(library, kernel, shape).run(parts, [m.address(offset) for m, offset in places], target.address())
    for memory in (target, *memories):
        memory.check()
    return target.read(0, size)


@dataclass(frozen=True)
class _Call:
    library: c.CDLL
    kernel: Kernel
    shape: OpShape

    def run(self, parts: Sequence[Any], inputs: list[int], output: int) -> None:
        if len(parts) > 1 or isinstance(parts[0], quantized.ConcatPart):
            for part, address in zip(parts, inputs, strict=True):
                self.one(part, [address], output)
        else:
            self.one(parts[0], inputs, output)

    @singledispatchmethod
    def one(self, parameters: Any, inputs: list[int], output: int) -> None:
        made, kept = structure(parameters)
        self.function(c.byref(made), *map(c.c_void_p, inputs), c.c_void_p(output))
        del kept

    @one.register(quantized.Conv2dParameters)
    @one.register(quantized.FullyConnectedParameters)
    def _(self, parameters: Any, inputs: list[int], output: int) -> None:
        made, kept = structure(constants_for(self.kernel, parameters))
        scratch = Memory.of(int(self.kernel.scratch(self.shape)))
        address = scratch.address() if self.kernel.scratch(self.shape) else None
        self.function(c.byref(made), c.c_void_p(inputs[0]), c.c_void_p(output), c.c_void_p(address))
        scratch.check()
        del kept

    @property
    def function(self) -> Any:
        function = getattr(self.library, self.kernel.name)
        function.restype = None
        return function


def structure_32(kind: type[c.Structure]) -> type[c.Structure]:
    """The same structure with 32-bit pointers."""
    fields = []
    for name, field in kind._fields_:  # type: ignore[misc]
        if field is _POINTER:
            field = c.c_uint32
        elif issubclass(field, c.Structure):
            field = structure_32(field)
        fields.append((name, field))
    return type(f"{kind.__name__}32", (c.Structure,), {"_fields_": fields})
