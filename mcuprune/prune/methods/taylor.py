"""Saliency with a hard mask: the network in training is always the deployable network."""

from __future__ import annotations

from mcuprune.graph.channels import Keep
from mcuprune.prune.gated import Gated, assign_masks
from mcuprune.prune.method import State


class Taylor(Gated):
    """Binary gates; a unit's score is the running mean of its squared gate gradient.

    The gradient reaches masked units too, because their producers still run, so units can come back.  Squares
    are averaged because the mean gradient itself tends to zero at stationarity.
    """

    name = "taylor"
    title = "squared first-order Taylor saliency, hard masks"
    paper = "Liberis & Lane 2023 (doi 10.1145/3569468); Molchanov et al. 2019 (arXiv 1906.10771)"

    def assign(self, state: State, keep: Keep) -> None:
        assign_masks(state, keep)
