import pytest
from services import postgresql_url
from sqlalchemy import Connection

from guard_service.errors import StoreUnavailable
from guard_service.review.database import Database


def sleep(connection: Connection) -> None:
    connection.exec_driver_sql("SELECT pg_sleep(0.2)")


async def test_a_long_read_has_a_limit_of_its_own_that_ends_with_it() -> None:
    with postgresql_url() as url:
        database = Database(url)
        with pytest.raises(StoreUnavailable):
            await database.read(sleep, 0.05)
        await database.read(sleep)
        await database.read(sleep, 5.0)
        await database.stop()
