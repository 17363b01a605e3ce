"""mcuprune: neural networks that provably fit a microcontroller."""

from __future__ import annotations

__version__ = "0.1.0"
