import asyncio
from collections.abc import Sequence
from dataclasses import dataclass, field

import pytest

from guard_service.errors import SinkUnavailable
from guard_service.review.event import Event
from guard_service.review.sink.connection import Broker


@dataclass
class Scripted:
    """Raises the errors in turn, then takes everything."""

    errors: list[BaseException] = field(default_factory=list)
    num_opened: int = 0
    num_closed: int = 0

    async def connect(self) -> "Scripted":
        self.num_opened += 1
        return self

    async def publish(self, events: Sequence[Event]) -> None:
        if self.errors:
            raise self.errors.pop(0)

    async def close(self) -> None:
        self.num_closed += 1
        raise OSError("gone already")


async def test_a_connection_lasts_until_it_fails_and_then_another_is_opened() -> None:
    scripted = Scripted()
    broker = Broker("nats", scripted.connect)
    await broker.publish([])
    await broker.publish([])
    assert (scripted.num_opened, scripted.num_closed) == (1, 0)
    scripted.errors = [ValueError("nats://user:secret@host")]
    with pytest.raises(SinkUnavailable) as error:
        await broker.publish([])
    assert str(error.value) == "ValueError"
    await broker.publish([])
    assert (scripted.num_opened, scripted.num_closed) == (2, 1)


async def test_a_connection_that_was_given_up_on_is_dropped() -> None:
    scripted = Scripted([asyncio.CancelledError()])
    broker = Broker("nats", scripted.connect)
    with pytest.raises(asyncio.CancelledError):
        await broker.publish([])
    assert scripted.num_closed == 1
