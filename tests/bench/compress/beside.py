"""What steps of the dense network take while another network trains.

A machine that is quick now is a tenth slower in some minutes: two trainings can only be compared in turns.
"""

from __future__ import annotations

import time
from collections.abc import Iterable, Mapping
from itertools import islice

from torch import Tensor

from mcuprune.graph.ir import Graph
from mcuprune.progress import Silent
from mcuprune.prune.setting import Setting
from mcuprune.training.divergence import check_finite
from mcuprune.training.loop import batches, make_module, take_step
from mcuprune.training.recipe import make_optimizer, set_rate

STEPS = 5  # after every epoch of the other network, and one before them that finds caches cold


class Beside(Silent):
    """A listener of a training: whenever an epoch is done, ``dense`` takes some steps by the same setting.

    They are taken at a rate of 0, so that nothing can diverge.
    """

    def __init__(self, dense: Graph, setting: Setting) -> None:
        self._setting = setting
        self._module = make_module(dense, setting.recipe)
        self._optimizer = make_optimizer(self._module, setting.recipe)
        set_rate(self._optimizer, 0.0)
        self._epochs, self._steps, self._seconds = 0, 0, 0.0

    def step(self, text: str = "", usage: Mapping[str, float] | None = None) -> None:
        coming = batches(self._setting.data, self._setting.recipe, self._epochs)
        self._take(islice(coming, 1))
        started = time.process_time()
        self._steps += self._take(islice(coming, STEPS))
        self._seconds += time.process_time() - started
        self._epochs += 1

    def _take(self, some: Iterable[tuple[Tensor, Tensor]]) -> int:
        """Steps as training takes them, its check of the loss included; how many there were."""
        count = 0
        for x, y in some:
            loss = take_step(self._optimizer, self._setting.loss(self._module(x), y))
            check_finite(loss, self._epochs, 0.0)
            count += 1
        return count

    @property
    def seconds(self) -> float | None:
        """Processor seconds of all steps of the dense network's training; None before any was taken."""
        recipe = self._setting.recipe
        steps = recipe.epochs * recipe.steps(len(self._setting.data.x))
        return self._seconds / self._steps * steps if self._steps else None
