"""Rows put before people are those that the policy picks, each conversation once."""

import asyncio
import json
import os
import random
import signal
from collections import Counter
from pathlib import Path
from typing import Any

import pytest
from length import length
from screened import CHUNK_LINES, POLICY, opened_store, rows, screen, screen_until_killed
from scripted_judge import JUDGED
from services import postgresql_url

from guard_service.decision import ReviewReason, draw
from guard_service.errors import ScreeningRefused
from guard_service.policy import Action
from guard_service.review.evidence import Decided
from guard_service.review.item import ReviewItem
from guard_service.review.replay import Redecided, every_decided, replay
from guard_service.screening.referral import read_share

KILLS = length("SCREEN_KILLS", 3, full=200)
SEED = int(os.environ.get("GUARD_TEST_SEED", "1"))
NEVER = 1_000_000


def write_log(path: Path, num_lines: int) -> Path:
    """Every fourth line says what another one says."""
    draw = random.Random(7)
    numbers = [draw.randrange(num_lines) if n % 4 == 0 else n for n in range(num_lines)]
    lines = [
        {"id": f"id-{n}", "user": f"u-{n}", "text": f"question {number}"}
        for n, number in enumerate(numbers)
    ]
    path.write_text("".join(json.dumps(line) + "\n" for line in lines))
    return path


def items(url: str) -> list[ReviewItem]:
    async def read() -> list[ReviewItem]:
        async with opened_store(url) as store:
            return list((await store.list_items(100_000)).items)

    return asyncio.run(read())


def is_picked(row: dict[str, Any]) -> bool:
    """By the default policy's own words."""
    near = abs(row["unsafe_score"] - POLICY.threshold) <= POLICY.review.band
    return near or row["action"] == "block" or draw(request_id(row)) < POLICY.review.sample


def request_id(row: dict[str, Any]) -> str:
    return f"screen-{row['digest']}-{POLICY.digest[:16]}"


def test_each_conversation_that_the_policy_picks_is_put_before_people_once(tmp_path: Path) -> None:
    url, log = f"sqlite:///{tmp_path / 'guard.db'}", write_log(tmp_path / "log.jsonl", 1200)
    screen([log], tmp_path / "out", review=(url, None))
    judged = rows(tmp_path / "out")
    found = items(url)
    assert Counter(item.request_id for item in found) == Counter(
        {request_id(row) for row in judged if is_picked(row)}
    )
    first = {row["digest"]: row for row in reversed(judged)}
    by_request = {request_id(row): row for row in first.values()}
    for item in found:
        row = by_request[item.request_id]
        told = {"file": row["file"], "line": str(row["line"]), "id": row["id"]}
        assert item.labels == told | {"subject": row["user"]}
        assert (item.action.value, item.unsafe_score) == (row["action"], row["unsafe_score"])
        assert (item.codes, item.model) == (tuple(row["categories"]), JUDGED.model)
    screen([log], tmp_path / "again", review=(url, None))
    assert len(items(url)) == len(found)


def kill_again_and_again(tmp_path: Path, url: str) -> int:
    """Until a run ends by itself; how often it did not."""
    draw, num_kills = random.Random(SEED), 0
    log, out, record = (tmp_path / name for name in ("log.jsonl", "out", "asked"))
    while True:
        slices = draw.randrange(8) if num_kills < KILLS else NEVER
        ended = screen_until_killed(log, out, record, slices, draw.uniform(0, 100), url)
        if ended == 0:
            return num_kills
        assert ended == -signal.SIGKILL
        num_kills += 1


@pytest.mark.parametrize("kind", ["sqlite", "postgresql"])
def test_a_killed_and_resumed_run_puts_nothing_before_people_twice(
    tmp_path: Path, kind: str
) -> None:
    write_log(tmp_path / "log.jsonl", (2 + KILLS) * CHUNK_LINES)
    if kind == "sqlite":
        check_killed(tmp_path, f"sqlite:///{tmp_path / 'guard.db'}")
    else:
        with postgresql_url() as url:
            check_killed(tmp_path, url)


def check_killed(tmp_path: Path, url: str) -> None:
    num_kills = kill_again_and_again(tmp_path, url)
    assert num_kills
    wanted = {request_id(row) for row in rows(tmp_path / "out") if is_picked(row)}
    assert Counter(item.request_id for item in items(url)) == Counter(wanted)
    print(f"{num_kills} kills, {len(wanted)} items")


def test_a_share_is_drawn_from_all_whatever_was_decided(tmp_path: Path) -> None:
    url, log = f"sqlite:///{tmp_path / 'guard.db'}", write_log(tmp_path / "log.jsonl", 1200)
    screen([log], tmp_path / "out", review=(url, 0.1))
    found = items(url)
    drawn = {request_id(row) for row in rows(tmp_path / "out") if draw(request_id(row)) < 0.1}
    assert {item.request_id for item in found} == drawn
    assert {item.reason for item in found} == {ReviewReason.SAMPLED}
    assert {item.action for item in found} == {Action.ALLOW, Action.BLOCK}


@pytest.mark.parametrize("rule", ["", "0", "1.01", "nan", "half", "-0.1"])
def test_what_is_neither_the_policy_nor_a_share_is_refused(rule: str) -> None:
    with pytest.raises(ScreeningRefused, match="review: policy, or a share"):
        read_share(rule)


@pytest.mark.parametrize("share", [None, 0.1])
def test_what_is_put_before_people_can_be_decided_again_exactly(
    tmp_path: Path, share: float | None
) -> None:
    url, log = f"sqlite:///{tmp_path / 'guard.db'}", write_log(tmp_path / "log.jsonl", 1200)
    screen([log], tmp_path / "out", review=(url, share))

    async def decide_again() -> list[Decided]:
        async with opened_store(url) as store:
            return [each async for each in every_decided(store.database)]

    found = asyncio.run(decide_again())
    assert len(found) == len(items(url)) > 0
    for decided in found:
        again = replay(decided)
        assert isinstance(again, Redecided)
        assert again.is_same
        assert decided.evidence.model_digest == JUDGED.model_digest
        assert decided.item.tenant == "acme"
        sampled = decided.item.reason is ReviewReason.SAMPLED
        assert decided.item.place.inclusion == ((share or POLICY.review.sample) if sampled else 1.0)
