"""The command line: each verb reads its flags, calls one function and prints what it returns."""

from mcuprune.cli.program import main

__all__ = ["main"]
