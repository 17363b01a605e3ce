"""The output folder of a run: checked before work starts, filled at once at the end, clean after an error."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from mcuprune.errors import UsageError

TRAINING = ".training"  # checkpoints of an unfinished run
CONFIG = "run.toml"
PACKAGE = "deploy.json"  # what is in every package
OPTIONAL = (  # what only some packages have: of an earlier one it would be wrong
    *("firmware.elf", "lossless.json", "model.onnx", "original.tflite", "report.html", "report.json"),
    *(CONFIG, "samples.npy", "times.json"),
)
BUILD = ".build-"  # and the number of the process: what will be published


@dataclass(frozen=True)
class Workspace:
    """``training`` holds checkpoints, ``build`` what will be published into ``out``; of what: ``config``."""

    out: Path
    training: Path
    build: Path
    config: str = ""

    def publish(self) -> None:
        """Move what was built, and the configuration, into the output folder in place of an earlier run's."""
        if self.config:
            (self.build / CONFIG).write_text(self.config, encoding="utf-8")
        if (self.build / PACKAGE).exists() and (self.out / PACKAGE).exists():
            for name in OPTIONAL:
                (self.out / name).unlink(missing_ok=True)
        for source in sorted(self.build.iterdir()):
            target = self.out / source.name
            if target.is_dir():
                shutil.rmtree(target)
            os.replace(source, target)
        shutil.rmtree(self.training, ignore_errors=True)


@contextmanager
def open_workspace(out: Path, config: str = "", resume: bool = False) -> Iterator[Workspace]:
    """A workspace in ``out``.

    After an error nothing of it is left but checkpoints, where training got as far, and after Ctrl-C their
    folder: for ``resume`` with the same ``config``.  Raises UsageError when the folder cannot be written, or
    does not hold an interrupted run of this configuration.
    """
    created = [folder for folder in (out, *out.parents) if not folder.exists()]
    training = out / TRAINING
    if resume:
        _check_resumable(out, training, config)
    build = _create(out, training, config, resume)
    try:
        yield Workspace(out, training, build, config)
    except BaseException as error:
        begun = any(file.name != CONFIG for file in training.glob("*"))
        if not begun and not isinstance(error, KeyboardInterrupt):
            shutil.rmtree(training, ignore_errors=True)
        raise
    finally:
        shutil.rmtree(build, ignore_errors=True)
        for folder in created:
            if folder.is_dir() and not any(folder.iterdir()):
                folder.rmdir()


def _create(out: Path, training: Path, config: str, resume: bool) -> Path:
    try:
        out.mkdir(parents=True, exist_ok=True)
        if not resume:
            shutil.rmtree(training, ignore_errors=True)
        training.mkdir(exist_ok=True)
        (training / CONFIG).write_text(config, encoding="utf-8")
        _remove_left(out)
        build = out / f"{BUILD}{os.getpid()}"
        build.mkdir()
        return build
    except OSError as error:
        raise UsageError(
            f"output folder '{out}' cannot be written: {error.strerror}; choose another with --out"
        ) from None


def _remove_left(out: Path) -> None:
    """What runs that were killed had built so far, and an earlier one of this process."""
    for left in out.glob(f"{BUILD}*"):
        number = left.name.removeprefix(BUILD)
        if not number.isdecimal() or int(number) == os.getpid() or not _is_running(int(number)):
            shutil.rmtree(left, ignore_errors=True)


def _is_running(process: int) -> bool:
    try:
        os.kill(process, 0)
    except ProcessLookupError:
        return False
    except OSError:  # somebody else's
        pass
    return True


def _check_resumable(out: Path, training: Path, config: str) -> None:
    if not training.is_dir():
        raise UsageError(f"'{out}' holds no interrupted run; leave out --resume")
    if (training / CONFIG).read_text(encoding="utf-8") != config:
        raise UsageError(
            f"the interrupted run in '{out}' had another configuration, model, data or board file; "
            "use its flags and files, or drop --resume"
        )
