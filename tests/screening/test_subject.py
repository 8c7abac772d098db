import pytest
from hypothesis import given
from hypothesis import strategies as st

from guard_service.conversation import Conversation, Message, Role, ToolCall
from guard_service.screening.subject import Gap, Item, Place, Subject, items_of
from guard_service.screening.transcript import Reply, Transcript

PLACE = Place("a.jsonl", 7)
SYSTEM, ONE, SAID, TWO = (
    Message(Role.SYSTEM, "s"),
    Message(Role.USER, "one"),
    Message(Role.ASSISTANT, "said"),
    Message(Role.USER, "two"),
)
REPLIES = (Reply(0, Message(Role.ASSISTANT, "a")), Reply(1, Message(Role.ASSISTANT, "b")))
TALK = Transcript((SYSTEM, ONE, SAID, TWO), REPLIES)


def judged(transcript: Transcript, *subjects: Subject) -> list[tuple[int, int, str]]:
    entries = items_of(PLACE, transcript, frozenset(subjects))
    return [
        (entry.message, entry.choice, entry.conversation.judged.content)
        for entry in entries
        if isinstance(entry, Item)
    ]


def gaps(transcript: Transcript, *subjects: Subject) -> list[tuple[int | None, str]]:
    entries = items_of(PLACE, transcript, frozenset(subjects))
    return [(entry.message, entry.reason) for entry in entries if isinstance(entry, Gap)]


@pytest.mark.parametrize(
    ("subjects", "expected"),
    [
        ([Subject.LAST_USER], [(3, 0, "two")]),
        ([Subject.USERS], [(1, 0, "one"), (3, 0, "two")]),
        ([Subject.REPLY], [(4, 0, "a"), (4, 1, "b")]),
        ([Subject.LAST_USER, Subject.REPLY], [(3, 0, "two"), (4, 0, "a"), (4, 1, "b")]),
        (
            [Subject.ALL],
            [(1, 0, "one"), (2, 0, "said"), (3, 0, "two"), (4, 0, "a"), (4, 1, "b")],
        ),
    ],
)
def test_what_is_asked_for_is_judged(
    subjects: list[Subject], expected: list[tuple[int, int, str]]
) -> None:
    assert judged(TALK, *subjects) == expected
    assert gaps(TALK, *subjects) == []


def test_each_is_judged_with_all_that_came_before_it() -> None:
    items = [each for each in items_of(PLACE, TALK, {Subject.USERS}) if isinstance(each, Item)]
    assert [item.conversation.messages for item in items] == [
        (SYSTEM, ONE),
        (SYSTEM, ONE, SAID, TWO),
    ]
    assert {item.place for item in items} == {PLACE}


def test_what_cannot_be_judged_has_its_reason() -> None:
    blank = Message(Role.USER, " ")
    none = Transcript(
        (blank,), (Reply(0, None, "no response"), Reply(1, Message(Role.ASSISTANT, "")))
    )
    both = (Subject.LAST_USER, Subject.REPLY)
    assert gaps(none, *both) == [
        (0, "the user message is blank"),
        (1, "no response"),
        (1, "the response is blank"),
    ]
    assert gaps(Transcript((SYSTEM,), REPLIES), *both) == [(None, "no user message")]
    assert gaps(Transcript((), REPLIES), *both) == []  # a reply alone lacks nothing
    assert gaps(Transcript((ONE,)), Subject.REPLY) == [(None, "no reply")]
    assert gaps(Transcript(()), *both) == [(None, "no user message")]


ROLES = st.sampled_from([Role.USER, Role.ASSISTANT, Role.TOOL, Role.SYSTEM])
CALLS = st.lists(st.builds(ToolCall, st.text(max_size=3), st.text(max_size=3)), max_size=2)
MESSAGES = st.lists(
    st.builds(
        lambda role, text, calls: Message(role, text, tuple(calls)),
        ROLES,
        st.text("ab 0\0", max_size=4),
        CALLS,
    ),
    max_size=4,
)


@given(MESSAGES, MESSAGES)
def test_digests_are_equal_exactly_for_equal_conversations(
    left: list[Message], right: list[Message]
) -> None:
    items = [
        entry
        for messages in (left, right)
        for entry in items_of(PLACE, Transcript(tuple(messages)), {Subject.ALL})
        if isinstance(entry, Item)
    ]
    by_digest: dict[bytes, Conversation] = {}
    for item in items:
        assert by_digest.setdefault(item.digest, item.conversation) == item.conversation
    assert len(by_digest) == len({item.conversation for item in items})
