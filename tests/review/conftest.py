"""A database for each test: SQLite always, PostgreSQL where there is one."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from services import postgresql_url


@pytest.fixture(params=["sqlite", "postgresql"])
def database_url(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[str]:
    if request.param == "sqlite":
        yield f"sqlite:///{tmp_path / 'guard.db'}"
    else:
        with postgresql_url() as url:
            yield url
