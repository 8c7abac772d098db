"""Makes guard_service/lookalikes.txt out of Unicode's own data, as `confusable_homoglyphs` has it.

python tests/lookalikes.py > guard_service/lookalikes.txt
"""

import re
import string
import sys
import unicodedata
from collections import defaultdict

# Letters that languages are written with, whatever they look like.
_ORTHOGRAPHIC = "\N{LATIN SMALL LETTER DOTLESS I}\N{LATIN SMALL LETTER LONG S}"
_STYLED = ("<font>", "<wide>", "<circle>", "<square>", "<narrow>", "<small>")
_NAMED = re.compile(
    r"(?:LATIN LETTER SMALL CAPITAL"
    r"|(?:NEGATIVE|CROSSED|TORTOISE).* LATIN CAPITAL LETTER) ([A-Z])"
)


def lookalikes() -> dict[str, str]:
    """By character of ASCII, all that look like it: styled, of other scripts, or by their name."""
    alike = {c: a for c in map(chr, range(128, sys.maxunicode + 1)) if (a := _of_unicode(c))}
    alike = _confusables() | alike
    # A small letter that is in no list looks like its capital: the Cyrillic VE as the B.
    for capital in [c for c in alike if not c.lower().isascii() and len(c.lower()) == 1]:
        alike.setdefault(capital.lower(), alike[capital].lower())
    table: defaultdict[str, str] = defaultdict(str)
    for character in sorted(alike.keys() - set(_ORTHOGRAPHIC)):
        table[alike[character]] += character
    return dict(sorted(table.items()))


def _of_unicode(character: str) -> str:
    """What a styled character is by its own definition, or by its name."""
    normal = unicodedata.normalize("NFKC", character)
    is_styled = unicodedata.decomposition(character).startswith(_STYLED)
    if (
        is_styled
        and len(normal) == 1
        and ((normal.isascii() and normal.isalnum()) or normal in "<>:")
    ):
        return normal
    name = unicodedata.name(character, "")
    named = _NAMED.fullmatch(name)
    return named[1] if named and "NEGATIVE" in name else named[1].lower() if named else ""


def _confusables() -> dict[str, str]:
    from confusable_homoglyphs.confusables import confusables_data

    alike = {}
    for ascii_character in string.ascii_letters + "<>:":
        for entry in confusables_data.get(ascii_character, ()):
            other = entry["c"]
            if len(other) > 1 or other.isascii() or not _is_like(ascii_character, other):
                continue
            # Unicode gives a capital I as small l.
            is_capital = unicodedata.category(other) == "Lu" and ascii_character == "l"
            alike[other] = "I" if is_capital else ascii_character
    return alike


def _is_like(ascii_character: str, other: str) -> bool:
    """A letter for a letter; for a mark anything but what is written on top of letters."""
    kind = unicodedata.category(other)
    is_letter = kind[0] == "L" or kind in ("Nl", "So")
    return is_letter if ascii_character.isalpha() else kind[0] != "M"


def written() -> str:
    return "".join(f"{letter} {others}\n" for letter, others in lookalikes().items())


if __name__ == "__main__":
    sys.stdout.write(written())
