"""The commands of `guard review` that go to the database; the others are tested with a server."""

import asyncio
from pathlib import Path

import pytest
from review_items import item
from typer.testing import CliRunner, Result

from guard_service.cli import commands
from guard_service.conversation import Conversation, Message, Role
from guard_service.review.cipher import Sealer
from guard_service.review.claim import Reviewer
from guard_service.review.item import Place, ReviewItem
from guard_service.review.store import ReviewStore

SAID = Conversation((Message(Role.USER, "hello"),))
THEIRS = item(
    1, tenant="acme", labels={"subject": "eve"}, conversation=SAID, place=Place(keep_text_s=60)
)


async def text_of(url: str, keys_url: str, wanted: ReviewItem) -> Conversation | None:
    """Of an item that is written if it is not there."""
    store = ReviewStore(url, Sealer([b"k" * 32]), keys_url)
    await store.start()
    await store.add(wanted)
    ann = Reviewer("ann", None)
    text = await store.database.run(lambda c: store.read_text(c, wanted, ann))
    await store.stop()
    return text


def erase(*words: str, said: str | None = None) -> Result:
    options = ["review", "erase", "--subject", "eve", "--tenant", "acme", "--as", "ben"]
    return CliRunner().invoke(commands, [*options, *words], input=said)


def test_a_subject_is_erased_where_the_settings_have_the_keys(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    url, keys_url = (f"sqlite:///{tmp_path / name}.db" for name in ("guard", "elsewhere"))
    monkeypatch.setenv("GUARD_REVIEW_KEYS_URL", keys_url)
    assert asyncio.run(text_of(url, keys_url, THEIRS)) == SAID
    refused = erase("--database-url", url, said="n\n")
    assert refused.exit_code == 1
    assert asyncio.run(text_of(url, keys_url, THEIRS)) == SAID
    done = erase("--yes", "--database-url", url)
    assert (done.exit_code, done.output) == (0, "1 items erased\n")
    assert not (tmp_path / "guard-keys.db").exists()
