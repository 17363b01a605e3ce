"""C as text: names, comments, numbers, arrays.  Nothing here knows what a network is."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence

import numpy as np

LINE = 100  # columns of the generated C
LONGEST_NAME = 40

# What a file name or symbol must not be: keywords, and headers of the C library that a model's would hide.
_RESERVED = """
    auto break case char const continue default do double else enum extern float for goto if inline
    int long register restrict return short signed sizeof static struct switch typedef union
    unsigned void volatile while class delete new namespace private protected public template this
    try using virtual bool true false assert complex ctype errno fenv inttypes iso646 limits locale
    math setjmp signal stdarg stdbool stddef stdint stdio stdlib string tgmath time wchar wctype
    harness main
"""
RESERVED = frozenset(_RESERVED.split())


def model_identifier(name: str) -> str:
    """A model's name as a lower-case C identifier that is neither a keyword nor a library header."""
    words = re.sub(r"[^a-z0-9]+", "_", name.lower()).strip("_")[:LONGEST_NAME].rstrip("_")
    if not words:
        return "model"
    if not words[0].isalpha() or words in RESERVED or words.startswith("mcp_") or words == "mcp":
        return f"model_{words}"
    return words


class Names:
    """Hands out distinct identifiers."""

    def __init__(self, taken: Iterable[str]) -> None:
        self._taken = set(taken)

    def new(self, wish: str) -> str:
        """``wish`` with every character that C does not allow replaced, and numbered where it is taken."""
        base = re.sub(r"[^A-Za-z0-9_]+", "_", wish)
        name, number = base, 1
        while name in self._taken:
            number += 1
            name = f"{base}_{number}"
        self._taken.add(name)
        return name


def comment(text: str) -> str:
    """A name that can stand inside a comment: letters, digits and harmless punctuation, not too long."""
    return re.sub(r"[^A-Za-z0-9 .,:;_+\-/=()<>]+", "_", text)[:LONGEST_NAME]


def integer(value: int) -> str:
    """An int literal; C has no literal for the smallest one."""
    return "(-2147483647 - 1)" if value == -(2**31) else str(int(value))


def float32(value: float) -> str:
    """A hexadecimal literal: exactly the float32 value."""
    mantissa, exponent = float(np.float32(value)).hex().split("p")
    if "." in mantissa:
        mantissa = mantissa.rstrip("0").rstrip(".")
    return f"{mantissa}p{exponent}f"


def rows(values: np.ndarray, indent: str = "    ") -> str:
    """The elements of an array, comma-separated, in lines of at most ``LINE`` columns."""
    lines, line = [], indent
    for word in (f"{integer(value)}," for value in values.reshape(-1).tolist()):
        if len(line) + len(word) > LINE:
            lines.append(line.rstrip())
            line = indent
        line += word + " "
    lines.append(line.rstrip())
    return "\n".join(lines)


def times(shape: Sequence[int]) -> str:
    """``3x3x16``"""
    return "x".join(str(size) for size in shape)


def dims(shape: Sequence[int]) -> str:
    """``(3, 3, 16)``"""
    return f"({', '.join(str(size) for size in shape)})"
