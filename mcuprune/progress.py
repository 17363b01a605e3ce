"""How a long run tells what it is doing: a bar on a terminal, plain lines elsewhere, nothing for machines."""

from __future__ import annotations

import os
import sys
from collections.abc import Mapping
from typing import Any, Protocol, TextIO


class Progress(Protocol):
    """What a stage is given to report to."""

    def stage(self, title: str, steps: int = 0) -> None:
        """A new stage begins; ``steps`` calls of :meth:`step` will follow (0: unknown)."""

    def step(self, text: str = "", usage: Mapping[str, float] | None = None) -> None:
        """One step is done; ``text`` is its state (loss, accuracy), ``usage`` the share of each budget."""

    def note(self, text: str) -> None:
        """A line that stays."""


class Silent:
    """Reports nothing."""

    def stage(self, title: str, steps: int = 0) -> None: ...

    def step(self, text: str = "", usage: Mapping[str, float] | None = None) -> None: ...

    def note(self, text: str) -> None: ...

    def __enter__(self) -> Silent:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: object, trace: object) -> None: ...


class Lines(Silent):
    """One plain line per stage and step, for logs and continuous integration."""

    def __init__(self, stream: TextIO) -> None:
        self._stream = stream
        self._title, self._steps, self._done = "", 0, 0

    def stage(self, title: str, steps: int = 0) -> None:
        self._title, self._steps, self._done = title, steps, 0
        self.note(title)

    def step(self, text: str = "", usage: Mapping[str, float] | None = None) -> None:
        self._done += 1
        count = f"{self._done}/{self._steps}" if self._steps else str(self._done)
        self.note(f"  {self._title} {count}  {_state(text, usage)}".rstrip())

    def note(self, text: str) -> None:
        print(text, file=self._stream, flush=True)


class Bars(Silent):
    """A bar per stage with the live budget shares beside it."""

    def __init__(self, stream: TextIO) -> None:
        from rich.console import Console
        from rich.progress import BarColumn, MofNCompleteColumn, TextColumn, TimeElapsedColumn
        from rich.progress import Progress as RichProgress

        columns = ("{task.description}", BarColumn(24), MofNCompleteColumn(), TimeElapsedColumn())
        self._bars = RichProgress(*columns, TextColumn("{task.fields[state]}"), console=Console(file=stream))
        self._task: Any = None

    def stage(self, title: str, steps: int = 0) -> None:
        self._finish()
        self._task = self._bars.add_task(title, total=steps or None, state="")

    def step(self, text: str = "", usage: Mapping[str, float] | None = None) -> None:
        self._bars.update(self._task, advance=1, state=_state(text, usage))

    def note(self, text: str) -> None:
        self._bars.console.print(text, markup=False, highlight=False)

    def _finish(self) -> None:
        if self._task is not None:
            task = self._bars.tasks[self._task]
            self._bars.update(self._task, total=task.completed or 1, completed=task.completed or 1)

    def __enter__(self) -> Bars:
        self._bars.start()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: object, trace: object) -> None:
        if kind is None:
            self._finish()
        self._bars.stop()


SILENT = Silent()


def open_progress(quiet: bool = False) -> Silent:
    """A :class:`Progress` to be used in ``with``; it writes to stderr, so that stdout stays the result."""
    if quiet:
        return SILENT
    plain = not sys.stderr.isatty() or bool(os.environ.get("CI")) or "NO_COLOR" in os.environ
    return Lines(sys.stderr) if plain else Bars(sys.stderr)


def _state(text: str, usage: Mapping[str, float] | None) -> str:
    shares = " ".join(f"{name} {share:4.0%}" for name, share in (usage or {}).items())
    return f"{text}  {shares}".strip()
