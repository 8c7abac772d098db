import time
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from conversations import policy
from credentials import entry, write_access

from guard_service.access.book import Book, read_book
from guard_service.access.key import make_key
from guard_service.access.principal import Credentials, Principal
from guard_service.batching.entry import Lane
from guard_service.errors import AccessInvalid, Unauthenticated

OLD, NEW = make_key(), make_key()
CHAT = {"uri": "spiffe://acme/chat", "name": "chat", "tenant": "acme"}
BATCH = {"uri": "spiffe://acme/batch", "name": "batch", "tenant": "acme"}


def book(folder: Path, **values: object) -> Book:
    return read_book(write_access(folder / "access.json", entry(OLD, **values), entry(NEW)))


def test_two_keys_of_one_name_are_one_principal_while_they_are_exchanged(tmp_path: Path) -> None:
    keys = book(tmp_path)
    assert keys.find_key(OLD.text) == keys.find_key(NEW.text) == Principal("acme", "chat")


def test_what_an_entry_allows_is_in_its_principal(tmp_path: Path) -> None:
    principal = book(tmp_path, policies=["kids"], lanes=["bulk"]).find_key(OLD.text)
    assert (principal.policies, principal.lanes) == ({"kids"}, {Lane.BULK})
    assert principal.may_use("kids")
    assert not principal.may_use("default")


def test_an_expired_key_is_refused_and_one_that_will_expire_is_not(tmp_path: Path) -> None:
    now = datetime.now(UTC)
    later = book(tmp_path, expires=(now + timedelta(minutes=1)).isoformat())
    assert later.find_key(OLD.text).name == "chat"
    with pytest.raises(Unauthenticated):
        book(tmp_path, expires=now.isoformat()).find_key(OLD.text)


def test_a_certificate_is_known_by_exactly_one_of_its_uris(tmp_path: Path) -> None:
    known = read_book(write_access(tmp_path / "access.json", certificates=[CHAT, BATCH]))
    chat, batch, later_s = CHAT["uri"], BATCH["uri"], time.time() + 60

    def find(*uris: str, expires_s: float = later_s) -> Principal:
        return known.find_certificate(Credentials(uris=uris, certificate_expires_s=expires_s))

    assert find(chat) == find("https://else", chat) == Principal("acme", "chat")
    for uris in ((), ("https://else",), (chat, batch), (chat.upper(),)):
        with pytest.raises(Unauthenticated):
            find(*uris)
    with pytest.raises(Unauthenticated):  # on a connection that has outlived it
        find(chat, expires_s=time.time() - 1)


def test_the_file_is_toml_or_json(tmp_path: Path) -> None:
    text = f'[[keys]]\nid = "{NEW.id}"\nname = "a"\ntenant = "b"\nsha256 = "{NEW.sha256}"\n'
    (tmp_path / "access.toml").write_text(text + "expires = 2199-01-01T00:00:00Z\n")
    assert read_book(tmp_path / "access.toml").find_key(NEW.text) == Principal("b", "a")


def test_every_problem_is_told_with_its_place_and_without_a_value(tmp_path: Path) -> None:
    wrong = entry(OLD, tenant="a b", sha256="SECRET", lanes=[], polices=["x"], expires="2026-01-01")
    with pytest.raises(AccessInvalid) as error:
        read_book(write_access(tmp_path / "access.json", entry(NEW), wrong))
    for field in ("tenant", "sha256", "lanes", "polices", "expires"):
        assert f"keys.1.{field}: " in str(error.value)
    assert "SECRET" not in str(error.value)


@pytest.mark.parametrize("text", ["[[keys", "secret = gk_1_2", "\x00"])
def test_a_file_that_does_not_parse_is_refused_and_not_quoted(tmp_path: Path, text: str) -> None:
    (tmp_path / "access.toml").write_text(text)
    with pytest.raises(AccessInvalid, match=r"access\.toml: not TOML") as error:
        read_book(tmp_path / "access.toml")
    assert "gk_1_2" not in str(error.value)


def test_a_missing_file_is_refused(tmp_path: Path) -> None:
    with pytest.raises(AccessInvalid, match="No such file"):
        read_book(tmp_path / "access.toml")


def test_an_id_or_uri_stands_for_one(tmp_path: Path) -> None:
    with pytest.raises(AccessInvalid, match="twice"):
        read_book(write_access(tmp_path / "access.json", entry(OLD), entry(OLD)))
    with pytest.raises(AccessInvalid, match="twice"):
        read_book(write_access(tmp_path / "access.json", certificates=[CHAT, CHAT]))


def test_a_policy_that_nobody_has_written_is_a_slip_of_the_pen(tmp_path: Path) -> None:
    keys = book(tmp_path, policies=["test", "kdis"])
    with pytest.raises(AccessInvalid, match="chat: no policy kdis"):
        keys.check_policies({"test": policy()})
