"""The three questions a run answers: does it fit, is it exact, is it accurate enough?"""

from __future__ import annotations

from dataclasses import dataclass

from mcuprune.errors import AccuracyError, BudgetError, MismatchError
from mcuprune.report.model import DIFFERS, EQUAL, NOT_RUN, Accuracy, Report
from mcuprune.report.units import metric

PASS, FAIL, UNKNOWN = "pass", "fail", "unknown"

FINAL_STAGES = ("emulated", "host", "int8", "compressed")  # accuracy keys, nearest to the device first


@dataclass(frozen=True)
class Answer:
    """``status`` is pass, fail or unknown; what was not checked is unknown, never pass."""

    question: str
    status: str
    detail: str


def answers(report: Report) -> tuple[Answer, Answer, Answer]:
    return fits(report), exact(report), accurate(report)


def judge(report: Report) -> None:
    """Raises what the run failed at: MismatchError, then BudgetError, then AccuracyError."""
    for ask, error in ((exact, MismatchError), (fits, BudgetError), (accurate, AccuracyError)):
        answer = ask(report)
        if answer.status == FAIL:
            raise error(f"not {answer.question}: {answer.detail}")


def fits(report: Report) -> Answer:
    limited = [row for row in report.resources if row.budget is not None]
    if not limited:
        return Answer("fits", UNKNOWN, "no budget was set")
    over = [row.label for row in limited if row.actual is not None and row.actual > (row.budget or 0)]
    if over:
        return Answer("fits", FAIL, "over budget: " + ", ".join(over))
    unknown = [row.label for row in limited if row.actual is None]
    if unknown:
        return Answer("fits", UNKNOWN, "not known: " + ", ".join(unknown))
    measured = sum(row.measured is not None for row in limited)
    return Answer("fits", PASS, f"{len(limited)} budgets held, {measured} of them on measured figures")


def exact(report: Report) -> Answer:
    rows = report.equalities
    bad = [row for row in rows if row.status == DIFFERS]
    if bad:
        return Answer("exact", FAIL, f"{bad[0].left} and {bad[0].right} differ: {bad[0].reason}".rstrip(": "))
    skipped = [row for row in rows if row.status == NOT_RUN]
    if skipped:
        return Answer("exact", UNKNOWN, f"{skipped[0].left} against {skipped[0].right} was not run")
    equal = [row for row in rows if row.status == EQUAL]
    if not equal:
        return Answer("exact", UNKNOWN, "no executors were compared")
    inputs = [row.inputs for row in equal if row.inputs]
    each = f", {min(inputs):,} inputs {'each' if min(inputs) == max(inputs) else 'or more'}" if inputs else ""
    return Answer("exact", PASS, f"0 differing bytes in {len(equal)} comparisons{each}")


def final_accuracy(report: Report) -> Accuracy | None:
    """The compressed model's result on most samples; among equals, on the executor nearest to the device.

    An emulator often runs fewer samples than the others; where outputs are equal byte for byte, the larger
    sample says more.
    """
    stages = [row for key in FINAL_STAGES if (row := report.accuracy(key)) is not None]
    return max(stages, key=lambda row: row.n, default=None)


def accurate(report: Report) -> Answer:
    final, task = final_accuracy(report), report.task
    if final is None:
        return Answer("accurate enough", UNKNOWN, "not measured")
    shown = metric(task.metric, final.value)
    if task.floor is not None and (task.chance is None or final.value > task.chance):
        status = PASS if final.value >= task.floor else FAIL
        return Answer("accurate enough", status, f"{shown}, floor {metric(task.metric, task.floor)}")
    if task.chance is not None:
        status = PASS if final.value > task.chance else FAIL
        floor = "no floor was set" if task.floor is None else f"floor {metric(task.metric, task.floor)}"
        chance = metric(task.metric, task.chance)
        return Answer("accurate enough", status, f"{shown}, chance {chance}; {floor}")
    return Answer("accurate enough", UNKNOWN, f"{shown}; no floor was set")
