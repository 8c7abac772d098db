"""A console in memory for each test."""

from collections.abc import AsyncIterator

import pytest
from consoles import Opened, opened


@pytest.fixture
async def console() -> AsyncIterator[Opened]:
    async with opened() as console:
        yield console
