"""`guard review replay` on a database of items that policies decided."""

import asyncio
import json
import random
from pathlib import Path

import pytest
from random_policies import CODES, random_items
from review_items import item
from sqlalchemy import update
from typer.testing import CliRunner, Result

from guard_service.cli import commands
from guard_service.errors import PolicyInvalid, ReviewItemUnknown
from guard_service.review.store import open_store
from guard_service.review.table import review_items

STRICT = 'id = "p"\nversion = "9"\nthreshold = 0.75\n' + "".join(
    f"[categories.{code}]\nthreshold = 0.001\n" for code in CODES
)


@pytest.fixture
def url(tmp_path: Path) -> str:
    url = f"sqlite:///{tmp_path / 'guard.db'}"
    items = random_items(random.Random(4), 40)
    asyncio.run(fill(url, items))
    return url


async def fill(url: str, items: list) -> None:  # type: ignore[type-arg]
    async with open_store(url) as store:
        for each in items:
            await store.add(each)


def replay(url: str, *arguments: str) -> Result:
    return CliRunner().invoke(commands, ["review", "replay", "--database-url", url, *arguments])


def lines(result: Result) -> list[dict[str, object]]:
    return [json.loads(line) for line in result.stdout.splitlines()]


def test_every_item_is_as_its_own_policy_decides_it(url: str) -> None:
    result = replay(url)
    assert (result.exit_code, result.stdout) == (0, "")
    assert "0 not as stored" in result.stderr


def test_an_item_that_is_not_as_stored_is_named_and_fails(url: str) -> None:
    async def change() -> None:
        async with open_store(url) as store:
            one = update(review_items).where(review_items.c.sequence == 1)
            await store.database.run(lambda c: c.execute(one.values(reason="text_sign")))

    asyncio.run(change())
    result = replay(url)
    assert result.exit_code == 1
    (told,) = lines(result)
    assert told["reason_before"] == "text_sign"


def test_another_policy_tells_what_it_would_do_differently(url: str, tmp_path: Path) -> None:
    (tmp_path / "strict.toml").write_text(STRICT)
    result = replay(url, "--policy", str(tmp_path / "strict.toml"))
    assert result.exit_code == 0
    flips = lines(result)
    assert flips
    assert all((flip["before"], flip["after"]) == ("allow", "block") for flip in flips)
    assert f"{len(flips)} another action" in result.stderr


def test_readings_that_cannot_answer_are_counted_with_the_reason(url: str, tmp_path: Path) -> None:
    (tmp_path / "fewer.toml").write_text('id = "p"\nversion = "9"\n[categories.S1]\n')
    result = replay(url, "--policy", str(tmp_path / "fewer.toml"))
    assert "cannot be: the model was asked for S10, S2 too" in result.stderr


def test_one_item_is_shown_with_all_that_it_rests_on(url: str) -> None:
    first = random_items(random.Random(4), 40)[0]
    (told,) = lines(replay(url, "--item", first.id))
    assert first.evidence
    assert told["is_as_stored"] is True
    assert told["policy_digest"] == first.evidence.policy.digest
    assert told["windows"][0]["unsafe_score"] == first.evidence.readings[0].unsafe_score  # type: ignore[index]


def test_what_is_not_there_is_refused(url: str, tmp_path: Path) -> None:
    (tmp_path / "bad.toml").write_text("id = 3\n")
    assert isinstance(replay(url, "--item", item(999).id).exception, ReviewItemUnknown)
    bad = replay(url, "--policy", str(tmp_path / "bad.toml"))
    assert isinstance(bad.exception, PolicyInvalid)
