"""A step of a pipeline rather than a way to train: what cuts networks between trainings, or after them."""

from __future__ import annotations

from typing import ClassVar

from mcuprune.graph.ir import Graph
from mcuprune.progress import Progress
from mcuprune.prune.run import Found
from mcuprune.prune.setting import Setting
from mcuprune.prune.target import Target


class Stage:
    """Base class; subclasses live in ``prune/methods/`` beside the methods of gates and masks."""

    name: ClassVar[str] = ""
    title: ClassVar[str] = ""
    paper: ClassVar[str] = ""
    kind: ClassVar[str] = "stage"

    def compress(self, initial: Graph, target: Target, setting: Setting, progress: Progress) -> Found:
        """``initial`` (untrained) trained and cut to the target."""
        raise NotImplementedError(f"{type(self).__name__} does not compress")
