"""Argilla's records as its own `to_json` writes them and `from_json` reads them.

The dataset has a chat field `conversation`, a label question `outcome`, a multi-label question
`categories` and a text question `note`. https://docs.argilla.io/latest/reference/argilla/records/records
"""

from collections import defaultdict
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from guard_service.exchange.document import read_array, writing_array
from guard_service.exchange.task import Said, Task, broken, printable, read_said

_QUESTIONS = ("outcome", "categories", "note")


@contextmanager
def writing(path: Path) -> Iterator[Callable[[Task], None]]:
    with writing_array(path) as add:
        yield lambda task: add(_record(task))


def read(path: Path) -> Iterator[Said]:
    """An answer for each person who gave the record an outcome."""
    for place, record in read_array(path):
        responses = record.get("responses", {})
        if not isinstance(responses, dict):
            raise broken(f"{place}.responses", "must be an object")
        for user, given in _by_user(place, responses).items():
            codes, note = given.get("categories") or [], given.get("note") or ""
            yield read_said(place, record.get("id"), given.get("outcome"), codes, user, note)


def _record(task: Task) -> dict[str, Any]:
    item = task.item
    suggested = {"value": list(item.codes), "score": None, "agent": printable(item.model)}
    return {
        "id": item.id,
        "fields": {"conversation": list(_chat(task))},
        "metadata": {
            "action": item.action.value,
            "reason": item.reason.value,
            "policy": f"{item.policy}@{item.policy_version}",
            **({} if item.unsafe_score is None else {"unsafe_score": item.unsafe_score}),
        },
        "suggestions": {"categories": suggested} if item.codes else {},
        "responses": {},
        "vectors": {},
    }


def _chat(task: Task) -> Iterator[dict[str, str]]:
    for message in task.messages:
        calls = (f"{call.name}({call.arguments_json})" for call in message.tool_calls)
        text = "\n".join(part for part in (message.content, *calls) if part)
        yield {"role": message.role.value, "content": printable(text)}
    if not task.messages:
        yield {"role": task.item.judged_role.value, "content": "(the text is not shown)"}


def _by_user(place: str, responses: dict[str, Any]) -> dict[str, dict[str, Any]]:
    given: defaultdict[str, dict[str, Any]] = defaultdict(dict)
    for question in _QUESTIONS:
        answers = responses.get(question, [])
        if not isinstance(answers, list) or not all(isinstance(each, dict) for each in answers):
            raise broken(f"{place}.responses.{question}", "must be a list of objects")
        for each in answers:
            given[str(each.get("user_id") or "")][question] = each.get("value")
    return given
