"""Where training computes, and in which number format."""

from __future__ import annotations

from dataclasses import dataclass

import torch

from mcuprune.errors import UsageError
from mcuprune.graph.ir import Conv2d, Graph
from mcuprune.graph.op_shape import op_shape
from mcuprune.resources.macs import macs

BF16_MACS = 1e8  # forward MACs of a batch in convolutions: below, conversions eat most of the saving
INSTRUCTIONS = ("avx512_bf16", "amx_bf16")  # either computes bf16 faster than float32
PRECISIONS = ("auto", "float32", "bf16")
DEVICES = ("auto", "cpu", "cuda")


@dataclass(frozen=True)
class Compute:
    """``device`` one of :data:`DEVICES`, ``precision`` of :data:`PRECISIONS`; auto: by machine and work.

    Equal seeds give equal results on equal processors with equal settings; the sums of a GPU may differ.
    """

    device: str = "auto"
    precision: str = "auto"

    def find_device(self) -> torch.device:
        """Raises UsageError for an unknown device, and for one that is not there."""
        if self.device not in DEVICES:
            raise UsageError(f"--device {self.device}: choose {', '.join(DEVICES)}")
        present = torch.cuda.is_available()
        if self.device == "cuda" and not present:
            why = "finds no GPU" if torch.version.cuda else "is built without CUDA"
            raise UsageError(f"--device cuda: torch {torch.__version__} {why}; use --device cpu or auto")
        return torch.device("cuda" if present and self.device != "cpu" else "cpu")

    def is_bf16(self, graph: Graph, batch_size: int) -> bool:
        """Whether ``graph`` trains in bf16.  Auto: the machine is fast at it, the convolutions large enough.

        Raises UsageError for an unknown precision.
        """
        if self.precision not in PRECISIONS:
            raise UsageError(f"--precision {self.precision}: choose {', '.join(PRECISIONS)}")
        if self.precision != "auto":
            return self.precision == "bf16"
        return convolution_macs(graph) * batch_size >= BF16_MACS and is_fast_in_bf16(self.find_device())


def convolution_macs(graph: Graph) -> int:
    """MACs of one inference in convolutions that mix channels; bf16 gains nothing in the others."""
    return sum(
        int(macs(node, op_shape(node, graph.shape))) for node in graph.nodes if isinstance(node, Conv2d)
    )


def is_fast_in_bf16(device: torch.device) -> bool:
    """What the hardware says; False where this version of torch cannot tell."""
    if device.type == "cuda":
        return torch.cuda.is_bf16_supported(including_emulation=False)
    found: dict[str, object] = getattr(torch.cpu, "get_capabilities", dict)()
    return any(bool(found.get(name)) for name in INSTRUCTIONS)
