"""The path in this process, asked by a screening."""

import asyncio
from collections.abc import Sequence

import pytest
from conversations import policy
from in_process import Reader, Tokenizer
from screened_items import items
from scripted import SAFE, UNSAFE

from guard_service.batching.entry import Answer, Caller, Lane
from guard_service.conversation import Limits
from guard_service.errors import EngineUnavailable, GuardError, ReadingRejected
from guard_service.pipeline import Pipeline, PromptReader
from guard_service.prompt import Prompt
from guard_service.screening.judge import LocalJudge, NoReview
from guard_service.screening.judgement import Judgement, Unjudged

LIMITS = Limits(max_conversation_bytes=100)


def judge(reader: PromptReader, num_workers: int = 4) -> LocalJudge:
    policies = {"test": policy(categories={"S1": {}}, review={"blocked": True})}
    pipeline = Pipeline(Tokenizer(), reader, NoReview(), policies, "test", LIMITS, "scripted", 0.5)
    return LocalJudge(pipeline, "test", "digest", num_workers)


async def test_answers_come_in_the_order_of_the_items_whoever_is_answered_first() -> None:
    class Backwards(Reader):
        async def read(self, prompts: Sequence[Prompt], caller: Caller) -> list[Answer]:
            for _ in range(100 - len(prompts[0].ids)):
                await asyncio.sleep(0)
            return await super().read(prompts, caller)

    asked = items("harm", "fine", "no harm in it", "all fine here")
    answers = await judge(Backwards()).judge(asked)
    assert [answer.action for answer in answers if isinstance(answer, Judgement)] == [
        "block",
        "allow",
        "block",
        "allow",
    ]
    assert [answer.judged_chars for answer in answers if isinstance(answer, Judgement)] == [
        len(item.conversation.judged.content) for item in asked
    ]


async def test_a_judgement_holds_what_the_model_read_and_what_the_policy_made_of_it() -> None:
    unsafe, safe = await judge(Reader()).judge(items("harm", "fine"))
    assert isinstance(unsafe, Judgement)
    assert isinstance(safe, Judgement)
    assert (unsafe.codes, unsafe.is_unsafe, unsafe.needs_review) == (("S1",), True, True)
    assert unsafe.worst == UNSAFE
    assert (safe.codes, safe.worst) == ((), SAFE)
    assert (safe.assessment, safe.others) == ("complete", ())


async def test_what_can_never_be_judged_is_told_and_the_rest_is_judged() -> None:
    fine, long, fine_too = await judge(Reader()).judge(items("fine", "x" * 101, "fine too"))
    assert isinstance(fine, Judgement)
    assert isinstance(fine_too, Judgement)
    assert isinstance(long, Unjudged)
    assert "101" in long.reason
    assert "xx" not in long.reason
    (rejected,) = await judge(Reader(error=ReadingRejected())).judge(items("fine"))
    assert rejected == Unjudged(str(ReadingRejected()))


@pytest.mark.parametrize("error", [EngineUnavailable("away"), MemoryError()])
async def test_what_would_stop_any_is_raised_as_it_is(error: GuardError) -> None:
    with pytest.raises(type(error)):
        await judge(Reader(error=error)).judge(items("one", "two", "three"))


async def test_a_slice_asks_as_bulk_work_and_not_all_at_once() -> None:
    class Counting(Reader):
        num_under_way = most_under_way = 0

        async def read(self, prompts: Sequence[Prompt], caller: Caller) -> list[Answer]:
            self.num_under_way += 1
            self.most_under_way = max(self.most_under_way, self.num_under_way)
            await asyncio.sleep(0.001)
            self.num_under_way -= 1
            return await super().read(prompts, caller)

    reader = Counting()
    await judge(reader, num_workers=3).judge(items(*map(str, range(20))))
    assert len(reader.callers) == 20
    assert {caller.lane for caller in reader.callers} == {Lane.BULK}
    assert 1 < reader.most_under_way <= 3
