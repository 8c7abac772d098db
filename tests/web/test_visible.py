import unicodedata

import pytest

from guard_service.web.visible import one_line, pieces

HOSTILE = [
    "\u202e",
    "\u2066",
    "\u200b",
    "\ufeff",
    "\x00",
    "\x1b",
    "\x9b",
    "\r",
    "\u2028",
    "\U000e0041",
]


@pytest.mark.parametrize("character", HOSTILE, ids=lambda c: f"U+{ord(c):04X}")
def test_what_cannot_be_seen_is_named(character: str) -> None:
    before, hidden, after = pieces(f"a{character}b")
    assert (before.text, before.name, after.text) == ("a", "", "b")
    assert hidden.text == f"U+{ord(character):04X}"
    assert hidden.name


def test_a_lone_surrogate_is_named_and_can_be_sent() -> None:
    assert "".join(piece.text for piece in pieces("a\ud800b")).encode() == b"aU+D800b"


def test_marks_piled_on_one_letter_are_told_beyond_a_few() -> None:
    shown = list(pieces("a" + "\u0301" * 50))
    assert len(shown[0].text) == 5
    assert all(piece.name == "COMBINING ACUTE ACCENT" for piece in shown[1:])


def test_all_other_text_is_as_it_was() -> None:
    text = "Grüße,\n\tनमस्ते שלום \N{GRINNING FACE} e\u0301"
    assert [piece.text for piece in pieces(text)] == [text]


def test_no_character_is_lost() -> None:
    every = [chr(n) for n in range(0x3000) if unicodedata.category(chr(n)) not in ("Mn", "Me")]
    shown = "".join(
        chr(int(piece.text[2:], 16)) if piece.name else piece.text
        for piece in pieces("".join(every))
    )
    assert shown == "".join(every)


def test_one_line_is_one_line() -> None:
    assert one_line("a\nb\u2028c\u202ed") == "a b[U+2028]c[U+202E]d"
