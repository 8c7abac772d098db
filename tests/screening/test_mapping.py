import json
from pathlib import Path
from typing import Any

import pytest

from guard_service.errors import InvalidRequest, ScreeningRefused
from guard_service.screening.mapping import read_mapping
from guard_service.screening.transcript import Transcript

DIALOGUE = """
messages = "dialogue.turns"
role = "speaker"
content = "said.text"
id = "meta.id"
time = "meta.when"
[roles]
customer = "user"
bot = "assistant"
"""
LINE = {
    "meta": {"id": 7, "when": 1767225600},
    "dialogue": {
        "turns": [
            {"speaker": "customer", "said": {"text": "hi"}},
            {"speaker": "bot", "said": {"text": "hello"}},
        ]
    },
}


def mapped(folder: Path, text: str, line: dict[str, Any]) -> list[Transcript]:
    path = folder / ("mapping.json" if text.startswith("{") else "mapping.toml")
    path.write_text(text)
    return list(read_mapping(path).read(line))


def test_a_mapping_says_where_the_messages_are(tmp_path: Path) -> None:
    (transcript,) = mapped(tmp_path, DIALOGUE, LINE)
    assert [message.content for message in transcript.messages] == ["hi"]
    assert transcript.replies[0].message is not None
    assert transcript.replies[0].message.content == "hello"
    assert (transcript.origin.id, transcript.origin.time) == ("7", 1767225600)


def test_a_mapping_may_be_json_and_name_columns(tmp_path: Path) -> None:
    text = json.dumps({"prompt": "rows.0.q", "response": "rows.1.a"})
    (transcript,) = mapped(tmp_path, text, {"rows": [{"q": "hi"}, {"a": "hello"}]})
    assert transcript.messages[0].content == "hi"
    assert transcript.replies[0].message is not None
    (transcript,) = mapped(tmp_path, 'text = "body"', {"body": "hi"})
    assert (transcript.messages[0].content, transcript.replies) == ("hi", ())


def test_a_line_that_does_not_fit_is_told_by_its_place(tmp_path: Path) -> None:
    for line in ({}, {"dialogue": {"turns": [{"speaker": "secret"}]}}, {"dialogue": "secret"}):
        with pytest.raises(InvalidRequest, match=r"dialogue\.turns") as raised:
            mapped(tmp_path, DIALOGUE, line)
        assert "secret" not in str(raised.value)


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("", "needs one of messages, text and prompt"),
        ('text = "a"\nmessages = "b"', "needs one of"),
        ('text = "a"\ntypo = "b"', "typo"),
        ('text = "a"\n[roles]\nx = "nobody"', "roles.x"),
        ("text = ", "mapping.toml"),
        ("{", "mapping.json"),
    ],
)
def test_a_wrong_mapping_is_refused_with_its_problem(
    tmp_path: Path, text: str, problem: str
) -> None:
    with pytest.raises(ScreeningRefused, match=problem):
        mapped(tmp_path, text, {})
    with pytest.raises(ScreeningRefused, match="none"):
        read_mapping(tmp_path / "none.toml")
