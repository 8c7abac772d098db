"""A Llama checkpoint in Hugging Face format as GGUF, without a vocabulary; needs no torch."""

import json
import math
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import gguf
import numpy as np
from numpy.typing import NDArray

_NAMES = {
    "model.embed_tokens": "token_embd",
    "model.norm": "output_norm",
    "lm_head": "output",
    "input_layernorm": "attn_norm",
    "post_attention_layernorm": "ffn_norm",
    "self_attn.q_proj": "attn_q",
    "self_attn.k_proj": "attn_k",
    "self_attn.v_proj": "attn_v",
    "self_attn.o_proj": "attn_output",
    "mlp.gate_proj": "ffn_gate",
    "mlp.up_proj": "ffn_up",
    "mlp.down_proj": "ffn_down",
}


def write_gguf(folder: str, path: Path, dtype: str) -> None:
    config = json.loads((Path(folder) / "config.json").read_text())
    heads, kv_heads = config["num_attention_heads"], config["num_key_value_heads"]
    head_width = config.get("head_dim") or config["hidden_size"] // heads
    rope = config.get("rope_parameters") or config.get("rope_scaling") or {}
    writer = gguf.GGUFWriter(str(path), "llama")
    writer.add_context_length(config["max_position_embeddings"])
    writer.add_embedding_length(config["hidden_size"])
    writer.add_block_count(config["num_hidden_layers"])
    writer.add_feed_forward_length(config["intermediate_size"])
    writer.add_head_count(heads)
    writer.add_head_count_kv(kv_heads)
    writer.add_key_length(head_width)
    writer.add_value_length(head_width)
    writer.add_rope_dimension_count(head_width)
    writer.add_layer_norm_rms_eps(config["rms_norm_eps"])
    theta = rope.get("rope_theta") or config["rope_theta"]
    writer.add_rope_freq_base(theta)
    writer.add_vocab_size(config["vocab_size"])
    writer.add_tokenizer_model("no_vocab")
    if rope.get("rope_type") == "llama3":
        writer.add_tensor("rope_freqs.weight", _rope_factors(rope, theta, head_width))
    for name, weight in _weights(Path(folder)):
        if (turned := re.search(r"self_attn\.([qk])_proj", name)) is not None:
            weight = _pair_up(weight, heads if turned[1] == "q" else kv_heads)
        _add(writer, _gguf_name(name), weight, dtype)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()


def _weights(folder: Path) -> Iterator[tuple[str, NDArray[np.uint16]]]:
    """Every bfloat16 tensor as its bits: numpy has no such type."""
    for path in sorted(folder.glob("*.safetensors")):
        raw = np.memmap(path, dtype=np.uint8, mode="r")
        start = 8 + int(raw[:8].view(np.uint64)[0])
        header: dict[str, Any] = json.loads(raw[8:start].tobytes())
        for name, tensor in header.items():
            if name != "__metadata__":
                assert tensor["dtype"] == "BF16", tensor["dtype"]
                low, high = tensor["data_offsets"]
                bits = raw[start + low : start + high].view(np.uint16)
                yield name, bits.reshape(tensor["shape"])


def _add(writer: gguf.GGUFWriter, name: str, bits: NDArray[np.uint16], dtype: str) -> None:
    if dtype == "float32" or bits.ndim == 1:  # norms are always float32 there
        writer.add_tensor(name, (bits.astype(np.uint32) << 16).view(np.float32))
        return
    kept = np.ascontiguousarray(bits).view(np.uint8)
    writer.add_tensor(name, kept, raw_dtype=gguf.GGMLQuantizationType.BF16)


def _gguf_name(name: str) -> str:
    layer = re.fullmatch(r"model\.layers\.(\d+)\.(.+)\.weight", name)
    if layer is not None:
        return f"blk.{layer[1]}.{_NAMES[layer[2]]}.weight"
    return f"{_NAMES[name.removesuffix('.weight')]}.weight"


def _pair_up(weight: NDArray[np.uint16], heads: int) -> NDArray[np.uint16]:
    """Rows in GGUF's order: the two halves that RoPE turns together lie side by side."""
    rows, columns = weight.shape
    halves = weight.reshape(heads, 2, rows // heads // 2, columns)
    return halves.swapaxes(1, 2).reshape(rows, columns)


def _rope_factors(rope: dict[str, Any], theta: float, head_width: int) -> NDArray[np.float32]:
    """Llama 3.1's stretching of the low frequencies, as divisors of each frequency."""
    low, high = rope["low_freq_factor"], rope["high_freq_factor"]
    waves = 2 * math.pi * theta ** (np.arange(0, head_width, 2) / head_width)
    turns = rope["original_max_position_embeddings"] / waves
    smooth = np.clip((turns - low) / (high - low), 0, 1)
    return (1 / ((1 - smooth) / rope["factor"] + smooth)).astype(np.float32)
