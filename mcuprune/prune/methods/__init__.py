"""The pruning methods, in the order in which they are listed."""

from __future__ import annotations

from mcuprune.prune.method import Method
from mcuprune.prune.methods.bernoulli import Bernoulli
from mcuprune.prune.methods.connectivity import Connectivity, ConnectivityElements
from mcuprune.prune.methods.duccio import Duccio
from mcuprune.prune.methods.ensemble import Ensemble
from mcuprune.prune.methods.exact_obs import ExactOBS
from mcuprune.prune.methods.hard_concrete import HardConcrete
from mcuprune.prune.methods.imp import IMP
from mcuprune.prune.methods.keep_ratio import KeepRatio
from mcuprune.prune.methods.magnitude import Magnitude, Random
from mcuprune.prune.methods.rigl import RigL
from mcuprune.prune.methods.taylor import Taylor
from mcuprune.prune.options import parse_choice
from mcuprune.prune.stage import Stage

METHODS: tuple[type[Method] | type[Stage], ...] = (
    Taylor,
    KeepRatio,
    HardConcrete,
    Connectivity,
    ConnectivityElements,
    Bernoulli,
    Ensemble,
    Duccio,
    Magnitude,
    Random,
    RigL,
    IMP,
    ExactOBS,
)


def find_method(text: str) -> Method | Stage:
    """``name`` or ``name:option=value,...``.  Raises UsageError for what is not known."""
    known: dict[str, type] = {method.name: method for method in METHODS}
    found: Method | Stage = parse_choice(text, known, "method")
    return found
