"""The page: self-contained, escaped, well-formed, the same bytes every time, honest about missing parts."""

from __future__ import annotations

import re
from dataclasses import replace
from html.parser import HTMLParser

import pytest

from mcuprune.report.html import write_html
from mcuprune.report.model import (
    Accuracy,
    ArenaPicture,
    ArenaTensor,
    Equality,
    Report,
    Resource,
    Section,
    Symbol,
    Times,
)

HOSTILE = """<script>alert("1")</script>&'x"""
VOID = {"meta", "link", "br", "img", "hr", "input"}


class Page(HTMLParser):
    """Checks nesting while it reads, and keeps tags and text."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.open: list[str] = []
        self.tags: list[str] = []
        self.addresses: list[str] = []
        self.words: list[str] = []
        self.feed(text)
        self.close()
        assert self.open == []

    def handle_starttag(self, tag, attrs):
        self.tags.append(tag)
        self.addresses += [value for name, value in attrs if name in ("src", "href", "xlink:href", "action")]
        if tag not in VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag, attrs):
        self.tags.append(tag)

    def handle_endtag(self, tag):
        assert self.open.pop() == tag

    def handle_data(self, data):
        self.words.append(data)

    @property
    def text(self) -> str:
        return re.sub(r"\s+", " ", " ".join(self.words))


def test_self_contained_and_small(report, times):
    text = write_html(report, times)
    page = Page(text)
    assert len(text.encode()) < 400_000
    assert "script" not in page.tags
    assert all(address.startswith("#") for address in page.addresses)
    assert "@import" not in text
    assert "url(" not in text
    assert not re.search(r"https?://", text)


def test_same_bytes_twice(report, times):
    assert write_html(report, times) == write_html(report, times)


def test_every_table_row_is_there(report, times):
    text = Page(write_html(report, times)).text
    expected = [
        report.command,
        *(row.label for row in (*report.resources, *report.accuracies)),
        *(layer.name for layer in report.layers),
        *(phase.name for phase in times.phases),
        *report.versions.values(),
        "qemu-system-arm is not installed",
        "arena 3,312 B, lower bound 3,204 B, gap 108 B",
        "10,724",
        "Training took 1.01 x plain training of the dense model",
    ]
    assert [words for words in expected if re.sub(r"\s+", " ", words) not in text] == []
    assert "Fits, exact, accurate enough" in text


def test_each_anchor_has_its_section(report, times):
    text = write_html(report, times)
    for name in re.findall(r'href="#([a-z]+)"', text):
        assert f'id="{name}"' in text


def test_text_from_the_model_is_escaped(report):
    hostile = replace(
        report,
        name=HOSTILE,
        command=HOSTILE,
        notes=(HOSTILE,),
        config={HOSTILE: HOSTILE},
        versions={HOSTILE: HOSTILE},
        resources=tuple(replace(row, label=HOSTILE, note=HOSTILE) for row in report.resources),
        accuracies=tuple(replace(row, label=HOSTILE, note=HOSTILE) for row in report.accuracies),
        equalities=(Equality(HOSTILE, HOSTILE, "differs", 3, 1, HOSTILE),),
        curve=tuple(replace(row, phase=HOSTILE, usage={HOSTILE: 0.5}) for row in report.curve),
        layers=tuple(replace(row, name=HOSTILE, kernel=HOSTILE) for row in report.layers),
        arena=ArenaPicture((HOSTILE,), (ArenaTensor(HOSTILE, 0, 64, 0, 0),), 64, 64),
        sections=(Section(HOSTILE, "SRAM", 0, 64, (Symbol(HOSTILE, 64),)),),
    )
    text = write_html(hostile)
    assert "<script" not in text
    assert "script" not in Page(text).tags


def test_a_failed_run_says_so_first(report):
    rows = (Resource("flash.total", "Flash", "bytes", 100, 900, 90, 101),)
    differs = (Equality("numpy", "firmware.elf", "differs", 200, 7, "first at conv1[3]"),)
    text = write_html(replace(report, resources=rows, equalities=differs))
    assert "Not fits" not in text
    assert "Does not fit, not exact" in text
    assert "101.0 %" in text
    assert 'class="bar over"' in text


def test_an_unproven_run_does_not_claim(report):
    text = write_html(replace(report, equalities=()))
    assert "Not proven: exact" in text
    assert "No executors were compared" in text


def test_a_run_with_nothing_but_its_head(report):
    bare = Report(report.name, report.command, report.method, 0, report.board, report.task)
    text = write_html(bare)
    Page(text)
    assert 'id="training"' not in text
    assert 'id="arena"' not in text
    assert 'id="layers"' not in text
    assert 'id="cost"' not in text


def test_psnr_in_decibels(report):
    task = replace(report.task, metric="psnr", floor=28.0, chance=None, classes=None)
    rows = (Accuracy("dense", "dense", "dense", 33.4, 4096), Accuracy("int8", "int8", "ours", 30.25, 4096))
    text = Page(write_html(replace(report, task=task, accuracies=rows))).text
    assert "30.2 dB" in text
    assert "−3.1 dB" in text or "−3.2 dB" in text
    assert "floor 28.0 dB" in text


def test_one_epoch_and_sixty_layers(report, times):
    layers = tuple(replace(report.layers[0], name=f"layer{index}") for index in range(60))
    steps = tuple(layer.name for layer in layers)
    tensors = tuple(
        ArenaTensor(name, (index % 2) * 512, 512, index, min(index + 1, 59))
        for index, name in enumerate(steps)
    )
    large = replace(
        report, layers=layers, curve=report.curve[:1], arena=ArenaPicture(steps, tensors, 1024, 1024)
    )
    text = write_html(large, times)
    Page(text)
    assert "optimal" in text
    assert len(text.encode()) < 400_000


def test_long_runs_stay_small(report, times):
    curve = tuple(replace(report.curve[index % 28], epoch=index + 1) for index in range(300))
    assert len(write_html(replace(report, curve=curve), times).encode()) < 400_000


@pytest.mark.parametrize("field", ["curve", "layers", "sections"])
def test_each_part_may_be_missing(report, field):
    Page(write_html(replace(report, **{field: ()}), Times()))
