"""Just enough SVG for the report's pictures: elements as text, escaped, with rounded coordinates."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from html import escape


def element(tag: str, content: str = "", **attributes: object) -> str:
    """One element around ``content`` (markup).  ``class_`` is ``class``, ``text_anchor`` ``text-anchor``."""
    parts = (
        f' {name.rstrip("_").replace("_", "-")}="{escape(_number(value))}"'
        for name, value in attributes.items()
    )
    return f"<{tag}{''.join(parts)}>{content}</{tag}>" if content else f"<{tag}{''.join(parts)}/>"


def text(x: float, y: float, words: str, class_: str = "", **attributes: object) -> str:
    return element("text", escape(words), x=x, y=y, class_=class_, **attributes)


def line(x1: float, y1: float, x2: float, y2: float, class_: str) -> str:
    return element("line", x1=x1, y1=y1, x2=x2, y2=y2, class_=class_)


def rect(
    x: float, y: float, width: float, height: float, class_: str, title: str = "", **more: object
) -> str:
    inner = element("title", escape(title)) if title else ""
    return element("rect", inner, x=x, y=y, width=max(width, 0), height=max(height, 0), class_=class_, **more)


def polyline(points: Iterable[tuple[float, float]], class_: str) -> str:
    return element(
        "polyline", points=" ".join(f"{_number(x)},{_number(y)}" for x, y in points), class_=class_
    )


def dot(x: float, y: float, class_: str, title: str, radius: float = 2.2) -> str:
    """A mark with a generous invisible target around it, so that its tooltip is easy to reach."""
    target = element("circle", element("title", escape(title)), cx=x, cy=y, r=9, class_="target")
    return element("circle", cx=x, cy=y, r=radius, class_=class_) + target


def picture(width: float, height: float, label: str, content: Iterable[str]) -> str:
    view = f"0 0 {_number(width)} {_number(height)}"
    return element("svg", "".join(content), viewBox=view, role="img", aria_label=label)


def _number(value: object) -> str:
    return f"{value:.1f}".removesuffix(".0") if isinstance(value, float) else str(value)


@dataclass(frozen=True)
class Scale:
    """Data to pixels, linear or logarithmic; ``low`` maps to ``start``."""

    low: float
    high: float
    start: float
    stop: float
    logarithmic: bool = False

    def __call__(self, value: float) -> float:
        if self.logarithmic:
            low, high, value = math.log(self.low), math.log(self.high), math.log(max(value, self.low))
        else:
            low, high = self.low, self.high
        fraction = (value - low) / (high - low) if high > low else 0.5
        return self.start + fraction * (self.stop - self.start)


def nice_ticks(low: float, high: float, wanted: int = 4, base: int = 10) -> list[float]:
    """Round values that enclose ``low..high``; ``base=2`` gives powers of two, for bytes."""
    span = max(high - low, 1e-9)
    if base == 2:
        step = 2.0 ** math.ceil(math.log2(span / wanted))
    else:
        power = 10.0 ** math.floor(math.log10(span / wanted))
        step = next(m * power for m in (1, 2, 5, 10) if m * power * wanted >= span * 0.999)
    first, last = math.floor(low / step + 1e-9), math.ceil(high / step - 1e-9)
    return [index * step for index in range(first, max(last, first + 1) + 1)]


def spread(positions: Sequence[float], gap: float, low: float, high: float) -> list[float]:
    """Moves label positions apart to at least ``gap``, keeping their order, within ``low..high``."""
    order = sorted(range(len(positions)), key=lambda index: positions[index])
    placed: list[float] = []
    for index in order:
        placed.append(max(positions[index], placed[-1] + gap if placed else low))
    for index in range(len(placed) - 1, -1, -1):
        placed[index] = min(placed[index], placed[index + 1] - gap if index + 1 < len(placed) else high)
    result = [0.0] * len(positions)
    for index, position in zip(order, placed, strict=True):
        result[index] = position
    return result
