"""How weights lie in flash: the order in which a kernel's inner loop reads them."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from types import MappingProxyType

import numpy as np

from mcuprune.errors import UnsupportedError


def _as_is(weight: np.ndarray) -> np.ndarray:
    return weight.reshape(-1)


def _word_rows(weight: np.ndarray) -> np.ndarray:
    """``(out, ...)``: each output channel's weights, filled up with zeros to whole words of four.

    A word holds weights ``k, k+2, k+1, k+3``: sign-extending its even and its odd bytes (SXTB16, and again
    after a rotation by 8) gives the pairs ``(k, k+1)`` and ``(k+2, k+3)`` that multiply neighbouring inputs.
    """
    rows = weight.reshape(weight.shape[0], -1)
    padded = np.pad(rows, ((0, 0), (0, -rows.shape[1] % 4)))
    return np.ascontiguousarray(padded.reshape(len(rows), -1, 4)[:, :, [0, 2, 1, 3]]).reshape(-1)


LAYOUTS: Mapping[str, Callable[[np.ndarray], np.ndarray]] = MappingProxyType(
    {"ohwi": _as_is, "word_rows": _word_rows}
)


def pack(layout: str, weight: np.ndarray) -> np.ndarray:
    """The int8 weights of a node as the flat array that a kernel with this ``layout`` reads.

    ``weight`` has the graph's shape: (out, kh, kw, in), (kh, kw, out) for depthwise, (out, in) for linear.
    Raises UnsupportedError for an unknown layout.
    """
    if layout not in LAYOUTS:
        raise UnsupportedError(f"weight layout '{layout}' is unknown; known: {', '.join(LAYOUTS)}")
    return LAYOUTS[layout](np.asarray(weight, np.int8))
