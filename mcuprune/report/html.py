"""``report.html``: one self-contained page, no scripts, nothing fetched, readable on a phone and on paper."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from typing import Any

from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup

from mcuprune.report import plots, units, views
from mcuprune.report.model import DIFFERS, EQUAL, NOT_APPLICABLE, NOT_RUN, Report, Times
from mcuprune.report.verdict import FAIL, PASS, UNKNOWN, answers

WIDE, NARROW = 1040.0, 400.0  # drawn twice: text in a picture must not shrink with the screen

MARKS = {PASS: "✓", FAIL: "✗", UNKNOWN: "?", EQUAL: "✓", DIFFERS: "✗", NOT_APPLICABLE: "–", NOT_RUN: "?"}
STYLES = {
    PASS: "good",
    FAIL: "bad",
    UNKNOWN: "open",
    EQUAL: "good",
    DIFFERS: "bad",
    NOT_APPLICABLE: "none",
    NOT_RUN: "open",
}

FILTERS: Mapping[str, Callable[..., Any]] = {
    "count": units.count,
    "short": units.short,
    "kibi": units.kibi,
    "quantity": units.quantity,
    "percent": units.percent,
    "signed_percent": units.signed_percent,
    "seconds": units.seconds,
    "shape": units.shape,
    "mark": MARKS.__getitem__,
    "style": STYLES.__getitem__,
    "wide": "{:.2f}%".format,
}


def write_html(report: Report, times: Times | None = None) -> str:
    """The page as text.  Everything that comes from the model or the command line is escaped."""
    found = [answer.status for answer in answers(report)]
    template = page_environment().get_template("report.html.j2")
    return template.render(
        report=report,
        times=times or Times(),
        metric=lambda value: units.metric(report.task.metric, value),
        verdict=_verdict(report),
        outcome=next((status for status in (FAIL, UNKNOWN) if status in found), PASS),
        answers=answers(report),
        tiles=views.tiles(report),
        resources=views.resource_views(report),
        accuracies=views.accuracy_views(report),
        layers=views.layer_views(report),
        regions=views.region_views(report),
        curve=drawn(lambda width: plots.training_curve(report.curve, report.task.metric, width)),
        arena=drawn(lambda width: plots.arena_over_time(report.arena, width)),
        config=json.dumps(dict(report.config), indent=2, sort_keys=True, ensure_ascii=False),
    )


def page_environment() -> Environment:
    environment = Environment(
        loader=PackageLoader("mcuprune", "report"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters.update(FILTERS)
    return environment


def drawn(draw: Callable[[float], str]) -> Markup:
    """A picture in both widths; the style sheet shows the one that fits.  Empty when nothing is drawn."""
    wide, narrow = draw(WIDE), draw(NARROW)
    return Markup(f'<div class="wide">{wide}</div><div class="narrow">{narrow}</div>') if wide else Markup("")


def _verdict(report: Report) -> str:
    found = answers(report)
    failures = {"fits": "does not fit"}
    failed = [failures.get(row.question, f"not {row.question}") for row in found if row.status == FAIL]
    unproven = [row.question for row in found if row.status == UNKNOWN]
    words = ", ".join(failed) or "not proven: " + ", ".join(unproven)
    if not failed and not unproven:
        words = ", ".join(row.question for row in found)
    return words[0].upper() + words[1:]
