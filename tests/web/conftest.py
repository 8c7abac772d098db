"""A console in memory for each test, and figures that are slow to count."""

import asyncio
from collections.abc import AsyncIterator
from dataclasses import dataclass, field

import pytest
from consoles import Opened, opened

from guard_service.errors import StoreUnavailable
from guard_service.review.database import Database
from guard_service.review.figures import Figures, read_figures
from guard_service.web import board


@pytest.fixture
async def console() -> AsyncIterator[Opened]:
    async with opened() as console:
        yield console


@dataclass
class Counting:
    """The figures, once they may be counted."""

    fails: bool = False
    may_count: asyncio.Event = field(default_factory=asyncio.Event)

    async def read(self, database: Database, tenant: str | None) -> Figures:
        await self.may_count.wait()
        if self.fails:
            raise StoreUnavailable("the database failed (OperationalError)")
        return await read_figures(database, tenant)


@pytest.fixture
def counting(monkeypatch: pytest.MonkeyPatch) -> Counting:
    counting = Counting()
    monkeypatch.setattr(board, "read_figures", counting.read)
    return counting
