"""What can be noticed of a text itself, whatever the model finds in it."""

from dataclasses import dataclass, field
from enum import Enum


class TextSign(Enum):
    DELIMITER = "delimiter"  # writes the prompt's own delimiters, or what looks like them
    ROLE = "role"  # begins a line like a turn of the conversation
    HIDDEN = "hidden"  # holds text that no person sees: tag characters, variation selectors
    BIDI = "bidi"  # turns its own direction of reading
    INVISIBLE = "invisible"  # has characters of no width inside words
    LOOKALIKE = "lookalike"  # spells with letters that look like others
    UNSUPPORTED_LANGUAGE = "unsupported_language"  # not one that Llama Guard 3 was made for


@dataclass(frozen=True, slots=True)
class Marked:
    """A text and what was noticed of it."""

    text: str = field(repr=False)
    signs: frozenset[TextSign] = frozenset()
