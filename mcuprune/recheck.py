"""A run folder proven anew: its C, its models and its firmware compute the same."""

from __future__ import annotations

import tempfile
from dataclasses import dataclass, replace
from pathlib import Path

from mcuprune.deploy import Deployment, open_deployment, read_samples
from mcuprune.errors import ToolchainError
from mcuprune.layers import LayerProfile, layer_profiles, profile_text
from mcuprune.resources.model import breakdown
from mcuprune.terminal import table
from mcuprune.verify.prove import Proof, make_inputs, prove


@dataclass(frozen=True)
class VerifyResult:
    proof: Proof
    rebuilt_equal: bool
    profile: tuple[LayerProfile, ...]
    latency: str = ""

    def text(self) -> str:
        head = ("compared", "with", "inputs", "result")
        rows = [
            (c.left, c.right, str(c.inputs or "-"), f"{c.status}{': ' + c.reason if c.reason else ''}")
            for c in self.proof.comparisons
        ]
        parts = [table(head, rows)]
        if not self.rebuilt_equal:
            parts.append("note: firmware.elf is not what the C in this folder compiles to; both were run")
        if self.profile:
            parts += [profile_text(self.profile), f"latency: {self.latency}"]
        return "\n\n".join(parts)


def verify(folder: Path, inputs: int = 200, profile: bool = False) -> VerifyResult:
    """Compare all executors on the C, the models and the firmware in ``folder``.

    The C is built anew, so that a change in it is found; where the result is not the folder's firmware.elf,
    that image is run too.  Raises MismatchError naming the first differing layer and index.
    """
    with tempfile.TemporaryDirectory(prefix="mcuprune-") as scratch:
        rebuilt = open_deployment(folder, rebuild=Path(scratch))
        shipped = open_deployment(folder)
        same = rebuilt.subject.elf.read_bytes() == shipped.subject.elf.read_bytes()
        values = make_inputs(rebuilt.subject.graph, inputs, read_samples(folder))
        proof = prove(rebuilt.subject, values)
        proof.require_equal()
        if not same:
            prove(shipped.subject, values).require_equal()
        rows = _profile(rebuilt, proof) if profile else ()
        time = _latency(rebuilt, proof) if profile else ""
    return VerifyResult(proof, same, rows, time)


def _latency(built: Deployment, proof: Proof) -> str:
    """From the counted cycles, with flash wait states and error bars."""
    subject, run = built.subject, proof.emulated
    if run is None or run.cycles is None:
        return f"the timing of the {subject.board.core.cpu} is not modelled"
    board = subject.board
    usage = breakdown(subject.graph, subject.plan, board.core, built.toolchain.name, board.flash)
    return replace(usage.latency, core=run.cycles.mid).text(board.clock_hz)


def _profile(built: Deployment, proof: Proof) -> tuple[LayerProfile, ...]:
    subject = built.subject
    if proof.emulated is None:
        raise ToolchainError(f"--profile: the instruction-set emulator has no {subject.board.core.cpu}")
    return layer_profiles(subject.graph, subject.plan, proof.emulated)
