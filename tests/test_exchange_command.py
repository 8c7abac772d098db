"""`guard review export` and `import`: who is given texts, and what comes back."""

import asyncio
import base64
import json
from pathlib import Path

import pytest
from review_items import item
from sqlalchemy import select
from typer.testing import CliRunner, Result

from guard_service.cli import commands
from guard_service.conversation import Conversation, Message, Role
from guard_service.errors import Forbidden, InvalidRequest
from guard_service.review.account import Account, Accounts
from guard_service.review.account import Role as Part
from guard_service.review.cipher import Sealer
from guard_service.review.item import Place
from guard_service.review.store import ReviewStore, open_store
from guard_service.review.table import review_reads
from guard_service.web.password import hash_password

KEY, PASSWORD = b"k" * 32, "correct horse battery"
SAID = Conversation((Message(Role.USER, "a secret"),))
PEOPLE = {"ann": (Part.REVIEWER, False), "lea": (Part.LEAD, True), "aud": (Part.AUDITOR, True)}


@pytest.fixture
def url(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    monkeypatch.setenv("GUARD_REVIEW_KEYS", base64.b64encode(KEY).decode())
    url = f"sqlite:///{tmp_path / 'guard.db'}"
    asyncio.run(_fill(url))
    return url


async def _fill(url: str) -> None:
    """One item of S1, one of S4 (restricted), and one whose text no policy kept."""
    kept, password = Place(keep_text_s=600), hash_password(PASSWORD)
    async with open_store(url, Sealer([KEY])) as store:
        await store.add(item(1, conversation=SAID, place=kept))
        await store.add(item(2, conversation=SAID, place=kept, codes=("S4",)))
        await store.add(item(3, conversation=SAID))
        for name, (role, is_cleared) in PEOPLE.items():
            account = Account(name, role, password, is_cleared=is_cleared)
            await Accounts(store.database).add(account)


def guard(url: str, *arguments: object, password: str = PASSWORD) -> Result:
    asked = ["review", *map(str, arguments), "--database-url", url]
    return CliRunner().invoke(commands, asked, input=f"{password}\n")


def with_text(path: Path) -> list[str]:
    rows = [json.loads(line) for line in path.read_text().splitlines()]
    return [row["id"][-1] for row in rows if row["messages"]]


def readers(url: str) -> list[str]:
    async def read(store: ReviewStore) -> list[str]:
        statement = select(review_reads.c.reviewer)
        return list(await store.database.read(lambda c: c.execute(statement).scalars().all()))

    async def act() -> list[str]:
        async with open_store(url) as store:
            return await read(store)

    return asyncio.run(act())


@pytest.mark.parametrize(
    ("who", "texts"),
    [((), []), (("--text-for", "ann"), ["1"]), (("--text-for", "lea"), ["1", "2"])],
)
def test_texts_are_for_those_who_may_read_them_and_that_they_did_is_kept(
    url: str, tmp_path: Path, who: tuple[str, ...], texts: list[str]
) -> None:
    path = tmp_path / "out.jsonl"
    result = guard(url, "export", path, *who)
    assert result.exit_code == 0, result.output
    assert with_text(path) == texts
    assert readers(url) == [*who[1:]] * len(texts)
    assert path.stat().st_mode & 0o077 == 0
    assert f"3 items, {len(texts)} with text" in result.stderr


@pytest.mark.parametrize(
    ("who", "password"), [("ann", "wrong password"), ("aud", PASSWORD), ("nobody", PASSWORD)]
)
def test_who_may_not_read_texts_gets_no_file(
    url: str, tmp_path: Path, who: str, password: str
) -> None:
    result = guard(url, "export", tmp_path / "out", "--text-for", who, password=password)
    assert isinstance(result.exception, Forbidden)
    assert not (tmp_path / "out").exists()
    assert readers(url) == []


def test_a_file_that_is_there_is_not_written_over(url: str, tmp_path: Path) -> None:
    (tmp_path / "out").write_text("mine")
    assert isinstance(guard(url, "export", tmp_path / "out").exception, InvalidRequest)
    assert (tmp_path / "out").read_text() == "mine"


def answers(path: Path, *said: tuple[str, object]) -> Path:
    rows = [{"id": item_id, "answer": answer} for item_id, answer in said]
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return path


UPHELD = {"outcome": "upheld", "categories": ["S1"], "reviewer": "zoe"}


def test_a_file_that_is_imported_twice_changes_nothing_the_second_time(
    url: str, tmp_path: Path
) -> None:
    path = answers(tmp_path / "in", *[(item(n).id, UPHELD) for n in (1, 2)], (item(3).id, None))
    assert guard(url, "import", path).stdout == "2 resolved\n"
    assert guard(url, "import", path).stdout == "2 unchanged\n"
    again = guard(url, "import", path, "--as", "other")
    assert (again.exit_code, again.stdout) == (0, "2 closed\n")


def test_a_broken_line_changes_nothing(url: str, tmp_path: Path) -> None:
    path = answers(tmp_path / "in", (item(1).id, UPHELD), (item(2).id, {"outcome": "maybe"}))
    assert "line 2.outcome" in str(guard(url, "import", path).exception)
    good = answers(tmp_path / "good", (item(1).id, UPHELD))
    assert guard(url, "import", good).stdout == "1 resolved\n"


def test_answers_to_what_is_not_there_are_told_and_fail(url: str, tmp_path: Path) -> None:
    result = guard(url, "import", answers(tmp_path / "in", ("0" * 32, UPHELD)))
    assert (result.exit_code, result.stdout) == (1, "1 unknown\n")


@pytest.mark.parametrize("form", ["jsonl", "parquet", "label-studio", "argilla"])
def test_every_format_is_written_and_read(url: str, tmp_path: Path, form: str) -> None:
    path = tmp_path / "out"
    assert guard(url, "export", path, "--format", form).exit_code == 0
    result = guard(url, "import", path, "--format", form)  # which nobody has answered
    assert (result.exit_code, result.stdout) == (0, "")
