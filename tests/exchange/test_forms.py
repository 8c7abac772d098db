"""Each format: what goes out can be answered and comes back as it was said."""

import json
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any
from xml.etree import ElementTree as Xml

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from review_items import item

from guard_service.conversation import Conversation, Message, Role, ToolCall
from guard_service.errors import InvalidRequest
from guard_service.exchange import argilla, label_studio, plain
from guard_service.exchange.task import Said, Task
from guard_service.review.claim import Answer
from guard_service.review.item import Outcome

HOSTILE = (
    "</Choice><script>alert(1)</script>\"'&$dialogue \x00 \u202e \u2028 \ud800 "
    "\N{GRINNING FACE} a\u0301 \r\n\t]]> {{7*7}} =cmd|' /C calc'!A0"
)
TEXT = Conversation(
    (
        Message(Role.USER, "how?"),
        Message(Role.ASSISTANT, HOSTILE, (ToolCall(HOSTILE, '{"a": 1}'),), HOSTILE),
    )
)


def task(number: int = 1, conversation: Conversation | None = TEXT) -> Task:
    return Task(item(number, scores={"S1": 0.5, "S10": 0.25}, conversation=conversation))


SAID = Answer(Outcome.OVERTURNED, ("S10", "S2"), HOSTILE.replace("\ud800", ""))


def answer_jsonl(path: Path) -> None:
    rows = [json.loads(line) for line in path.read_text().splitlines()]
    for row in rows:
        row["answer"] = {
            "outcome": SAID.outcome.value,
            "categories": list(SAID.codes),
            "note": SAID.note,
            "reviewer": "ann",
        }
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))


def answer_parquet(path: Path) -> None:
    table = pq.read_table(path)
    row = {"outcome": SAID.outcome.value, "categories": list(SAID.codes), "note": SAID.note}
    answers = pa.array([row | {"reviewer": "ann"}] * len(table), table.schema.field("answer").type)
    place = table.schema.get_field_index("answer")
    pq.write_table(table.set_column(place, "answer", answers), path)


def choices(name: str, chosen: list[str]) -> dict[str, Any]:
    return {"from_name": name, "to_name": "dialogue", "value": {"choices": chosen}}


def annotation(**values: Any) -> dict[str, Any]:
    note = {"from_name": "note", "to_name": "dialogue", "value": {"text": [SAID.note]}}
    said = [choices("outcome", [SAID.outcome.value]), choices("categories", list(SAID.codes)), note]
    return {"completed_by": {"id": 7, "email": "ann"}, "result": said} | values


def answer_label_studio(path: Path) -> None:
    tasks = json.loads(path.read_text())
    for each in tasks:
        each["annotations"] = [annotation(), annotation(was_cancelled=True, result=[])]
    path.write_text(json.dumps(tasks))


def answer_argilla(path: Path) -> None:
    records = json.loads(path.read_text())
    for record in records:
        record["responses"] = {
            "outcome": [{"value": SAID.outcome.value, "user_id": "ann"}],
            "categories": [{"value": list(SAID.codes), "user_id": "ann"}],
            "note": [{"value": SAID.note, "user_id": "ann"}],
        }
    path.write_text(json.dumps(records))


FORMS = {
    "jsonl": (plain.writing_jsonl, answer_jsonl, plain.read_jsonl),
    "parquet": (plain.writing_parquet, answer_parquet, plain.read_parquet),
    "label-studio": (label_studio.writing, answer_label_studio, label_studio.read),
    "argilla": (argilla.writing, answer_argilla, argilla.read),
}


def write(name: str, tasks: Iterable[Task], path: Path) -> None:
    with FORMS[name][0](path) as add:
        for each in tasks:
            add(each)


@pytest.mark.parametrize("name", FORMS)
def test_an_answered_file_says_what_people_said(name: str, tmp_path: Path) -> None:
    _, answer, read = FORMS[name]
    path = tmp_path / "file"
    write(name, [task(1), task(2, conversation=None)], path)
    assert list(read(path)) == []
    answer(path)
    assert list(read(path)) == [Said(item(n).id, SAID, "ann") for n in (1, 2)]


@pytest.mark.parametrize("name", FORMS)
@pytest.mark.parametrize("num_tasks", [0, 2500])
def test_any_number_of_items_can_be_written(name: str, num_tasks: int, tmp_path: Path) -> None:
    _, answer, read = FORMS[name]
    write(name, (task(n) for n in range(num_tasks)), tmp_path / "file")
    answer(tmp_path / "file")
    assert [said.item_id for said in read(tmp_path / "file")] == [
        item(n).id for n in range(num_tasks)
    ]


@pytest.mark.parametrize("name", FORMS)
def test_a_text_that_is_not_for_the_caller_is_not_in_the_file(name: str, tmp_path: Path) -> None:
    write(name, [task(conversation=None)], tmp_path / "file")
    content = b"".join(path.read_bytes() for path in tmp_path.iterdir())
    assert b"how?" not in content
    assert item(1).id.encode() in content


@settings(max_examples=40, deadline=None)
@given(text=st.text(st.characters(categories=None), min_size=1))
def test_any_text_can_be_written(text: str, tmp_path_factory: pytest.TempPathFactory) -> None:
    folder = tmp_path_factory.mktemp("any")
    made = task(conversation=Conversation((Message(Role.USER, text),)))
    for name, (_, answer, read) in FORMS.items():
        write(name, [made], folder / name)
        answer(folder / name)
        assert [said.answer for said in read(folder / name)] == [SAID]
    (line,) = (folder / "jsonl").read_text().splitlines()
    (row,) = pq.read_table(folder / "parquet").to_pylist()
    kept = text.encode("utf-16", "surrogatepass").decode("utf-16", "replace")
    assert json.loads(line)["messages"][0]["content"] == row["messages"][0]["content"] == kept


def test_label_studio_gets_an_interface_that_its_predictions_fit(tmp_path: Path) -> None:
    write("label-studio", [task()], tmp_path / "tasks.json")
    ((made,), root) = (
        json.loads((tmp_path / "tasks.json").read_text()),
        Xml.parse(tmp_path / "tasks.xml").getroot(),
    )
    controls = {each.get("name"): each for each in root.iter("Choices")}
    for result in made["predictions"][0]["result"]:
        offered = [each.get("value") for each in controls[result["from_name"]].iter("Choice")]
        assert set(result["value"]["choices"]) <= set(offered)
        assert controls[result["from_name"]].get("toName") == result["to_name"]
    (shown,) = root.iter("Paragraphs")
    assert shown.get("value") == "$dialogue"
    said = made["data"]["dialogue"]
    assert [each["author"] for each in said] == ["user", "assistant (judged)"]
    assert "\x00" not in said[1]["text"]
    assert "<script>" in said[1]["text"]  # data of the task, never of the interface
    assert b"script" not in (tmp_path / "tasks.xml").read_bytes()


def test_argilla_gets_records_as_its_own_reader_takes_them(tmp_path: Path) -> None:
    write("argilla", [task()], tmp_path / "records.json")
    (record,) = json.loads((tmp_path / "records.json").read_text())
    assert set(record) == {"id", "fields", "metadata", "suggestions", "responses", "vectors"}
    assert set(record["suggestions"]["categories"]) == {"value", "score", "agent"}
    assert [set(each) for each in record["fields"]["conversation"]] == [{"role", "content"}] * 2


GOOD = {"id": "a", "answer": {"outcome": "upheld"}}


@pytest.mark.parametrize(
    ("read", "content", "place"),
    [
        (plain.read_jsonl, json.dumps(GOOD) + "\n{secret", "line 2"),
        (plain.read_jsonl, "[1]\n", "line 1"),
        (plain.read_jsonl, '{"id": 7, "answer": {"outcome": "upheld"}}', "line 1.item"),
        (plain.read_jsonl, '{"id": "a", "answer": {"outcome": "secret"}}', "line 1.outcome"),
        (
            plain.read_jsonl,
            '{"id": "a", "answer": {"outcome": "upheld", "categories": ["secret"]}}',
            "line 1.categories",
        ),
        (plain.read_parquet, "secret", "is not Parquet"),
        (label_studio.read, '[\n{"data": 1}]', r"\[0\].data"),
        (label_studio.read, "[\n\n{secret", "line 3"),
        (label_studio.read, '[{"data": {"item": "a"}, "annotations": [{}]}]', r"\[0\].annotations"),
        (argilla.read, '{"a": "secret"}', "must be a list"),
        (argilla.read, '[{"id": "a", "responses": {"outcome": 3}}]', r"responses.outcome"),
        (
            argilla.read,
            '[{"id": "a", "responses": {"note": [{"value": "secret", "user_id": "u"}]}}]',
            r"\[0\].outcome",
        ),
    ],
)
def test_a_broken_file_is_refused_with_its_place_and_without_its_words(
    read: Callable[[Path], Any], content: str, place: str, tmp_path: Path
) -> None:
    (tmp_path / "file").write_text(content)
    with pytest.raises(InvalidRequest, match=place) as refused:
        list(read(tmp_path / "file"))
    assert "secret" not in str(refused.value)
