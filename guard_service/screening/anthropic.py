"""Anthropic's messages: blocks of text and tools, with the response beside the request.

A model's thinking is left out: nobody was shown it.
"""

from collections.abc import Sequence
from typing import Any

import orjson

from guard_service.conversation import Message, Role, ToolCall
from guard_service.errors import InvalidRequest
from guard_service.screening.delta import read_events
from guard_service.screening.messages import invalid, read_content
from guard_service.screening.transcript import Reply, Transcript, origin_of, transcript_of

_THOUGHTS = ("thinking", "redacted_thinking")
_ROLES = {"user": Role.USER, "assistant": Role.ASSISTANT}


def is_anthropic(line: dict[str, Any]) -> bool:
    """Told from OpenAI's by what only Anthropic writes; in plain text alone they are the same."""
    request, response = line.get("request", line), line.get("response")
    if not isinstance(request, dict) or "messages" not in request:
        return False
    if isinstance(response, list):
        response = response[0] if response else None
    kind = response.get("type") if isinstance(response, dict) else None
    model = request.get("model")
    is_claude = isinstance(model, str) and model.startswith("claude")
    return is_claude or "system" in request or kind in ("message", "message_start", "error")


def read_anthropic(line: dict[str, Any]) -> Sequence[Transcript]:
    request = line.get("request", line)
    messages, origin = _read_all(request["messages"]), origin_of(line, request)
    if system := request.get("system"):
        messages.insert(0, Message(Role.SYSTEM, read_content(system, "system")))
    if "response" not in line:
        return (transcript_of(messages, origin),)
    return (Transcript(tuple(messages), (_reply(line),), origin),)


def _reply(line: dict[str, Any]) -> Reply:
    response = line["response"]
    if isinstance(response, list | str):
        response = {"content": _join(response)}
    content = response.get("content") if isinstance(response, dict) else None
    if not content:
        status = line.get("status")
        known = status if isinstance(status, int) else "unknown"
        return Reply(0, None, f"no response (status {known})")
    try:
        return Reply(0, _read("assistant", content, "response")[-1])
    except InvalidRequest as error:
        return Reply(0, None, str(error))


def _read_all(messages: Any) -> list[Message]:
    if not isinstance(messages, list):
        raise invalid("messages", "must be a list")
    return [
        part
        for number, message in enumerate(messages)
        for part in _read(message["role"], message["content"], f"messages[{number}]")
    ]


def _read(role: Any, content: Any, place: str) -> list[Message]:
    """One message, after the results of tools that it carries."""
    if role not in _ROLES:
        raise invalid(f"{place}.role", "must be user or assistant")
    blocks = [{"type": "text", "text": content}] if isinstance(content, str) else content
    results = [b for b in blocks if b["type"] == "tool_result"]
    calls = [b for b in blocks if b["type"] == "tool_use"]
    other = (*_THOUGHTS, "tool_result", "tool_use")
    texts = [block for block in blocks if block["type"] not in other]
    messages = [Message(Role.TOOL, _result(block, f"{place}.content")) for block in results]
    if texts or calls or not results:
        text = read_content(texts, f"{place}.content")
        messages.append(Message(_ROLES[role], text, tuple(map(_call, calls))))
    return messages


def _result(block: dict[str, Any], place: str) -> str:
    return read_content(block.get("content"), place)


def _call(block: dict[str, Any]) -> ToolCall:
    return ToolCall(str(block["name"]), orjson.dumps(block.get("input") or {}).decode())


def _join(stream: Sequence[Any] | str) -> list[dict[str, Any]]:
    """The blocks of a response that came in events."""
    blocks: dict[int, dict[str, Any]] = {}
    for event in read_events(stream):
        if event.get("type") == "content_block_start":
            blocks[event["index"]] = dict(event["content_block"])
        elif event.get("type") == "content_block_delta":
            _extend(blocks[event["index"]], event["delta"])
    return [_parsed(blocks[index]) for index in sorted(blocks)]


def _extend(block: dict[str, Any], delta: dict[str, Any]) -> None:
    for key in ("text", "partial_json"):
        if key in delta:
            block[key] = block.get(key, "") + delta[key]


def _parsed(block: dict[str, Any]) -> dict[str, Any]:
    written = block.pop("partial_json", "")
    return block | {"input": orjson.loads(written)} if written else block
