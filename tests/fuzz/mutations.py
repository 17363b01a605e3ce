"""Damaged copies of model files: bytes changed anywhere, or one field of the decoded file changed."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from random import Random
from typing import Any

import flatbuffers
import numpy as np
import onnx
from ai_edge_litert import schema_py_generated as schema

INTEGERS = (0, 1, -1, 2, 3, 7, 127, 128, 255, 32767, 65536, 2**30, 2**31 - 1, -(2**31))
REALS = (0.0, -1.0, 1e-45, 1e-7, 1.0, 1e30, math.inf, -math.inf, math.nan)
WORDS = ("", "*/", '"', "\n", "int", "a" * 300, "ä€😀", "../x", "%s%n", "\\")


def mutate_bytes(data: bytes, random: Random) -> bytes:
    """One to four local changes."""
    changed = bytearray(data)
    for _ in range(random.randint(1, 4)):
        at = random.randrange(len(changed)) if changed else 0
        kind = random.randrange(5)
        if kind == 0 and changed:
            changed[at] ^= 1 << random.randrange(8)
        elif kind == 1:
            changed[at : at + 4] = random.choice(INTEGERS).to_bytes(4, "little", signed=True)
        elif kind == 2:
            del changed[at : at + random.randint(1, 64)]
        elif kind == 3:
            source = random.randrange(len(changed)) if changed else 0
            changed[at:at] = changed[source : source + random.randint(1, 64)]
        else:
            del changed[random.randrange(len(changed) + 1) :]
    return bytes(changed)


def mutate_tflite(data: bytes, random: Random) -> bytes | None:
    """One to three fields of the flatbuffer changed; None where it cannot be written any more."""
    model = schema.ModelT.InitFromObj(schema.Model.GetRootAsModel(data, 0))
    for _ in range(random.randint(1, 3)):
        random.choice(list(_places(model)))(random)
    builder = flatbuffers.Builder(len(data))
    try:
        builder.Finish(model.Pack(builder), file_identifier=b"TFL3")
    except Exception:
        return None
    return bytes(builder.Output())


Change = Callable[[Random], None]


def _places(thing: Any) -> Iterator[Change]:
    """A change for every field of an object of the schema and of those below it."""
    for name, value in vars(thing).items():
        yield _change(thing, name, value)
        if hasattr(value, "Pack"):
            yield from _places(value)
        elif isinstance(value, list):
            for entry in value:
                if hasattr(entry, "Pack"):
                    yield from _places(entry)


def _change(owner: Any, name: str, value: Any) -> Change:
    def change(random: Random) -> None:
        setattr(owner, name, mutate_value(value, random))

    return change


def mutate_value(value: Any, random: Random) -> Any:
    """Something else of a similar kind."""
    if isinstance(value, bool):
        return not value
    if isinstance(value, int):
        return random.choice((*INTEGERS, value + 1, value - 1))
    if isinstance(value, float):
        return random.choice((*REALS, value * 2, -value))
    if isinstance(value, bytes | str):
        return random.choice(WORDS).encode()
    if isinstance(value, np.ndarray) and value.size:
        return _mutate_array(value, random)
    if isinstance(value, list) and value:
        return _mutate_list(value, random)
    return None


def _mutate_array(values: np.ndarray, random: Random) -> np.ndarray:
    kind = random.randrange(4)
    if kind == 0:
        return values[: random.randrange(values.size)]
    if kind == 1:
        return np.concatenate([values, values[: random.randint(1, 4)]])
    changed = values.copy()
    if values.dtype.kind == "f":
        changed[random.randrange(values.size)] = random.choice(REALS)
    else:
        limits = np.iinfo(values.dtype)
        wish = random.choice(INTEGERS) if kind == 2 else int(random.choice(values))
        changed[random.randrange(values.size)] = min(max(wish, limits.min), limits.max)
    return changed


def _mutate_list(values: list[Any], random: Random) -> list[Any]:
    changed = list(values)
    kind = random.randrange(4)
    if kind == 0:
        del changed[random.randrange(len(changed))]
    elif kind == 1:
        changed.append(random.choice(changed))
    elif kind == 2:
        random.shuffle(changed)
    elif not hasattr(changed[0], "Pack"):
        changed[random.randrange(len(changed))] = mutate_value(changed[0], random)
    return changed


def mutate_onnx(data: bytes, random: Random) -> bytes:
    """One to three fields of the protocol buffer changed."""
    model = onnx.ModelProto.FromString(data)
    for _ in range(random.randint(1, 3)):
        messages = [model, *_messages(model)]
        message = random.choice(messages)
        fields = message.ListFields()
        if fields:
            field, value = random.choice(fields)
            _mutate_field(message, field, value, random)
    return model.SerializeToString()


def _messages(message: Any) -> Iterator[Any]:
    for field, value in message.ListFields():
        if field.message_type is None:
            continue
        for entry in value if _repeated(field, value) else (value,):
            yield entry
            yield from _messages(entry)


def _repeated(field: Any, value: Any) -> bool:
    return hasattr(value, "__len__") and not isinstance(value, bytes | str)


def _mutate_field(message: Any, field: Any, value: Any, random: Random) -> None:
    kind = random.randrange(4)
    if kind == 0:
        message.ClearField(field.name)
    elif _repeated(field, value):
        at = random.randrange(len(value))
        if kind == 1:
            del value[at]
        elif field.message_type is not None:
            value.add().CopyFrom(value[at])
        else:
            _assign(lambda wish: value.__setitem__(at, wish), value[at], random)
    elif field.message_type is None:
        _assign(lambda wish: setattr(message, field.name, wish), value, random)


def _assign(store: Callable[[Any], None], value: Any, random: Random) -> None:
    """Stores a mutation of ``value``; one that the field's type does not hold is left out."""
    try:
        store(mutate_value(value, random))
    except (TypeError, ValueError):
        return
