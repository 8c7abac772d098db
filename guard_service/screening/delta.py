"""A streamed response put together again: from chunks, or from the text of their events."""

from collections.abc import Iterator, Sequence
from typing import Any

import orjson


def join_stream(stream: Sequence[Any] | str) -> list[dict[str, Any]]:
    """OpenAI's chunks as the choices of a response that was not streamed."""
    choices: dict[int, _Joined] = {}
    for chunk in read_events(stream):
        for choice in chunk.get("choices") or ():
            choices.setdefault(choice.get("index", 0), _Joined()).add(choice.get("delta") or {})
    return [{"message": choices[index].message()} for index in sorted(choices)]


def read_events(stream: Sequence[Any] | str) -> Iterator[dict[str, Any]]:
    """The objects of a stream, from a list or from server-sent events."""
    if isinstance(stream, str):
        lines = (line.removeprefix("data:").strip() for line in stream.split("\n"))
        stream = [orjson.loads(line) for line in lines if line.startswith("{")]
    for event in stream:
        yield event if isinstance(event, dict) else orjson.loads(event)


class _Joined:
    """One choice so far."""

    def __init__(self) -> None:
        self._content = ""
        self._calls: dict[int, dict[str, str]] = {}

    def add(self, delta: dict[str, Any]) -> None:
        self._content += delta.get("content") or ""
        for part in delta.get("tool_calls") or ():
            function = self._calls.setdefault(part.get("index", 0), {"name": "", "arguments": ""})
            for key, text in (part.get("function") or {}).items():
                function[key] = function.get(key, "") + (text or "")

    def message(self) -> dict[str, Any]:
        calls = [{"function": self._calls[index]} for index in sorted(self._calls)]
        return {"role": "assistant", "content": self._content, "tool_calls": calls}
