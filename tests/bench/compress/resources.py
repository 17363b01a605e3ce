"""Parts of flash and RAM as resources of their own, since published budgets often limit only those."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass

import numpy as np
from torch import Tensor

from mcuprune.resources.model import RESOURCES, Breakdown, ResourceModel, Widths

WHOLE = {"constants": "flash", "arena": "ram"}  # part -> the resource it is a part of


@dataclass(frozen=True)
class Parts(ResourceModel):
    """Also ``constants``, the bytes of flash that are not code, and ``arena``, the RAM without the stack."""

    def figures(
        self, levels: Mapping[str, np.ndarray], wanted: Collection[str] = (*RESOURCES, *WHOLE)
    ) -> dict[str, np.ndarray]:
        found = super().figures(levels, {WHOLE.get(k, k) for k in wanted})
        return {k: found[WHOLE.get(k, k)] - self._rest(k) for k in wanted}

    def relaxed(self, widths: Widths, wanted: Collection[str] = (*RESOURCES, *WHOLE)) -> dict[str, Tensor]:
        found = super().relaxed(widths, {WHOLE.get(k, k) for k in wanted})
        return {k: found[WHOLE.get(k, k)] - self._rest(k) for k in wanted}

    def named(self, usage: Breakdown) -> dict[str, float]:
        return super().named(usage) | {"constants": usage.constants, "arena": usage.memory}

    def _rest(self, resource: str) -> int:
        code, stack = self._code_and_stack
        return {"constants": code, "arena": stack}.get(resource, 0)
