"""Whether a text is in a language that Llama Guard 3 was not made for.

It was made for English, French, German, Italian, Portuguese, Spanish (Latin script), Hindi
(Devanagari) and Thai. A script is certain. Among languages of one script a small model decides,
and only where there is enough text and hardly a doubt; short texts are never guessed at.
"""

import unicodedata
from collections import Counter
from functools import cache

from py3langid.langid import MODEL_FILE, LanguageIdentifier

SUPPORTED = ("de", "en", "es", "fr", "hi", "it", "pt", "th")

_SCRIPTS = ("LATIN", "DEVANAGARI", "THAI", "MODIFIER", "MASCULINE", "FEMININE", "MICRO", "DOUBLE")
_MIN_SCRIPT_LETTERS = 4
_MIN_SCRIPT_SHARE = 0.2  # of all letters: a name or a quotation does not make a text foreign
_MIN_LETTERS = 60  # before a language is told within its script
_MAX_SUPPORTED_SHARE = 0.01
_MAX_CHARS = 400  # that the model is shown: more would not make it surer


def is_unsupported(text: str) -> bool:
    """True only where it is as good as sure."""
    if not text.isascii() and _is_other_script(text):
        return True
    beginning = text[:_MAX_CHARS]
    return sum(map(str.isalpha, beginning)) >= _MIN_LETTERS and _is_other_language(beginning)


def load_languages() -> None:
    """Load the model, for which the first text would wait otherwise."""
    _identifier()


def _is_other_script(text: str) -> bool:
    letters = Counter(filter(str.isalpha, text))
    num_other = sum(count for letter, count in letters.items() if not _is_supported(letter))
    return num_other >= max(_MIN_SCRIPT_LETTERS, letters.total() * _MIN_SCRIPT_SHARE)


def _is_supported(letter: str) -> bool:
    return letter.isascii() or unicodedata.name(letter, "").startswith(_SCRIPTS)


def _is_other_language(text: str) -> bool:
    shares = dict(_identifier().rank(text))
    return sum(float(shares.get(language, 0.0)) for language in SUPPORTED) < _MAX_SUPPORTED_SHARE


@cache
def _identifier() -> LanguageIdentifier:
    return LanguageIdentifier.from_model_file(MODEL_FILE, norm_probs=True)
