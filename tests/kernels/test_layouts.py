"""Weights in the order in which kernels read them."""

from __future__ import annotations

import numpy as np
import pytest

from mcuprune.errors import UnsupportedError
from mcuprune.kernels.layouts import LAYOUTS, ROW_PAIRS, pack, pack_row_pairs, pack_shared_row_pairs


def words(packed: np.ndarray) -> list[int]:
    return packed.view("<i4").tolist()


def test_pairs_of_rows_alternate_between_their_biases_and_scales() -> None:
    weight = np.array([[1, 2, 3], [11, 12, 13], [21, 22, 23]], np.int8)
    scales = (np.array(given) for given in ([-5, 6, 7], [2**30, 2**31 - 1, 2**30 + 1], [-2, -31, -9]))
    first, odd = pack_row_pairs("row_pairs", weight, *scales).reshape(2, 32)
    assert words(first[:8]) == [-5, 6]
    assert first[8:16].tolist() == [1, 11, 2, 12, 3, 13, 0, 0]
    assert words(first[16:]) == [-(2**31), -2, 2**30, 2]
    assert words(odd[:8]) == [7, 0]
    assert odd[8:16].tolist() == [21, 0, 22, 0, 23, 0, 0, 0]
    assert words(odd[16:]) == [2**30 + 1, 0, -9 - 128, -128]


def test_pairs_with_an_unusual_shift_keep_multipliers_and_shifts() -> None:
    weight = np.ones((4, 1, 1, 2), np.int8)
    bias, multiplier, shift = np.zeros(4), np.array([2**30, 2**30 + 5, 0, 2**30]), np.array([-3, -1, 0, -4])
    unusual, dead = pack_row_pairs("row_pairs", weight, bias, multiplier, shift).reshape(2, 32)
    assert words(unusual[16:]) == [2**30, 2**30 + 5, -3 - 128, -1 - 128]
    assert words(dead[16:]) == [0, -(2**31), 0, 2**28]


def test_pairs_that_share_a_multiplier_end_with_their_shifts() -> None:
    weight = np.array([[1, 2, 3], [11, 12, 13], [21, 22, 23]], np.int8)
    bias, shift = np.array([-5, 6, 7]), np.array([-2, -31, -9])
    packed, multiplier = pack_shared_row_pairs("row_pairs", weight, bias, np.full(3, 2**30 + 7), shift)
    first, odd = packed.reshape(2, 20)
    assert multiplier == 2**30 + 7
    assert words(first[:8]) == [-5, 6]
    assert first[8:].tolist() == [1, 11, 2, 12, 3, 13, 0, 0, 30, 1, 0, 0]
    assert odd[8:].tolist() == [21, 0, 22, 0, 23, 0, 0, 0, 23, 32, 0, -128]


def test_apart_holds_every_four_inputs_as_sign_extension_takes_them() -> None:
    weight = np.array([[1, 2, 3, 4], [11, 12, 13, 14]], np.int8)
    packed = pack_row_pairs("row_pairs_apart", weight, *np.zeros((3, 2), int))
    assert packed[8:16].tolist() == [1, 11, 3, 13, 2, 12, 4, 14]


def test_fours_of_rows_take_even_and_odd_inputs_apart() -> None:
    weight = np.array([[1, 2, 3, 4], [11, 12, 13, 14], [21, 22, 23, 24], [31, 32, 33, 34], [41, 42, 43, 44]])
    first = [1, 11, 3, 13, 2, 12, 4, 14]
    second = [21, 31, 23, 33, 22, 32, 24, 34]
    assert pack("row_fours", weight.astype(np.int8)).tolist() == [*first, *second, 41, 42, 43, 44]
    assert pack("row_fours", weight[4:, :3].astype(np.int8)).tolist() == [41, 42, 43, 0]


def test_whole_words_go_on_in_the_next_row_and_end_with_zeros() -> None:
    weight = np.arange(1, 16, dtype=np.int8).reshape(3, 1, 1, 5)
    assert pack("whole_words", weight).tolist() == [*range(1, 16), 0, 0, 0]
    assert pack("whole_words", weight[..., :4]).tolist() == weight[..., :4].reshape(-1).tolist()


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


def test_three_columns_of_two_channels_stand_together() -> None:
    weight = np.zeros((2, 3, 3, 5), np.int8)
    weight[0, 0, :, :4] = [[1, 2, 3, 4], [5, 6, 7, 8], [9, 10, 11, 12]]
    weight[1, 0, :, 4] = [21, 22, 23]
    packed = pack_row_pairs("row_pairs_three_columns", weight, *np.zeros((3, 2), int))[8:-16]
    assert packed[:24].tolist() == [1, 0, 3, 0, 5, 0, 7, 0, 9, 0, 11, 0, 2, 0, 4, 0, 6, 0, 8, 0, 10, 0, 12, 0]
    assert packed[24:36].tolist() == [0, 21, 0, 0, 0, 22, 0, 0, 0, 23, 0, 0]
    assert packed.size == 2 * 9 * 8
    assert not packed[36:].any()


@pytest.mark.parametrize("layout", sorted(ROW_PAIRS))
@pytest.mark.parametrize("shape", [(1, 3, 3, 1), (5, 3, 3, 7), (4, 3, 3, 8)])
def test_pairs_of_rows_lose_no_weight(layout: str, shape: tuple[int, ...]) -> None:
    weight = np.random.default_rng(0).integers(1, 128, shape).astype(np.int8)
    packed = pack_row_pairs(layout, weight, *np.zeros((3, shape[0]), int)).reshape(-(-shape[0] // 2), -1)
    inner = packed[:, 8:-16]
    assert sorted(inner[inner != 0]) == sorted(weight.reshape(-1))


def test_pairs_of_rows_need_scales() -> None:
    with pytest.raises(UnsupportedError, match="needs scales"):
        pack("row_pairs", np.zeros((1, 1), np.int8))
