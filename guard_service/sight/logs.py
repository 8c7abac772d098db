"""How log lines look: one action word, the call they belong to, and no text of a user.

An exception is shown by its type and its places in the code; its own words may quote a value.
"""

import json
import logging
import sys
import traceback
from asyncio import AbstractEventLoop
from datetime import UTC, datetime
from types import TracebackType
from typing import Any, TypeAlias

from guard_service.sight import journey, metrics

log = logging.getLogger(__name__)

ExcInfo: TypeAlias = (
    tuple[type[BaseException], BaseException, TracebackType | None] | tuple[None, None, None]
)

_PLAIN = set(vars(logging.makeLogRecord({}))) | {"message", "asctime", "taskName"}
_CONTROL = {code: f"\\x{code:02x}" for code in (*range(32), 127)}


class TextFormatter(logging.Formatter):
    """The message for people, then what was given as `extra` for machines."""

    def format(self, record: logging.LogRecord) -> str:
        fields = "".join(f" {key}={_plain(value)}" for key, value in _fields(record).items())
        return super().format(record) + fields

    def formatException(self, ei: ExcInfo) -> str:
        return _places(ei)


class JsonFormatter(logging.Formatter):
    """One JSON object on one line."""

    def format(self, record: logging.LogRecord) -> str:
        time = datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds")
        line = {"time": time, "level": record.levelname, "logger": record.name}
        line |= {"message": record.getMessage()} | _fields(record)
        if record.exc_info:
            line["stack"] = _places(record.exc_info)
        return json.dumps(line, default=str)


class _Counting(logging.Handler):
    def emit(self, record: logging.LogRecord) -> None:
        if action := getattr(record, "action", None):
            metrics.EVENTS.labels(action).inc()


def start_logging(level: str, form: str) -> None:
    """To stderr as `text` or `json`; `auto` is text on a terminal."""
    shown, counting = logging.StreamHandler(), _Counting()
    is_text = form == "text" or (form == "auto" and sys.stderr.isatty())
    text = TextFormatter("%(asctime)s %(levelname)s %(name)s: %(message)s")
    shown.setFormatter(text if is_text else JsonFormatter())
    logging.basicConfig(level=level, handlers=[shown, counting])


def report_loop_error(_: AbstractEventLoop, context: dict[str, Any]) -> None:
    """In place of asyncio's own report, which shows what the exception and the task say."""
    error = context.get("exception")
    extra = {"action": "task_failed", "error": type(error).__name__}
    exc_info = (type(error), error, error.__traceback__) if error else None
    log.error("event loop: %s", context.get("message"), extra=extra, exc_info=exc_info)


def _fields(record: logging.LogRecord) -> dict[str, Any]:
    """What was given as `extra`, and which call the line belongs to.

    Names that begin with an underscore are what a library adds to every record.
    """
    given = {key: value for key, value in vars(record).items() if not key.startswith("_")}
    fields = {key: value for key, value in given.items() if key not in _PLAIN}
    if under_way := journey.current():
        ids = {"request_id": under_way.request_id, "trace_id": under_way.trace_id}
        fields |= {key: value for key, value in ids.items() if value}
    return fields


def _plain(value: object) -> str:
    """On one line, and without what a terminal would obey."""
    return str(value).translate(_CONTROL)


def _places(ei: ExcInfo) -> str:
    kind, _, trace = ei
    return "".join(traceback.format_tb(trace)) + (kind.__name__ if kind else "")
