"""Choices with options: ``name:option=value,...`` names a frozen dataclass and some of its fields."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import fields, is_dataclass
from typing import Any, TypeVar

from mcuprune.budget import did_you_mean
from mcuprune.errors import UsageError

T = TypeVar("T")


def parse_choice(text: str, known: Mapping[str, type[T]], what: str) -> T:
    """The object that ``text`` describes.

    Raises UsageError for an unknown name or option (with the nearest known one) and for a value that cannot
    be read.
    """
    name, given = read_choice(text, {name: options(choice) for name, choice in known.items()}, what)
    return known[name](**given)


def read_choice(text: str, known: Mapping[str, Mapping[str, Any]], what: str) -> tuple[str, dict[str, Any]]:
    """The name, and the options that are given; ``known``: name -> option -> default, whose type is read.

    Tuples are written with slashes: ``hidden=300/100``.  Raises what :func:`parse_choice` raises.
    """
    name, _, rest = text.partition(":")
    if name not in known:
        raise UsageError(f"unknown {what} '{name}'{did_you_mean(name, tuple(known))}")
    values = known[name]
    given: dict[str, Any] = {}
    for part in filter(None, rest.split(",")):
        key, _, value = part.partition("=")
        if key not in values:
            takes = f"{did_you_mean(key, tuple(values))}; it takes {', '.join(values)}" if values else ""
            raise UsageError(f"{what} '{name}' has no option '{key}'{takes or '; it takes none'}")
        if key in given:
            raise UsageError(f"{what} '{name}': {key} is given twice; give it once")
        given[key] = _read(value, values[key], f"{what} '{name}': {part}")
    return name, given


def options(choice: type) -> dict[str, Any]:
    """Option -> default value, of a choice's dataclass."""
    return {f.name: f.default for f in fields(choice)} if is_dataclass(choice) else {}


def require(holds: bool, choice: str, demand: str, what: str = "method") -> None:
    """UsageError where an option of the method ``choice`` has a value that it cannot work with."""
    if not holds:
        raise UsageError(f"{what} '{choice}': {demand}")


def _read(text: str, default: Any, where: str) -> Any:
    """``text`` as a value of the default's type; numbers are finite and not negative."""
    try:
        if isinstance(default, bool):
            return {"true": True, "1": True, "yes": True, "false": False, "0": False, "no": False}[
                text.lower()
            ]
        parts = text.split("/") if isinstance(default, tuple) else [text]
        kind_of = type(default[0]) if isinstance(default, tuple) else type(default)
        found = tuple(kind_of(part) for part in parts)
        if any(not isinstance(v, str) and not 0 <= v < math.inf for v in found):
            raise ValueError
        return found if isinstance(default, tuple) else found[0]
    except (ValueError, KeyError):
        shown = "/".join(map(str, default)) if isinstance(default, tuple) else repr(default)
        kind = "true or false" if isinstance(default, bool) else f"a value like {shown}"
        raise UsageError(f"{where}: give {kind}") from None
