"""Budgets, and what a model uses of them.

``flash`` and ``ram`` are bytes, ``macs`` multiply-accumulates of one inference, ``latency_s`` seconds of one
inference at the board's clock.  On the command line: ``flash=64K,ram=32K,macs=2M,latency=20ms``, where K is
1024 for bytes and 1000 for MACs.
"""

from __future__ import annotations

import difflib
import re
from collections.abc import Mapping
from dataclasses import dataclass, fields
from decimal import ROUND_CEILING, Context, Decimal
from typing import Any

from mcuprune.errors import UsageError

_BYTES = {"": 1, "B": 1} | {
    prefix + tail: 1024**power for power, prefix in enumerate("KMG", 1) for tail in ("", "B", "iB")
}
_COUNT = {"": 1, "K": 1000, "M": 1000**2, "G": 1000**3}
_SECONDS = {"s": Decimal(1), "ms": Decimal("1e-3"), "us": Decimal("1e-6")}
_UNITS: Mapping[str, Mapping[str, Decimal | int]] = {
    "flash": _BYTES,
    "ram": _BYTES,
    "macs": _COUNT,
    "latency": _SECONDS,
}
DIGITS = 4  # of a latency in a message
EXAMPLE = "flash=64K,ram=32K,macs=2M,latency=20ms"


@dataclass(frozen=True)
class Usage:
    """What one model takes, predicted or measured; numbers, or tensors while training.

    flash    bytes of constants, tables and code
    ram      bytes of arena and stack together; ``stack`` is the stack's part of it
    macs     multiply-accumulates of one inference
    cycles   core cycles of one inference
    """

    flash: float = 0
    ram: float = 0
    macs: float = 0
    cycles: float = 0
    stack: float = 0


@dataclass(frozen=True)
class Violation:
    """One resource above its limit, both in the resource's unit (bytes, MACs, cycles)."""

    resource: str
    used: float
    limit: float

    def __str__(self) -> str:
        return f"{self.resource}: {self.used:,.0f} used, {self.limit:,.0f} allowed"


@dataclass(frozen=True)
class Budget:
    """Upper limits; ``None`` leaves a resource unlimited."""

    flash: int | None = None
    ram: int | None = None
    macs: int | None = None
    latency_s: float | None = None

    def limits(self, clock_hz: float | None = None) -> dict[str, float]:
        """The limits by :class:`Usage` field; latency becomes cycles at the board's clock.

        Raises :class:`UsageError` for a latency without a clock.
        """
        limits: dict[str, float] = {
            name: value for name in ("flash", "ram", "macs") if (value := getattr(self, name)) is not None
        }
        if self.latency_s is not None:
            if clock_hz is None:
                raise UsageError("budget: a latency needs a board whose clock is known")
            limits["cycles"] = int(Decimal(repr(self.latency_s)) * Decimal(repr(clock_hz)))
        return limits

    def violations(self, usage: Usage, clock_hz: float | None = None) -> tuple[Violation, ...]:
        """The resources that ``usage`` exceeds, in the order flash, ram, macs, cycles."""
        limits = self.limits(clock_hz).items()
        compared = (Violation(name, getattr(usage, name), limit) for name, limit in limits)
        return tuple(entry for entry in compared if entry.used > entry.limit)

    def within(self, other: Budget) -> Budget:
        """The tighter of both, resource by resource."""
        limits: dict[str, Any] = {}
        for name in (field.name for field in fields(self)):
            both = (getattr(self, name), getattr(other, name))
            limits[name] = min((limit for limit in both if limit is not None), default=None)
        return Budget(**limits)

    def beyond(self, other: Budget) -> tuple[Budget, ...]:
        """The limits of ``other`` that this one goes beyond, each by itself."""
        tighter = self.within(other)
        return tuple(
            Budget(**{field.name: getattr(other, field.name)})
            for field in fields(self)
            if getattr(self, field.name) is not None
            and getattr(tighter, field.name) != getattr(self, field.name)
        )

    def __str__(self) -> str:
        """The form that :func:`parse_budget` reads back to an equal budget; empty when nothing is limited."""
        latency = None
        if self.latency_s is not None:
            latency = f"latency={_write_seconds(Decimal(repr(self.latency_s)))}"
        flash, ram = (_write(name, getattr(self, name), 1024) for name in ("flash", "ram"))
        return ",".join(part for part in (flash, ram, _write("macs", self.macs, 1000), latency) if part)


def parse_budget(text: str) -> Budget:
    """``flash=64K,ram=32K,macs=2M,latency=20ms`` as a :class:`Budget`; any part may be left out.

    Raises :class:`UsageError` that names the part it could not read.
    """
    values: dict[str, int | float] = {}
    for part in filter(None, (piece.strip() for piece in text.split(","))):
        name, _, amount = (piece.strip() for piece in part.partition("="))
        if name not in _UNITS:
            raise UsageError(f"budget: unknown resource '{name}'{did_you_mean(name, _UNITS)}; e.g. {EXAMPLE}")
        if name in values:
            raise UsageError(f"budget: {name} is given twice")
        values[name] = _read(name, amount)
    latency = values.pop("latency", None)
    return Budget(**{name: int(value) for name, value in values.items()}, latency_s=latency)


def did_you_mean(word: str, known: Mapping[str, object] | tuple[str, ...]) -> str:
    """``"; did you mean 'x'?"`` for the nearest known word, or the list of them when none is near."""
    near = difflib.get_close_matches(word, list(known), n=1)
    return f"; did you mean '{near[0]}'?" if near else f" (known: {', '.join(known)})"


def _read(name: str, amount: str) -> int | float:
    units = _UNITS[name]
    match = re.fullmatch(r"(\d+(?:\.\d+)?)\s*([A-Za-z]*)", amount)
    unit = {key.lower(): value for key, value in units.items()}.get(match[2].lower()) if match else None
    if match is None or unit is None:
        known = ", ".join(unit for unit in units if unit)
        raise UsageError(f"budget: cannot read '{name}={amount}'; units: {known}; e.g. {EXAMPLE}")
    value = Decimal(match[1]) * unit
    if value <= 0:
        raise UsageError(f"budget: {name} must be above zero")
    if name == "latency":
        return float(value)
    if value != int(value):
        whole = "MACs" if name == "macs" else "bytes"
        raise UsageError(f"budget: '{name}={amount}' is not a whole number of {whole}")
    return int(value)


def _write(name: str, value: int | None, base: int) -> str | None:
    if value is None:
        return None
    for power, unit in ((3, "G"), (2, "M"), (1, "K")):
        if value % base**power == 0:
            return f"{name}={value // base**power}{unit}"
    return f"{name}={value}"


def _write_seconds(seconds: Decimal) -> str:
    """In seconds, or the largest unit of which it is one or more, or in the smallest."""
    unit = next((unit for unit, size in _SECONDS.items() if seconds >= size), "us")
    return f"{(seconds / Decimal(_SECONDS[unit])).normalize():f}{unit}"


def quote(resource: str, value: float, clock_hz: float | None = None) -> tuple[str, str]:
    """Name and amount for messages: flash 5,120; cycles at a known clock as a latency, rounded up."""
    if resource == "cycles" and clock_hz is not None:
        seconds = Decimal(repr(value)) / Decimal(repr(clock_hz))
        return "latency", _write_seconds(Context(prec=DIGITS, rounding=ROUND_CEILING).plus(seconds))
    return resource, f"{value:,.0f}" if value >= 100 else f"{value:.4g}"
