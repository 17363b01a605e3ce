"""Where the runs of a sweep are made: in processes of this machine, or on a Dask or Ray cluster.

joblib spreads them.  A cluster's workers have mcuprune installed and see the sweep's folder, at the same
place; a worker makes one run at a time, whatever the number of its threads, because the seeded random numbers
of a run belong to the whole process.
"""

from __future__ import annotations

import contextlib
import importlib
import os
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from threading import Lock
from types import ModuleType
from typing import TypeVar

import joblib

from mcuprune.errors import ToolchainError, UsageError

ENGINES = ("local", "dask", "ray")
PACKAGES = {"dask": "distributed", "ray": "ray"}
T = TypeVar("T")
R = TypeVar("R")

_one_at_a_time = Lock()


def spread(work: Callable[[T], R], items: Sequence[T], jobs: int | None, engine: str) -> Iterator[R]:
    """``work`` of every item, in their order, as they are done; from Ray all at the end.

    ``engine`` is one of :data:`ENGINES`, the last two also with ``:ADDRESS`` of a cluster that is there; else
    one is started on this machine.  ``jobs``: so many at the same time, None: one per core, as Dask always
    takes.  Raises UsageError for an unknown engine, no jobs, or a cluster that does not answer, and
    ToolchainError where the engine's package is missing.
    """
    kind, _, address = engine.partition(":")
    if kind not in ENGINES or (address and kind == "local"):
        raise UsageError(f"--engine {engine}: choose {', '.join(ENGINES)}, the last two with :ADDRESS")
    if jobs == 0:
        raise UsageError("--jobs 0: give how many runs are made at the same time, or -1 for one per core")
    found = {"local": _local, "dask": _dask, "ray": _ray}[kind]
    with found(address):
        most = min(joblib.cpu_count(), max(1, len(items))) if kind == "local" else -1
        parallel = joblib.Parallel(n_jobs=jobs or most, return_as="list" if kind == "ray" else "generator")
        yield from parallel(joblib.delayed(_alone)(work, item, os.getcwd()) for item in items)


def _alone(work: Callable[[T], R], item: T, folder: str) -> R:
    """``work`` in the sweep's folder, to which relative paths refer, and with nothing beside it."""
    if not Path(folder).is_dir():
        raise UsageError(f"a worker does not see {folder}: start the cluster where its workers share it")
    with _one_at_a_time, contextlib.chdir(folder):
        return work(item)


@contextlib.contextmanager
def _local(address: str) -> Iterator[None]:
    yield


@contextlib.contextmanager
def _dask(address: str) -> Iterator[None]:
    distributed = _package("dask")
    try:
        client = distributed.Client(address) if address else distributed.Client(threads_per_worker=1)
    except (OSError, ValueError) as error:
        raise UsageError(f"--engine dask:{address}: no Dask scheduler answers there: {error}") from None
    with client, joblib.parallel_config(backend="dask"):
        yield


@contextlib.contextmanager
def _ray(address: str) -> Iterator[None]:
    """In the caller's session, where there is one already."""
    ray = _package("ray")
    own = not ray.is_initialized()
    if own:
        try:
            ray.init(log_to_driver=False, **({"address": address} if address else {}))
        except (OSError, ValueError) as error:
            raise UsageError(f"--engine ray:{address}: no Ray cluster answers there: {error}") from None
    try:
        importlib.import_module("ray.util.joblib").register_ray()
        with joblib.parallel_config(backend="ray"):
            yield
    finally:
        if own:
            ray.shutdown()


def _package(kind: str) -> ModuleType:
    try:
        return importlib.import_module(PACKAGES[kind])
    except ImportError as error:
        raise ToolchainError(
            f"--engine {kind} needs a package that is missing ({error}); pip install {PACKAGES[kind]}"
        ) from None
