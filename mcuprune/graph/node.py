"""What every node of a network has."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar


@dataclass(frozen=True)
class Node:
    """One tensor: the node's name, and the tensors it is computed from.

    ``in_place``: the new value of a state that the node reads can be written over the old one.
    """

    name: str
    inputs: tuple[str, ...]
    in_place: ClassVar[bool] = False

    @property
    def changes(self) -> tuple[str, ...]:
        """States among the inputs that the node leaves changed; no other node reads them."""
        return ()
