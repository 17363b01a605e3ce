"""How weights lie in flash: the order in which a kernel's inner loop reads them."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from types import MappingProxyType

import numpy as np

from mcuprune.errors import UnsupportedError


def _as_is(weight: np.ndarray) -> np.ndarray:
    return weight.reshape(-1)


def _whole_words(weight: np.ndarray) -> np.ndarray:
    """``(out, ...)`` as rows, filled up with zeros to whole words of four."""
    rows = weight.reshape(weight.shape[0], -1)
    return np.pad(rows, ((0, 0), (0, -rows.shape[1] % 4)))


def _row_pairs(weight: np.ndarray) -> np.ndarray:
    """Pairs of rows, for inputs as pairs of neighbours ``(k, k+1)``.

    The rows alternate: a word holds ``r0[k], r1[k], r0[k+1], r1[k+1]``, so that sign-extending its even and
    its odd bytes (SXTB16, and again after a rotation by 8) gives the pairs that multiply the inputs.  In an
    odd last row a word holds ``k, k+2, k+1, k+3``.
    """
    rows = _whole_words(weight)
    whole = len(rows) // 2 * 2
    # (pairs of rows, row of the pair, pairs of k, k of the pair)
    paired = rows[:whole].reshape(-1, 2, rows.shape[1] // 2, 2).transpose(0, 2, 3, 1)
    single = rows[whole:].reshape(-1, 4)[:, [0, 2, 1, 3]]
    return np.concatenate([paired.reshape(-1), single.reshape(-1)])


def _row_fours(weight: np.ndarray) -> np.ndarray:
    """Fours of rows, for inputs whose words are split into even and odd bytes: pairs ``(k, k+2)``.

    For every four ``k`` come the words of rows 0 and 1, ``r0[k], r1[k], r0[k+2], r1[k+2]`` and the same for
    ``k+1``, then those of rows 2 and 3.  Rows that fill no four come one by one as they are.
    """
    rows = _whole_words(weight)
    whole = len(rows) // 4 * 4
    # (fours of rows, pair of rows, row of the pair, fours of k, high or low, even or odd)
    grouped = rows[:whole].reshape(-1, 2, 2, rows.shape[1] // 4, 2, 2).transpose(0, 3, 1, 5, 4, 2)
    return np.concatenate([grouped.reshape(-1), rows[whole:].reshape(-1)])


def _channel_fours(weight: np.ndarray) -> np.ndarray:
    """``(kh, kw, channels)``: tap after tap of four channels, of the next four, then of each one left."""
    taps = weight.reshape(-1, weight.shape[-1])
    whole = taps.shape[1] // 4 * 4
    fours = taps[:, :whole].reshape(len(taps), -1, 4).transpose(1, 0, 2)
    return np.concatenate([fours.reshape(-1), taps[:, whole:].T.reshape(-1)])


def _channels(weight: np.ndarray) -> np.ndarray:
    """``(kh, kw, channels)``: all taps of a channel, then those of the next."""
    return np.ascontiguousarray(weight.reshape(-1, weight.shape[-1]).T).reshape(-1)


def _channel_eights(weight: np.ndarray) -> np.ndarray:
    """``(kh, kw, channels)``: tap after tap of eight channels, of the next eight, then of the last eight,
    some of which may be there already."""
    taps = weight.reshape(-1, weight.shape[-1])
    starts = np.minimum(np.arange(0, taps.shape[1], 8), max(taps.shape[1] - 8, 0))
    return np.concatenate([taps[:, start : start + 8].reshape(-1) for start in starts])


LAYOUTS: Mapping[str, Callable[[np.ndarray], np.ndarray]] = MappingProxyType(
    {
        "ohwi": _as_is,
        "row_pairs": _row_pairs,
        "row_fours": _row_fours,
        "channel_fours": _channel_fours,
        "channel_eights": _channel_eights,
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
