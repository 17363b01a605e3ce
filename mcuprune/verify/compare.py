"""Are two executions of one model equal, and if not, where do they part?"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from mcuprune.errors import MismatchError


@dataclass(frozen=True)
class Difference:
    """The first differing element; ``index`` counts the elements of the layer's output in memory order."""

    layer: str
    index: int
    expected: int
    got: int

    def __str__(self) -> str:
        return f"layer '{self.layer}', element {self.index}: expected {self.expected}, got {self.got}"


@dataclass(frozen=True)
class Equality:
    """``inputs`` and bytes compared, how many of each differ."""

    inputs: int
    bytes: int
    differing_inputs: int
    differing_bytes: int

    @property
    def equal(self) -> bool:
        """Something was compared and nothing differs."""
        return self.bytes > 0 and self.differing_bytes == 0


def first_difference(
    reference: Mapping[str, np.ndarray], other: Mapping[str, np.ndarray]
) -> Difference | None:
    """The first element, in the order of ``reference``, where a tensor of ``other`` differs from it.

    Tensors that ``other`` does not show are passed over.  Raises MismatchError when it shows none of them,
    one that ``reference`` does not know, or one of another size.
    """
    unknown = [name for name in other if name not in reference]
    shown = [name for name in reference if name in other]
    if unknown or not shown:
        raise MismatchError(f"nothing to compare: {unknown or 'no tensors'} against {list(reference)}")
    for name in shown:
        expected, got = np.ravel(reference[name]), np.ravel(other[name])
        if expected.size != got.size:
            raise MismatchError(f"layer '{name}': {got.size} elements where {expected.size} are expected")
        differing = np.flatnonzero(expected != got)
        if differing.size:
            at = int(differing[0])
            return Difference(name, at, int(expected[at]), int(got[at]))
    return None


def compare_outputs(expected: np.ndarray, got: np.ndarray) -> Equality:
    """Two batches of outputs, ``(N, ...)`` each; MismatchError where their sizes differ."""
    if len(expected) != len(got) or expected.size != got.size:
        raise MismatchError(f"outputs of shapes {expected.shape} and {got.shape} cannot be compared")
    if not len(got):
        return Equality(0, 0, 0, 0)
    differs = expected.reshape(len(expected), -1) != got.reshape(len(got), -1)
    return Equality(len(got), int(got.size), int(differs.any(axis=1).sum()), int(differs.sum()))
