import asyncio

from conversations import conversation

from guard_service.benchmark.traffic import Answered, send_all, send_poisson
from guard_service.conversation import Conversation
from guard_service.errors import EngineUnavailable

ANSWERED = Answered(unsafe_score=0.2, new_tokens=100, prefix_tokens=143, pass_size=4)


class Service:
    """Answers after a turn of the loop; notes how many calls were inside at once."""

    def __init__(self) -> None:
        self.num_inside, self.most_inside = 0, 0

    async def ask(self, judged: Conversation) -> Answered:
        self.num_inside += 1
        self.most_inside = max(self.most_inside, self.num_inside)
        await asyncio.sleep(0)
        self.num_inside -= 1
        if judged.judged.content == "fails":
            raise EngineUnavailable
        return ANSWERED


async def test_a_closed_loop_keeps_so_many_calls_in_flight_and_no_more() -> None:
    service = Service()
    run = await send_all(service.ask, [conversation("hi")] * 20, num_in_flight=3)
    assert service.most_inside == 3
    assert (len(run.calls), len(run.answers)) == (20, 20)


async def test_a_call_that_fails_is_counted_and_keeps_its_place() -> None:
    judged = [conversation("hi"), conversation("fails"), conversation("hi")]
    run = await send_all(Service().ask, judged, num_in_flight=1)
    assert run.scores == [0.2, None, 0.2]


async def test_an_open_loop_sends_at_its_rate_whoever_waits() -> None:
    held = asyncio.Event()

    async def ask(_: Conversation) -> Answered:
        await held.wait()  # nobody is answered until the last call was sent
        return ANSWERED

    sending = asyncio.create_task(
        send_poisson(ask, [conversation("hi")], rate=2000, duration_s=0.1, seed=4)
    )
    await asyncio.sleep(0.15)
    held.set()
    run = await sending
    assert 120 < len(run.calls) < 290  # Poisson with mean 200, and always the same seed
    assert min(call.latency_ms for call in run.calls) > 0
    assert run.calls[0].latency_ms > run.calls[-1].latency_ms  # counted from when it was due
