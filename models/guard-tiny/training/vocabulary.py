"""guard-tiny's own byte-level BPE, with Llama 3's pre-tokenizer and control tokens."""

from collections.abc import Iterable
from pathlib import Path

from tokenizers import Regex, Tokenizer, decoders, models, pre_tokenizers, trainers
from transformers import PreTrainedTokenizerFast

LLAMA3_PIECES = (
    r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3}"
    r"| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+"
)
CONTROL_TOKENS = (
    "<|begin_of_text|>",
    "<|end_of_text|>",
    "<|finetune_right_pad_id|>",
    "<|start_header_id|>",
    "<|end_header_id|>",
    "<|eom_id|>",
    "<|eot_id|>",
    "<|python_tag|>",
)
VOCABULARY = 12288
ANSWER_REPEATS = 2000


def train_tokenizer(texts: Iterable[str], template: str) -> Tokenizer:
    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence(
        [
            pre_tokenizers.Split(Regex(LLAMA3_PIECES), behavior="isolated"),
            pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False),
        ]
    )
    tokenizer.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=VOCABULARY - len(CONTROL_TOKENS),
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        show_progress=False,
    )
    tokenizer.train_from_iterator([*texts, *fixed_pieces(template)], trainer)
    tokenizer.add_special_tokens(list(CONTROL_TOKENS))
    check_answer_pieces(tokenizer)
    return tokenizer


def fixed_pieces(template: str) -> list[str]:
    """Texts repeated until each word of the prompt and of the answer is one token."""
    numbers = " ".join(f"unsafe\nS{n},S{n}\n\nsafe" for n in range(1, 100))
    return [template, numbers] * ANSWER_REPEATS


def check_answer_pieces(tokenizer: Tokenizer) -> None:
    single = ["safe", "unsafe", "\n\n", "\n", "S", ",S", *(str(n) for n in range(1, 100))]
    split = [piece for piece in single if len(plain_ids(tokenizer, piece)) != 1]
    if split:
        raise ValueError(f"not one token each: {split}")
    pieces = ["unsafe", "\n", "S", "10", ",S", "2"]
    expected = [tokenizer.token_to_id(p.replace("\n", "Ċ")) for p in pieces]
    if plain_ids(tokenizer, "unsafe\nS10,S2") != expected:
        raise ValueError("the answer is not cut into its pieces")


def plain_ids(tokenizer: Tokenizer, text: str) -> list[int]:
    """Ids of text in which control tokens have no power."""
    tokenizer.encode_special_tokens = True
    return tokenizer.encode(text, add_special_tokens=False).ids


def save_tokenizer(tokenizer: Tokenizer, folder: Path, *, context: int) -> None:
    PreTrainedTokenizerFast(
        tokenizer_object=tokenizer,
        bos_token="<|begin_of_text|>",
        eos_token="<|eot_id|>",
        pad_token="<|finetune_right_pad_id|>",
        model_max_length=context,
        clean_up_tokenization_spaces=False,
    ).save_pretrained(folder)
