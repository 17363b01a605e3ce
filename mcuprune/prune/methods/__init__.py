"""The pruning methods, in the order in which they are listed."""

from __future__ import annotations

from mcuprune.budget import did_you_mean
from mcuprune.errors import UsageError
from mcuprune.prune.method import Method
from mcuprune.prune.methods.exact_obs import ExactOBS
from mcuprune.prune.methods.hard_concrete import HardConcrete
from mcuprune.prune.methods.keep_ratio import KeepRatio
from mcuprune.prune.methods.rigl import RigL
from mcuprune.prune.methods.taylor import Taylor

METHODS: tuple[type[Method] | type[ExactOBS], ...] = (Taylor, KeepRatio, HardConcrete, RigL, ExactOBS)


def find_method(name: str) -> Method | ExactOBS:
    """The method of that name.  Raises UsageError with the nearest known one."""
    known = {method.name: method for method in METHODS}
    if name not in known:
        raise UsageError(f"unknown method '{name}'{did_you_mean(name, tuple(known))}")
    return known[name]()
