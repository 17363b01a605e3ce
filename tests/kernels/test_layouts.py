"""Weights in the order in which kernels read them."""

from __future__ import annotations

import numpy as np
import pytest

from mcuprune.errors import UnsupportedError
from mcuprune.kernels.layouts import LAYOUTS, pack


def test_pairs_of_rows_alternate_and_the_odd_row_stands_alone() -> None:
    weight = np.array([[1, 2, 3], [11, 12, 13], [21, 22, 23]], np.int8)
    assert pack("row_pairs", weight).tolist() == [1, 11, 2, 12, 3, 13, 0, 0, 21, 23, 22, 0]


def test_fours_of_rows_take_even_and_odd_inputs_apart() -> None:
    weight = np.array([[1, 2, 3, 4], [11, 12, 13, 14], [21, 22, 23, 24], [31, 32, 33, 34], [41, 42, 43, 44]])
    first = [1, 11, 3, 13, 2, 12, 4, 14]
    second = [21, 31, 23, 33, 22, 32, 24, 34]
    assert pack("row_fours", weight.astype(np.int8)).tolist() == [*first, *second, 41, 42, 43, 44]
    assert pack("row_fours", weight[4:, :3].astype(np.int8)).tolist() == [41, 42, 43, 0]


def test_fours_of_channels_come_tap_by_tap() -> None:
    weight = np.arange(10, dtype=np.int8).reshape(2, 1, 5)
    assert pack("channel_fours", weight).tolist() == [0, 1, 2, 3, 5, 6, 7, 8, 4, 9]


def test_eights_of_channels_end_with_the_last_eight() -> None:
    weight = np.arange(22, dtype=np.int8).reshape(2, 1, 11)
    first, last = range(8), range(3, 11)
    expected = [*first, *(11 + c for c in first), *last, *(11 + c for c in last)]
    assert pack("channel_eights", weight).tolist() == expected


@pytest.mark.parametrize("layout", sorted({*LAYOUTS} - {"channel_eights"}))  # which stores some of them twice
@pytest.mark.parametrize("shape", [(1, 1, 1, 1), (5, 3, 3, 7), (4, 2, 1, 8), (7, 1, 1, 6)])
def test_packing_adds_nothing_but_zeros(layout: str, shape: tuple[int, ...]) -> None:
    weight = np.random.default_rng(0).integers(1, 128, shape).astype(np.int8)
    packed = pack(layout, weight)
    assert packed.dtype == np.int8
    assert sorted(packed[packed != 0]) == sorted(weight.reshape(-1))


def test_unknown_layout() -> None:
    with pytest.raises(UnsupportedError, match="spiral"):
        pack("spiral", np.zeros((1, 1), np.int8))
