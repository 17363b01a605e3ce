from __future__ import annotations

import numpy as np
import pytest

from mcuprune.errors import MismatchError
from mcuprune.verify.compare import Difference, Equality, compare_outputs, first_difference


def test_first_difference_follows_the_order_of_the_reference() -> None:
    reference = {"a": np.array([[1, 2]]), "b": np.array([3, 4, 5]), "c": np.array([6])}
    assert first_difference(reference, {"c": np.array([6]), "a": np.array([1, 2])}) is None
    other = {"c": np.array([0]), "b": np.array([3, 9, 8])}
    assert first_difference(reference, other) == Difference("b", 1, 4, 9)
    assert str(Difference("b", 1, 4, 9)) == "layer 'b', element 1: expected 4, got 9"


@pytest.mark.parametrize("other", [{}, {"unknown": np.zeros(1)}, {"a": np.zeros(3)}])
def test_nothing_passes_unseen(other: dict[str, np.ndarray]) -> None:
    with pytest.raises(MismatchError):
        first_difference({"a": np.zeros(2)}, other)


def test_outputs_are_counted() -> None:
    expected = np.array([[1, 2], [3, 4], [5, 6]], np.int8)
    got = np.array([[1, 2], [0, 0], [5, 7]], np.int8)
    assert compare_outputs(expected, got) == Equality(3, 6, 2, 3)
    assert compare_outputs(expected, expected).equal
    assert not compare_outputs(expected[:0], got[:0]).equal
    with pytest.raises(MismatchError):
        compare_outputs(expected, got[:2])
