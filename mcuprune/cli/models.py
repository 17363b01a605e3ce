"""Verbs on a trained model: what it takes of a board, and its C package."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from mcuprune.board import load_board
from mcuprune.budget import parse_budget
from mcuprune.cli.options import OPTIMIZE, BoardName, BudgetText, Json, Lossless, ModelPath, Out, show
from mcuprune.config import parse_shape


def analyze(
    model: ModelPath,
    board: BoardName = "stm32f4",
    budget: BudgetText = None,
    input_shape: Annotated[
        str | None, typer.Option("--input", help="Input of a PyTorch module, e.g. 3,32,32.")
    ] = None,
    optimize: Annotated[str, typer.Option(help=OPTIMIZE)] = "speed",
    lossless: Lossless = True,
    as_json: Json = False,
) -> None:
    """Does the model fit the board as it is?  Costs per layer and its kernel, without training."""
    limits, shape = parse_budget(budget or ""), parse_shape(input_shape)
    import mcuprune.analyze

    analysis = mcuprune.analyze.analyze(model, load_board(board), limits, shape, lossless, optimize)
    show(analysis, analysis.text(), as_json)


def export(
    model: Annotated[Path, typer.Argument(help="A .tflite, .onnx or Keras file, int8 or float.")],
    board: BoardName = "stm32f4",
    out: Out = Path("exported"),
    data: Annotated[
        str | None,
        typer.Option(help="Inputs as a float model takes them, to quantize it with: .npz, .npy, file.py:f."),
    ] = None,
    name: Annotated[str | None, typer.Option(help="Prefix of the C symbols.")] = None,
    optimize: Annotated[str, typer.Option(help=OPTIMIZE)] = "speed",
    toolchain: Annotated[str, typer.Option(help="zig (pinned, from pip) or gcc.")] = "zig",
    lossless: Lossless = True,
    as_json: Json = False,
) -> None:
    """Turn a trained model into its C package; a float one is quantized after training."""
    found = load_board(board)
    import mcuprune.export

    exported = mcuprune.export.export(model, found, out, name, board, toolchain, optimize, data, lossless)
    result = {"out": exported.out, "sizes": exported.deployment.sizes, "quality": exported.quality}
    result["price"] = exported.price
    show(result, exported.text(), as_json)
