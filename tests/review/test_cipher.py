import base64
from dataclasses import replace

import pytest

from guard_service.conversation import Conversation, Message, Role, ToolCall
from guard_service.errors import SettingsInvalid
from guard_service.review.cipher import Note, Sealed, SealedKey, Sealer, read_keys

OLD, NEW = b"o" * 32, b"n" * 32
SAID = Conversation(
    (
        Message(Role.USER, "\x00\ud800 hello", name="n"),
        Message(Role.ASSISTANT, "", (ToolCall("f", "{}"),)),
    )
)


def test_what_was_sealed_opens_for_its_tenant_and_item_alone() -> None:
    sealer = Sealer([NEW])
    sealed = sealer.seal(SAID, "acme", "1")
    assert sealer.open(sealed, "acme", "1") == SAID
    assert sealer.open(sealed, "other", "1") is None
    assert sealer.open(sealed, "acme", "2") is None
    damaged = replace(sealed, text=sealed.text[:-1] + bytes([sealed.text[-1] ^ 1]))
    assert sealer.open(damaged, "acme", "1") is None


def test_no_text_opens_with_the_key_of_another() -> None:
    sealer = Sealer([NEW])
    one, other = (sealer.seal(SAID, "acme", "1") for _ in range(2))
    assert sealer.open(replace(one, key=other.key), "acme", "1") is None
    assert sealer.open(replace(one, key=SealedKey(one.key.key_id)), "acme", "1") is None


def test_a_text_of_before_texts_had_keys_of_their_own_still_opens() -> None:
    sealer = Sealer([NEW])
    key_id = sealer.seal(SAID, "acme", "1").key.key_id
    nonce, said = b"n" * 12, b'[["user", "hello", "", []]]'
    text = nonce + sealer._cipher(key_id, "acme").encrypt(nonce, said, b"1")
    hello = Conversation((Message(Role.USER, "hello"),))
    assert sealer.open(Sealed(text, SealedKey(key_id)), "acme", "1") == hello


def test_an_exchanged_key_still_opens_what_it_sealed_while_it_is_there() -> None:
    sealed = Sealer([OLD]).seal(SAID, "acme", "1")
    assert Sealer([NEW, OLD]).open(sealed, "acme", "1") == SAID
    assert Sealer([NEW]).open(sealed, "acme", "1") is None


def test_the_same_text_is_sealed_differently_each_time() -> None:
    sealer = Sealer([NEW])
    assert sealer.seal(SAID, "a", "1") != sealer.seal(SAID, "a", "1")


@pytest.mark.parametrize("text", ["short", "c2hvcnQ=", "not base64!"])
def test_a_key_that_is_none_is_refused_without_quoting_it(text: str) -> None:
    with pytest.raises(SettingsInvalid, match="review_keys") as error:
        read_keys(text)
    assert text not in str(error.value)


def test_keys_are_lines_of_base64() -> None:
    lines = "\n".join(base64.b64encode(key).decode() for key in (NEW, OLD))
    assert read_keys(f"{lines}\n") == (NEW, OLD)


@pytest.mark.parametrize("note", ["as said", "\x00\ud800\u202e", ""])
def test_a_note_opens_for_its_tenant_and_item_alone(note: str) -> None:
    sealer = Sealer([NEW])
    kept = sealer.seal_note(note, "acme", "1")
    assert sealer.open_note(kept, "acme", "1") == note
    if note:
        assert note not in kept.text
        assert sealer.open_note(kept, "other", "1") == sealer.open_note(kept, "acme", "2") == ""
        assert Sealer([OLD]).open_note(kept, "acme", "1") == ""


def test_a_note_is_kept_as_it_is_where_no_key_outlives_the_process() -> None:
    assert Sealer().seal_note("as said", "acme", "1") == Note("as said")
    assert Sealer([NEW]).open_note(Note("as said"), "acme", "1") == "as said"
