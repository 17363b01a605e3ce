"""Reports as they lie on disk: ``report.json`` and ``times.json`` in a run folder."""

from __future__ import annotations

from pathlib import Path

from mcuprune.errors import UsageError
from mcuprune.report.html import write_html
from mcuprune.report.model import Report, Times
from mcuprune.report.serialize import report_from_json, times_from_json

SWEEP = "sweep.json"  # where the folders of several runs lie


def refuse_several(folder: Path, wanted: str) -> None:
    """UsageError where ``folder`` has no file ``wanted``, because it holds the folders of several runs."""
    if (folder / SWEEP).is_file() and not (folder / wanted).exists():
        runs = sorted(path.parent.name for path in folder.glob(f"*/{wanted}"))
        which = f"give one: {', '.join(runs)}" if runs else "none of them was finished"
        raise UsageError(f"'{folder}' holds several runs, which sweep.html compares; {which}")


def read_report(path: Path) -> tuple[Report, Times | None]:
    """The report of a run folder (or a report.json itself), and its times where they were kept.

    Raises :class:`UsageError` when there is none, or none that this version reads.
    """
    file = path / "report.json" if path.is_dir() else path
    refuse_several(path, "report.json")
    try:
        report = report_from_json(file.read_text(encoding="utf-8"))
        times = file.with_name("times.json")
        return report, times_from_json(times.read_text(encoding="utf-8")) if times.is_file() else None
    except UnicodeDecodeError:
        raise UsageError(f"{file}: is no report; give a folder that `compress` wrote") from None
    except OSError as error:
        raise UsageError(
            f"{file}: cannot be read: {error.strerror}; give a folder that `compress` wrote"
        ) from None


def rewrite_html(path: Path) -> Path:
    """Write report.html beside report.json anew; its path."""
    report, times = read_report(path)
    page = (path if path.is_dir() else path.parent) / "report.html"
    try:
        page.write_text(write_html(report, times), encoding="utf-8")
    except OSError as error:
        raise UsageError(f"{page}: cannot be written: {error.strerror}") from None
    return page
