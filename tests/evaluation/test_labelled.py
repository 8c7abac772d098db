import json
from pathlib import Path

import pytest

from guard_service.conversation import Message, Role
from guard_service.errors import InvalidRequest
from guard_service.evaluation.labelled import (
    LabelledRow,
    Rejected,
    read_labelled,
    require_labelled,
    with_language,
)

SECRET = "a text that must not be quoted"


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return tmp_path / "rows.jsonl"


def write(file: Path, *rows: object) -> Path:
    file.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    return file


def row(**changes: object) -> dict[str, object]:
    return {"text": SECRET, "role": "user", "unsafe": True, "categories": ["S1"], **changes}


def refusal(file: Path) -> str:
    with pytest.raises(InvalidRequest) as caught:
        list(require_labelled(file))
    return str(caught.value)


def test_a_text_becomes_a_lone_message_of_the_judged_role(file: Path) -> None:
    write(file, row(id="a", source="x/y", lang="fr", licence="MIT"), row(role="assistant"))
    first, second = require_labelled(file)
    assert first.conversation.messages == (Message(Role.USER, SECRET),)
    assert (first.is_unsafe, first.codes, first.role) == (True, ("S1",), Role.USER)
    assert (first.id, first.source, first.lang) == ("a", "x/y", "fr")
    assert second.conversation.messages == (Message(Role.ASSISTANT, SECRET),)


def test_messages_keep_their_order_and_the_last_one_is_judged(file: Path) -> None:
    messages = [{"role": "user", "content": "q"}, {"role": "assistant", "content": "a"}]
    write(file, {"messages": messages, "unsafe": False})
    (only,) = require_labelled(file)
    assert [m.content for m in only.conversation.messages] == ["q", "a"]
    assert (only.role, only.is_unsafe, only.codes) == (Role.ASSISTANT, False, ())


def test_nulls_and_blank_lines_are_passed_over(file: Path) -> None:
    write(file, row(id=None, categories=None, lang=None))
    file.write_bytes(b"\xef\xbb\xbf" + file.read_bytes() + b"\n  \n")
    (only,) = require_labelled(file)
    assert (only.id, only.codes) == ("", ())


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        ({"unsafe": "perhaps"}, "unsafe: must be true or false"),
        ({"unsafe": None}, "unsafe: must be true or false"),
        ({"role": "bot"}, "role: must be one of user"),
        ({"role": ["user"]}, "role: must be one of user"),
        ({"role": "system"}, "a system message cannot be"),
        ({"text": " "}, "it is blank"),
        ({"text": 7}, "content: must be text"),
        ({"text": SECRET + "\ud800"}, "not UTF-8"),
        ({"id": 7}, "id: must be a string"),
        ({"messages": []}, "either text or messages"),
        ({"categories": "S1"}, "must be a list of codes"),
        ({"categories": ["Violence"]}, "must be a list of codes"),
        ({"categories": [["S1"]]}, "must be a list of codes"),
        ({"unsafe": False}, "must be empty where unsafe is false"),
    ],
)
def test_a_wrong_row_is_refused_by_file_and_line_without_its_text(
    file: Path, changes: dict[str, object], expected: str
) -> None:
    message = refusal(write(file, row(), row(**changes)))
    assert message.startswith(f"{file}:2")
    assert expected in message
    assert SECRET not in message


@pytest.mark.parametrize(
    "messages",
    [
        "hello",
        [],
        ["hello"],
        [{"role": "user", "content": [{"type": "image_url"}]}],
        [{"role": "user", "content": "a"}, {"role": "system", "content": "b"}],
    ],
)
def test_wrong_messages_are_refused_by_file_and_line(file: Path, messages: object) -> None:
    assert refusal(write(file, {"messages": messages, "unsafe": True})).startswith(f"{file}:1")


def test_a_role_that_is_not_the_last_messages_is_refused(file: Path) -> None:
    write(
        file, {"messages": [{"role": "user", "content": "q"}], "role": "assistant", "unsafe": True}
    )
    assert "is not the role of the last message" in refusal(file)


@pytest.mark.parametrize(
    "line",
    [b"{", b"7", b'{"text": "\xff"}', b"[" * 100_000, SECRET.encode(), b"1" * 5000],
    ids=["open", "number", "not UTF-8", "deep", "words", "long number"],
)
def test_a_line_that_is_not_a_json_object_is_refused_by_its_number(file: Path, line: bytes) -> None:
    file.write_bytes(json.dumps(row()).encode() + b"\n" + line)
    message = refusal(file)
    assert message.startswith(f"{file}:2: ")
    assert SECRET not in message


def test_a_file_that_cannot_be_opened_is_refused_by_name(tmp_path: Path) -> None:
    assert (
        refusal(tmp_path / "none.jsonl") == f"{tmp_path / 'none.jsonl'}: No such file or directory"
    )


def test_rows_before_a_wrong_line_are_already_there(file: Path) -> None:
    write(file, row(id="first"), 7)
    rows = require_labelled(file)
    assert next(rows).id == "first"
    with pytest.raises(InvalidRequest):
        next(rows)


def test_a_row_that_cannot_be_read_stands_in_its_place_with_its_line(file: Path) -> None:
    write(file, row(), 7, row(unsafe=None), row(lang="de"))
    found = [
        (one.line, one.reason if isinstance(one, Rejected) else one.lang)
        for one in read_labelled(file)
    ]
    assert found == [
        (1, ""),
        (2, "must be a JSON object"),
        (3, "unsafe: must be true or false"),
        (4, "de"),
    ]


def test_one_side_of_a_row_may_have_no_label(file: Path) -> None:
    values = {"prompt": "p", "response": "r", "response_harm_label": None}
    write(file, values | {"prompt_harm_label": "harmful"})
    prompt, response = read_labelled(file)
    assert isinstance(prompt, LabelledRow) and prompt.is_unsafe
    assert response == Rejected(1, "label: is empty")


def test_a_language_that_no_row_names_is_told_by_its_text(file: Path) -> None:
    write(file, row(), row(text="これは日本語の文章です。"), row(lang="th"))
    found = [with_language(one).lang for one in require_labelled(file)]
    assert found == ["supported", "unsupported", "th"]
