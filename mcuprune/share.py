"""Where the data folders of mcuprune lie: next to the package in a checkout, inside it when installed."""

from __future__ import annotations

from functools import cache
from pathlib import Path

PACKAGE = Path(__file__).resolve().parent
FOLDERS = ("boards", "codegen", "firmware_templates")


@cache
def folder(name: str) -> Path:
    """The folder ``boards``, ``codegen`` or ``firmware_templates``.

    An installed copy (``mcuprune/_share/<name>``) comes first, so that a folder of the same name beside an
    installed package is never taken for ours.
    """
    if name not in FOLDERS:
        raise ValueError(f"no shared folder '{name}': it is one of {', '.join(FOLDERS)}")
    for candidate in (PACKAGE / "_share" / name, PACKAGE.parent / name):
        if candidate.is_dir():
            return candidate
    raise FileNotFoundError(f"mcuprune is installed without its '{name}' folder; reinstall it")
