"""``report.json`` and ``times.json``: records to text and back, checked both ways."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import fields, is_dataclass
from typing import Any, TypeVar

from pydantic import TypeAdapter, ValidationError

from mcuprune.errors import UsageError
from mcuprune.report.model import SCHEMA_VERSION, Report, Times

R = TypeVar("R", bound=Report | Times)


def to_json(record: Report | Times) -> str:
    """Indented JSON; fields in the order declared here, mappings sorted, floats exact; NaN is refused."""
    checked = _checked(type(record), json.dumps(_plain(record)), "report")
    return json.dumps(_plain(checked), indent=1, allow_nan=False, ensure_ascii=False) + "\n"


def report_from_json(text: str) -> Report:
    """The report in ``text``; UsageError when it is damaged or of another ``schema_version``."""
    report = _checked(Report, text, "report.json")
    if report.schema_version != SCHEMA_VERSION:
        raise UsageError(
            f"report.json: schema_version {report.schema_version}, this mcuprune reads {SCHEMA_VERSION};"
            " run it again with this version"
        )
    return report


def times_from_json(text: str) -> Times:
    return _checked(Times, text, "times.json")


def _checked(kind: type[R], text: str, what: str) -> R:
    try:
        return TypeAdapter(kind).validate_json(text)
    except ValidationError as error:
        first = error.errors()[0]
        where = ".".join(str(part) for part in first["loc"]) or "the file itself"
        raise UsageError(f"{what}: {where}: {first['msg']}; expected what mcuprune writes") from error


def _plain(value: Any) -> Any:
    """JSON types only: records keep declared order, mappings are sorted by key, numpy scalars unwrapped."""
    if is_dataclass(value):
        return {item.name: _plain(getattr(value, item.name)) for item in fields(value)}
    if isinstance(value, Mapping):
        return {str(key): _plain(value[key]) for key in sorted(value, key=str)}
    if isinstance(value, list | tuple):
        return [_plain(item) for item in value]
    return value.item() if hasattr(value, "item") else value
