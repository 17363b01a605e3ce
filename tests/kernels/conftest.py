"""The kernels as a shared library of this machine, built once a session."""

from __future__ import annotations

import ctypes
import os

import pytest
from kernel_library import SANITIZERS, build_library


@pytest.fixture(scope="session", params=["wide", "narrow"])
def library(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> ctypes.CDLL:
    """``narrow``: with the arithmetic of cores that multiply to 32 bits only and have no division."""
    flags = ["-DMCP_NARROW_MULTIPLY", "-DMCP_NO_DIVISION"] if request.param == "narrow" else []
    if os.environ.get("MCUPRUNE_SANITIZE"):
        flags += [SANITIZERS, "-fno-sanitize-recover=all"]
    return ctypes.CDLL(str(build_library(tmp_path_factory.mktemp("kernels") / "kernels.so", flags)))
