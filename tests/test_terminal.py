from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from mcuprune.terminal import table, to_json


def test_table_aligns_words_left_and_numbers_right() -> None:
    assert table(("name", "bytes", "why"), [("conv", 1234567, None), ("add", 5, "small")]).splitlines() == [
        "name      bytes  why",
        "conv  1,234,567  -",
        "add           5  small",
    ]


def test_empty_table_is_its_header() -> None:
    assert table(("a", "b"), []) == "a  b"


@dataclass(frozen=True)
class Point:
    where: Path
    value: np.float64
    tags: frozenset[str]
    nested: tuple[int, ...]


def test_json_holds_plain_values_in_declared_order() -> None:
    text = to_json([Point(Path("a/b"), np.float64(0.5), frozenset({"y", "x"}), (1, 2))])
    assert json.loads(text) == [{"where": "a/b", "value": 0.5, "tags": ["x", "y"], "nested": [1, 2]}]
    assert text.index("where") < text.index("value") < text.index("tags")
