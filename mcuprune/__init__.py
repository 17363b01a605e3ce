"""mcuprune: neural networks that provably fit a microcontroller.

import mcuprune
report, times = mcuprune.compress(module, task, board="stm32f4", budget="flash=64K,ram=32K", out="runs/mine")
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from mcuprune.board import load_board as load_board
    from mcuprune.budget import Budget as Budget
    from mcuprune.pipeline import compress_module as compress
    from mcuprune.tasks.load import load_task as load_task
    from mcuprune.tasks.task import Task as Task
    from mcuprune.tasks.task import classification as classification

__version__ = "0.1.0"
_PUBLIC = {
    "Budget": ("mcuprune.budget", "Budget"),
    "Task": ("mcuprune.tasks.task", "Task"),
    "classification": ("mcuprune.tasks.task", "classification"),
    "compress": ("mcuprune.pipeline", "compress_module"),
    "load_board": ("mcuprune.board", "load_board"),
    "load_task": ("mcuprune.tasks.load", "load_task"),
}
__all__ = ["Budget", "Task", "classification", "compress", "load_board", "load_task"]


def __getattr__(name: str) -> Any:
    """Import on first use: the command line must not load torch to print its help."""
    if name not in _PUBLIC:
        raise AttributeError(f"module 'mcuprune' has no attribute '{name}'")
    module, attribute = _PUBLIC[name]
    return getattr(import_module(module), attribute)
