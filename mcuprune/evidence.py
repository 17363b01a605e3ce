"""Everything that a report is made of."""

from __future__ import annotations

from dataclasses import dataclass

from mcuprune.board import Board
from mcuprune.budget import Budget
from mcuprune.config import RunConfig
from mcuprune.deploy import Deployment
from mcuprune.problem import Problem
from mcuprune.prune.experiment import Outcome
from mcuprune.prune.target import Target
from mcuprune.score import Scores
from mcuprune.sound import Sound
from mcuprune.verify.prove import Proof


@dataclass(frozen=True)
class Evidence:
    """A finished run, before anybody has judged it."""

    problem: Problem
    config: RunConfig
    board: Board
    target: Target
    budget: Budget
    outcome: Outcome
    built: Deployment
    proof: Proof
    scores: Scores
    sound: Sound | None = None
