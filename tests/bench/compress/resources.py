"""Parts of flash and RAM as resources of their own, since published budgets often limit only those."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from typing import ClassVar

from mcuprune.graph.op_shape import Number
from mcuprune.resources.model import Breakdown, ResourceModel, Widths

WHOLE = {"constants": "flash", "arena": "ram"}  # part -> the resource it is a part of


@dataclass(frozen=True)
class Parts(ResourceModel):
    """Also ``constants``, the bytes of flash that are not code, and ``arena``, the RAM without the stack."""

    by_step: ClassVar[tuple[str, ...]] = (*ResourceModel.by_step, "arena")

    def named(self, usage: Breakdown) -> dict[str, float]:
        return super().named(usage) | {"constants": usage.constants, "arena": usage.memory}

    def _costs(self, widths: Widths, wanted: Collection[str]) -> dict[str, Sequence[Number]]:
        found = super()._costs(widths, {WHOLE.get(k, k) for k in wanted})
        code, stack = self._code_and_stack
        rest = {"constants": code, "arena": stack}
        return {k: [row - rest.get(k, 0) for row in found[WHOLE.get(k, k)]] for k in wanted}
