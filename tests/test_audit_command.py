import asyncio
import json
from pathlib import Path

import pytest
from review_items import item
from sqlalchemy import text
from typer.testing import CliRunner

from guard_service.cli import commands
from guard_service.errors import AuditBroken, InvalidRequest
from guard_service.review.store import ReviewStore


async def written(url: str, *numbers: int) -> None:
    store = ReviewStore(url)
    await store.start()
    for number in numbers:
        await store.add(item(number))
    await store.stop()


@pytest.fixture
def url(tmp_path: Path) -> str:
    url = f"sqlite:///{tmp_path / 'guard.db'}"
    asyncio.run(written(url, 1, 2))
    return url


def guard(*words: str) -> str:
    result = CliRunner().invoke(commands, ["audit", *words], catch_exceptions=False)
    assert result.exit_code == 0
    return result.output.strip()


def test_the_head_that_was_kept_is_in_the_log_that_went_on(url: str) -> None:
    kept = guard("head", "--database-url", url)
    assert kept.startswith("2:")
    asyncio.run(written(url, 3))
    assert "1 not linked yet" in guard("verify", "--head", kept, "--database-url", url)
    now = guard("head", "--database-url", url)
    verified = guard("verify", "--from", kept, "--database-url", url)
    assert verified.split("\t") == [now, "1 verified", "0 not linked yet"]


def test_entries_are_printed_in_order_as_they_were_hashed(url: str) -> None:
    head = guard("head", "--database-url", url)
    lines = guard("list", "--database-url", url).splitlines()
    entries = [json.loads(line) for line in lines]
    assert [entry["position"] for entry in entries] == [1, 2]
    assert head == f"2:{entries[-1]['hash']}"
    assert guard("list", "--after", "1", "--database-url", url) == lines[1]


async def alter(url: str) -> None:
    store = ReviewStore(url)
    await store.database.run(lambda c: c.execute(text("DROP TRIGGER review_audit_no_change")))
    await store.database.run(lambda c: c.execute(text("UPDATE review_audit SET actor = 'x'")))
    await store.stop()


def test_an_altered_log_is_an_error_that_names_the_entry(url: str) -> None:
    guard("head", "--database-url", url)
    asyncio.run(alter(url))
    with pytest.raises(AuditBroken, match="entry 1 was altered"):
        guard("verify", "--database-url", url)


def test_what_is_no_head_is_refused(url: str) -> None:
    with pytest.raises(InvalidRequest, match="--head"):
        guard("verify", "--head", "nonsense", "--database-url", url)
