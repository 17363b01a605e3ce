"""Figures as people read them; the same words in the terminal, in HTML and in a comparison."""

from __future__ import annotations

DASH = "–"
FLAGGED = "under half"  # of the nominal saving is realised


def count(value: float | None) -> str:
    """Every digit, grouped: ``5,944``."""
    return DASH if value is None else f"{round(value):,}"


def short(value: float | None) -> str:
    """Four significant digits with a decimal prefix: ``1.234 M``; whole numbers up to 9,999 in full."""
    if value is None:
        return DASH
    for limit, factor, prefix in ((1e9, 1e9, " G"), (1e6, 1e6, " M"), (1e4, 1e3, " k")):
        if abs(value) >= limit:
            return f"{value / factor:.4g}{prefix}"
    return f"{round(value):,}" if value == round(value) else f"{value:.4g}"


def kibi(value: float | None) -> str:
    """Bytes in binary units: ``512 B``, ``5.8 KiB``, ``1 MiB``."""
    if value is None:
        return DASH
    for factor, unit in ((1 << 20, "MiB"), (1 << 10, "KiB")):
        if abs(value) >= factor:
            digits = 0 if value % factor == 0 else 1
            return f"{value / factor:.{digits}f} {unit}"
    return f"{round(value)} B"


ROUNDS_UP = 0.9995  # of a unit: three digits say 1 of it, not 1e+03 of the next smaller one


def seconds(value: float | None) -> str:
    """``850 us``, ``13.8 ms``, ``4.2 s``, ``2 min 05 s``."""
    if value is None:
        return DASH
    if value >= 60:
        return f"{int(value // 60)} min {int(value % 60):02d} s"
    if value >= ROUNDS_UP:
        return f"{value:.3g} s"
    return f"{value * 1e3:.3g} ms" if value >= ROUNDS_UP * 1e-3 else f"{value * 1e6:.3g} us"


def quantity(value: float | None, unit: str) -> str:
    """A resource's figure in the style of its unit: bytes in full, MACs and cycles short, seconds scaled."""
    if unit == "s":
        return seconds(value)
    return count(value) if unit == "bytes" else short(value)


def percent(value: float | None, digits: int = 1) -> str:
    return DASH if value is None else f"{100 * value:.{digits}f} %"


def signed_percent(value: float | None, digits: int = 1) -> str:
    """A relative error; zero is said as ``exact``."""
    if value is None:
        return DASH
    return "exact" if value == 0 else _minus(f"{100 * value:+.{digits}f} %")


def metric(name: str, value: float | None) -> str:
    """The task metric: ``87.3 %`` for accuracy, ``31.2 dB`` for psnr."""
    if value is None:
        return DASH
    return f"{value:.1f} dB" if name == "psnr" else percent(value)


def metric_change(name: str, value: float) -> str:
    """A difference of two metrics: points for accuracy, dB for psnr."""
    return _minus(f"{value:+.1f} dB" if name == "psnr" else f"{100 * value:+.1f} pt")


def resource_name(group: str) -> str:
    """``ram`` as it is written: ``RAM``."""
    return {"ram": "RAM", "macs": "MACs"}.get(group, group.capitalize())


def shape(dims: tuple[int, ...]) -> str:
    return "×".join(str(size) for size in dims) or DASH


def _minus(words: str) -> str:
    return words.replace("-", "\N{MINUS SIGN}")
