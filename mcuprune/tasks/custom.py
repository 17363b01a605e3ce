"""Data from a user's own file: an .npz archive, or a Python function."""

from __future__ import annotations

import inspect
import zipfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from mcuprune.errors import McupruneError, UsageError
from mcuprune.frontends.load import load_python_object
from mcuprune.tasks.splits import KEYS, Splits, from_mapping, to_split
from mcuprune.tasks.task import Split, Task

RESULTS = f"(x, y), (x_train, y_train, x_test, y_test), a mapping ({KEYS}), Splits or a Task"


def load_npz(path: Path) -> Splits:
    """The arrays of an archive; UsageError for one that is damaged, pickled, or lacks :data:`KEYS`."""
    try:
        with np.load(path, allow_pickle=False) as archive:
            arrays = {name: archive[name] for name in archive.files}
    except (OSError, TypeError, ValueError, EOFError, AttributeError, zipfile.BadZipFile) as error:
        raise UsageError(f"'{path}' cannot be read as .npz ({error}); write it with numpy.savez") from None
    return from_mapping(arrays, str(path))


def load_function(path: Path, name: str) -> Splits | Task:
    """What a function without arguments in a user's file returns, see :data:`RESULTS`."""
    return to_splits(load_value(path, name), f"'{path}:{name}'")


def load_value(path: Path, name: str) -> Any:
    """An object in a user's file, or what it returns when it is a function."""
    found = load_python_object(path, name)
    if callable(found) and not isinstance(found, Task | Splits):
        return _call(found, f"'{path}:{name}'")
    return found


def to_splits(found: Any, where: str) -> Splits | Task:
    """Data as an object of any of the forms of :data:`RESULTS`."""
    if isinstance(found, Task):
        return found
    if isinstance(found, Splits):
        return Splits(
            to_split(found.train.x, found.train.y, f"{where}: train"),
            _normal(found.validation, f"{where}: validation"),
            _normal(found.test, f"{where}: test"),
        )
    if isinstance(found, Mapping):
        return from_mapping(found, where)
    if isinstance(found, tuple | list) and len(found) in (2, 4):
        test = to_split(found[2], found[3], f"{where}: test") if len(found) == 4 else None
        return Splits(to_split(found[0], found[1], f"{where}: train"), test=test)
    raise UsageError(f"{where} gives a {type(found).__name__}; return {RESULTS}")


def _normal(part: Split | None, where: str) -> Split | None:
    return None if part is None else to_split(part.x, part.y, where)


def _call(function: Any, where: str) -> Any:
    required = [
        p.name
        for p in inspect.signature(function).parameters.values()
        if p.default is p.empty and p.kind not in (p.VAR_POSITIONAL, p.VAR_KEYWORD)
    ]
    if required:
        raise UsageError(f"{where} needs arguments ({', '.join(required)}); give a function that needs none")
    try:
        return function()
    except McupruneError:
        raise
    except Exception as error:  # a user's function can raise anything
        raise UsageError(f"{where} fails when called: {type(error).__name__}: {error}") from error
