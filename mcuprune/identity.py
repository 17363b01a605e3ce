"""What makes two runs the same: their configuration, and what the files that it names hold."""

from __future__ import annotations

import hashlib
from pathlib import Path

from mcuprune.config import RunConfig

FILES = ("model", "data", "more_data")  # fields that may name a file or a folder


def identity(config: RunConfig) -> str:
    """The run as TOML, with a digest of its model file and of its data as comments.

    Runs of equal identity give equal results: what an interrupted one left may be used, and what a finished
    one left need not be made again.
    """
    return config.to_toml() + digests(config)


def digests(config: RunConfig) -> str:
    """The comments alone.  To be taken before the files are read: what trains is never newer then."""
    paths = {field: _path(getattr(config, field)) for field in FILES}
    return "".join(f"# {field}: {_digest(path)}\n" for field, path in paths.items() if path is not None)


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
