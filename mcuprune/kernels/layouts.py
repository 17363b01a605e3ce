"""How weights lie in flash: the order in which a kernel's inner loop reads them."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from types import MappingProxyType

import numpy as np

from mcuprune.errors import UnsupportedError


def _as_is(weight: np.ndarray) -> np.ndarray:
    return weight.reshape(-1)


def _grouped_rows(weight: np.ndarray, group: int) -> np.ndarray:
    """``(out, ...)``: rows filled up with zeros to whole words of four, ``group`` of them interleaved.

    Two rows of a group alternate: a word holds ``r0[k], r1[k], r0[k+1], r1[k+1]``, so that sign-extending its
    even and its odd bytes (SXTB16, and again after a rotation by 8) gives the pairs that multiply inputs
    ``(k, k+1)``.  The words of a group's pairs of rows follow each other for every ``k``.  Rows that fill no
    group come one by one, a word holding ``k, k+2, k+1, k+3``.
    """
    rows = weight.reshape(weight.shape[0], -1)
    rows = np.pad(rows, ((0, 0), (0, -rows.shape[1] % 4)))
    whole = len(rows) // group * group
    # (groups, pairs of rows, row of the pair, pairs of k, k of the pair)
    grouped = rows[:whole].reshape(-1, group // 2, 2, rows.shape[1] // 2, 2).transpose(0, 3, 1, 4, 2)
    single = rows[whole:].reshape(-1, 4)[:, [0, 2, 1, 3]]
    return np.concatenate([grouped.reshape(-1), single.reshape(-1)])


def _row_pairs(weight: np.ndarray) -> np.ndarray:
    return _grouped_rows(weight, 2)


def _row_fours(weight: np.ndarray) -> np.ndarray:
    return _grouped_rows(weight, 4)


def _channel_fours(weight: np.ndarray) -> np.ndarray:
    """``(kh, kw, channels)``: tap after tap of four channels, of the next four, then of each one left."""
    taps = weight.reshape(-1, weight.shape[-1])
    whole = taps.shape[1] // 4 * 4
    fours = taps[:, :whole].reshape(len(taps), -1, 4).transpose(1, 0, 2)
    return np.concatenate([fours.reshape(-1), taps[:, whole:].T.reshape(-1)])


def _channels(weight: np.ndarray) -> np.ndarray:
    """``(kh, kw, channels)``: all taps of a channel, then those of the next."""
    return np.ascontiguousarray(weight.reshape(-1, weight.shape[-1]).T).reshape(-1)


LAYOUTS: Mapping[str, Callable[[np.ndarray], np.ndarray]] = MappingProxyType(
    {
        "ohwi": _as_is,
        "row_pairs": _row_pairs,
        "row_fours": _row_fours,
        "channel_fours": _channel_fours,
        "channels": _channels,
    }
)


def pack(layout: str, weight: np.ndarray) -> np.ndarray:
    """The int8 weights of a node as the flat array that a kernel with this ``layout`` reads.

    ``weight`` has the graph's shape: (out, kh, kw, in), (kh, kw, out) for depthwise, (out, in) for linear.
    Raises UnsupportedError for an unknown layout.
    """
    if layout not in LAYOUTS:
        raise UnsupportedError(f"weight layout '{layout}' is unknown; known: {', '.join(LAYOUTS)}")
    return LAYOUTS[layout](np.asarray(weight, np.int8))
