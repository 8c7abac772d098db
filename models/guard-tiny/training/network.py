"""The forward pass used in training: rows share the keys and values of one prefix.

Uses the weights of transformers' LlamaForCausalLM and must give what it gives (see `evaluate.py`).
"""

from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor
from transformers import LlamaForCausalLM
from transformers.models.llama.modeling_llama import LlamaDecoderLayer


@dataclass(frozen=True, slots=True)
class Rotation:
    cos: Tensor
    sin: Tensor

    def __call__(self, x: Tensor) -> Tensor:
        # x: [B, H, T, D]
        half = x.shape[-1] // 2
        turned = torch.cat((-x[..., half:], x[..., :half]), dim=-1)
        return x * self.cos + turned * self.sin

    def part(self, start: int, end: int) -> "Rotation":
        return Rotation(self.cos[start:end], self.sin[start:end])


def rotation(model: LlamaForCausalLM, length: int) -> Rotation:
    positions = torch.arange(length)[None]
    cos, sin = model.model.rotary_emb(model.model.embed_tokens.weight, positions)
    return Rotation(cos[0], sin[0])


def hidden_states(model: LlamaForCausalLM, prefix: Tensor, ids: Tensor) -> list[Tensor]:
    """States of `ids` [B, T] behind `prefix` [P] after each layer, the last one normed."""
    num_prefix, length = len(prefix), ids.shape[1]
    turn = rotation(model, num_prefix + length)
    mask = _mask(num_prefix, length)
    shared = model.model.embed_tokens(prefix)[None]
    states = model.model.embed_tokens(ids)
    after_layers = []
    for layer in model.model.layers:
        shared, states = layer_step(layer, shared, states, turn, mask)
        after_layers.append(states)
    after_layers[-1] = model.model.norm(after_layers[-1])
    return after_layers


def _mask(num_prefix: int, length: int) -> Tensor:
    causal = torch.ones(length, length, dtype=torch.bool).tril()
    return torch.cat((torch.ones(length, num_prefix, dtype=torch.bool), causal), dim=1)


def layer_step(
    layer: LlamaDecoderLayer, shared: Tensor, states: Tensor, turn: Rotation, mask: Tensor
) -> tuple[Tensor, Tensor]:
    num_prefix, end = shared.shape[1], mask.shape[1]
    q0, k0, v0 = _projections(layer, shared, turn.part(0, num_prefix))
    q, k, v = _projections(layer, states, turn.part(num_prefix, end))
    batch = (states.shape[0], -1, -1, -1)
    k, v = torch.cat((k0.expand(batch), k), 2), torch.cat((v0.expand(batch), v), 2)
    shared = _finish(layer, shared, F.scaled_dot_product_attention(q0, k0, v0, is_causal=True))
    states = _finish(layer, states, F.scaled_dot_product_attention(q, k, v, attn_mask=mask))
    return shared, states


def _projections(
    layer: LlamaDecoderLayer, states: Tensor, turn: Rotation
) -> tuple[Tensor, Tensor, Tensor]:
    attention = layer.self_attn
    normed = layer.input_layernorm(states)
    heads = (*states.shape[:2], -1, attention.head_dim)
    q = attention.q_proj(normed).view(heads).transpose(1, 2)
    k = attention.k_proj(normed).view(heads).transpose(1, 2)
    v = attention.v_proj(normed).view(heads).transpose(1, 2)
    groups = attention.num_key_value_groups
    k, v = turn(k).repeat_interleave(groups, 1), v.repeat_interleave(groups, 1)
    return turn(q).to(v.dtype), k.to(v.dtype), v


def _finish(layer: LlamaDecoderLayer, states: Tensor, attended: Tensor) -> Tensor:
    mixed = attended.transpose(1, 2).reshape(*states.shape[:2], -1)
    states = states + layer.self_attn.o_proj(mixed)
    fed: Tensor = layer.mlp(layer.post_attention_layernorm(states))
    return states + fed
