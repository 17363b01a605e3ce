"""From a quantized graph to a package on disk and a linked image, and back from a folder to the same."""

from __future__ import annotations

import json
import zipfile
from dataclasses import asdict, dataclass, replace
from pathlib import Path

import numpy as np

from mcuprune.board import Board, board_path, load_board
from mcuprune.codegen import Picked, emit
from mcuprune.errors import UnsupportedError, UsageError
from mcuprune.exporters.onnx import write_onnx
from mcuprune.exporters.tflite import write_tflite
from mcuprune.frontends.tflite import load_tflite
from mcuprune.graph.ir import QuantizedGraph
from mcuprune.lossless.optimise import optimise
from mcuprune.lossless.record import Folded
from mcuprune.plan.make import make_plan
from mcuprune.report.folder import refuse_several
from mcuprune.verify.prove import SAMPLES, Subject
from mcuprune.verify.sizes import ImageSizes, measure
from mcuprune.verify.toolchain import Toolchain, build_firmware, find_toolchain

MANIFEST, BOARD, TFLITE, ONNX, ELF, SOURCE = (
    "deploy.json",
    "board.toml",
    "model.tflite",
    "model.onnx",
    "firmware.elf",
    "c",
)
ORIGINAL, RECORD = "original.tflite", "lossless.json"  # the model before folding, and what was folded


@dataclass(frozen=True)
class Manifest:
    """What a folder needs besides its files to be rebuilt: the content of ``deploy.json``.

    With ``lossless`` constant and dead channels are folded first; ``model.tflite``, the C and the firmware
    are then those of the folded network, and ``original.tflite`` is what they are compared with.  ``picked``:
    which of the data the input holds, where it holds some of them only.
    """

    name: str
    toolchain: str
    objective: str = "cycles"
    lossless: bool = True
    version: int = 1
    picked: Picked | None = None


@dataclass(frozen=True)
class Deployment:
    """A built model: all its forms, what its image measures, and (when just built) what was folded.

    ``without_onnx`` says why there is no model.onnx, where there is none.
    """

    subject: Subject
    toolchain: Toolchain
    sizes: ImageSizes
    folded: Folded | None = None
    without_onnx: str = ""


def deploy(
    graph: QuantizedGraph,
    board: Board,
    manifest: Manifest,
    folder: Path,
    board_file: str,
    source: bytes | None = None,
) -> Deployment:
    """Fold, plan, generate, build and write everything into ``folder`` (which exists).

    ``board_file`` is the text of the board's TOML file; it is kept with the package.  ``source`` is the
    .tflite file that ``graph`` was read from, if it was: the best original to compare with.
    """
    toolchain = find_toolchain(board, manifest.toolchain)
    folded = fold(replace(graph, name=manifest.name), manifest.lossless)
    tflite = write_tflite(folded.graph)
    graph = replace(load_tflite(tflite), name=manifest.name)  # what whoever opens the folder will find
    original = write_tflite(folded.original) if source is None else source
    plan = make_plan(graph, board.core.isa, manifest.objective, banks=board.ram_banks())
    sources = emit(graph, plan, board, manifest.picked)
    named = replace(manifest, name=sources.name)
    _write(folder / MANIFEST, json.dumps(asdict(named), indent=1) + "\n")
    _write(folder / BOARD, board_file)
    for path, text in sources.files.items():
        _write(folder / SOURCE / path, text)
    (folder / TFLITE).write_bytes(tflite)
    (folder / ORIGINAL).write_bytes(original)
    _write(folder / RECORD, json.dumps([asdict(change) for change in folded.changes], indent=1) + "\n")
    missing = _write_onnx(folder / ONNX, graph)
    elf = build_firmware(sources.files, sources.name, board, toolchain, folder)
    subject = Subject(graph, plan, sources, sources.files, tflite, elf, board, original)
    return Deployment(subject, toolchain, measure(elf, sources.name), folded, missing)


def _write_onnx(path: Path, graph: QuantizedGraph) -> str:
    """Write the model as ONNX too, or say why ONNX has no form for it."""
    try:
        path.write_bytes(write_onnx(graph))
    except UnsupportedError as error:
        return str(error)
    return ""


def fold(graph: QuantizedGraph, lossless: bool) -> Folded:
    """``graph`` optimised without changing an output byte, or as it is."""
    return optimise(graph) if lossless else Folded(graph, graph, ())


def open_deployment(folder: Path, rebuild: Path | None = None) -> Deployment:
    """What lies in ``folder``: the C there is taken as it is, and compared with what its model gives.

    With ``rebuild`` the firmware is built from that C into the given folder; otherwise the folder's own is
    used. Raises UsageError when the folder is not one that ``compress`` or ``export`` wrote.
    """
    manifest = read_manifest(folder)
    board = load_board(folder / BOARD)
    tflite = _read(folder / TFLITE)
    graph = replace(load_tflite(tflite), name=manifest.name)
    plan = make_plan(graph, board.core.isa, manifest.objective, banks=board.ram_banks())
    sources = emit(graph, plan, board, manifest.picked)
    root = folder / SOURCE
    files = {str(p.relative_to(root)): p.read_text(encoding="utf-8") for p in sorted(root.rglob("*.[ch]"))}
    if missing := sorted(sources.files.keys() - files.keys()):
        raise UsageError(f"{root / missing[0]} is missing; run `mcuprune export` again")
    toolchain = find_toolchain(board, manifest.toolchain)
    elf = folder / ELF
    if rebuild is not None:
        elf = build_firmware(files, sources.name, board, toolchain, rebuild)
    elif not elf.is_file():
        raise UsageError(f"{folder}: {ELF} is missing; run `mcuprune export` again")
    subject = Subject(graph, plan, sources, files, tflite, elf, board, _read(folder / ORIGINAL))
    return Deployment(subject, toolchain, measure(elf, sources.name))


def read_manifest(folder: Path) -> Manifest:
    refuse_several(folder, MANIFEST)
    try:
        values = json.loads(_read(folder / MANIFEST))
        picked = values.pop("picked", None)
        return Manifest(
            **values, picked=Picked(**picked | {"kept": tuple(picked["kept"])}) if picked else None
        )
    except (ValueError, TypeError, KeyError, AttributeError) as error:
        raise UsageError(f"{folder / MANIFEST}: not readable: {error}") from None


def read_samples(folder: Path) -> np.ndarray | None:
    """Real int8 inputs kept by ``compress``, or None; UsageError for a file that holds none."""
    path = folder / SAMPLES
    if not path.is_file():
        return None
    try:
        samples = np.load(path, allow_pickle=False)
        if samples.dtype != np.int8:
            raise ValueError(f"{samples.dtype} instead of int8")
        return samples
    except (OSError, AttributeError, ValueError, EOFError, zipfile.BadZipFile) as error:
        raise UsageError(f"{path}: cannot be read ({error}); remove it, or make the package again") from None


def board_text(name_or_path: str) -> str:
    """The text of the board file behind a name or path."""
    return board_path(name_or_path).read_text(encoding="utf-8")


def _write(path: Path, text: str) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text, encoding="utf-8")


def _read(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError as error:
        raise UsageError(
            f"{path}: cannot be read ({error.strerror}); give a folder that `compress` or `export` wrote"
        ) from None
