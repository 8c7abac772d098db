"""What only the client for threads promises; the rest is in test_calls.py."""

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

from guard_service.client import GuardClient


def test_an_answer_comes_before_the_next_request_is_given(target: str) -> None:
    answers: list[int] = []

    with GuardClient(target) as guard, ThreadPoolExecutor(1) as pool:
        answered = pool.submit(lambda: None)

        def asked() -> Iterator[str]:
            yield "first"
            yield from second()

        def second() -> Iterator[str]:
            answered.result(5)
            yield "second"

        for item in guard.moderate_batch(asked()):
            answers.append(item.index)
    assert answers == [0, 1]


def test_threads_may_share_a_client(target: str) -> None:
    with GuardClient(target) as guard, ThreadPoolExecutor(4) as pool:
        results = list(pool.map(guard.moderate, ["a"] * 16))
    assert len({result.request_id for result in results}) == 16
