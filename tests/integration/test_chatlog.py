"""A whole chat log through ModerateBatch: every line is judged or accounted for."""

from collections import Counter
from pathlib import Path

from shared_data import shared_file

from guard_service.client import GuardClient, Message, ModerationRequest, Role, ToolCall
from guard_service.screening.chatlog import Logged, Place, Unjudged, read_chatlog

EXAMPLE = Path(__file__).parent.parent.parent / "docs/examples/chatlog.jsonl"


def request(entry: Logged) -> ModerationRequest:
    messages = [
        Message(
            Role(m.role.value),
            m.content,
            tuple(ToolCall(call.name, call.arguments_json) for call in m.tool_calls),
        )
        for m in entry.conversation.messages
    ]
    return ModerationRequest(messages, request_id=entry.id)


def judge(client: GuardClient, path: Path) -> tuple[list[Logged], list[Unjudged]]:
    """All that was judged, after checking that each item came back once and complete."""
    entries = list(read_chatlog(path.read_text(encoding="utf-8").splitlines()))
    logged = [entry for entry in entries if isinstance(entry, Logged)]
    items = list(client.moderate_batch(request(entry) for entry in logged))
    assert Counter(item.index for item in items) == Counter(range(len(logged)))
    for item in items:
        assert item.error is None
        assert item.moderation is not None
        assert item.request_id == logged[item.index].id
        assert item.moderation.verdict is not None
        coverage = item.moderation.coverage
        assert coverage is not None
        is_whole = coverage.judged_chars == coverage.total_chars
        assert item.moderation.assessment.value == ("complete" if is_whole else "partial")
    return logged, [entry for entry in entries if isinstance(entry, Unjudged)]


def test_the_shipped_log_is_judged_and_each_gap_has_its_reason(client: GuardClient) -> None:
    logged, unjudged = judge(client, EXAMPLE)
    num_lines = len(EXAMPLE.read_text().splitlines())
    assert {entry.line for entry in [*logged, *unjudged]} == set(range(1, num_lines + 1))
    reasons = {(entry.place, entry.reason.split(":")[0]) for entry in unjudged}
    assert reasons == {
        (Place.RESPONSE, "no response (status 503)"),
        (Place.RESPONSE, "no response (status 504)"),
        (Place.RESPONSE, "the response is blank"),
        (Place.PROMPT, "no user message"),
        (Place.LINE, "messages[0].content[0]"),
        (Place.LINE, "not a chat-completions log line"),
    }


def test_two_thousand_lines_are_all_accounted_for(client: GuardClient) -> None:
    path = shared_file("data/chatlog_sample.jsonl")
    logged, unjudged = judge(client, path)
    lines = Counter(entry.line for entry in logged if entry.place is Place.PROMPT)
    lines.update(entry.line for entry in unjudged if entry.place is not Place.RESPONSE)
    assert lines == Counter(range(1, 2001))  # one row for the prompt of every line
    responses = {entry.line for entry in logged if entry.place is Place.RESPONSE}
    without = {entry.line for entry in unjudged if entry.place is Place.RESPONSE}
    assert responses | without == set(range(1, 2001))
    assert not responses & without
    reasons = Counter(entry.reason.split(" (")[0] for entry in unjudged)
    assert reasons == {"no response": 97, "the response is blank": 25}
