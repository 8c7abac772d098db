from pathlib import Path

import pytest

from guard_service.errors import SettingsInvalid
from guard_service.review.cipher import SealedKey
from guard_service.review.keyring import Keyring, beside

KEY = SealedKey("0123456789abcdef", b"sealed")
IN_AN_HOUR = 3_600_000


@pytest.fixture
def keyring(database_url: str) -> Keyring:
    keyring = Keyring(database_url)
    keyring.create()
    keyring.create()  # as each start does
    return keyring


def test_a_key_is_found_until_it_is_destroyed(keyring: Keyring) -> None:
    for item_id in "one", "two":
        keyring.put(item_id, KEY, IN_AN_HOUR)
    keyring.destroy(["one"], now_ms=0)
    assert (keyring.find("one"), keyring.find("two")) == (None, KEY)
    keyring.close()


def test_the_key_of_an_attempt_before_is_replaced(keyring: Keyring) -> None:
    keyring.put("one", SealedKey("0123456789abcdef", b"before"), IN_AN_HOUR)
    keyring.put("one", KEY, IN_AN_HOUR)
    assert keyring.find("one") == KEY
    keyring.close()


def test_a_key_whose_text_was_never_written_is_destroyed_after_its_time(keyring: Keyring) -> None:
    keyring.put("orphan", KEY, IN_AN_HOUR)
    keyring.destroy([], now_ms=IN_AN_HOUR)
    assert keyring.find("orphan") is None
    keyring.close()


def test_a_destroyed_key_is_not_left_in_the_file(tmp_path: Path) -> None:
    keyring = Keyring(f"sqlite:///{tmp_path / 'keys.db'}")
    keyring.create()
    keyring.put("one", SealedKey("0123456789abcdef", b"a key that must go"), IN_AN_HOUR)
    assert b"a key that must go" in (tmp_path / "keys.db").read_bytes()
    keyring.destroy(["one"], now_ms=0)
    keyring.close()
    assert all(b"a key that must go" not in file.read_bytes() for file in tmp_path.iterdir())


@pytest.mark.parametrize(
    ("database_url", "keys_url"),
    [
        ("sqlite:///guard.db", "sqlite:///guard-keys.db"),
        ("sqlite:////var/lib/guard.sqlite", "sqlite:////var/lib/guard.sqlite-keys.db"),
        ("sqlite://", "sqlite://"),
        ("postgresql://u:secret@host/guard", "postgresql://u:secret@host/guard"),
    ],
)
def test_keys_are_beside_the_database(database_url: str, keys_url: str) -> None:
    assert beside(database_url) == keys_url


def test_a_url_that_means_nothing_is_refused_by_the_name_of_its_setting() -> None:
    with pytest.raises(SettingsInvalid, match="review_keys_url"):
        Keyring("nonsense")
