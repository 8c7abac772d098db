"""Text as people read it, where it is written in a way that hides it from a model.

Tag characters, marks of no width, turned direction, and letters that look like others. What a
script needs is kept: joiners of Hindi and Persian, the word breaks of Thai, emoji sequences,
accents. Nothing is ever judged cleaned alone: the text as written is read as well.
"""

import re
import unicodedata
from collections import Counter
from pathlib import Path

from guard_service.sign import Marked, TextSign

_LINES = (Path(__file__).parent / "lookalikes.txt").read_text(encoding="utf-8").splitlines()
LOOKALIKES = {character: line[0] for line in _LINES for character in line[2:]}
_PLAIN = str.maketrans(LOOKALIKES)

# In ranges of a character class.
_MARKS = "\u0300-\u036f\u1ab0-\u1aff\u1dc0-\u1dff\u20d0-\u20dc\u20e5-\u20f0\ufe20-\ufe2f"
_INDIC = "\u0900-\u0dff"
_ARABIC = "\u0600-\u08ff\ufb50-\ufdff\ufe70-\ufefc"
_RIGHT_TO_LEFT = f"\u0590-\u05ff\ufb1d-\ufb4f{_ARABIC}"
_UNSPACED = "\u0e00-\u0eff\u1000-\u109f\u1780-\u17ff"  # Thai, Lao, Burmese, Khmer
_IDEOGRAPHS = "\u1000-\u109f\u1800-\u18af\u2e80-\u9fff\uf900-\ufaff\U00020000-\U0003ffff"
DIRECTIONS = "\u061c\u200e\u200f\u202a-\u202c\u2066-\u2069"
_SELECTORS = "\ufe00-\ufe0f\U000e0100-\U000e01ef"
NO_WIDTH = (
    "\x00-\x08\x0e-\x1f\x7f-\x84\x86-\x9f\xad\u034f\u115f\u1160\u17b4\u17b5\u180b-\u180f\u200b-\u200d"
    "\u2060-\u2065\u206a-\u206f\u3164\ufeff\uffa0\ufff9-\ufffb\U0001bca0-\U0001bca3"
    f"\U0001d173-\U0001d17a\U000e0000-\U000e001f\U000e0080-\U000e00ff{_SELECTORS}"
)
_IN_WORD = rf"\w{_MARKS}{_INDIC}{_UNSPACED}"

_FLAG_TAGS = "|".join(
    "".join(chr(0xE0000 + ord(letter)) for letter in region)
    for region in ("gbeng", "gbsct", "gbwls")
)
_HIDDEN = re.compile(
    f"(?P<flag>\U0001f3f4(?:{_FLAG_TAGS})\U000e007f)"
    f"|(?P<tags>[\U000e0020-\U000e007f]+)|(?P<bytes>[{_SELECTORS}]{{2,}})"
)
_TURNED = re.compile("\u202e([^\u202c-\u202e\n]*)\u202c?")
_DIRECTION = re.compile(
    f"[\u202d\u202e]|(?<=[{_IN_WORD}])(?<![{_RIGHT_TO_LEFT}])[{DIRECTIONS}]+"
    f"(?=[{_IN_WORD}])(?![{_RIGHT_TO_LEFT}])"
)
_JOINED = re.compile(f"(?<=[{_IN_WORD}])[{NO_WIDTH}]+(?=[{_IN_WORD}])")
_AT_WORDS = re.compile(rf"(?<=\s)[{NO_WIDTH}]+|[{NO_WIDTH}]+(?=\s)")
_NEEDED = re.compile(  # with the characters on either side
    f"[{_ARABIC}{_INDIC}][\u200c\u200d].|[{_UNSPACED}]\u200b[{_UNSPACED}]|[{_IDEOGRAPHS}][{_SELECTORS}].",
    re.DOTALL,
)
# Struck through or piled up: no language of ours writes either.
_STACKED = re.compile(f"[\u0305\u0332-\u0338\u033f]+|[{_MARKS}]{{3,}}")
_WORD = re.compile("[\\w\u24b6-\u24e9\U0001f110-\U0001f189]+")
_MIN_LETTERS = 3  # of a word that shows a disguise: units and symbols are shorter
_MIN_FOREIGN = 20  # letters: all six of Moscow's in Russian are look-alikes


def clean(text: str) -> Marked:
    """The text without its disguise; the same text, and no sign, where it has none."""
    signs = set()
    for sign, step in _STEPS:
        cleaned = step(text)
        if cleaned != text:
            signs.add(sign)
        text = cleaned
    return Marked(text, frozenset(signs))


def _reveal(text: str) -> str:
    return text if text.isascii() else _HIDDEN.sub(_revealed, text)


def _revealed(found: re.Match[str]) -> str:
    if found["flag"]:
        return found["flag"]
    if found["tags"]:
        letters = (chr(ord(tag) - 0xE0000) for tag in found["tags"])
        return f" {''.join(letters)} ".replace("\x7f", " ")
    # A byte each, as 256 selectors allow; a lone one only chooses how an emoji looks.
    numbers = (ord(c) - (0xFE00 if c < "\U000e0100" else 0xE0100 - 16) for c in found["bytes"])
    hidden = bytes(numbers).decode("utf-8", "ignore")
    return f" {hidden} " if hidden.isprintable() and hidden else ""


def _turn_back(text: str) -> str:
    if text.isascii():
        return text
    return _DIRECTION.sub("", _TURNED.sub(lambda turned: turned[1][::-1], text))


def _join(text: str) -> str:
    def joined(found: re.Match[str]) -> str:
        around = text[found.start() - 1 : found.end() + 1]
        return found[0] if _NEEDED.fullmatch(around) else ""

    cleaned = _JOINED.sub(joined, text)
    return text if cleaned == text else _AT_WORDS.sub("", cleaned)


def _spell(text: str) -> str:
    if text.isascii():
        return text
    text = _STACKED.sub("", text)
    if not LOOKALIKES.keys() & set(text):
        return text
    is_foreign = _is_foreign(text)
    words = set(_WORD.findall(text))
    spelt = {word: _spelling(word, is_foreign) for word in words if not word.isascii()}
    if not any(word != plain and len(word) >= _MIN_LETTERS for word, plain in spelt.items()):
        return text
    return _WORD.sub(lambda word: spelt.get(word[0], word[0]), text)


def _spelling(word: str, is_foreign: bool) -> str:
    """The word in plain letters if it is one that only looks like them."""
    plain = word.translate(_PLAIN)
    has_latin = any(_is_latin(letter) for letter in word)
    is_whole = all(letter.isascii() or _is_latin(letter) for letter in plain)
    return plain if is_whole and (has_latin or not is_foreign) else word


def _is_foreign(text: str) -> bool:
    """Whether the text is really in another script: then more than a few letters look like none.

    Too little of it to tell is taken for honest, unless most of the text is Latin.
    """
    num_real = num_fake = num_latin = 0
    for letter, count in Counter(filter(str.isalpha, text)).items():
        if _is_latin(letter):
            num_latin += count
        elif letter in LOOKALIKES:
            num_fake += count
        else:
            num_real += count
    is_short = num_fake < _MIN_FOREIGN and num_latin <= num_fake
    return is_short or num_real * 9 > num_fake


def _is_latin(letter: str) -> bool:
    """Also in any style: its name, or that of what it stands for, says so."""
    return "LATIN" in unicodedata.name(unicodedata.normalize("NFKC", letter)[:1], "")


_STEPS = (
    (TextSign.HIDDEN, _reveal),
    (TextSign.BIDI, _turn_back),
    (TextSign.INVISIBLE, _join),
    (TextSign.LOOKALIKE, _spell),
)
