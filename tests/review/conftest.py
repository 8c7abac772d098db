"""A database and its store for each test: SQLite always, PostgreSQL where there is one."""

from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest
from services import postgresql_url

from guard_service.review.store import ReviewStore


@pytest.fixture(params=["sqlite", "postgresql"])
def database_url(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[str]:
    if request.param == "sqlite":
        yield f"sqlite:///{tmp_path / 'guard.db'}"
    else:
        with postgresql_url() as url:
            yield url


@pytest.fixture
async def store(database_url: str) -> AsyncIterator[ReviewStore]:
    store = ReviewStore(database_url)
    await store.start()
    yield store
    await store.stop()
