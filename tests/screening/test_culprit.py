"""What kills the engine is told and not judged; nobody else is blamed, and nothing is left out."""

import asyncio
from collections.abc import Sequence

import pytest
from screened_items import items
from scripted import in_virtual_time
from scripted_judge import judgement

from guard_service.errors import EngineUnavailable, StoreUnavailable
from guard_service.screening.culprit import CulpritFinder
from guard_service.screening.judgement import Judgement, Unjudged
from guard_service.screening.subject import Item

DIED = Unjudged("the engine died over it")


class MortalJudge:
    """One engine: whatever is asked while it dies over "deadly" fails, and so for a while after."""

    def __init__(self, away_s: float = 3.0, back_s: float = 0.0) -> None:
        self._away_s = away_s
        self._back_s = back_s
        self._num_deaths = 0
        self.slices: list[list[str]] = []

    async def judge(self, items: Sequence[Item]) -> list[Judgement | Unjudged]:
        texts = [item.conversation.judged.content for item in items]
        self.slices.append(texts)
        loop, num_deaths = asyncio.get_running_loop(), self._num_deaths
        await asyncio.sleep(1)
        if "deadly" in " ".join(texts) and loop.time() >= self._back_s:
            self._num_deaths += 1
            self._back_s = loop.time() + self._away_s
        await asyncio.sleep(1)
        if loop.time() < self._back_s or self._num_deaths > num_deaths:
            raise EngineUnavailable
        return [judgement(item) for item in items]

    def times_asked(self, text: str) -> int:
        return sum(texts.count(text) for texts in self.slices)


def test_what_kills_the_engine_is_told_and_the_rest_of_its_slice_is_judged() -> None:
    judge = MortalJudge()
    asked = items("a", "deadly one", "b", "deadly two")
    answers = in_virtual_time(CulpritFinder(judge, 60).judge(asked))
    assert answers == [judgement(asked[0]), DIED, judgement(asked[2]), DIED]


def test_slices_that_were_under_way_beside_it_are_judged_whole() -> None:
    judge = MortalJudge()
    slices = [items("a", "b"), items("deadly"), items("c", "d"), items("e")]

    async def ask() -> list[list[Judgement | Unjudged]]:
        finder = CulpritFinder(judge, 60)
        return await asyncio.gather(*map(finder.judge, slices))

    first, culprit, *others = in_virtual_time(ask())
    assert culprit == [DIED]
    assert [first, *others] == [
        [judgement(item) for item in each] for each in (slices[0], *slices[2:])
    ]


def test_a_death_by_chance_costs_nothing_but_time() -> None:
    judge = MortalJudge(back_s=5.0)
    asked = items("a", "b")
    assert in_virtual_time(CulpritFinder(judge, 60).judge(asked)) == list(map(judgement, asked))


def test_a_known_culprit_is_not_asked_about_again() -> None:
    judge = MortalJudge()

    async def ask() -> list[Judgement | Unjudged]:
        finder = CulpritFinder(judge, 60)
        await finder.judge(items("deadly"))
        num_times = judge.times_asked("deadly")
        answers = await finder.judge(items("a", "deadly"))
        assert judge.times_asked("deadly") == num_times == 3
        return answers

    assert in_virtual_time(ask()) == [judgement(*items("a")), DIED]


def test_an_engine_that_stays_away_ends_the_run() -> None:
    judge = MortalJudge(away_s=10_000)
    with pytest.raises(EngineUnavailable, match="no engine for 60 s"):
        in_virtual_time(CulpritFinder(judge, 60).judge(items("deadly")))


def test_other_errors_are_for_the_run() -> None:
    class Failing:
        async def judge(self, items: Sequence[Item]) -> list[Judgement | Unjudged]:
            raise StoreUnavailable

    with pytest.raises(StoreUnavailable):
        in_virtual_time(CulpritFinder(Failing(), 60).judge(items("a")))
