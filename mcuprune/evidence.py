"""Everything that a report is made of."""

from __future__ import annotations

from dataclasses import dataclass

from mcuprune.board import Board
from mcuprune.config import RunConfig
from mcuprune.deploy import Deployment
from mcuprune.form import Compressed
from mcuprune.problem import Problem
from mcuprune.prune.experiment import Outcome
from mcuprune.prune.target import Target
from mcuprune.score import Scores
from mcuprune.sound import Sound
from mcuprune.verify.prove import Proof


@dataclass(frozen=True)
class Evidence:
    """A finished run, before anybody has judged it."""

    compressed: Compressed
    config: RunConfig
    board: Board
    built: Deployment
    proof: Proof
    scores: Scores
    sound: Sound | None = None

    @property
    def whole(self) -> Problem:
        """What was given: the dense network, and all of its inputs."""
        return self.compressed.whole

    @property
    def problem(self) -> Problem:
        """What was searched and built: with the inputs and blocks that were chosen."""
        return self.compressed.form.problem

    @property
    def target(self) -> Target:
        return self.compressed.target

    @property
    def outcome(self) -> Outcome:
        return self.compressed.outcome
