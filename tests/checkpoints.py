"""Checkpoints made in tests: Meta's tokenizer in Hugging Face form, Llamas of random weights."""

from functools import cache
from pathlib import Path
from typing import Any

import llama_models.llama3
import torch
from tokenizers import Tokenizer
from transformers import LlamaConfig, LlamaForCausalLM
from transformers.convert_slow_tokenizer import TikTokenConverter

# Llama 3's own pattern and control tokens (llama_models/llama3/tokenizer.py).
_PATTERN = (
    r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3}"
    r"| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+"
)
_NAMED = (
    "<|begin_of_text|>",
    "<|end_of_text|>",
    "<|reserved_special_token_0|>",
    "<|reserved_special_token_1|>",
    "<|finetune_right_pad_id|>",
    "<|step_id|>",
    "<|start_header_id|>",
    "<|end_header_id|>",
    "<|eom_id|>",
    "<|eot_id|>",
    "<|python_tag|>",
    "<|image|>",
)
CONTROL_TOKENS = (*_NAMED, *(f"<|reserved_special_token_{n}|>" for n in range(2, 246)))


def meta_model_file() -> Path:
    return Path(llama_models.llama3.__file__).parent / "tokenizer.model"


@cache
def meta_tokenizer() -> Tokenizer:
    converter = TikTokenConverter(
        vocab_file=str(meta_model_file()), pattern=_PATTERN, extra_special_tokens=CONTROL_TOKENS
    )
    return converter.converted()


def save_random_llama(folder: Path, **config: Any) -> Path:
    """A small Llama of random weights (seed 0) in Hugging Face format, with Meta's tokenizer."""
    torch.manual_seed(0)
    sizes: dict[str, Any] = {
        "vocab_size": meta_tokenizer().get_vocab_size(with_added_tokens=True),
        "hidden_size": 32,
        "intermediate_size": 96,
        "num_hidden_layers": 3,
        "num_attention_heads": 4,
        "num_key_value_heads": 2,
        "max_position_embeddings": 2048,
        "rope_theta": 500000.0,
    }
    LlamaForCausalLM(LlamaConfig(**sizes | config)).save_pretrained(folder)
    meta_tokenizer().save(str(folder / "tokenizer.json"))
    return folder
