from concurrent.futures import Future

from scripted import prompt

from guard_service.batching.entry import Asker, Caller, Entry
from guard_service.batching.fair_queue import FairQueue

ROOM = 1_000_000
PRESENT_S = 1.0


def entry(key: int, num_tokens: int, name: str = "a", since_s: float = 0.0, weight: float = 1.0):  # type: ignore[no-untyped-def]
    asker = Asker(Future(), since_s, float("inf"))  # type: ignore[arg-type]
    caller = Caller(name=name, weight=weight)
    return Entry(key, b"", prompt(*range(num_tokens)), caller, since_s, [asker])


def served(queue: FairQueue, num_tokens: int, now_s: float = 0.0) -> list[Entry]:
    """Those who would get so many tokens."""
    taken: list[Entry] = []
    for one in queue.in_order(now_s, ROOM, PRESENT_S):
        queue.charge(one.caller, one.num_left)
        taken.append(one)
        if sum(e.num_left for e in taken) >= num_tokens:
            break
    return taken


def tokens_of(taken: list[Entry], name: str) -> int:
    return sum(e.num_left for e in taken if e.caller.name == name)


def test_of_one_caller_the_shortest_goes_first_until_a_longer_one_has_aged() -> None:
    queue = FairQueue()
    for one in (entry(0, 400), entry(1, 100), entry(2, 200), entry(3, 100, since_s=1.0)):
        queue.push(one)
    assert [e.key for e in served(queue, ROOM, now_s=1.0)] == [1, 2, 0, 3]


def test_a_backlog_takes_no_more_than_its_turn_from_one_who_comes_later() -> None:
    queue = FairQueue()
    for number in range(100):
        queue.push(entry(number, 100, "greedy"))
    served(queue, 3000)
    for number in range(100, 105):
        queue.push(entry(number, 100, "late"))
    taken = served(queue, 1000)
    assert tokens_of(taken, "late") == tokens_of(taken, "greedy") == 500


def test_shares_follow_the_weights() -> None:
    queue = FairQueue()
    for number in range(200):
        queue.push(entry(number, 50, "one"))
        queue.push(entry(1000 + number, 50, "three", weight=3.0))
    taken = served(queue, 8000)
    assert abs(tokens_of(taken, "three") - 6000) <= 100


def test_who_had_less_than_its_share_goes_before_the_others_for_a_bounded_time() -> None:
    queue = FairQueue()
    queue.push(entry(0, 100, "rare"))
    for number in range(1, 1000):
        queue.push(entry(number, 100, "steady"))
    for _ in range(50):
        served(queue, 1000)
    for number in range(1000, 2000):
        queue.push(entry(number, 100, "rare"))
    taken = [one for _ in range(20) for one in served(queue, 1000)]
    assert tokens_of(taken, "rare") - tokens_of(taken, "steady") <= 8192 + 1200


def test_a_caller_far_ahead_of_its_share_joins_no_pass_of_others() -> None:
    queue = FairQueue()
    for number in range(500):
        queue.push(entry(number, 100, "greedy"))
    for number in range(500, 600):
        queue.push(entry(number, 10, f"other {number}"))
        served(queue, 300)
    queue.push(entry(700, 10, "other"))
    assert [e.caller.name for e in served(queue, 1000)] == ["other"]
    assert [e.caller.name for e in served(queue, 100)] == ["greedy"]


def test_counters_of_callers_that_are_gone_are_dropped() -> None:
    queue = FairQueue()
    for number in range(1000):
        queue.push(entry(number, 1, f"caller {number}", since_s=number))
        served(queue, 1, now_s=number)
    assert len(queue._shares) < 5
