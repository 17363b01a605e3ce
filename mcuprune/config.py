"""One validated object for everything a run depends on, from a TOML file and flags."""

from __future__ import annotations

import math
import tomllib
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any, Literal

import tomli_w
from pydantic import (
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    PlainSerializer,
    ValidationError,
)

from mcuprune.budget import Budget, did_you_mean, parse_budget
from mcuprune.errors import UsageError

HEADER = "# Everything this run depends on: `mcuprune compress --config run.toml` repeats it.\n"
# Where results go, and whether earlier ones are continued, changes no result: not part of the written file.
PLACES = ("out", "resume")
NAMED = ("model", "task", "data", "more_data", "board", "method", "binding")  # by a text that is not empty
NAMES = "give lower-case letters, digits and _, beginning with a letter"
_OBJECTIVES = {"speed": "cycles", "size": "size", "ram": "ram", "balanced": "balanced"}
_FITTING = ("cycles", "balanced", "size")  # from fast and large to slow and small


def _to_budget(value: object) -> object:
    if isinstance(value, Mapping):
        value = ",".join(f"{name}={amount}" for name, amount in value.items())
    return parse_budget(value) if isinstance(value, str) else value


def _to_widths(value: object) -> object:
    if value is None:
        return None
    parts: Any = value.split(":") if isinstance(value, str) else value
    try:
        low, high = (float(part) for part in parts)
    except (TypeError, ValueError):
        low, high = 0.0, 0.0
    if not 0.0 < low <= 1.0 <= high < math.inf:
        shown = value if isinstance(value, str) else repr(value)
        raise UsageError(
            f"widths {shown}: give LOW:HIGH, multiples of the uniform widths around 1, as 0.75:5"
        )
    return low, high


def _from_widths(value: tuple[float, float] | None) -> str | None:
    return None if value is None else f"{value[0]}:{value[1]}"


BudgetField = Annotated[Budget, BeforeValidator(_to_budget), PlainSerializer(str)]


class RunConfig(BaseModel):
    """What ``mcuprune compress`` does.  Unknown keys are errors; ``None`` means: chosen by the task.

    model         ``file.py:Net``, ``.onnx``, an image, or a built-in network with its options:
                  ``small_resnet:width=32``, ``mlp:hidden=300/100``; None: one that suits the data
    task          a built-in task
    data          an image folder, ``.npz`` or ``file.py:function``; with a task: the folder its files lie in
    more_data     a folder ``<class>/*.wav``, further recordings of an audio task, which only train
    budget        ``flash=64K,ram=32K,macs=2M,latency=20ms``; whatever is left out is the board's own limit
    min_accuracy  floor of the exported model's metric; below it the run ends with exit code 5
    optimize      what kernels are chosen for: ``speed``, ``size`` (flash), ``ram``, ``balanced`` (the least
                  product of cycles and flash); ``fit``: the fastest of them that leave as large a network
    family        several budgets, from loose to tight, for networks from one run; ``budget`` is then unused
    method        a pruning method, with its options: ``hard_concrete:gate_rate=3``
    binding       how budgets bind gates while training: pi, lagrangian, augmented or penalty, with options;
                  None: as the method prefers.  The result is within them in any case
    widths        ``LOW:HIGH``, the least and the most that is tried, as multiples of uniform scaling's;
                  methods that cut trained networks heed the least alone
    distill       share of the loss that is the distance to the dense network's outputs, 0 to 1
    augment       how training inputs are changed in every batch: images by ``flip`` or ``crop_and_flip``,
                  sequences of three axes as if ``worn``, of two as if ``drawn``, audio as by other
                  ``voices``; ``none``: not at all;
                  ``task``: as the task says, and data of your own not
    device        where training computes; ``auto``: on a GPU that CUDA finds
    optimizer     of training; ``auto``: sgd for a network with batch norms, otherwise adamw
    learning_rate the largest of its schedule, for that optimizer
    precision     of training's convolutions; ``auto``: bf16 where the machine is fast at it and batches are
                  large.  Statistics, loss, optimizer, int8 phase and evaluation are float32 in any case
    drop_blocks   leave out layers that the network does better without: residual blocks, and stretches of a
                  plain chain; None: those stretches only, False: nothing
    inputs        how many channels (sensors, features) or columns (coefficients) the network may read
    input_axis    which of the two: ``channels``, also where nothing is said, or ``columns``
    resolution    rows of the images that the network reads, averaged down to them
    controls      also train what the result is compared with: dense, uniform, scratch, magnitude
    all_controls  and from scratch for the same computation, and cut by chance
    name          prefix of every C symbol; None: from the model's name
    """

    model_config = ConfigDict(extra="forbid", frozen=True, arbitrary_types_allowed=True)

    model: str | None = None
    task: str | None = None
    data: str | None = None
    more_data: str | None = None
    board: str = "stm32f4"
    budget: BudgetField = Budget()
    family: tuple[BudgetField, ...] = ()
    method: str = "taylor"
    binding: str | None = None
    widths: Annotated[
        tuple[float, float] | None, BeforeValidator(_to_widths), PlainSerializer(_from_widths)
    ] = None
    distill: float = Field(0.0, ge=0, le=1)
    drop_blocks: bool | None = None
    inputs: int | None = Field(None, ge=1)
    input_axis: Literal["channels", "columns"] | None = None
    resolution: int | None = Field(None, ge=1)
    name: str | None = Field(None, pattern=r"^[a-z][a-z0-9_]*$")
    epochs: int | None = Field(None, ge=1)
    batch_size: int | None = Field(None, ge=1)
    optimizer: Literal["auto", "adamw", "sgd"] = "auto"
    learning_rate: float | None = Field(None, gt=0)
    controls: bool = True
    all_controls: bool = False
    seed: int = Field(0, ge=0, le=2**32)
    augment: Literal["task", "none", "flip", "crop_and_flip", "worn", "drawn", "voices"] = "task"
    device: Literal["auto", "cpu", "cuda"] = "auto"
    precision: Literal["auto", "float32", "bf16"] = "auto"
    min_accuracy: float | None = Field(None, ge=0)
    optimize: Literal["fit", "speed", "size", "ram", "balanced"] = "fit"
    toolchain: Literal["zig", "gcc"] = "zig"
    out: Path = Path("runs/latest")
    resume: bool = False

    @property
    def objectives(self) -> tuple[str, ...]:
        """What kernels may be chosen for, in the catalogue's words, the preferred first."""
        return _FITTING if self.optimize == "fit" else (objective_of(self.optimize),)

    @property
    def axis(self) -> Literal["channels", "columns"]:
        """What ``inputs`` counts."""
        return self.input_axis or "channels"

    def to_toml(self) -> str:
        """The run as TOML, without ``out`` and ``resume``; :func:`load_config` reads it back."""
        values = self.model_dump(mode="json", exclude=set(PLACES), exclude_none=True)
        return HEADER + tomli_w.dumps({key: value for key, value in values.items() if value not in ("", [])})


def objective_of(optimize: str) -> str:
    """What ``--optimize`` says in the catalogue's words; UsageError for an unknown one."""
    if optimize not in _OBJECTIVES:
        raise UsageError(f"--optimize {optimize}: choose {', '.join(_OBJECTIVES)}")
    return _OBJECTIVES[optimize]


def load_config(path: Path | str | None = None, flags: Mapping[str, Any] | None = None) -> RunConfig:
    """The file's values, overridden by the flags that are not ``None``.

    Raises :class:`UsageError` for a file that cannot be read, an unknown key (with the nearest known one), a
    value out of range, or one that only says more about another that is missing.
    """
    values = _read(Path(path)) if path is not None else {}
    given = {key: value for key, value in (flags or {}).items() if value is not None}
    if given.get("controls") is False:
        values.pop("all_controls", None)
    try:
        config = RunConfig(**(values | given))
    except ValidationError as error:
        raise UsageError(_explain(error, path, given)) from None
    if empty := [key for key in NAMED if getattr(config, key) == ""]:
        raise UsageError(f"--{empty[0].replace('_', '-')} is empty; name something, or leave it out")
    if config.all_controls and not config.controls:
        raise UsageError("--all-controls with --no-controls: leave out one of them")
    if config.input_axis is not None and config.inputs is None:
        raise UsageError(f"--input-axis {config.input_axis} says what --inputs counts; give --inputs too")
    return config


def parse_shape(text: str | None) -> tuple[int, ...] | None:
    """``3,32,32`` as (3, 32, 32).  Raises :class:`UsageError` for anything but positive whole numbers."""
    if text is None:
        return None
    try:
        shape = tuple(int(size) for size in text.split(","))
    except ValueError:
        shape = ()
    if not shape or min(shape) < 1:
        raise UsageError(f"--input {text}: give the sizes without the batch, e.g. 3,32,32")
    return shape


def _read(path: Path) -> dict[str, Any]:
    try:
        return tomllib.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise UsageError(f"{path}: cannot be read: {error.strerror}") from None
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise UsageError(f"{path}: not valid TOML: {error}") from None


def _explain(error: ValidationError, path: Path | str | None, flags: Mapping[str, Any]) -> str:
    lines = []
    for problem in error.errors():
        key = ".".join(str(part) for part in problem["loc"])
        where = "command line" if path is None or problem["loc"][0] in flags else str(path)
        if problem["type"] == "extra_forbidden":
            lines.append(f"{where}: unknown key '{key}'{did_you_mean(key, tuple(RunConfig.model_fields))}")
        else:
            wanted = NAMES if problem["type"] == "string_pattern_mismatch" else problem["msg"].lower()
            lines.append(f"{where}: {key} = {problem['input']!r}: {wanted}")
    return "\n".join(lines)
