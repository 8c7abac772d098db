"""Templates, and the few words and numbers that they share. Everything is escaped."""

from collections.abc import Mapping
from datetime import datetime
from pathlib import Path
from typing import Any

from jinja2 import Environment, FileSystemLoader, StrictUndefined
from starlette.responses import HTMLResponse

from guard_service.taxonomy import TAXONOMY
from guard_service.web.visible import one_line, pieces

FOLDER = Path(__file__).parent

_environment = Environment(
    loader=FileSystemLoader(FOLDER / "templates"),
    autoescape=True,
    undefined=StrictUndefined,
    trim_blocks=True,
    lstrip_blocks=True,
)


def render(template: str, status: int = 200, **values: Any) -> HTMLResponse:
    text = _environment.get_template(template).render(values)
    return HTMLResponse(text, status)


def category_name(code: str, names: Mapping[str, str] | None = None) -> str:
    if code in TAXONOMY:
        return TAXONOMY[code].name
    return (names or {}).get(code, code or "no category")


def when(moment: datetime) -> str:
    return f"{moment:%Y-%m-%d %H:%M} UTC"


_environment.filters.update(pieces=pieces, one_line=one_line, category=category_name, when=when)
