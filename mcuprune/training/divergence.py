"""What is done when a loss, or what it moves, is no number any more: the epoch again, at a lower rate."""

from __future__ import annotations

import copy
from collections.abc import Callable, Iterable
from typing import Any, Protocol, TypeVar

import torch
from torch import Tensor

from mcuprune.errors import UsageError
from mcuprune.progress import Progress

RETRIES = 3  # of an epoch whose loss becomes NaN or infinite
BACKOFF = 0.3  # factor of the learning rate from then on


class DivergedError(UsageError):
    """A loss that is NaN or infinite."""


class Repeatable(Protocol):
    """Training between two epochs; its learning rate is the schedule's times ``rate_scale``."""

    epoch: int
    rate_scale: float


R = TypeVar("R", bound=Repeatable)


def safe_epoch(
    run: R,
    once: Callable[[R], object],
    pack: Callable[[R], Any],
    unpack: Callable[[Any], R],
    progress: Progress,
) -> R:
    """``run`` after one more epoch, which ``once`` makes; one that diverges is repeated at a lower rate.

    ``unpack(pack(run))`` is the run as it was.  Raises DivergedError when that does not help.
    """
    before = copy.deepcopy(pack(run))
    for attempt in range(RETRIES + 1):
        try:
            once(run)
            break
        except DivergedError:
            if attempt == RETRIES:
                raise
            scale = run.rate_scale * BACKOFF
            run = unpack(copy.deepcopy(before))
            run.rate_scale = scale
            progress.note(f"epoch {run.epoch + 1} diverged; repeated at {scale:.2g} times the learning rate")
    return run


def check_finite(loss: Tensor, epoch: int, rate: float) -> None:
    """Raises DivergedError for a loss that is NaN or infinite."""
    if not bool(torch.isfinite(loss)):
        raise DivergedError(
            f"training diverged in epoch {epoch + 1}: the loss is {float(loss)} at learning rate {rate:.2g}, "
            f"also after {RETRIES} restarts of the epoch at lower rates; "
            "lower --learning-rate, or look for extreme values in the data"
        )


def check_state(values: Iterable[Tensor], epoch: int, rate: float) -> None:
    """Raises DivergedError for weights, gates or prices of which one is NaN or infinite.

    A loss cannot show what its own step spoiled: at the end of an epoch that step would be kept for good.
    """
    if not all(bool(torch.isfinite(value).all()) for value in values):
        raise DivergedError(
            f"training diverged in epoch {epoch + 1}: weights or gates are no numbers at learning rate "
            f"{rate:.2g}, also after {RETRIES} restarts of the epoch at lower rates; "
            "lower --learning-rate, or look for extreme values in the data"
        )
