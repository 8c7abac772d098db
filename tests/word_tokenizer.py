"""The least tokenizer that a guard can be read with: a few words, everything else one character."""

from tokenizers import AddedToken, Regex, Tokenizer
from tokenizers.models import WordLevel
from tokenizers.pre_tokenizers import Split

_CONTROL = ("begin_of_text", "start_header_id", "end_header_id", "eot_id")


def word_tokenizer() -> Tokenizer:
    words = ["[UNK]", "safe", "unsafe", "\n", "S", ",S", *map(str, range(1, 15))]
    tokenizer = Tokenizer(WordLevel({word: n for n, word in enumerate(words)}, "[UNK]"))
    tokenizer.pre_tokenizer = Split(Regex(r"unsafe|safe|,?S|\d+|\n|."), "isolated")
    tokenizer.add_special_tokens([AddedToken(f"<|{name}|>") for name in _CONTROL])
    return tokenizer
