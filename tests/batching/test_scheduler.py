"""Random work through the scheduler, against what it promises whatever comes."""

from collections import Counter
from concurrent.futures import Future
from dataclasses import dataclass, field

from hypothesis import given, settings
from hypothesis import strategies as st
from scripted import SAFE, prompt

from guard_service.batching.entry import Asker, Caller, Entry, Lane
from guard_service.batching.scheduler import BatchLimits, Pass, Scheduler

LIMITS = BatchLimits(max_batch_tokens=64, max_bulk_batch_tokens=128, min_piece_tokens=8)
FOREVER = float("inf")


def second_a_token(num_tokens: int) -> float:
    return float(num_tokens)


@dataclass
class Work:
    """A scheduler, its engines' memories, and everything that was ever asked."""

    scheduler: Scheduler = field(default_factory=lambda: Scheduler(LIMITS))
    entries: list[Entry] = field(default_factory=list)
    now_s: float = 0.0
    read: dict[int, tuple[int, ...]] = field(default_factory=dict)
    held: dict[tuple[int, int], tuple[int, ...]] = field(default_factory=dict)

    def ask(
        self,
        num_tokens: int,
        lane: Lane = Lane.BULK,
        name: str = "a",
        deadline_s: float = FOREVER,
        *,
        goes_alone: bool = False,
    ) -> Entry:
        caller = Caller(lane, name, deadline_s=deadline_s)
        asker = Asker(Future(), self.now_s, deadline_s)  # type: ignore[arg-type]
        ids = prompt(*range(num_tokens))
        entry = Entry(len(self.entries), b"", ids, caller, self.now_s, [asker], goes_alone)
        self.entries.append(entry)
        self.scheduler.push(entry)
        return entry

    def step(self, engine: int = 0, *, takes_time: bool = False) -> Pass:
        formed = self.scheduler.next_pass(
            engine, self.now_s, second_a_token if takes_time else lambda _: 0.0
        )
        for key in formed.forgotten:
            del self.held[engine, key]
        for piece in formed.pieces:
            ids = self.held.pop((engine, piece.key), ()) + piece.ids
            if piece.is_last:
                assert piece.key not in self.read
                self.read[piece.key] = ids
                self.entries[piece.key].finish(SAFE)
            else:
                self.held[engine, piece.key] = ids
        self.now_s += formed.num_tokens if takes_time else 1.0
        return formed

    def drain(self, num_engines: int = 1) -> None:
        for number in range(10_000):
            if not self.scheduler.num_waiting:
                return
            self.step(number % num_engines)
        raise AssertionError("it never ends")


@st.composite
def asks(draw: st.DrawFn) -> tuple[int, Lane, str]:
    length = draw(st.one_of(st.integers(1, 70), st.integers(1, 600)))
    return length, draw(st.sampled_from(Lane)), draw(st.sampled_from("abc"))


@settings(max_examples=150, deadline=None)
@given(st.lists(st.one_of(asks(), st.integers(0, 30)), max_size=60), st.integers(1, 3))
def test_all_are_read_once_in_whole_and_who_left_is_forgotten(
    steps: list[tuple[int, Lane, str] | int], num_engines: int
) -> None:
    w = Work()
    for step in steps:
        if isinstance(step, tuple):
            w.ask(*step)
        elif step < len(w.entries) and step % 3 == 0:
            w.entries[step].askers[0].answer.cancel()
        else:
            formed = w.step(step % num_engines)
            assert formed.num_tokens == sum(len(p.ids) for p in formed.pieces)
            assert formed.num_tokens <= LIMITS.max_bulk_batch_tokens
    w.drain(num_engines)
    left = {e.key for e in w.entries if e.askers[0].answer.cancelled()}
    assert {e.key for e in w.entries} - left <= w.read.keys()
    assert all(ids == w.entries[key].prompt.ids for key, ids in w.read.items())
    for engine in range(num_engines):  # what was left in part goes with the next pass
        w.ask(1)
        w.step(engine)
    assert w.held == {}


@settings(max_examples=50, deadline=None)
@given(st.lists(st.integers(9, 600), min_size=1, max_size=30))
def test_pieces_are_never_small_and_few_prompts_are_held_in_part(lengths: list[int]) -> None:
    w = Work()
    for length in lengths:
        w.ask(length, Lane.INTERACTIVE)
    sizes: list[int] = []
    while w.scheduler.num_waiting:
        sizes += [len(piece.ids) for piece in w.step().pieces]
        assert len(w.held) <= 4
    assert min(sizes) >= LIMITS.min_piece_tokens


def test_interactive_work_goes_before_all_bulk_work_that_came_earlier() -> None:
    w = Work()
    for _ in range(50):
        w.ask(20)
    calls = [w.ask(20, Lane.INTERACTIVE) for _ in range(3)]
    assert w.step().entries == calls


def test_bulk_work_goes_on_however_much_interactive_work_there_is() -> None:
    w = Work()
    bulk = [w.ask(20) for _ in range(10)]
    num_tokens = 0
    while not bulk[-1].askers[0].answer.done():
        for _ in range(4):
            w.ask(20, Lane.INTERACTIVE)
        num_tokens += w.step().num_tokens
        assert num_tokens < 1.5 * 200 * 64  # its share is a 64th
    assert num_tokens > 200 * 40  # and not much more


def test_a_long_prompt_holds_no_pass() -> None:
    w = Work()
    long = w.ask(1000, Lane.INTERACTIVE)
    for _ in range(5):
        call = w.ask(10, Lane.INTERACTIVE, name="b")
        assert call in w.step().entries
    assert 0 < long.num_sent < 1000


def test_while_interactive_calls_are_about_bulk_passes_stay_short() -> None:
    w = Work()
    for _ in range(100):
        w.ask(8)
    assert w.step().num_tokens == LIMITS.max_bulk_batch_tokens
    w.ask(8, Lane.INTERACTIVE)
    w.step()
    assert w.step().num_tokens <= LIMITS.max_batch_tokens // 4
    w.now_s += 10.0
    assert w.step().num_tokens == LIMITS.max_bulk_batch_tokens


def test_on_a_slow_engine_the_next_interactive_call_is_near_for_as_many_passes() -> None:
    w = Work()
    for _ in range(500):
        w.ask(8)
    w.ask(8, Lane.INTERACTIVE)
    while w.now_s < 10 * LIMITS.max_batch_tokens:  # seconds, a token each
        assert w.step(takes_time=True).num_tokens <= LIMITS.max_batch_tokens // 4


@settings(max_examples=30, deadline=None)
@given(st.integers(1, 200), st.integers(8, 60))
def test_a_hundredfold_caller_moves_another_by_a_bounded_number_of_passes(
    num_before: int, length: int
) -> None:
    w = Work()
    for _ in range(num_before + 200):
        w.ask(length, Lane.INTERACTIVE, "greedy")
    for _ in range(num_before):
        w.step()
    call = w.ask(length, Lane.INTERACTIVE, "other")
    assert any(call in w.step().entries for _ in range(2))


@settings(max_examples=100, deadline=None)
@given(st.lists(st.tuples(st.integers(1, 200), st.integers(0, 400)), min_size=1, max_size=30))
def test_what_cannot_end_by_its_deadline_is_not_begun(asked: list[tuple[int, int]]) -> None:
    w = Work()
    for length, deadline in asked:
        w.ask(length, Lane.INTERACTIVE, deadline_s=deadline)
    ended: Counter[str] = Counter()
    while w.scheduler.num_waiting:
        formed = w.step(takes_time=True)
        for entry in formed.late:
            ended["late"] += 1
            entry.askers[0].answer.cancel()
        for piece, entry in zip(formed.pieces, formed.entries, strict=True):
            if piece.is_last:
                ended["in time" if w.now_s <= entry.caller.deadline_s else "too late"] += 1
    assert ended["too late"] == 0
    assert ended.total() == len(asked)


def test_an_engine_that_is_lost_names_the_prompts_that_it_held_in_part() -> None:
    w = Work()
    begun, other = w.ask(200), w.ask(300)
    w.step(engine=0)
    w.step(engine=1)
    assert w.scheduler.lose(0) == {begun}
    assert w.scheduler.lose(0) == set()
    assert w.scheduler.lose(1) == {other}


@settings(max_examples=50, deadline=None)
@given(st.lists(st.tuples(asks(), st.booleans()), max_size=40), st.integers(1, 3))
def test_who_goes_alone_shares_no_pass_and_keeps_nobody_waiting(
    asked: list[tuple[tuple[int, Lane, str], bool]], num_engines: int
) -> None:
    w = Work()
    for ask, goes_alone in asked:
        w.ask(*ask, goes_alone=goes_alone)
    was_alone = False
    for number in range(10_000):
        if not w.scheduler.num_waiting:
            break
        others = any(lane.num_entries for lane in w.scheduler.lanes.values())
        formed = w.step(number % num_engines)
        is_alone = any(entry.goes_alone for entry in formed.entries)
        assert not is_alone or len(formed.entries) == 1
        assert formed.batch.is_alone == is_alone
        assert not (is_alone and was_alone and others)
        was_alone = is_alone
    assert {e.key for e in w.entries} == w.read.keys()
