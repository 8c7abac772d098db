"""The whole path on scripted readings: what comes out for what the engine says."""

import asyncio
from collections.abc import Sequence
from dataclasses import replace

import pytest
from conversations import assistant, conversation, policy
from scripted import prompt

from guard_service.batching.entry import Answer, Caller
from guard_service.conversation import Conversation, Judge, Limits
from guard_service.decision import ReviewReason
from guard_service.encoding.window import Coverage
from guard_service.errors import (
    ConversationTooLong,
    DeadlineExceeded,
    EngineUnavailable,
    InvalidRequest,
    PolicyUnknown,
    ReadingRejected,
    StoreUnavailable,
)
from guard_service.evidence import redecide
from guard_service.pipeline import Assessment, Check, Outcome, Pipeline
from guard_service.policy import Action, OnUnavailable, Policy
from guard_service.prompt import Prompt
from guard_service.review.item import ReviewItem
from guard_service.sign import TextSign
from guard_service.verdict import Reading

FIRST = (1.0, *[0.0] * 13)


class Tokenizer:
    def __init__(self, num_windows: int = 1, coverage: Coverage | None = None) -> None:
        prompts = tuple(prompt(n) for n in range(num_windows))
        self._answer = prompts, coverage or Coverage(5, 5, num_windows)

    def prompts(self, _: Conversation, __: Policy) -> tuple[tuple[Prompt, ...], Coverage]:
        return self._answer


class Reader:
    def __init__(self, *readings: Reading, error: Exception | None = None) -> None:
        self._readings, self._error = readings, error
        self.callers: list[Caller] = []

    async def read(self, prompts: Sequence[Prompt], caller: Caller) -> list[Answer]:
        self.callers.append(caller)
        if isinstance(self._error, TimeoutError):
            await asyncio.sleep(3600)
        if self._error:
            raise self._error
        return [Answer(reading, 1.0, 2.0, 3) for reading in self._readings]


class Feed:
    def __init__(self, error: Exception | None = None) -> None:
        self.items: list[ReviewItem] = []
        self._error = error

    async def add(self, item: ReviewItem) -> str:
        if self._error:
            raise self._error
        self.items.append(item)
        return item.id


def pipeline(
    *readings: Reading,
    error: Exception | None = None,
    feed: Feed | None = None,
    fallbacks: list[Outcome] | None = None,
    tokenizer: Tokenizer | None = None,
    **values: object,
) -> Pipeline:
    return Pipeline(
        tokenizer=tokenizer or Tokenizer(len(readings)),
        reader=Reader(*readings, error=error),
        feed=feed or Feed(),
        policies={"test": policy(**values)},
        default_policy="test",
        limits=Limits(max_messages=3, max_conversation_bytes=100),
        model="scripted",
        min_label_mass=0.5,
        on_fallback=[].append if fallbacks is None else fallbacks.append,
    )


SAFE = Reading(0.01, 1.0, FIRST)
UNSAFE = Reading(0.97, 1.0, FIRST, ("S1",))
HELLO = Check(conversation("hello"), request_id="r-1")


async def test_a_safe_message_is_allowed_and_nobody_is_told() -> None:
    feed = Feed()
    outcome = await pipeline(SAFE, feed=feed).moderate(HELLO)
    assert outcome.decision.action is Action.ALLOW
    assert outcome.assessment is Assessment.COMPLETE
    assert (outcome.request_id, outcome.review_item_id) == ("r-1", "")
    assert feed.items == []


async def test_a_blocked_message_is_written_for_review_before_the_answer() -> None:
    feed = Feed()
    judged = conversation("a", assistant("b"))
    check = Check(judged, request_id="r-1", labels={"chat": "7"})
    outcome = await pipeline(UNSAFE, feed=feed).moderate(check)
    (item,) = feed.items
    assert outcome.decision.action is Action.BLOCK
    assert outcome.review_item_id == item.id
    assert item.reason is ReviewReason.BLOCKED
    assert item.codes == ("S1",)
    assert item.labels == {"chat": "7"}
    assert item.conversation_digest == judged.digest()


async def test_what_a_decision_rests_on_goes_to_review_with_it() -> None:
    feed = Feed()
    guard = replace(pipeline(SAFE, UNSAFE, feed=feed), model_digest=lambda: "m")
    await guard.moderate(HELLO)
    (item,) = feed.items
    assert item.evidence
    assert item.evidence.readings == (SAFE, UNSAFE)
    assert item.evidence.policy == guard.policies["test"]
    assert (item.evidence.model_digest, len(item.evidence.prompt_digest)) == ("m", 64)
    verdict, decision = redecide(item.evidence, item.evidence.policy, "r-1")
    assert (decision.action, verdict.unsafe_score) == (item.action, item.unsafe_score)


@pytest.mark.parametrize(
    ("values", "inclusion"), [({"sample": 0.999}, 0.999), ({"band": 0.5}, 1.0)]
)
async def test_an_item_says_how_probable_it_was_that_people_see_it(
    values: dict[str, float], inclusion: float
) -> None:
    feed = Feed()
    await pipeline(SAFE, feed=feed, review={"band": 0.0} | values).moderate(HELLO)
    (item,) = feed.items
    assert item.place.inclusion == inclusion


async def test_without_a_request_id_one_is_made_up() -> None:
    ids = [(await pipeline(SAFE).moderate(Check(HELLO.conversation))).request_id for _ in "ab"]
    assert len(set(ids)) == 2
    assert all(ids)


async def test_the_worst_window_decides_and_usage_counts_them_all() -> None:
    tokenizer = Tokenizer(2, Coverage(10, 10, 2))
    outcome = await pipeline(SAFE, UNSAFE, tokenizer=tokenizer).moderate(HELLO)
    assert outcome.decision.action is Action.BLOCK
    assert outcome.usage.prompt_tokens == 8
    assert outcome.usage.cached_tokens == 6


async def test_context_that_did_not_fit_makes_the_assessment_partial() -> None:
    tokenizer = Tokenizer(1, Coverage(5, 10, 1))
    outcome = await pipeline(SAFE, tokenizer=tokenizer).moderate(HELLO)
    assert outcome.assessment is Assessment.PARTIAL


@pytest.mark.parametrize("error", [EngineUnavailable(), StoreUnavailable(), ReadingRejected()])
async def test_by_default_what_cannot_be_judged_is_an_error(error: Exception) -> None:
    with pytest.raises(type(error)):
        await pipeline(SAFE, error=error).moderate(HELLO)


async def test_garbage_from_the_engine_is_never_a_verdict() -> None:
    for garbage in (Reading(0.0, 0.1, FIRST), Reading(float("nan"), 1.0, FIRST)):
        with pytest.raises(ReadingRejected):
            await pipeline(garbage).moderate(HELLO)


async def test_a_decision_that_cannot_be_recorded_is_withheld() -> None:
    with pytest.raises(StoreUnavailable):
        await pipeline(UNSAFE, feed=Feed(StoreUnavailable())).moderate(HELLO)


@pytest.mark.parametrize(
    ("of_policy", "of_request", "action"),
    [
        ("block", None, Action.BLOCK),
        ("allow", None, Action.ALLOW),
        ("error", OnUnavailable.BLOCK, Action.BLOCK),
        ("allow", OnUnavailable.ALLOW, Action.ALLOW),
        ("allow", OnUnavailable.BLOCK, Action.BLOCK),
    ],
)
async def test_a_fallback_is_declared_as_such_and_has_no_verdict(
    of_policy: str, of_request: OnUnavailable | None, action: Action
) -> None:
    down = pipeline(SAFE, error=EngineUnavailable(), on_unavailable=of_policy)
    outcome = await down.moderate(replace(HELLO, on_unavailable=of_request))
    assert outcome.assessment is Assessment.UNAVAILABLE
    assert outcome.decision.action is action
    assert outcome.verdict is None


@pytest.mark.parametrize("of_policy", ["error", "block"])
async def test_a_request_cannot_ask_for_allow_where_the_policy_does_not(of_policy: str) -> None:
    check = replace(HELLO, on_unavailable=OnUnavailable.ALLOW)
    with pytest.raises(InvalidRequest, match="on_unavailable"):
        await pipeline(SAFE, on_unavailable=of_policy).moderate(check)


async def test_an_unknown_policy_is_refused_without_quoting_it() -> None:
    with pytest.raises(PolicyUnknown) as error:
        await pipeline(SAFE).moderate(replace(HELLO, policy="secret-name"))
    assert "secret-name" not in str(error.value)


async def test_bad_requests_do_not_fall_back_to_allow() -> None:
    allowing = pipeline(SAFE, on_unavailable="allow")
    with pytest.raises(ConversationTooLong):
        await allowing.moderate(Check(conversation("x" * 101)))


SOON_S = 0.2  # long enough for a busy machine to begin


async def in_time(check: Check, *readings: Reading, **values: object) -> Outcome:
    """What is answered to a caller with a deadline, which is not waited out by much."""
    deadline_s = asyncio.get_running_loop().time() + SOON_S
    guard = pipeline(*readings, **values)  # type: ignore[arg-type]
    try:
        return await guard.moderate(replace(check, caller=Caller(deadline_s=deadline_s)))
    finally:
        # The engine would take for ever; a busy machine may wake us late.
        assert asyncio.get_running_loop().time() < deadline_s + 5
        assert isinstance(guard.reader, Reader)
        assert [caller.deadline_s < deadline_s for caller in guard.reader.callers] == [True]


@pytest.mark.parametrize("choice", ["block", "allow"])
async def test_the_fallback_is_answered_before_the_callers_deadline(choice: str) -> None:
    outcome = await in_time(HELLO, SAFE, error=TimeoutError(), on_unavailable=choice)
    assert outcome.assessment is Assessment.UNAVAILABLE
    assert outcome.decision.action.value == choice


async def test_without_a_fallback_the_error_comes_before_the_deadline_too() -> None:
    with pytest.raises(DeadlineExceeded):
        await in_time(HELLO, SAFE, error=TimeoutError())


async def test_a_deadline_that_has_passed_is_answered_at_once() -> None:
    late = replace(HELLO, caller=Caller(deadline_s=asyncio.get_running_loop().time()))
    with pytest.raises(DeadlineExceeded):
        await pipeline(SAFE, error=TimeoutError()).moderate(late)


async def test_each_use_of_the_fallback_is_told_and_nothing_else_is() -> None:
    fallbacks: list[Outcome] = []
    await pipeline(UNSAFE, fallbacks=fallbacks).moderate(HELLO)
    assert fallbacks == []
    down = pipeline(error=EngineUnavailable(), fallbacks=fallbacks, on_unavailable="block")
    assert [await down.moderate(HELLO), await down.moderate(HELLO)] == fallbacks


async def test_people_see_the_fallback_where_the_policy_wants_them_to() -> None:
    feed, error = Feed(), EngineUnavailable()
    await pipeline(feed=feed, error=error, on_unavailable="allow").moderate(HELLO)
    assert feed.items == []
    rule = {"unavailable": True}
    down = pipeline(feed=feed, error=error, on_unavailable="allow", review=rule)
    outcome = await down.moderate(HELLO)
    (item,) = feed.items
    assert (item.reason, item.unsafe_score) == (ReviewReason.UNAVAILABLE, None)
    assert outcome.review_item_id == item.id


async def test_a_fallback_that_cannot_be_recorded_is_withheld() -> None:
    feed = Feed(StoreUnavailable())
    rule = {"unavailable": True}
    down = pipeline(feed=feed, error=EngineUnavailable(), on_unavailable="allow", review=rule)
    with pytest.raises(StoreUnavailable):
        await down.moderate(HELLO)


async def test_what_was_found_unsafe_is_not_allowed_because_the_store_is_away() -> None:
    down = pipeline(UNSAFE, feed=Feed(StoreUnavailable()), on_unavailable="allow")
    outcome = await down.moderate(HELLO)
    assert outcome.assessment is Assessment.UNAVAILABLE
    assert outcome.decision.action is Action.BLOCK


DISGUISED = Check(conversation("b\u200bo\u200bm\u200bb"), request_id="r-1")


async def test_a_disguised_message_is_judged_by_the_worse_of_its_two_readings() -> None:
    outcome = await pipeline(SAFE, UNSAFE, tokenizer=Tokenizer()).moderate(DISGUISED)
    assert outcome.decision.action is Action.BLOCK
    assert outcome.signs == {TextSign.INVISIBLE}
    assert outcome.worst is not None
    assert outcome.worst.is_cleaned
    assert outcome.coverage == Coverage(5, 5, 2)


async def test_raw_text_that_is_unsafe_stays_so_however_harmless_it_is_cleaned() -> None:
    outcome = await pipeline(UNSAFE, SAFE, tokenizer=Tokenizer()).moderate(DISGUISED)
    assert outcome.decision.action is Action.BLOCK
    assert outcome.worst is not None
    assert not outcome.worst.is_cleaned


@pytest.mark.parametrize(
    ("rule", "action", "reason"),
    [
        (None, Action.ALLOW, None),
        ("review", Action.ALLOW, ReviewReason.TEXT_SIGN),
        ("block", Action.BLOCK, ReviewReason.BLOCKED),
    ],
)
async def test_the_policy_says_what_a_sign_does(
    rule: str | None, action: Action, reason: ReviewReason | None
) -> None:
    signs = {"invisible": rule} if rule else {}
    guard = pipeline(SAFE, SAFE, tokenizer=Tokenizer(), signs=signs)
    outcome = await guard.moderate(DISGUISED)
    assert outcome.decision.action is action
    assert outcome.decision.review_reason is reason


async def test_all_turns_are_judged_on_request_and_the_worst_decides() -> None:
    judged = conversation("bad", assistant("no"), "hi")
    last = Check(judged, request_id="r-1")
    assert (await pipeline(SAFE).moderate(last)).decision.action is Action.ALLOW
    guard = pipeline(SAFE, UNSAFE, SAFE, tokenizer=Tokenizer(1, Coverage(2, 7, 1)))
    outcome = await guard.moderate(replace(last, judge=Judge.ALL))
    assert outcome.decision.action is Action.BLOCK
    assert outcome.worst is not None
    assert outcome.worst.message == 0
    assert outcome.coverage == Coverage(7, 7, 3)
    assert outcome.assessment is Assessment.COMPLETE
