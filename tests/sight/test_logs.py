"""What a log line says, and what it does not."""

import asyncio
import json
import logging
import sys

import pytest

from guard_service.sight.journey import loggable_id, watch_call
from guard_service.sight.logs import JsonFormatter, TextFormatter, report_loop_error

DIED = logging.makeLogRecord({"msg": "engine died", "action": "engine_died", "exit_code": -9})


def failed(text: str) -> logging.LogRecord:
    try:
        raise ValueError(text)
    except ValueError:
        return logging.makeLogRecord({"msg": "it failed", "exc_info": sys.exc_info()})


def test_what_a_library_adds_to_every_record_is_not_shown() -> None:
    record = logging.makeLogRecord(vars(DIED) | {"_a_librarys_own": 1})
    assert "librarys" not in TextFormatter().format(record) + JsonFormatter().format(record)


def test_a_line_for_people_ends_with_what_was_given_for_machines() -> None:
    assert TextFormatter().format(DIED) == "engine died action=engine_died exit_code=-9"


def test_a_line_for_machines_is_one_json_object() -> None:
    line = JsonFormatter().format(DIED)
    assert "\n" not in line
    read = json.loads(line)
    assert (read["action"], read["exit_code"], read["message"]) == ("engine_died", -9, DIED.msg)
    assert read["time"].endswith("+00:00")


@pytest.mark.parametrize("formatter", [TextFormatter(), JsonFormatter()])
def test_an_exception_is_its_type_and_places_and_never_its_words(
    formatter: logging.Formatter,
) -> None:
    line = formatter.format(failed("what a user wrote"))
    assert "ValueError" in line
    assert "test_logs.py" in line
    assert "what a user wrote" not in line


@pytest.mark.parametrize("value", ['x\n{"level": "INFO"}', "\x1b[2J", "\x7f"])
def test_a_value_makes_no_line_of_its_own_and_moves_no_cursor(value: str) -> None:
    record = logging.makeLogRecord({"msg": "m", "problem": value})
    for line in (TextFormatter().format(record), JsonFormatter().format(record)):
        assert line.isprintable()


def test_a_line_of_a_call_names_its_request_and_its_trace() -> None:
    metadata = {"traceparent": f"00-{'a' * 32}-{'b' * 16}-01"}
    with watch_call("Moderate", metadata.items()) as journey:
        journey.request_id = "1f"
        line = TextFormatter().format(DIED)
    assert line.endswith(f"request_id=1f trace_id={'a' * 32}")
    assert "request_id" not in TextFormatter().format(DIED)


@pytest.mark.parametrize("traceparent", ["", "what a user wrote", "00-zz-bb-01", b"\x00"])
def test_a_trace_that_is_none_is_left_out(traceparent: str | bytes) -> None:
    with watch_call("Moderate", [("traceparent", traceparent)]):
        assert "trace_id" not in TextFormatter().format(DIED)


def test_an_id_that_could_hold_words_is_logged_as_its_digest() -> None:
    plain = "0f9619ff-8b86-d011-b42d-00cf4fc964ff"
    assert loggable_id(plain) == plain
    assert loggable_id("call-me-bob").startswith("sha256:")
    assert loggable_id("") == ""


async def test_a_task_nobody_waited_for_is_told_without_its_words(
    caplog: pytest.LogCaptureFixture,
) -> None:
    error = ValueError("what a user wrote")
    report_loop_error(asyncio.get_running_loop(), {"message": "not retrieved", "exception": error})
    (record,) = caplog.records
    line = JsonFormatter().format(record)
    assert json.loads(line)["action"] == "task_failed"
    assert "ValueError" in line
    assert "what a user wrote" not in line
