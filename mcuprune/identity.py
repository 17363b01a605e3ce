"""What makes two runs the same: their configuration, and what the files that it names hold."""

from __future__ import annotations

import hashlib
import re
from pathlib import Path

import numpy as np

from mcuprune.config import RunConfig
from mcuprune.errors import UsageError
from mcuprune.graph.ir import Graph
from mcuprune.tasks.published import PUBLISHED, find_folder
from mcuprune.tasks.task import Task

SAID = (
    "classes",
    "loss",
    "metric",
    "mean",
    "std",
    "front_end",
    "augment",
    "labels",
)  # of a task, beside arrays


def identity(config: RunConfig) -> str:
    """The run as TOML, with digests of its model file, data and board file as comments.

    Runs of equal identity give equal results: what an interrupted one left may be used, and what a finished
    one left need not be made again.
    """
    return config.to_toml() + digests(config)


def digests(config: RunConfig) -> str:
    """The comments alone.  To be taken before the files are read: what trains is never newer then."""
    paths = {"model": _path(config.model), "data": _data(config), "more_data": _path(config.more_data)}
    paths["board"] = _path(config.board) if config.board.endswith(".toml") else None
    return "".join(f"# {field}: {_digest(path)}\n" for field, path in paths.items() if path is not None)


def of_objects(config: RunConfig, graph: Graph, task: Task) -> str:
    """The identity of a run that was given its network and its data as objects."""
    found = hashlib.blake2b(digest_size=16)
    told = (graph.nodes, graph.inputs, graph.outputs, *(getattr(task, name) for name in SAID))
    found.update(re.sub(r" at 0x[0-9a-f]+", "", repr(told)).encode())
    splits = (task.train, task.validation, task.test)
    arrays = [constant.values for constant in graph.constants.values()]
    for array in (*arrays, *(values for split in splits for values in (split.x, split.y))):
        found.update(f"{array.dtype}{array.shape}".encode())
        found.update(np.ascontiguousarray(array).data)
    return f"{identity(config)}# objects: {found.hexdigest()}\n"


def _data(config: RunConfig) -> Path | None:
    name = (config.task or "").partition("/")[0]
    if name not in PUBLISHED:
        return _path(config.data)
    try:
        return find_folder(name, config.data)
    except UsageError:  # loading them says so
        return None


def _path(spec: str | Path | None) -> Path | None:
    """The file or folder that ``spec`` names, a function or class behind a colon left out; None: none."""
    if spec is None:
        return None
    text = str(spec)
    candidates = (Path(text), Path(text.rpartition(":")[0] or text))
    return next((path for path in candidates if path.exists()), None)


def _digest(path: Path) -> str:
    """BLAKE2 of the content; of a folder of all names and contents in it."""
    found = hashlib.blake2b(digest_size=16)
    for file in sorted(path.rglob("*")) if path.is_dir() else [path]:
        if file.is_file():
            found.update(f"{file.relative_to(path).as_posix()}\0{file.stat().st_size}\0".encode())
            with file.open("rb") as stream:
                while block := stream.read(1 << 20):
                    found.update(block)
    return found.hexdigest()
