"""Each conversation is asked once, in slices; a failure or a stop ends what has not begun."""

import asyncio
from collections.abc import Iterator, Sequence
from pathlib import Path

import pytest
from screened_items import items
from scripted import in_virtual_time
from scripted_judge import ScriptedJudge, judgement

from guard_service.errors import ScreeningStopped, Unavailable
from guard_service.screening.asker import SLICE_ITEMS, Answers, Asker
from guard_service.screening.judgement import Judgement, Unjudged
from guard_service.screening.seen import Seen
from guard_service.screening.subject import Item

MANY = items(*map(str, range(10 * SLICE_ITEMS)))


@pytest.fixture
def seen(tmp_path: Path) -> Iterator[Seen]:
    with Seen(tmp_path / "seen") as opened:
        yield opened


class SlowJudge(ScriptedJudge):
    """Takes a second for each slice; counts those under way, and fails at one if asked to."""

    def __init__(self, fails_at: int | None = None) -> None:
        super().__init__()
        self.sizes: list[int] = []
        self.most_under_way = 0
        self._num_under_way = 0
        self._fails_at = fails_at

    async def judge(self, items: Sequence[Item]) -> list[Judgement | Unjudged]:
        self.sizes.append(len(items))
        is_failing = len(self.sizes) - 1 == self._fails_at
        self._num_under_way += 1
        self.most_under_way = max(self.most_under_way, self._num_under_way)
        await asyncio.sleep(0.5 if is_failing else 1)
        self._num_under_way -= 1
        if is_failing:
            raise Unavailable("away")
        return await super().judge(items)


def asking(judge: ScriptedJudge, seen: Seen, *chunks: Sequence[Item]) -> list[Answers]:
    async def ask() -> list[Answers]:
        asker = Asker(judge, seen, asyncio.Event(), lambda _: None)
        return await asyncio.gather(*map(asker.ask, chunks))

    answers: list[Answers] = in_virtual_time(ask())
    return answers


def test_a_chunk_is_asked_in_slices_a_few_at_a_time(seen: Seen) -> None:
    judge = SlowJudge()
    (answers,) = asking(judge, seen, MANY[: 6 * SLICE_ITEMS + 1])
    assert judge.sizes == [SLICE_ITEMS] * 6 + [1]
    assert judge.most_under_way == 4
    assert answers == {item.digest: judgement(item) for item in MANY[: 6 * SLICE_ITEMS + 1]}


def test_chunks_under_way_together_share_what_both_want(seen: Seen) -> None:
    judge = SlowJudge()
    first, second = MANY[:200], [*MANY[100:300], MANY[100]]
    answers = asking(judge, seen, first, second)
    assert sorted(judge.asked) == sorted(item.digest for item in MANY[:300])
    for chunk, answered in zip((first, second), answers, strict=True):
        assert {item.digest for item in chunk} <= answered.keys()


def test_what_was_judged_before_is_not_asked_but_what_could_not_be_is(seen: Seen) -> None:
    asked = items("a", "unreadable", "b")
    assert asking(ScriptedJudge(), seen, asked) == asking(judge := ScriptedJudge(), seen, asked)
    assert judge.asked == [asked[1].digest]


def test_the_first_failure_ends_all_that_has_not_begun_and_keeps_what_had(seen: Seen) -> None:
    judge = SlowJudge(fails_at=1)
    with pytest.raises(Unavailable, match="away"):
        asking(judge, seen, MANY)
    assert len(judge.sizes) == 4
    begun = {item.digest for item in MANY[: 4 * SLICE_ITEMS]}
    failed = {item.digest for item in MANY[SLICE_ITEMS : 2 * SLICE_ITEMS]}
    assert seen.find([item.digest for item in MANY]).keys() == begun - failed


def test_a_stop_lets_what_has_begun_end(seen: Seen) -> None:
    judge, stopping, counted = SlowJudge(), asyncio.Event(), []

    async def ask() -> None:
        asker = Asker(judge, seen, stopping, counted.append)
        asking = asyncio.create_task(asker.ask(MANY))
        await asyncio.sleep(0.5)
        stopping.set()
        with pytest.raises(ScreeningStopped):
            await asking

    in_virtual_time(ask())
    assert counted == [SLICE_ITEMS] * 4
    assert len(seen.find([item.digest for item in MANY])) == 4 * SLICE_ITEMS
