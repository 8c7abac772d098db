"""Makes a checkpoint of random weights in a known shape, in Hugging Face format, in seconds.

    PYTHONPATH=tests python -m benchmarks.checkpoint FOLDER --shape 67m|1b|8b [--device cuda]

The weights say nothing, but the read-out is healthy: at the verdict token nearly all mass lies on
`safe` and `unsafe`, a given share of prompts reads unsafe, and answers end as Llama Guard's do.
"""

import argparse
import json
import shutil
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch
from benchmarks.readout import stop_ids, write_answers
from transformers import LlamaConfig, LlamaForCausalLM

from guard_service.encoding.tokenizer import GuardTokenizer
from guard_service.weights.checkpoint import models_folder
from guard_service.weights.manifest import Canary

LLAMA_31_ROPE = {
    "rope_type": "llama3",
    "factor": 8.0,
    "low_freq_factor": 1.0,
    "high_freq_factor": 4.0,
    "original_max_position_embeddings": 8192,
}
SHAPES: dict[str, dict[str, Any]] = {
    "tiny": {
        "hidden_size": 128,
        "intermediate_size": 384,
        "num_hidden_layers": 2,
        "num_attention_heads": 4,
        "num_key_value_heads": 2,
    },
    "67m": {
        "hidden_size": 768,
        "intermediate_size": 3072,
        "num_hidden_layers": 8,
        "num_attention_heads": 12,
        "num_key_value_heads": 4,
    },
    "1b": {  # Llama 3.2 1B
        "hidden_size": 2048,
        "intermediate_size": 8192,
        "num_hidden_layers": 16,
        "num_attention_heads": 32,
        "num_key_value_heads": 8,
        "tie_word_embeddings": True,
        "rope_scaling": LLAMA_31_ROPE | {"factor": 32.0},
    },
    "8b": {  # Llama Guard 3 8B; its own file decides about RoPE scaling, which costs nothing
        "hidden_size": 4096,
        "intermediate_size": 14336,
        "num_hidden_layers": 32,
        "num_attention_heads": 32,
        "num_key_value_heads": 8,
        "rope_scaling": LLAMA_31_ROPE,
    },
}
VOCABULARY = 128256


def make_checkpoint(
    folder: Path, shape: str, device: str = "cpu", unsafe_share: float = 0.1, seed: int = 0
) -> Path:
    """The checkpoint in `folder`, bfloat16, in shards of at most 5 GB."""
    folder.mkdir(parents=True, exist_ok=True)
    save_tokenizer(folder)
    tokenizer = GuardTokenizer.from_folder(folder)
    model = random_model(shape, device, seed, stop_ids(tokenizer))
    save_manifest(folder, shape, write_answers(model, tokenizer, unsafe_share))
    model.save_pretrained(folder, max_shard_size="5GB")
    return folder


def save_tokenizer(folder: Path) -> None:
    """Llama 3's, or guard-tiny's smaller one where the wheel that carries it is not installed."""
    try:
        from checkpoints import meta_tokenizer
    except ImportError:
        shutil.copy(models_folder() / "guard-tiny/tokenizer.json", folder)
    else:
        meta_tokenizer().save(str(folder / "tokenizer.json"))


def save_manifest(folder: Path, shape: str, canaries: Sequence[Canary]) -> None:
    """Known prompts of its own, so that the service's check at start passes on it."""
    lines = [f'name = "random-{shape}"']
    for canary in canaries:
        lines += [
            "[[canary]]",
            f"text = {json.dumps(canary.text)}",
            f'role = "{canary.role.value}"',
            f"unsafe = {json.dumps(canary.is_unsafe)}",
        ]
    (folder / "manifest.toml").write_text("\n".join(lines) + "\n")


def random_model(shape: str, device: str, seed: int, stops: list[int]) -> LlamaForCausalLM:
    sizes = SHAPES[shape]
    config = LlamaConfig(
        vocab_size=VOCABULARY,
        max_position_embeddings=131072,
        rope_theta=500000.0,
        initializer_range=sizes["hidden_size"] ** -0.5,
        eos_token_id=stops,
        dtype=torch.bfloat16,
        **sizes,
    )
    torch.manual_seed(seed)
    torch.set_default_dtype(torch.bfloat16)
    try:
        with torch.device(device):
            model = LlamaForCausalLM(config).eval()
    finally:
        torch.set_default_dtype(torch.float32)
    model.generation_config.eos_token_id = stops
    # As in a trained model the token itself stays visible through all layers that add to it.
    with torch.no_grad():
        model.model.embed_tokens.weight.mul_(
            config.num_hidden_layers**0.5 / 2 * sizes["hidden_size"] ** 0.5
        )
    return model


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--shape", choices=SHAPES, default="67m")
    parser.add_argument("--device", default="cuda" if torch.cuda.is_available() else "cpu")
    parser.add_argument("--unsafe-share", type=float, default=0.1)
    parser.add_argument("--seed", type=int, default=0)
    wanted = parser.parse_args()
    started = time.perf_counter()
    make_checkpoint(wanted.folder, wanted.shape, wanted.device, wanted.unsafe_share, wanted.seed)
    print(f"{wanted.folder}: {wanted.shape} in {time.perf_counter() - started:.1f} s")


if __name__ == "__main__":
    main()
