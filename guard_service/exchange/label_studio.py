"""Label Studio's JSON: tasks with predictions out, and beside them the labelling interface that
fits; annotated tasks in. https://labelstud.io/guide/task_format
"""

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from xml.etree import ElementTree as Xml

from guard_service.exchange.document import read_array, writing_array
from guard_service.exchange.task import Said, Task, broken, printable, read_said
from guard_service.review.item import Outcome

_TO = "dialogue"  # what every control of the interface is about


@contextmanager
def writing(path: Path) -> Iterator[Callable[[Task], None]]:
    """The tasks, and at the end the interface as XML with the same name."""
    codes: set[str] = set()
    with writing_array(path) as add:

        def write(task: Task) -> None:
            codes.update(task.item.scores, task.item.codes)
            add(_task(task))

        yield write
    interface = Xml.ElementTree(_interface(sorted(codes, key=lambda code: int(code[1:]))))
    interface.write(path.with_suffix(".xml"), encoding="utf-8")


def read(path: Path) -> Iterator[Said]:
    """An answer for each annotation that was not skipped."""
    for place, task in read_array(path):
        data, annotations = task.get("data"), task.get("annotations", [])
        if not isinstance(data, dict):
            raise broken(f"{place}.data", "must be an object")
        if not isinstance(annotations, list):
            raise broken(f"{place}.annotations", "must be a list")
        for number, annotation in enumerate(annotations):
            where = f"{place}.annotations[{number}]"
            if not isinstance(annotation, dict):
                raise broken(where, "must be an object")
            if not annotation.get("was_cancelled"):
                yield _said(where, data.get("item"), annotation)


def _task(task: Task) -> dict[str, Any]:
    item = task.item
    told = {
        "item": item.id,
        "action": item.action.value,
        "reason": item.reason.value,
        "policy": f"{item.policy}@{item.policy_version}",
        "judged_role": item.judged_role.value,
        _TO: list(_paragraphs(task)),
    }
    prediction = {
        "model_version": printable(item.model),
        "score": item.unsafe_score,
        "result": [_choices("categories", list(item.codes))] if item.codes else [],
    }
    return {"data": told, "predictions": [] if item.unsafe_score is None else [prediction]}


def _paragraphs(task: Task) -> Iterator[dict[str, str]]:
    for number, message in enumerate(task.messages):
        mark = " (judged)" if number == task.judged else ""
        calls = (f"{call.name}({call.arguments_json})" for call in message.tool_calls)
        text = "\n".join(part for part in (message.content, *calls) if part)
        yield {"author": message.role.value + mark, "text": printable(text)}
    if not task.messages:
        yield {"author": task.item.judged_role.value, "text": "(the text is not shown)"}


def _choices(name: str, chosen: list[str]) -> dict[str, Any]:
    value = {"choices": chosen}
    return {"id": name, "from_name": name, "to_name": _TO, "type": "choices", "value": value}


def _interface(codes: Sequence[str]) -> Xml.Element:
    view = Xml.Element("View")
    Xml.SubElement(view, "Paragraphs", name=_TO, value=f"${_TO}", layout="dialogue")
    outcomes = Xml.SubElement(
        view, "Choices", name="outcome", toName=_TO, choice="single", required="true"
    )
    for outcome in Outcome:
        Xml.SubElement(outcomes, "Choice", value=outcome.value)
    categories = Xml.SubElement(view, "Choices", name="categories", toName=_TO, choice="multiple")
    for code in codes:
        Xml.SubElement(categories, "Choice", value=code)
    Xml.SubElement(view, "TextArea", name="note", toName=_TO)
    return view


def _said(place: str, item_id: Any, annotation: dict[str, Any]) -> Said:
    values = _values(place, annotation.get("result"))
    outcome = values.get("outcome", [None])
    by = annotation.get("completed_by", "")
    annotator = by.get("email") or by.get("id") if isinstance(by, dict) else by
    note = "\n".join(values.get("note", []))
    categories = values.get("categories", [])
    return read_said(place, item_id, outcome[0], categories, annotator, note)


def _values(place: str, results: Any) -> dict[str, list[Any]]:
    """What each control of the interface was set to."""
    if not isinstance(results, list):
        raise broken(f"{place}.result", "must be a list")
    values: dict[str, list[Any]] = {}
    for number, result in enumerate(results):
        value = result.get("value") if isinstance(result, dict) else None
        if not isinstance(value, dict):
            raise broken(f"{place}.result[{number}].value", "must be an object")
        chosen = value.get("choices", value.get("text", []))
        is_list = isinstance(chosen, list) and all(isinstance(one, str) for one in chosen)
        if not is_list or not chosen:
            raise broken(f"{place}.result[{number}].value", "must be a list of texts")
        values[str(result.get("from_name"))] = chosen
    return values
