"""A tensor of the channels-first source model, in terms of a node of ours."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np


@dataclass(frozen=True, eq=False)
class Value:
    """A tensor of the source model: ``gain * tensor + offset`` in the source's layout.

    ``shape`` is the source's without the batch: ``(C, H, W)``, ``(C, L)`` (a map of height L and width 1) or
    ``(F,)``.  Element ``i`` of our vector is element ``order[i]`` of the source's (None: the same).  ``gain``
    and ``offset`` are scalars or have one value per channel, in the source's order.

    ``last``: the source has transposed the map, so that its channels stand last; ``shape`` is spelled
    channels first all the same.
    """

    tensor: str
    shape: tuple[int, ...]
    order: np.ndarray | None = None
    gain: np.ndarray | float = 1.0
    offset: np.ndarray | float = 0.0
    last: bool = False

    @property
    def channels(self) -> int:
        return self.shape[0]

    @property
    def seen(self) -> tuple[int, ...]:
        """The shape without the batch in the order in which the source sees it."""
        return (*self.shape[1:], self.shape[0]) if self.last else self.shape

    @property
    def is_map(self) -> bool:
        return len(self.shape) > 1

    @property
    def size(self) -> tuple[int, int]:
        """Height and width of a map."""
        return (self.shape[1], self.shape[2] if len(self.shape) == 3 else 1)

    @property
    def is_shifted(self) -> bool:
        return bool(np.any(np.asarray(self.offset) != 0))

    @property
    def is_pending(self) -> bool:
        return self.is_shifted or bool(np.any(np.asarray(self.gain) != 1))

    def spread(self, field: str) -> np.ndarray:
        """``gain`` or ``offset`` with one value per channel, float64."""
        return np.broadcast_to(np.asarray(getattr(self, field), np.float64), (self.channels,))
