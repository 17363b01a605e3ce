"""Reads damaged models until one makes an importer fail: ``python tests/fuzz/importers.py --cases 10000``.

Every case must end in a network or in a McupruneError, within ``SECONDS`` and ``BYTES`` of memory; a network
must be planned and generated, or refused in the same way.  Case ``n`` of a seed is always the same file.
"""

from __future__ import annotations

import argparse
import json
import resource
import signal
import sys
import tempfile
import traceback
import warnings
from collections import Counter
from dataclasses import dataclass
from pathlib import Path
from random import Random
from types import FrameType

ROOT = Path(__file__).parents[2]
sys.path[:0] = [str(ROOT), str(ROOT / "tests" / "codegen"), str(ROOT / "tests"), str(Path(__file__).parent)]

import mutations  # noqa: E402
import networks  # noqa: E402
import torch  # noqa: E402
from torch_networks import NETWORKS, make_module  # noqa: E402

from mcuprune.board import load_board  # noqa: E402
from mcuprune.codegen import emit  # noqa: E402
from mcuprune.errors import McupruneError  # noqa: E402
from mcuprune.exporters.tflite import write_tflite  # noqa: E402
from mcuprune.frontends.load import load_model  # noqa: E402
from mcuprune.graph.ir import QuantizedGraph  # noqa: E402
from mcuprune.graph.passes import run_passes  # noqa: E402
from mcuprune.plan.make import make_plan  # noqa: E402

SECONDS = 10
BYTES = 8 << 30  # of address space, most of it libraries
ELEMENTS = 1 << 20  # larger networks are read, but not generated
BOARD = load_board("stm32f4")


@dataclass(frozen=True)
class Failure:
    case: int
    kind: str
    trace: str


class TooLong(BaseException):
    """A case took more than its time."""


def corpus(folder: Path) -> list[tuple[str, bytes]]:
    """(suffix, content) of the sound models that cases are made of."""
    models = (networks.plain, networks.residual, networks.separable, networks.branches, networks.perceptron)
    found = [(".tflite", write_tflite(model())) for model in models]
    for name in sorted(NETWORKS):
        module, shape = make_module(name)
        path = folder / f"{name}.onnx"
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            torch.onnx.export(module.eval(), (torch.zeros(1, *shape),), path, dynamo=False, opset_version=17)
        found.append((".onnx", path.read_bytes()))
    return found


def damaged(models: list[tuple[str, bytes]], seed: int, case: int) -> tuple[str, bytes]:
    random = Random(f"{seed} {case}")
    suffix, data = random.choice(models)
    if random.random() < 0.4:
        return suffix, mutations.mutate_bytes(data, random)
    if suffix == ".onnx":
        return suffix, mutations.mutate_onnx(data, random)
    return suffix, mutations.mutate_tflite(data, random) or mutations.mutate_bytes(data, random)


def read(path: Path) -> str:
    """Imports, plans and generates a file; says how far that went."""
    try:
        found = load_model(str(path))
    except McupruneError as error:
        return type(error).__name__
    assert not isinstance(found, torch.nn.Module)
    try:
        if isinstance(found, QuantizedGraph):
            if sum(map(_elements, found.shapes.values())) <= ELEMENTS:
                emit(found, make_plan(found, BOARD.core.isa), BOARD)
        else:
            make_plan(run_passes(found), BOARD.core.isa)
    except McupruneError as error:
        return f"read, then {type(error).__name__}"
    return "accepted"


def _elements(shape: tuple[int, ...]) -> int:
    count = 1
    for size in shape:
        count *= size
    return count


def _alarm(number: int, frame: FrameType | None) -> None:
    raise TooLong


def fuzz(seed: int, cases: range) -> tuple[Counter[str], list[Failure]]:
    outcomes, failures = Counter[str](), []
    signal.signal(signal.SIGALRM, _alarm)
    with tempfile.TemporaryDirectory(prefix="mcuprune-fuzz-") as name:
        folder = Path(name)
        models = corpus(folder)
        resource.setrlimit(resource.RLIMIT_AS, (BYTES, BYTES))
        for case in cases:
            suffix, data = damaged(models, seed, case)
            path = folder / f"case{suffix}"
            path.write_bytes(data)
            signal.alarm(SECONDS)
            try:
                outcome = read(path)
            except (Exception, TooLong) as error:
                outcome = "failed"
                failures.append(Failure(case, type(error).__name__, traceback.format_exc()))
            signal.alarm(0)
            outcomes[outcome] += 1
    return outcomes, failures


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--first", type=int, default=0, help="number of the first case")
    parser.add_argument("--cases", type=int, default=10_000)
    arguments = parser.parse_args()
    warnings.simplefilter("ignore")
    outcomes, failures = fuzz(arguments.seed, range(arguments.first, arguments.first + arguments.cases))
    print(json.dumps({"outcomes": outcomes, "failures": [vars(failure) for failure in failures]}, indent=1))
    return 1 if failures else 0


if __name__ == "__main__":
    sys.exit(main())
