"""Hostile text as people can look at it: what would be invisible or act on the page is named.

Nothing here makes HTML: templates escape each piece.
"""

import re
import unicodedata
from collections.abc import Iterator
from dataclasses import dataclass

# Controls (but for newline and tab), format characters, surrogates, private use, separators.
_KEPT = "\n\t"
_HIDDEN_CATEGORIES = {"Cc", "Cf", "Cs", "Co", "Zl", "Zp"}
# Marks that cover their neighbours when they are piled up.
_MAX_MARKS = 4
_MARKS = {"Mn", "Me"}


@dataclass(frozen=True, slots=True)
class Piece:
    """Text as it is, or with a name: one character that is not shown but told."""

    text: str
    name: str = ""


def pieces(text: str) -> Iterator[Piece]:
    """The text in order, each hidden character as a piece of its own."""
    plain, num_marks = "", 0
    for character in text:
        category = unicodedata.category(character)
        num_marks = num_marks + 1 if category in _MARKS else 0
        is_hidden = category in _HIDDEN_CATEGORIES and character not in _KEPT
        if not is_hidden and num_marks <= _MAX_MARKS:
            plain += character
            continue
        if plain:
            yield Piece(plain)
            plain = ""
        yield Piece(_short(character), unicodedata.name(character, "control character"))
    if plain:
        yield Piece(plain)


def one_line(text: str) -> str:
    """For places that hold plain text alone, as attributes and titles do."""
    named = "".join(f"[{p.text}]" if p.name else p.text for p in pieces(text))
    return re.sub(r"\s+", " ", named)


def _short(character: str) -> str:
    return f"U+{ord(character):04X}"
