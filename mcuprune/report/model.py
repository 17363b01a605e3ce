"""What one run found, as plain data: the content of ``report.json``.

Everything here follows from the configuration, the seed and the toolchain, so two equal runs write equal
bytes.  Wall-clock times do not, and live in :class:`Times` (``times.json``).  Units are in the field names or
docstrings; ``None`` means "not known in this run" and is shown as a dash, never as a zero.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, ClassVar

from pydantic import ConfigDict

SCHEMA_VERSION = 1

LEAST_NOMINAL = 0.01  # savings below are none
LEAST_REALISED = 0.5  # of a nominal saving: with less of it a method is flagged
EQUAL, DIFFERS, NOT_APPLICABLE, NOT_RUN = "equal", "differs", "not applicable", "not run"


@dataclass(frozen=True)
class Record:
    """Base of every record: reading a file that holds an unknown field is an error, not a silent loss."""

    __pydantic_config__: ClassVar[ConfigDict] = ConfigDict(extra="forbid", allow_inf_nan=False)


@dataclass(frozen=True)
class Region(Record):
    """A memory region of the board, flash or ram; ``reserved`` bytes of it belong to the application."""

    name: str
    kind: str
    origin: int
    length: int
    reserved: int = 0


@dataclass(frozen=True)
class BoardSummary(Record):
    name: str  # stm32f4
    title: str  # STM32F407VG family default
    core: str  # cortex-m4
    isa: str  # kernels generated: portable, dsp, mve
    clock_hz: int
    regions: tuple[Region, ...] = ()


@dataclass(frozen=True)
class TaskSummary(Record):
    """``metric`` is ``accuracy`` (fractions, shown in percent) or ``psnr`` (dB); more is better for both.

    ``floor`` is the least acceptable value (``--min-accuracy``), ``chance`` what guessing reaches.
    Inputs are ``(raw - mean) / std``, by channel where there are several values; ``labels`` name the outputs.
    """

    name: str
    label: str  # honest, e.g. "real digits, synthetic scenes"
    metric: str = "accuracy"
    input_shape: tuple[int, ...] = ()
    classes: int | None = None
    train_size: int = 0
    validation_size: int = 0
    test_size: int = 0
    floor: float | None = None
    chance: float | None = None
    mean: tuple[float, ...] = ()
    std: tuple[float, ...] = ()
    labels: tuple[str, ...] = ()


@dataclass(frozen=True)
class Resource(Record):
    """One row of the resource table.

    ``key`` is dotted, ``<group>.<part>`` (flash.constants, flash.code, flash.total, ram.arena, ram.static,
    ram.stack, ram.total, macs.total, cycles.total, latency.total).  ``unit``: bytes, MACs, cycles or s.
    ``tolerance`` is the stated relative error of the prediction (0 = exact), ``note`` a line beside the row.
    """

    key: str
    label: str
    unit: str
    budget: int | float | None = None
    dense: int | float | None = None
    predicted: int | float | None = None
    measured: int | float | None = None
    tolerance: float | None = None
    note: str = ""

    @property
    def group(self) -> str:
        return self.key.split(".")[0]

    @property
    def actual(self) -> int | float | None:
        """The measured figure where there is one, else the predicted."""
        return self.predicted if self.measured is None else self.measured

    @property
    def used(self) -> float | None:
        """Fraction of the budget in use."""
        return None if not self.budget or self.actual is None else self.actual / self.budget

    @property
    def error(self) -> float | None:
        """Measured over predicted, minus one."""
        if self.measured is None or not self.predicted:
            return None
        return self.measured / self.predicted - 1.0


@dataclass(frozen=True)
class Amount(Record):
    """A figure of the dense network and of ours."""

    label: str
    unit: str
    dense: int | float
    ours: int | float

    @property
    def saved(self) -> float:
        """The share of the dense figure that is gone; negative where ours is larger."""
        return 1.0 - self.ours / self.dense if self.dense else 0.0


@dataclass(frozen=True)
class Saving(Record):
    """What is saved on paper (MACs, parameters) beside what the device saves (cycles, flash bytes)."""

    nominal: Amount
    realised: Amount

    @property
    def flagged(self) -> bool:
        """Whether the device sees less than half of what the paper says, where it says something."""
        return (
            self.nominal.saved > LEAST_NOMINAL and self.realised.saved < LEAST_REALISED * self.nominal.saved
        )


@dataclass(frozen=True)
class Accuracy(Record):
    """The task metric of one model or executor on ``n`` held-out samples.

    ``kind``: ``dense`` (the reference), ``ours`` (a stage of the compressed model) or ``control`` (an
    alternative to it: uniform, scratch, magnitude, linear classifier).  ``low``/``high``: 95 % interval.
    ``flash_bytes`` lets a control be judged at its size.  Keys: dense, compressed, int8, host, emulated;
    uniform, scratch, magnitude, linear.
    """

    key: str
    label: str
    kind: str
    value: float
    n: int
    low: float | None = None
    high: float | None = None
    flash_bytes: int | None = None
    note: str = ""


@dataclass(frozen=True)
class Equality(Record):
    """Two executors on the same inputs, or two copies of the constants (no inputs), byte for byte.

    ``status``: equal, differs, not applicable, not run.  ``reason`` says why a comparison was not made, or
    where the first difference is.
    """

    left: str
    right: str
    status: str
    inputs: int = 0
    differing_bytes: int | None = None
    reason: str = ""


@dataclass(frozen=True)
class Epoch(Record):
    """One epoch, counted through all phases.

    By resource (flash, ram, macs, latency): ``usage`` is exact use over budget, ``multipliers`` lambda.
    """

    epoch: int
    phase: str
    loss: float
    accuracy: float | None = None
    learning_rate: float | None = None
    usage: Mapping[str, float] = field(default_factory=dict)
    multipliers: Mapping[str, float] = field(default_factory=dict)


@dataclass(frozen=True)
class Layer(Record):
    """One layer; ``*_before`` is the dense model.

    Weights are bytes of stored constants, SQNR is int8 against float in dB.  ``kernel_choice`` says why the
    layer has its kernel.
    """

    name: str
    op: str
    kernel: str = ""
    shape_before: tuple[int, ...] = ()
    shape_after: tuple[int, ...] = ()
    weights_before: int = 0
    weights_after: int = 0
    macs_before: int = 0
    macs_after: int = 0
    instructions: int | None = None
    cycles: int | None = None
    sqnr_db: float | None = None
    kernel_choice: str = ""

    @property
    def channels_before(self) -> int | None:
        return self.shape_before[-1] if self.shape_before else None

    @property
    def channels_after(self) -> int | None:
        return self.shape_after[-1] if self.shape_after else None


@dataclass(frozen=True)
class ArenaTensor(Record):
    """A tensor or scratch buffer in the arena, alive from step ``first`` to step ``last`` inclusive."""

    name: str
    offset: int
    size: int
    first: int
    last: int
    kind: str = "tensor"  # tensor, input, output, scratch


@dataclass(frozen=True)
class ArenaPicture(Record):
    """``steps`` are the calls in order; ``lower_bound`` is what any placement of this order needs."""

    steps: tuple[str, ...] = ()
    tensors: tuple[ArenaTensor, ...] = ()
    arena_bytes: int = 0
    lower_bound: int = 0

    @property
    def gap(self) -> int:
        return self.arena_bytes - self.lower_bound


@dataclass(frozen=True)
class Symbol(Record):
    name: str
    size: int


@dataclass(frozen=True)
class Section(Record):
    """A section of the linked ELF, in the region it is loaded or placed in, with its largest symbols."""

    name: str
    region: str
    address: int
    size: int
    symbols: tuple[Symbol, ...] = ()


@dataclass(frozen=True)
class Report(Record):
    """One run.  ``command`` reproduces it; ``config`` is the resolved configuration (no host paths)."""

    name: str
    command: str
    method: str
    seed: int
    board: BoardSummary
    task: TaskSummary
    config: Mapping[str, Any] = field(default_factory=dict)
    versions: Mapping[str, str] = field(default_factory=dict)
    resources: tuple[Resource, ...] = ()
    savings: tuple[Saving, ...] = ()
    accuracies: tuple[Accuracy, ...] = ()
    equalities: tuple[Equality, ...] = ()
    curve: tuple[Epoch, ...] = ()
    layers: tuple[Layer, ...] = ()
    arena: ArenaPicture = ArenaPicture()
    sections: tuple[Section, ...] = ()
    notes: tuple[str, ...] = ()
    schema_version: int = SCHEMA_VERSION

    def resource(self, key: str) -> Resource | None:
        return next((row for row in self.resources if row.key == key), None)

    def accuracy(self, key: str) -> Accuracy | None:
        return next((row for row in self.accuracies if row.key == key), None)


@dataclass(frozen=True)
class Phase(Record):
    name: str
    seconds: float


@dataclass(frozen=True)
class Times(Record):
    """Wall-clock seconds by phase, and what compression cost beside plain training of the dense model.

    The training times are processor seconds, which other work on the machine disturbs little.  ``parts`` are
    those within ``training_s`` that prepare the search: the teacher, the choice of inputs or of blocks.

    ``training_ratio`` = all training phases / plain dense training for the same number of epochs.
    """

    phases: tuple[Phase, ...] = ()
    dense_training_s: float | None = None
    training_s: float | None = None
    parts: tuple[Phase, ...] = ()

    @property
    def training_ratio(self) -> float | None:
        if not self.dense_training_s or self.training_s is None:
            return None
        return self.training_s / self.dense_training_s

    @property
    def training_words(self) -> str:
        """The ratio and what it is made of, in a sentence; empty where it is not known."""
        if self.training_ratio is None or self.dense_training_s is None:
            return ""
        shares = (f"{p.seconds / self.dense_training_s:.2f} for {p.name}" for p in self.parts)
        parts = f" ({', '.join(shares)})" if self.parts else ""
        return f"training took {self.training_ratio:.2f} x plain training of the dense model{parts}"
