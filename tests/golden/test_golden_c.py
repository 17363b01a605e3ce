"""The generated C of small models, committed: a change of the generator shows in the diff.

``UPDATE_GOLDEN=1 pytest tests/golden`` (or ``make golden``) rewrites the files.
"""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from mcuprune.board import load_board
from mcuprune.codegen import emit
from mcuprune.plan.make import make_plan
from tests.codegen.networks import MODELS

FOLDER = Path(__file__).resolve().parent


@pytest.mark.parametrize("model", MODELS)
def test_generated_files_are_the_committed_ones(model) -> None:
    graph = model()
    board = load_board("stm32f4")
    sources = emit(graph, make_plan(graph, board.core.isa), board)
    for path in (f"include/{sources.name}.h", f"src/{sources.name}.c"):
        file = FOLDER / sources.name / Path(path).name
        if os.environ.get("UPDATE_GOLDEN"):
            file.parent.mkdir(exist_ok=True)
            file.write_text(sources.files[path], encoding="utf-8")
        assert sources.files[path] == file.read_text(encoding="utf-8"), f"{file.name}: see `make golden`"
