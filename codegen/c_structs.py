"""The parameter structures of the kernels, read from ``kernels/mcp_kernels.h`` itself.

The header is the only place that lists their fields: initialisers are written in its order and checked
against its types, and the bytes of a structure on a 32-bit core follow from it.
"""

from __future__ import annotations

import re
import struct
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache

from mcuprune import share
from mcuprune.codegen import ConstantData
from mcuprune.errors import UnsupportedError

_INTEGERS = {"int8_t": "b", "uint8_t": "B", "int16_t": "h", "uint16_t": "H", "int32_t": "i", "uint32_t": "I"}
_STRUCT = re.compile(r"typedef struct \{(?P<body>[^}]*)\} (?P<name>\w+);")
_FIELD = re.compile(r"(?:const )?(?P<type>\w+) (?P<names>[*\w, ]+)")


@dataclass(frozen=True)
class Field:
    name: str
    type: str  # an integer type or a structure; "pointer"


@dataclass(frozen=True)
class Pointer:
    """The address of the constant array ``symbol``."""

    symbol: str


Value = int | Pointer | Mapping[str, "Value"]


@cache
def structures() -> dict[str, tuple[Field, ...]]:
    """Structure name -> fields in the order of the header."""
    header = (share.folder("codegen") / "kernels" / "mcp_kernels.h").read_text(encoding="utf-8")
    text = re.sub(r"/\*.*?\*/", "", header, flags=re.DOTALL)
    found: dict[str, tuple[Field, ...]] = {}
    for match in _STRUCT.finditer(text):
        fields = []
        for declaration in filter(None, (part.strip() for part in match["body"].split(";"))):
            parts = _FIELD.fullmatch(declaration)
            if parts is None or (parts["type"] not in (*_INTEGERS, "void", *found)):
                raise ValueError(f"mcp_kernels.h: cannot read '{declaration}' of {match['name']}")
            for name in (word.strip() for word in parts["names"].split(",")):
                fields.append(Field(name.lstrip("*"), "pointer" if name.startswith("*") else parts["type"]))
        found[match["name"]] = tuple(fields)
    return found


def checked_fields(kind: str, values: Mapping[str, Value], where: str) -> list[tuple[Field, Value]]:
    """The fields of structure ``kind`` in order with their values.

    Raises ValueError for a missing or surplus field, UnsupportedError for a number that its type cannot hold.
    """
    fields = structures()[kind]
    if {field.name for field in fields} != set(values):
        raise ValueError(f"{kind} has the fields {[field.name for field in fields]}, not {sorted(values)}")
    for field in fields:
        value = values[field.name]
        if field.type in _INTEGERS and isinstance(value, int):
            low, high = _range(field.type)
            if not low <= value <= high:
                raise UnsupportedError(
                    f"layer '{where}': {field.name} is {value}, the kernel's limit is {high}"
                )
    return [(field, values[field.name]) for field in fields]


def initialiser(kind: str, values: Mapping[str, Value], where: str) -> list[str]:
    """``.field = value`` for every field, nested structures in braces."""
    lines = []
    for field, value in checked_fields(kind, values, where):
        if isinstance(value, Pointer):
            lines.append(f".{field.name} = {value.symbol}")
        elif isinstance(value, Mapping):
            lines.append(f".{field.name} = {{{', '.join(initialiser(field.type, value, where))}}}")
        else:
            lines.append(f".{field.name} = {value}")
    return lines


def image(kind: str, values: Mapping[str, Value], where: str) -> ConstantData:
    """The structure as a 32-bit little-endian core stores it, padding as zeros."""
    data, pointers = bytearray(), {}
    for field, value in checked_fields(kind, values, where):
        data.extend(bytes(-len(data) % _alignment(field.type)))
        if isinstance(value, Pointer):
            pointers[len(data)] = value.symbol
            data.extend(bytes(4))
        elif isinstance(value, Mapping):
            data.extend(image(field.type, value, where).data)
        else:  # an address that is a number is a null pointer
            data.extend(struct.pack("<" + _INTEGERS.get(field.type, "I"), value))
    data.extend(bytes(-len(data) % max(_alignment(field.type) for field in structures()[kind])))
    return ConstantData(bytes(data), pointers)


def _range(kind: str) -> tuple[int, int]:
    bits = 8 * struct.calcsize(_INTEGERS[kind])
    return (0, 2**bits - 1) if kind.startswith("u") else (-(2 ** (bits - 1)), 2 ** (bits - 1) - 1)


def _alignment(kind: str) -> int:
    if kind == "pointer":
        return 4
    if kind in _INTEGERS:
        return struct.calcsize(_INTEGERS[kind])
    return max(_alignment(field.type) for field in structures()[kind])
