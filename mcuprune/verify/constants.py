"""The constants of a linked image against those of the model, byte for byte."""

from __future__ import annotations

from pathlib import Path

from mcuprune.codegen import Sources
from mcuprune.errors import ToolchainError
from mcuprune.verify.image import Image, load_image


def compare_constants(elf: Path, sources: Sources) -> list[str]:
    """A sentence for every differing byte, naming symbol and index; empty when all are as generated."""
    image = load_image(elf)
    problems: list[str] = []
    for symbol, expected in sources.constants.items():
        problems += _differences(image, symbol, expected)
    for symbol, struct in sources.structs.items():
        data = bytearray(struct.data)
        for offset, target in struct.pointers.items():
            if target in image.by_name:
                data[offset : offset + 4] = image.by_name[target].address.to_bytes(4, "little")
        problems += _differences(image, symbol, bytes(data))
    return problems


def _differences(image: Image, name: str, expected: bytes) -> list[str]:
    try:
        symbol = image.symbol(name)
        found = image.read(symbol.address, len(expected))
    except ToolchainError:
        return [f"constant '{name}' is not in the image"]
    return [
        f"constant '{name}', byte {i}: {found[i]:#04x} instead of {expected[i]:#04x}"
        for i in range(len(expected))
        if found[i] != expected[i]
    ]
