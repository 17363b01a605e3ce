"""A model as it is, as a C package, models and firmware."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from mcuprune.analyze import folding
from mcuprune.board import Board
from mcuprune.config import objective_of
from mcuprune.deploy import Deployment, Manifest, board_text, deploy
from mcuprune.errors import UnsupportedError, UsageError
from mcuprune.frontends.load import load_model
from mcuprune.graph.ir import Graph, QuantizedGraph
from mcuprune.posttrain import PostTrained, Quality, post_train
from mcuprune.problem import identifier
from mcuprune.report.units import count
from mcuprune.resources.choices import Price, price
from mcuprune.resources.macs import total_macs
from mcuprune.verify.prove import SAMPLES
from mcuprune.workspace import open_workspace


@dataclass(frozen=True)
class Exported:
    """``quality`` is set where a float model was quantized on the way."""

    out: str
    deployment: Deployment
    quality: Quality | None = None
    price: Price | None = None

    def text(self) -> str:
        sizes, folded = self.deployment.sizes, self.deployment.folded
        before = after = 0
        if folded is not None and folded.changes:
            before, after = total_macs(folded.original), total_macs(folded.graph)
        lines = folding(folded.changes if folded else (), before, after)
        quality = [] if self.quality is None else [self.quality.text(), ""]
        price = "" if self.price is None else f"\n{self.price.text()}"
        reason = self.deployment.without_onnx
        without = f"\nno model.onnx: {reason}" if reason else ""
        return "\n".join([*lines, *quality]) + (
            f"wrote {self.out}: C package, model.tflite, {'' if reason else 'model.onnx, '}firmware.elf"
            f"{without}\n"
            f"flash {count(sizes.flash)} B ({count(sizes.constants)} constants, {count(sizes.code)} code), "
            f"arena {count(sizes.arena)} B, {self.deployment.toolchain}{price}"
        )


def export(
    model: Path,
    board: Board,
    out: Path,
    name: str | None = None,
    board_spec: str | None = None,
    toolchain: str = "zig",
    optimize: str = "speed",
    data: str | None = None,
    lossless: bool = True,
) -> Exported:
    """The C package, models and firmware of a model as it is, in ``out``.

    A float model is quantized after training, with the samples that ``data`` names (see
    :func:`~mcuprune.tasks.samples.load_samples`); ``toolchain`` and ``optimize`` as in
    :class:`~mcuprune.config.RunConfig`; without ``lossless`` the network is exported unfolded.
    """
    found = load_model(str(model))
    if isinstance(found, QuantizedGraph):
        if data is not None:
            raise UsageError(f"'{model}' is quantized already and needs no samples; leave out --data")
        trained = PostTrained(found, None, None)
    elif isinstance(found, Graph):
        trained = post_train(found, data)
    else:
        raise UnsupportedError(
            f"'{model}' is a PyTorch module: `mcuprune compress {model} --data ...` trains and exports it"
        )
    manifest = Manifest(name or identifier(model.stem), toolchain, objective_of(optimize), lossless)
    with open_workspace(out) as space:
        source = (
            model.read_bytes() if isinstance(found, QuantizedGraph) and model.suffix == ".tflite" else None
        )
        board_file = board_text(board_spec or board.name)
        built = deploy(trained.graph, board, manifest, space.build, board_file, source)
        if trained.samples is not None:
            np.save(space.build / SAMPLES, trained.samples)
        space.publish()
    subject = replace(built.subject, elf=out / built.subject.elf.name)
    plan, objective = subject.plan, manifest.objective
    cost = price(subject.graph, plan, board.core, objective, manifest.toolchain)
    return Exported(str(out), replace(built, subject=subject), trained.quality, cost)
